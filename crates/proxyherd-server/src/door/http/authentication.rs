//! Who sends a request: finds the token in a request, and gives the request the caller's rights.
//!
//! [`caller_of`] is called for every request, before the router. A token comes as `Authorization: Bearer`, as the
//! password of `Authorization: Basic` (the user does not matter), or as the parameter `token`, for devices that can
//! send nothing else. Google's path also takes `key`. A path that is open to all ignores tokens. A path that needs the
//! right `operate` takes no token from the URL, because proxies may log URLs. A request without a valid token is
//! refused with 401 before anything else about the request is looked at, and a request whose token can never allow the
//! path's method with 403. `Herd` checks the rest. Where tokens are off, the token of a share limits a request to the
//! share's rights, and every other token changes nothing.
//!
//! [`without_token`] takes the parameter `token` out of a request's target, so that no handler sees or repeats it. The
//! address of the caller behind a proxy is in [`address_of`].
//!
//! Nothing here prints a token.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proxyherd_config::{clock, config::Network};
use tokio::task::spawn_blocking;

use super::{
    nearby,
    parameters::decode,
    paths::{NeededRight, PathName, PathRow},
    problem::Problem,
};
use crate::{
    access::{NoShare, ShareOver, WrongToken},
    caller::{Caller, Rights},
    herd::{Denied, Herd},
};

/// The header in which proxies name their clients.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Maximum number of addresses in `X-Forwarded-For` that are looked at, from the last one.
const FORWARDED_MAX: usize = 32;
/// Seconds after which a caller that has shown too many wrong tokens may try again.
const TOO_MANY_AFTER_S: u64 = 2;

/// The answer to a phone that shows no token.
const PHONE_NEEDS_TOKEN: &str = "a report needs a token: type the token into the app as the password or the access \
    token, or add ?token=TOKEN to the URL";

/// Why a request is refused. A refused request has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AuthRefusal {
    /// The request has no token.
    #[error("this path needs a token: send it as Authorization: Bearer")]
    NoToken,
    /// The request's token is in its URL, and the token would allow too much to be there.
    #[error("this path takes no token in the URL, which proxies may log: send it as Authorization: Bearer")]
    InUrl,
    /// Tokens are off, and the request does not have the operator's token, which the path needs even so.
    #[error("{}", Denied::NoOperator)]
    NoOperator,
    /// Too many requests with wrong tokens from the same address wait for their answers.
    #[error("too many wrong tokens from this address: try again later")]
    TooMany,
    /// The request's token is not valid.
    #[error("the token is wrong, revoked or past its end")]
    WrongToken,
    /// The request's token is the token of a share that shows nothing any more.
    #[error("{0}")]
    ShareOver(ShareOver),
    /// The path needs the token of a share, and no share has the request's token.
    #[error("no share has this token: it has ended long ago, or the token is not complete")]
    NoShare,
    /// The path needs the token of a share, and the request's token is another one.
    #[error("this path needs the token of a share")]
    NotOfShare,
    /// The token does not allow the method of the path for any client.
    #[error("the token does not have the right that this path needs: {}", .0.scope())]
    NotEnough(NeededRight),
}

/// The challenge that tells the page of a share why the share shows nothing.
macro_rules! of_share {
    ($why:literal) => {
        concat!("Bearer realm=\"proxyherd\", error=\"invalid_token\", error_description=\"share ", $why, "\"")
    };
}

impl From<AuthRefusal> for Problem {
    fn from(refusal: AuthRefusal) -> Problem {
        let challenge = match refusal {
            AuthRefusal::NoToken | AuthRefusal::NoOperator | AuthRefusal::InUrl => {
                "Bearer realm=\"proxyherd\""
            }
            AuthRefusal::WrongToken => "Bearer realm=\"proxyherd\", error=\"invalid_token\"",
            AuthRefusal::ShareOver(ShareOver::Ended) => of_share!("ended"),
            AuthRefusal::ShareOver(ShareOver::Revoked) => of_share!("revoked"),
            AuthRefusal::ShareOver(ShareOver::MakerEnded) => of_share!("maker ended"),
            AuthRefusal::NoShare => of_share!("unknown"),
            AuthRefusal::NotEnough(_) | AuthRefusal::NotOfShare => {
                return Problem::new(StatusCode::FORBIDDEN, refusal.to_string());
            }
            AuthRefusal::TooMany => {
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, refusal.to_string());
                return problem.retry_after(TOO_MANY_AFTER_S);
            }
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, refusal.to_string());
        problem.with(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

impl AuthRefusal {
    /// The response. Clients of Google's path expect 200 and a status in the JSON. The person with a phone reads what
    /// to type into an app.
    pub(super) fn at(self, row: Option<&PathRow>) -> Response {
        match (self, row.map(|row| row.name)) {
            (
                AuthRefusal::NoToken | AuthRefusal::InUrl | AuthRefusal::WrongToken,
                Some(PathName::NearbySearch),
            ) => nearby::denied("the parameter `key` must be a valid token of this herd"),
            (AuthRefusal::NoToken, Some(PathName::Phones)) => {
                let challenge = HeaderValue::from_static("Bearer realm=\"proxyherd\"");
                let problem = Problem::new(StatusCode::UNAUTHORIZED, PHONE_NEEDS_TOKEN);
                problem.with(header::WWW_AUTHENTICATE, challenge).into_response()
            }
            _ => Problem::from(self).into_response(),
        }
    }
}

/// The token of a request, and what the token must allow.
pub(super) struct ShownToken {
    needed: NeededRight,
    /// `None`: the request has no token.
    text: Option<Vec<u8>>,
    /// Whether the token comes from the request's URL.
    is_in_url: bool,
}

impl ShownToken {
    /// Finds the token of a request. `parameter` is what [`without_token`] has taken out of the request.
    pub(super) fn of(
        row: Option<&PathRow>,
        request: &Request<Body>,
        parameter: Option<Vec<u8>>,
    ) -> ShownToken {
        let is_google = row.is_some_and(|row| row.name == PathName::NearbySearch);
        let key = || is_google.then(|| parameter_of(request.uri(), "key")).flatten();
        let in_header = of_header(request.headers());
        let is_in_url = in_header.is_none();
        let text = in_header.or(parameter).or_else(key);
        ShownToken { needed: needed(row, request.method()), text, is_in_url }
    }
}

/// The caller of a request, with the rights of the request's token. `connected` is the caller as the entrance has made
/// it, with the address that [`address_of`] has found. After a wrong token, this waits as long as the herd says.
pub(super) async fn caller_of(
    herd: &Arc<Herd>,
    connected: Caller,
    shown: ShownToken,
) -> Result<Caller, AuthRefusal> {
    let ShownToken { needed, text, is_in_url } = shown;
    let are_on = herd.are_tokens_on();
    if needed == NeededRight::Nothing {
        return Ok(connected);
    }
    if needed == NeededRight::Share {
        return reader_of_share(herd, connected, text.filter(|_| !is_in_url)).await;
    }
    if !are_on && needed != NeededRight::Tokens {
        let Some(text) = text else { return Ok(connected) };
        let rights = herd.authenticate(clock::now_ns(), connected.door, connected.address, &text);
        let rights = rights.map_err(|_| AuthRefusal::WrongToken)?;
        return Ok(Caller { rights, ..connected });
    }
    let (missing, wrong) = match are_on {
        true => (AuthRefusal::NoToken, AuthRefusal::WrongToken),
        false => (AuthRefusal::NoOperator, AuthRefusal::NoOperator),
    };
    if needed == NeededRight::Later && text.is_none() {
        return Ok(connected);
    }
    let text = text.ok_or(missing)?;
    if is_in_url && matches!(needed, NeededRight::Operate | NeededRight::Tokens) {
        return Err(AuthRefusal::InUrl);
    }
    let now_ns = clock::now_ns();
    match herd.authenticate_even_if_off(now_ns, connected.door, connected.address, &text) {
        Ok(rights) => {
            let is_enough = needed.is_in(&rights, now_ns);
            let caller = Caller { rights, ..connected };
            if is_enough {
                return Ok(caller);
            }
            if needed == NeededRight::Tokens {
                let herd = Arc::clone(herd);
                // The audit log waits for the disk.
                let _ = spawn_blocking(move || herd.note_denied_token_call(&caller)).await;
            }
            Err(AuthRefusal::NotEnough(needed))
        }
        Err(WrongToken { delay: Some(delay) }) => {
            tokio::time::sleep(delay).await;
            Err(wrong)
        }
        Err(WrongToken { delay: None }) => Err(AuthRefusal::TooMany),
    }
}

/// The caller of a request to see what a share shows, with the rights of the share.
async fn reader_of_share(
    herd: &Arc<Herd>,
    connected: Caller,
    text: Option<Vec<u8>>,
) -> Result<Caller, AuthRefusal> {
    let text = text.ok_or(AuthRefusal::NoToken)?;
    match herd.authenticate_share(clock::now_ns(), connected.door, connected.address, &text) {
        Ok(rights) => Ok(Caller { rights, ..connected }),
        Err(NoShare::Over(why)) => Err(AuthRefusal::ShareOver(why)),
        Err(NoShare::Other) => Err(AuthRefusal::NotOfShare),
        Err(NoShare::Wrong(WrongToken { delay: Some(delay) })) => {
            tokio::time::sleep(delay).await;
            Err(AuthRefusal::NoShare)
        }
        Err(NoShare::Wrong(WrongToken { delay: None })) => Err(AuthRefusal::TooMany),
    }
}

/// The right that a request needs at least. An unknown path or method needs a token with any right.
fn needed(row: Option<&PathRow>, method: &Method) -> NeededRight {
    let Some(row) = row else { return NeededRight::Any };
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let is_open = row.methods.iter().all(|(_, needed)| *needed == NeededRight::Nothing);
    let found = row.methods.iter().find(|(known, _)| known == method);
    found.map_or(if is_open { NeededRight::Nothing } else { NeededRight::Any }, |(_, needed)| *needed)
}

impl NeededRight {
    /// Whether the rights allow this at least for one client.
    fn is_in(self, rights: &Rights, now_ns: u64) -> bool {
        match self {
            NeededRight::Nothing | NeededRight::Any | NeededRight::Later => true,
            // Whoever has the token of a share has the rights of the share.
            NeededRight::Share => rights.grant().is_some_and(|grant| grant.shared_client().is_some()),
            NeededRight::Report => rights.may_report_some(now_ns),
            NeededRight::Read => rights.may_read_some(now_ns),
            NeededRight::Places => rights.may_ask_places(now_ns),
            NeededRight::Operate | NeededRight::Tokens => rights.may_operate(now_ns),
        }
    }

    fn scope(self) -> &'static str {
        match self {
            NeededRight::Nothing | NeededRight::Any | NeededRight::Later => "any",
            NeededRight::Share => "a share",
            NeededRight::Report => "report:IDS",
            NeededRight::Read => "read:IDS",
            NeededRight::Places => "places",
            NeededRight::Operate | NeededRight::Tokens => "operate",
        }
    }
}

/// The token in the header Authorization. `None`: there is no such header. A header that is not understood is an empty
/// token, which is never valid.
fn of_header(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, next) = (values.next()?, values.next());
    if next.is_some() {
        return Some(Vec::new());
    }
    let value = value.as_bytes();
    let at = value.iter().position(|&byte| byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    let credentials = scheme.eq_ignore_ascii_case(b"basic").then(|| STANDARD.decode(rest).ok()).flatten();
    let password = credentials.and_then(|credentials| {
        let at = credentials.iter().position(|&byte| byte == b':')?;
        Some(credentials[at + 1..].to_vec())
    });
    Some(password.unwrap_or_default())
}

/// The first value of a parameter in the query.
fn parameter_of(uri: &Uri, wanted: &str) -> Option<Vec<u8>> {
    uri.query()?.split('&').find_map(|pair| value_of(pair, wanted))
}

/// The value of a pair of the query, if the pair has this name. A value that cannot be decoded is empty.
fn value_of(pair: &str, wanted: &str) -> Option<Vec<u8>> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(name).as_deref() == Some(wanted.as_bytes())).then(|| decode(value).unwrap_or_default())
}

/// Takes the parameter `token` out of a request's target, and returns its first value.
pub(super) fn without_token(request: &mut Request<Body>) -> Option<Vec<u8>> {
    let token = parameter_of(request.uri(), "token")?;
    let query = request.uri().query().unwrap_or_default();
    let rest: Vec<&str> = query.split('&').filter(|pair| value_of(pair, "token").is_none()).collect();
    let path = request.uri().path();
    let target =
        if rest.is_empty() { Cow::from(path) } else { Cow::from(format!("{path}?{}", rest.join("&"))) };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(target.as_ref()).ok();
    // A part of a valid target is a valid target. If it were not, the request would lose its path and answer 404.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    Some(token)
}

/// The address of the client that has sent a request. If the connection comes from a proxy of the configuration, this
/// is the last address in `X-Forwarded-For` that is not such a proxy. Anybody can write the addresses before it. If
/// an unreadable part comes before such an address, counted from the end, this is the address behind the unreadable
/// part.
pub(super) fn address_of(connected: SocketAddr, headers: &HeaderMap, proxies: &[Network]) -> SocketAddr {
    let is_proxy = |ip: IpAddr| proxies.iter().any(|network| network.contains(ip));
    if !is_proxy(connected.ip()) {
        return connected;
    }
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let parts = values.flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','));
    let mut last = connected;
    for part in parts.take(FORWARDED_MAX) {
        // What is before an unreadable part may be forged, so it is not looked at.
        let Some(address) = forwarded(part.trim_ascii()) else { break };
        last = address;
        if !is_proxy(address.ip()) {
            break;
        }
    }
    last
}

/// An address in `X-Forwarded-For`: an IP address, with a port or without.
fn forwarded(part: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(part).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>()
    }

    #[test]
    fn a_token_is_found_in_the_header_authorization() {
        for (value, expected) in [
            ("Bearer phd_a_b", "phd_a_b"),
            ("bearer  phd_a_b ", "phd_a_b"),
            ("Basic YW55Ym9keTpwaGRfYV9i", "phd_a_b"),
            ("basic OnBoZF9hX2I=", "phd_a_b"),
            ("Basic YTpiOmM=", "b:c"),
            ("Basic !", ""),
            ("Basic YW55Ym9keQ==", ""),
            ("Digest phd_a_b", ""),
            ("phd_a_b", ""),
            ("", ""),
        ] {
            let found = of_header(&headers(&[("authorization", value)]));
            assert_eq!(found, Some(expected.as_bytes().to_vec()), "{value}");
        }
        assert_eq!(of_header(&HeaderMap::new()), None);
        let two: HeaderMap = ["Bearer a", "Bearer b"]
            .map(|value| (header::AUTHORIZATION, value.parse().unwrap()))
            .into_iter()
            .collect();
        assert_eq!(of_header(&two), Some(Vec::new()), "two headers are no token");
    }

    #[test]
    fn the_parameter_token_is_taken_out_of_the_target() {
        for (target, expected, rest) in [
            ("/?token=phd_a_b", Some("phd_a_b"), "/"),
            ("/x?a=1&token=phd_a_b&b=2", Some("phd_a_b"), "/x?a=1&b=2"),
            ("/x?t%6fken=phd%5Fa_b&token=c", Some("phd_a_b"), "/x"),
            ("http://localhost:80/x?token=a&y", Some("a"), "http://localhost:80/x?y"),
            ("/x?token", Some(""), "/x"),
            ("/x?token=%zz", Some(""), "/x"),
            ("/x?tokens=a", None, "/x?tokens=a"),
            ("/x", None, "/x"),
        ] {
            let mut request = Request::get(target).body(Body::empty()).unwrap();
            let token = without_token(&mut request);
            assert_eq!(token.as_deref(), expected.map(str::as_bytes), "{target}");
            assert_eq!(request.uri().to_string(), rest, "{target}");
        }
    }

    #[test]
    fn the_address_behind_trusted_proxies_is_the_last_one_that_is_none() {
        let proxies = ["10.0.0.0/8", "127.0.0.1", "::1"].map(|network| Network::parse(network).unwrap());
        for (connected, forwarded, expected) in [
            ("127.0.0.1:5", "", "127.0.0.1:5"),
            ("127.0.0.1:5", "192.0.2.1", "192.0.2.1:0"),
            ("127.0.0.1:5", "192.0.2.9, 192.0.2.1", "192.0.2.1:0"),
            ("127.0.0.1:5", "192.0.2.1, 10.1.1.1", "192.0.2.1:0"),
            ("127.0.0.1:5", "10.1.1.1", "10.1.1.1:0"),
            ("127.0.0.1:5", "evil, 10.1.1.1", "10.1.1.1:0"),
            ("[::1]:5", "2001:db8::1", "[2001:db8::1]:0"),
            ("[::1]:5", "[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[::1]:5", "192.0.2.1:80", "192.0.2.1:80"),
            ("192.0.2.7:5", "192.0.2.1", "192.0.2.7:5"),
            // Lines before one with an unreadable end are not believed, whatever bytes make it unreadable.
            ("127.0.0.1:5", "192.0.2.1|\u{e9}", "127.0.0.1:5"),
            ("127.0.0.1:5", "192.0.2.1|192.0.2.2, \u{e9}", "127.0.0.1:5"),
            ("127.0.0.1:5", "192.0.2.1|\u{e9}, 192.0.2.2", "192.0.2.2:0"),
            ("127.0.0.1:5", "192.0.2.1|\u{e9}, 10.1.1.1", "10.1.1.1:0"),
            ("127.0.0.1:5", "192.0.2.1|10.1.1.1", "192.0.2.1:0"),
        ] {
            let lines = forwarded.split('|').filter(|line| !line.is_empty());
            let sent: HeaderMap = lines
                .map(|line| {
                    (
                        HeaderName::from_static(FORWARDED_FOR),
                        HeaderValue::from_bytes(line.as_bytes()).unwrap(),
                    )
                })
                .collect();
            let found = address_of(connected.parse().unwrap(), &sent, &proxies);
            assert_eq!(found, expected.parse().unwrap(), "{connected} {forwarded}");
        }
    }
}
