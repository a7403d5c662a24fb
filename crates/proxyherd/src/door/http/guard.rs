//! Turns away what web pages send through somebody's browser.
//!
//! Loopback is no wall against them: a page of `evil.example` may let that name resolve to 127.0.0.1 (DNS
//! rebinding), and then reads whatever this door answers; or it just asks 127.0.0.1, which it may not read but which
//! costs the herd's budget of places. A browser tells the truth in `Host`, `Origin` and `Sec-Fetch-Site`, so these
//! decide. Programs that are no browsers send the first alone.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::config::Address;

/// Why a request is turned away. It has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The client's fault: HTTP/1.1 asks for exactly one Host.
    #[error("the request needs one Host header, and that has to be HOST or HOST:PORT")]
    NoHost,
    /// A page's, by way of a name that it has turned here; or a name of this machine that nobody has told the server.
    #[error("this server answers to localhost, loopback addresses and its own `http` address only")]
    StrangeHost,
    /// A page's of somewhere else.
    #[error("this path is not for web pages of other origins")]
    Foreign,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = match self {
            Refusal::NoHost => StatusCode::BAD_REQUEST,
            Refusal::StrangeHost | Refusal::Foreign => StatusCode::FORBIDDEN,
        };
        (code, format!("{self}\n")).into_response()
    }
}

/// Lets through what is addressed to this machine by a name that only this machine can have, or to `own`.
pub(super) async fn known_host(State(own): State<Arc<Address>>, request: Request, next: Next) -> Response {
    match check_host(request.version(), request.uri(), request.headers(), &own) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Lets through what no page has sent, and what a page of this very server has.
pub(super) async fn no_foreign_page(request: Request, next: Next) -> Response {
    match check_page(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check_host(version: Version, uri: &Uri, headers: &HeaderMap, own: &Address) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = Authority::try_from(host.as_bytes()).map_err(|_| Refusal::NoHost)?;
            check_name(&host, own)?;
        }
        // Browsers do not speak HTTP/1.0, which knows no Host.
        (None, None) if version == Version::HTTP_10 => {}
        _ => return Err(Refusal::NoHost),
    }
    // A request for a proxy names the host in its first line too.
    uri.authority().map_or(Ok(()), |host| check_name(host, own))
}

fn check_name(authority: &Authority, own: &Address) -> Result<(), Refusal> {
    if authority.as_str().contains('@') {
        return Err(Refusal::NoHost);
    }
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_loopback = match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    };
    if is_loopback || name.eq_ignore_ascii_case(&own.host()) { Ok(()) } else { Err(Refusal::StrangeHost) }
}

fn check_page(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_foreign_site = headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| site.as_bytes() != b"same-origin" && site.as_bytes() != b"none");
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let is_own = |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(|origin| Some(origin) == host);
    let is_foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| !is_own(origin.as_bytes()));
    if is_foreign_site || is_foreign_origin { Err(Refusal::Foreign) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let header = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(header).collect()
    }

    fn check(hosts: &[&str], uri: &str, version: Version, expected: Result<(), Refusal>) {
        let own = "riley.example.org:8000".parse().unwrap();
        let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let checked = check_host(version, &uri.parse().unwrap(), &headers(&hosts), &own);
        assert_eq!(checked, expected, "{hosts:?} {uri} {version:?}");
    }

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8000",
            "127.9.9.9:1",
            "localhost",
            "LocalHost.:8000",
            "[::1]",
            "[::1]:8000",
            "[::ffff:127.0.0.1]:8000",
            "riley.example.org",
            "Riley.Example.ORG:9000",
        ] {
            check(&[host], "/", Version::HTTP_11, Ok(()));
        }
        for host in [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8000",
            "example.org",
            "0.0.0.0:8000",
            "[::]:8000",
            "10.0.0.1",
            "127.1",
            "2130706433",
        ] {
            check(&[host], "/", Version::HTTP_11, Err(Refusal::StrangeHost));
        }
        for host in
            ["", "localhost/", "evil.example@localhost", "localhost@evil.example", "local host", "[::1"]
        {
            check(&[host], "/", Version::HTTP_11, Err(Refusal::NoHost));
        }
    }

    #[test]
    fn a_request_has_one_host_and_every_mention_of_it_counts() {
        check(&[], "/", Version::HTTP_11, Err(Refusal::NoHost));
        check(&[], "/", Version::HTTP_10, Ok(()));
        check(&["evil.example"], "/", Version::HTTP_10, Err(Refusal::StrangeHost));
        check(&["localhost", "localhost"], "/", Version::HTTP_11, Err(Refusal::NoHost));
        check(&["localhost"], "http://localhost:8000/", Version::HTTP_11, Ok(()));
        check(&["localhost"], "http://evil.example/", Version::HTTP_11, Err(Refusal::StrangeHost));
        check(&["evil.example"], "http://localhost/", Version::HTTP_11, Err(Refusal::StrangeHost));
    }

    #[test]
    fn pages_of_other_origins_are_turned_away() {
        let host = ("host", "127.0.0.1:8000");
        for (sent, is_fine) in [
            (vec![host], true),
            (vec![host, ("sec-fetch-site", "none")], true),
            (vec![host, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8000")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("origin", "http://127.0.0.1:3000")], false),
            (vec![host, ("origin", "https://127.0.0.1:8000")], false),
            (vec![host, ("origin", "https://evil.example")], false),
            (vec![host, ("origin", "null")], false),
        ] {
            assert_eq!(check_page(&headers(&sent)).is_ok(), is_fine, "{sent:?}");
        }
    }
}
