//! Refuses requests that web pages send through the browser of somebody on this machine.
//!
//! A loopback address does not stop such requests. The owner of `evil.example` can make that name resolve to 127.0.0.1
//! (DNS rebinding). A page of that name could then read all responses of this door. Or a page sends requests to
//! 127.0.0.1. The page can't read the responses, but each request may use up some of the herd's places budget.
//!
//! [`require_known_host`] is for all paths. [`require_same_origin`] is for paths whose requests cost something. Both
//! rely on browsers, which always send true values of Host, Origin and Sec-Fetch-Site. Other programs send only Host.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::config::Address;

/// Why a request is refused. A refused request has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OriginRefusal {
    /// The client's fault: HTTP/1.1 requires exactly one Host.
    #[error("the request needs exactly one Host header, with the value HOST or HOST:PORT")]
    NoHost,
    /// The request of a web page whose host name resolves to this machine. Or the operator uses a host name that is not
    /// in the server's configuration.
    #[error(
        "this server answers only requests to localhost, to a loopback address or to its own `http` address"
    )]
    UnknownHost,
    /// The request of a web page from elsewhere.
    #[error("this path does not serve web pages of other origins")]
    OtherOrigin,
}

impl IntoResponse for OriginRefusal {
    fn into_response(self) -> Response {
        let code = match self {
            OriginRefusal::NoHost => StatusCode::BAD_REQUEST,
            OriginRefusal::UnknownHost | OriginRefusal::OtherOrigin => StatusCode::FORBIDDEN,
        };
        (code, format!("{self}\n")).into_response()
    }
}

/// Accepts requests to a host name or address that only this machine can have, or to `own`, the door's address.
pub(super) async fn require_known_host(
    State(own): State<Arc<Address>>,
    request: Request,
    next: Next,
) -> Response {
    match check_host(request.version(), request.uri(), request.headers(), &own) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Accepts requests that come from no web page or from a web page of this server.
pub(super) async fn require_same_origin(request: Request, next: Next) -> Response {
    match check_origin(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check_host(version: Version, uri: &Uri, headers: &HeaderMap, own: &Address) -> Result<(), OriginRefusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = Authority::try_from(host.as_bytes()).map_err(|_| OriginRefusal::NoHost)?;
            check_name(&host, own)?;
        }
        // HTTP/1.0 does not require Host, and browsers do not use it.
        (None, None) if version == Version::HTTP_10 => {}
        _ => return Err(OriginRefusal::NoHost),
    }
    // A request in absolute form, as clients send it to a proxy, names the host in its request line too.
    uri.authority().map_or(Ok(()), |host| check_name(host, own))
}

fn check_name(authority: &Authority, own: &Address) -> Result<(), OriginRefusal> {
    if authority.as_str().contains('@') {
        return Err(OriginRefusal::NoHost);
    }
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_loopback = match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    };
    if is_loopback || name.eq_ignore_ascii_case(&own.host()) {
        Ok(())
    } else {
        Err(OriginRefusal::UnknownHost)
    }
}

fn check_origin(headers: &HeaderMap) -> Result<(), OriginRefusal> {
    let is_foreign_site = headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| site.as_bytes() != b"same-origin" && site.as_bytes() != b"none");
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let is_own = |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(|origin| Some(origin) == host);
    let is_foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| !is_own(origin.as_bytes()));
    if is_foreign_site || is_foreign_origin { Err(OriginRefusal::OtherOrigin) } else { Ok(()) }
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

    fn check(hosts: &[&str], uri: &str, version: Version, expected: Result<(), OriginRefusal>) {
        let own = "riley.example.org:8000".parse().unwrap();
        let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let checked = check_host(version, &uri.parse().unwrap(), &headers(&hosts), &own);
        assert_eq!(checked, expected, "{hosts:?} {uri} {version:?}");
    }

    #[test]
    fn only_requests_to_names_of_this_machine_are_answered() {
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
            check(&[host], "/", Version::HTTP_11, Err(OriginRefusal::UnknownHost));
        }
        for host in
            ["", "localhost/", "evil.example@localhost", "localhost@evil.example", "local host", "[::1"]
        {
            check(&[host], "/", Version::HTTP_11, Err(OriginRefusal::NoHost));
        }
    }

    #[test]
    fn a_request_has_one_host_and_each_mention_of_it_is_checked() {
        check(&[], "/", Version::HTTP_11, Err(OriginRefusal::NoHost));
        check(&[], "/", Version::HTTP_10, Ok(()));
        check(&["evil.example"], "/", Version::HTTP_10, Err(OriginRefusal::UnknownHost));
        check(&["localhost", "localhost"], "/", Version::HTTP_11, Err(OriginRefusal::NoHost));
        check(&["localhost"], "http://localhost:8000/", Version::HTTP_11, Ok(()));
        check(&["localhost"], "http://evil.example/", Version::HTTP_11, Err(OriginRefusal::UnknownHost));
        check(&["evil.example"], "http://localhost/", Version::HTTP_11, Err(OriginRefusal::UnknownHost));
    }

    #[test]
    fn requests_of_pages_from_other_origins_are_refused() {
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
            assert_eq!(check_origin(&headers(&sent)).is_ok(), is_fine, "{sent:?}");
        }
    }
}
