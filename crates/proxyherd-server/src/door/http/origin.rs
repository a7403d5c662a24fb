//! Refuses requests that web pages send through the browser of somebody who can reach the door.
//!
//! A loopback address does not stop such requests. The owner of `evil.example` can make that name resolve to 127.0.0.1
//! (DNS rebinding). A page of that name could then read all responses of this door. Or a page sends requests to
//! 127.0.0.1. The page can't read the responses, but each request may use up some of the herd's places budget.
//!
//! [`OriginPolicy::admit`] checks every request: the host that the request names, and the web page that sends it. Pages
//! of the origins in the setting `origins` may call the API. Their browsers then read the headers that
//! [`PageOrigin::add_headers`] adds to a response (CORS), and ask with a preflight before they send a request that a
//! plain form could not send. The checks rely on browsers, which always send true values of Host, Origin and
//! Sec-Fetch-Site. Other programs send only Host.
//!
//! A proxy in front of this server may have TLS and another host name. The setting `public_url` says which: its host
//! and its origin are this server's own, too. A WebSocket of the server's own page needs this, because browsers send
//! only the page's origin with it.
//!
//! Pages of the herd's own HTTP doors, which herd.toml names, are allowed, too: the map asks all servers, and goes to
//! another server when its own one ends. This gives nobody a new right:
//! - A page of such an origin comes from a server of the herd, which holds all records already.
//! - The doors know no cookies. A page of another door sends no token that its user has not entered there.
//! - If another program listens at the address of a server that is down, its page is allowed as well. On loopback, such
//!   a program reaches the doors without a browser. Elsewhere, TLS keeps it from speaking in the server's name.
//!
//! With TLS, a browser accepts only a host name of the door's certificate, so no foreign name can lead here. If tokens
//! decide, too, a door with TLS accepts every host name.
//!
//! This module knows no path. The table of paths says which pages may request a path ([`Pages`]).

use std::{net::IpAddr, sync::Arc};

use axum::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, uri::Authority},
    response::{IntoResponse, Response},
};
use proxyherd_config::config::{AccessSettings, Address, Tokens, WebOrigin};

use super::{
    paths::{Pages, PathRow},
    problem::Problem,
};
use crate::herd::HerdDoors;

/// Headers that a page of an allowed origin may send.
const HEADERS_ALLOWED: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-Id",
);
/// Headers of responses that a page of an allowed origin may read, in addition to those that any page may read.
const HEADERS_EXPOSED: HeaderValue = HeaderValue::from_static(
    "Allow, ETag, Retry-After, WWW-Authenticate, X-Proxyherd-Client-At, X-Request-Id",
);
/// Number of seconds for which a browser may remember the answer to a preflight. When the operator takes an origin
/// away, browsers notice this at the next request, because every request is checked.
const PREFLIGHT_MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");

/// Why a request is refused. A refused request has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OriginRefusal {
    /// The client's fault: HTTP/1.1 requires exactly one Host.
    #[error("the request needs exactly one Host header, with the value HOST or HOST:PORT")]
    NoHost,
    /// The request of a web page whose host name resolves to this machine. Or the operator uses a host name that is not
    /// in the server's configuration.
    #[error(
        "this server answers only requests to localhost, to a loopback address, to the address of the door, and to the \
         names in `hosts` in [access]"
    )]
    UnknownHost,
    /// The request of a web page from elsewhere.
    #[error(
        "this path does not serve web pages of other origins, unless the origin is a server's HTTP door in herd.toml, \
         or `origins` in [access] names it"
    )]
    OtherOrigin,
}

impl IntoResponse for OriginRefusal {
    fn into_response(self) -> Response {
        let code = match self {
            OriginRefusal::NoHost => StatusCode::BAD_REQUEST,
            OriginRefusal::UnknownHost | OriginRefusal::OtherOrigin => StatusCode::FORBIDDEN,
        };
        Problem::new(code, self.to_string()).into_response()
    }
}

/// The hosts and the web origins of one listening socket.
#[derive(Debug)]
pub(super) struct OriginPolicy {
    /// The socket's address, as the configuration writes it.
    own: Address,
    /// The scheme of the URLs of this socket, with its `://`.
    scheme: &'static str,
    /// The origin of the setting `public_url`.
    public: Option<WebOrigin>,
    /// Further host names.
    hosts: Vec<String>,
    /// Whether any host name is accepted.
    accepts_any_host: bool,
    /// Origins whose pages may call the API, such as `https://map.example`.
    origins: Vec<WebOrigin>,
    /// The doors of the herd, whose pages may call the API, too.
    doors: Arc<HerdDoors>,
}

/// The web page that sends a request.
#[derive(Debug, PartialEq)]
pub(super) enum PageOrigin {
    /// No page, or a page that reads the answer without CORS or not at all.
    Other,
    /// A page of this allowed origin.
    Allowed(HeaderValue),
}

impl OriginPolicy {
    pub(super) fn new(
        own: Address,
        has_tls: bool,
        access: &AccessSettings,
        doors: Arc<HerdDoors>,
    ) -> OriginPolicy {
        OriginPolicy {
            own,
            scheme: if has_tls { "https://" } else { "http://" },
            public: access.public_origin(),
            hosts: access.hosts.clone(),
            accepts_any_host: has_tls && access.tokens == Tokens::On,
            origins: access.origins.clone(),
            doors,
        }
    }

    /// Accepts a request to a host name or address that only this machine can have, or to the socket's address. The
    /// request must come from no web page, or from a page that may request a path with these `pages`.
    pub(super) fn admit(
        &self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
        pages: Pages,
    ) -> Result<PageOrigin, OriginRefusal> {
        self.check_host(version, uri, headers)?;
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if let (Some(origin), None) = (origins.next(), origins.next())
            && self.is_allowed(origin.as_bytes())
        {
            return Ok(PageOrigin::Allowed(origin.clone()));
        }
        match pages {
            Pages::Any => {}
            Pages::Allowed => self.check_own_page(headers)?,
        }
        Ok(PageOrigin::Other)
    }

    fn is_allowed(&self, origin: &[u8]) -> bool {
        let is_set = self.origins.iter().any(|allowed| allowed.as_str().as_bytes() == origin);
        is_set || self.doors.now().is_origin(origin)
    }

    /// An error if a page of another origin sends the request.
    fn check_own_page(&self, headers: &HeaderMap) -> Result<(), OriginRefusal> {
        let mut sites = headers.get_all("sec-fetch-site").iter().map(HeaderValue::as_bytes).peekable();
        let says_own = sites.peek() == Some(&&b"same-origin"[..]);
        if sites.any(|site| site != b"same-origin" && site != b"none") {
            return Err(OriginRefusal::OtherOrigin);
        }
        // A proxy in front of this server may change the scheme and the port, but the browser knows the page.
        if says_own {
            return Ok(());
        }
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let is_own = |origin: &HeaderValue| {
            let name = origin.as_bytes().strip_prefix(self.scheme.as_bytes());
            let is_public = |public: &WebOrigin| public.as_str().as_bytes() == origin.as_bytes();
            name.is_some() && name == host || self.public.as_ref().is_some_and(is_public)
        };
        if headers.get_all(header::ORIGIN).iter().all(is_own) {
            Ok(())
        } else {
            Err(OriginRefusal::OtherOrigin)
        }
    }

    /// Adds the headers that let a page of an allowed origin read a response. Tells caches that the response depends on
    /// the origin.
    pub(super) fn add_headers(&self, page: &PageOrigin, headers: &mut HeaderMap) {
        if !self.origins.is_empty() || self.doors.now().has_origins() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let PageOrigin::Allowed(origin) = page {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HEADERS_EXPOSED);
        }
    }
}

/// The answer to OPTIONS for a path: which methods it has. A preflight of an allowed page also learns that it may send
/// them. The answer to a preflight needs no token, because browsers send none with it.
pub(super) fn options(
    row: &PathRow,
    page: &PageOrigin,
    headers: &HeaderMap,
) -> Result<Response, OriginRefusal> {
    let is_preflight =
        headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = StatusCode::NO_CONTENT.into_response();
    let allow = HeaderValue::from_static(row.allow);
    response.headers_mut().insert(header::ALLOW, allow.clone());
    match page {
        PageOrigin::Other if is_preflight => return Err(OriginRefusal::OtherOrigin),
        PageOrigin::Allowed(_) if is_preflight => {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS_ALLOWED);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S);
        }
        PageOrigin::Other | PageOrigin::Allowed(_) => {}
    }
    Ok(response)
}

/// Whether a request asks which methods a path has.
pub(super) fn is_options(method: &Method) -> bool {
    *method == Method::OPTIONS
}

impl OriginPolicy {
    fn check_host(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), OriginRefusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => {
                let host = Authority::try_from(host.as_bytes()).map_err(|_| OriginRefusal::NoHost)?;
                self.check_name(&host)?;
            }
            // HTTP/1.0 does not require Host, and browsers do not use it.
            (None, None) if version == Version::HTTP_10 => {}
            _ => return Err(OriginRefusal::NoHost),
        }
        // A request in absolute form, as clients send it to a proxy, names the host in its request line too.
        uri.authority().map_or(Ok(()), |host| self.check_name(host))
    }

    fn check_name(&self, authority: &Authority) -> Result<(), OriginRefusal> {
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
        let is_named = || {
            let is_this = |known: &str| known.eq_ignore_ascii_case(name);
            let mut named =
                self.hosts.iter().map(String::as_str).chain(self.public.as_ref().map(WebOrigin::host));
            is_this(&self.own.host()) || named.any(is_this)
        };
        if is_loopback || self.accepts_any_host || is_named() {
            Ok(())
        } else {
            Err(OriginRefusal::UnknownHost)
        }
    }
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
        let policy = OriginPolicy::new(own, false, &AccessSettings::default(), Arc::default());
        let checked = policy.check_host(version, &uri.parse().unwrap(), &headers(&hosts));
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
    fn the_operator_may_name_hosts_and_tls_with_tokens_needs_none() {
        let hosts = vec!["herd.example".to_owned(), "10.0.0.1".to_owned(), "2001:db8::1".to_owned()];
        let access = AccessSettings { hosts, ..AccessSettings::default() };
        let with_tokens = AccessSettings { tokens: Tokens::On, ..AccessSettings::default() };
        let own = || "127.0.0.1:8000".parse().unwrap();
        for (host, is_named) in [
            ("herd.example", true),
            ("Herd.Example.:80", true),
            ("10.0.0.1:80", true),
            ("[2001:db8::1]:80", true),
            ("a.herd.example", false),
            ("10.0.0.2", false),
        ] {
            let check = |policy: &OriginPolicy| {
                let sent = headers(&[("host", host)]);
                policy.check_host(Version::HTTP_11, &"/".parse().unwrap(), &sent).is_ok()
            };
            for has_tls in [false, true] {
                assert_eq!(
                    check(&OriginPolicy::new(own(), has_tls, &access, Arc::default())),
                    is_named,
                    "{host}"
                );
                assert_eq!(
                    check(&OriginPolicy::new(own(), has_tls, &with_tokens, Arc::default())),
                    has_tls,
                    "{host}"
                );
            }
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

    /// The origin of the page that sends these headers.
    fn page_of(sent: &[(&'static str, &str)], pages: Pages) -> Result<PageOrigin, OriginRefusal> {
        let own = "riley.example.org:8000".parse().unwrap();
        let origins = vec![WebOrigin::parse("https://map.example").unwrap()];
        let policy = OriginPolicy::new(
            own,
            false,
            &AccessSettings { origins, ..AccessSettings::default() },
            Arc::default(),
        );
        policy.admit(Version::HTTP_11, &"/".parse().unwrap(), &headers(sent), pages)
    }

    #[test]
    fn requests_of_pages_from_other_origins_are_refused() {
        let host = ("host", "127.0.0.1:8000");
        for (sent, is_fine) in [
            (vec![host], true),
            (vec![host, ("sec-fetch-site", "none")], true),
            (vec![host, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8000")], true),
            (vec![host, ("sec-fetch-site", "same-origin"), ("origin", "https://127.0.0.1:8000")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("origin", "http://127.0.0.1:3000")], false),
            (vec![host, ("origin", "https://127.0.0.1:8000")], false),
            (vec![host, ("origin", "https://evil.example")], false),
            (vec![host, ("origin", "https://map.example.evil.example")], false),
            (vec![host, ("origin", "http://map.example")], false),
            (vec![host, ("origin", "https://map.example"), ("origin", "https://map.example")], false),
            (vec![host, ("origin", "null")], false),
        ] {
            let expected = if is_fine { Ok(PageOrigin::Other) } else { Err(OriginRefusal::OtherOrigin) };
            assert_eq!(page_of(&sent, Pages::Allowed), expected, "{sent:?}");
            assert_eq!(page_of(&sent, Pages::Any), Ok(PageOrigin::Other), "{sent:?}");
        }
    }

    #[test]
    fn the_public_url_is_this_server_s_own_behind_a_proxy_with_tls() {
        let access = AccessSettings {
            public_url: Some("https://herd.example/map".to_owned()),
            ..AccessSettings::default()
        };
        let policy = OriginPolicy::new("127.0.0.1:8000".parse().unwrap(), false, &access, Arc::default());
        for (host, origin, is_fine) in [
            ("herd.example", "https://herd.example", true),
            ("127.0.0.1:8000", "https://herd.example", true),
            ("herd.example", "http://herd.example", true),
            ("herd.example", "https://herd.example:8443", false),
            ("herd.example", "https://evil.example", false),
            ("evil.example", "https://herd.example", false),
        ] {
            let sent = headers(&[("host", host), ("origin", origin)]);
            let page = policy.admit(Version::HTTP_11, &"/".parse().unwrap(), &sent, Pages::Allowed);
            assert_eq!(page.is_ok(), is_fine, "{host} {origin}");
        }
    }

    #[test]
    fn a_page_of_an_allowed_origin_may_send_and_read() {
        let host = ("host", "127.0.0.1:8000");
        let sent = [host, ("sec-fetch-site", "cross-site"), ("origin", "https://map.example")];
        for pages in [Pages::Any, Pages::Allowed] {
            let allowed = PageOrigin::Allowed(HeaderValue::from_static("https://map.example"));
            assert_eq!(page_of(&sent, pages), Ok(allowed));
        }
    }

    #[test]
    fn only_pages_of_allowed_origins_are_told_what_they_may_send() {
        let row = super::super::paths::find("/v1/clients/kiwi/location").unwrap();
        let preflight = headers(&[("origin", "https://a.example"), ("access-control-request-method", "PUT")]);
        let refused = options(row, &PageOrigin::Other, &preflight).map(|response| response.status());
        assert_eq!(refused, Err(OriginRefusal::OtherOrigin));
        let allowed = PageOrigin::Allowed(HeaderValue::from_static("https://a.example"));
        let told = options(row, &allowed, &preflight).unwrap();
        assert_eq!(told.status(), StatusCode::NO_CONTENT);
        assert_eq!(told.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "PUT, OPTIONS");
        let plain = options(row, &PageOrigin::Other, &headers(&[])).unwrap();
        assert_eq!(plain.headers()[header::ALLOW], "PUT, OPTIONS");
        assert!(!plain.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS));
    }
}
