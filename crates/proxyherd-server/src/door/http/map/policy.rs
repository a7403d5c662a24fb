//! The policies (CSP) of the map's page, of the page of shares and of their files.
//!
//! A page runs only scripts of its own server, and has no inline script and no inline style. It may talk to its own
//! server, to the HTTP doors of the other servers in herd.toml, and to the source of the tiles that the operator has
//! set. So a mistake in a page cannot send a token or a position elsewhere.

use axum::http::{HeaderName, HeaderValue, header};
use proxyherd_config::config::WebOrigin;

use crate::herd::ListedServers;

/// The policy of the files. A worker has the policy of its own file.
const FILES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// What every answer here has.
pub(super) const SAFETY: [(HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The policy of the files that a page loads.
pub(super) fn of_files() -> HeaderValue {
    FILES
}

/// The policy of a page of a server in this herd, which may load tiles from `tiles`.
pub(super) fn of_page(herd: &ListedServers, tiles: Option<&WebOrigin>) -> HeaderValue {
    let tiles = tiles.map_or_else(String::new, |tiles| format!(" {}", tiles.as_str()));
    let servers: String = herd.shown_origins().map(|origin| sources(origin.as_str())).collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{tiles}; \
         worker-src 'self'; connect-src 'self'{servers}{tiles}; font-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("the configuration accepts only printable ASCII in origins")
}

/// A server's door as sources: for requests, and for WebSockets, which have schemes of their own.
fn sources(origin: &str) -> String {
    let socket = origin.strip_prefix("http").unwrap_or(origin);
    format!(" {origin} ws{socket}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_talk_to_the_doors_of_the_herd_and_load_the_tiles_that_are_set() {
        assert_eq!(sources("http://127.0.0.1:8000"), " http://127.0.0.1:8000 ws://127.0.0.1:8000");
        assert_eq!(sources("https://a.example"), " https://a.example wss://a.example");
        let tiles = WebOrigin::parse("https://tiles.example").unwrap();
        let policy = of_page(&ListedServers::default(), Some(&tiles));
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("; img-src 'self' data: blob: https://tiles.example; "), "{policy}");
        assert!(policy.contains("; connect-src 'self' https://tiles.example; "), "{policy}");
        assert!(!policy.contains("unsafe"));
    }
}
