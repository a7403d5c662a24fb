//! What the log tells of a request and its answer, at level `debug`: one line each.
//!
//! Values in a query may be secrets (`key`, `token`), and a name may be written in many ways. So only the values of
//! parameters that are known to hold none are told.

use std::{borrow::Cow, net::SocketAddr};

use axum::{
    body::HttpBody as _,
    http::{Request, Response, Version},
};

use proxyherd_log::{Direction, LogLevel, ServerLog};

/// Parameters whose values are told.
const TOLD: [&str; 13] = [
    "location", "radius", "client", "keyword", "name", "type", "rankby", "opennow", "language", "minprice",
    "maxprice", "limit", "format",
];
/// In place of any other value.
const MASK: &str = "***";

/// A request that the log knows of, if it wants to know.
pub(super) struct Asked(Option<(SocketAddr, String)>);

impl Asked {
    /// Tells that `client` asks.
    pub(super) fn of<B>(log: &ServerLog, client: SocketAddr, request: &Request<B>) -> Asked {
        if !log.enabled(LogLevel::Debug) {
            return Asked(None);
        }
        let line = format!("{} {}", request.method(), shown_path(request));
        log.request(Direction::In, client, format!("{line} {}", named(request.version())).as_bytes());
        Asked(Some((client, line)))
    }

    /// Tells what it is answered.
    pub(super) fn tell(self, log: &ServerLog, response: &Response<axum::body::Body>) {
        let Some((client, line)) = self.0 else { return };
        let len = response.body().size_hint().exact();
        let len = len.map_or_else(|| "a stream".to_owned(), |len| format!("{len} bytes"));
        log.request(
            Direction::Out,
            client,
            format!("{} {line}, {len}", response.status().as_u16()).as_bytes(),
        );
    }
}

fn named(version: Version) -> String {
    format!("{version:?}")
}

fn shown_path<B>(request: &Request<B>) -> String {
    let path = request.uri().path().to_owned();
    match request.uri().query() {
        Some(query) => path + "?" + &masked(query),
        None => path,
    }
}

/// A query without the values that may be secrets.
fn masked(query: &str) -> String {
    let parts: Vec<Cow<'_, str>> = query.split('&').map(masked_part).collect();
    parts.join("&")
}

fn masked_part(part: &str) -> Cow<'_, str> {
    match part.split_once('=') {
        Some((name, _)) if TOLD.contains(&name) => part.into(),
        Some((name, _)) => format!("{name}={MASK}").into(),
        // Without a name it may be the secret itself.
        None if part.is_empty() || TOLD.contains(&part) => part.into(),
        None => MASK.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_are_known_to_be_no_secrets_are_told() {
        for (query, expected) in [
            ("location=1,1&radius=5&key=AIza", "location=1,1&radius=5&key=***"),
            ("token=x&access_token=y&KEY=z&k%65y=w", "token=***&access_token=***&KEY=***&k%65y=***"),
            ("key=a=b&pagetoken=c", "key=***&pagetoken=***"),
            ("opennow&secret", "opennow&***"),
            ("", ""),
        ] {
            assert_eq!(masked(query), expected, "{query}");
        }
    }
}
