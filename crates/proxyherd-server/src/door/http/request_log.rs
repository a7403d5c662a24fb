//! Writes requests and their responses to the log, at level `debug`. Each has one line.
//!
//! A query may hold secrets (`key`, `token`), and the name of a parameter can be written in many ways. So the log shows
//! only the values of parameters that are known to hold no secrets. A token elsewhere in a line, such as in a path, is
//! left out, too, even if it is percent-encoded.

use std::{borrow::Cow, net::SocketAddr};

use axum::{
    body::HttpBody as _,
    http::{Request, Response, Uri},
};

use super::{parameters::decode, request_id::RequestId};
use crate::access::Grant;
use proxyherd_core::codec::line::without_tokens;
use proxyherd_log::{Direction, LogLevel, ServerLog};

/// Parameters whose values are shown.
const SHOWN: [&str; 22] = [
    "location",
    "radius",
    "client",
    "keyword",
    "name",
    "type",
    "rankby",
    "opennow",
    "language",
    "minprice",
    "maxprice",
    "limit",
    "radius_m",
    "max_age_s",
    "kinds",
    "id",
    "deviceid",
    "u",
    "d",
    "timestamp",
    "lat",
    "lon",
];
/// The parameters whose values are positions.
const POSITIONS: [&str; 3] = ["location", "lat", "lon"];
/// The text that replaces any other value.
const MASK: &str = "***";

/// A request whose response must still be logged. Empty if the log's level excludes requests.
pub(super) struct LoggedRequest(Option<Logged>);

struct Logged {
    client: SocketAddr,
    /// The method and the target.
    line: String,
    id: String,
}

impl LoggedRequest {
    /// Logs a request from `client`.
    pub(super) fn new<B>(
        log: &ServerLog,
        client: SocketAddr,
        id: &RequestId,
        request: &Request<B>,
    ) -> LoggedRequest {
        if !log.enabled(LogLevel::Debug) {
            return LoggedRequest(None);
        }
        let line = format!("{} {}", request.method(), shown_target(request.uri(), log.shows_positions()));
        let (version, id) = (request.version(), id.as_str());
        log.request(
            Direction::In,
            client,
            &without_tokens(format!("{line} {version:?}, request {id}").as_bytes()),
        );
        LoggedRequest(Some(Logged { client, line, id: id.to_owned() }))
    }

    /// Logs the response to this request.
    ///
    /// `by`: the token that the caller has shown, without its secret.
    pub(super) fn answered(self, log: &ServerLog, response: &Response<axum::body::Body>, by: Option<&Grant>) {
        let Some(Logged { client, line, id }) = self.0 else { return };
        let by = by.map_or(String::new(), |grant| format!(", {}", grant.label()));
        let len = response.body().size_hint().exact();
        let len = len.map_or_else(|| "a stream".to_owned(), |len| format!("{len} bytes"));
        let code = response.status().as_u16();
        log.request(
            Direction::Out,
            client,
            &without_tokens(format!("{code} {line}, {len}, request {id}{by}").as_bytes()),
        );
    }
}

/// The path and the query, without the values that may be secrets, and with positions if `shows_positions`. The caller
/// applies [`without_tokens`] to its line.
pub(super) fn shown_target(uri: &Uri, shows_positions: bool) -> String {
    let path = uri.path();
    let path = if hides_token(path) { MASK } else { path };
    match uri.query() {
        Some(query) => format!("{path}?{}", masked(query, shows_positions)),
        None => path.to_owned(),
    }
}

/// Whether there is a token in a text, in which percent-encoding would hide it from [`without_tokens`].
fn hides_token(text: &str) -> bool {
    let has_token = |decoded: Vec<u8>| matches!(without_tokens(&decoded), Cow::Owned(_));
    text.contains('%') && decode(text).is_none_or(has_token)
}

/// The query, in which each value that may be a secret is masked. Positions are masked unless `shows_positions`.
fn masked(query: &str, shows_positions: bool) -> String {
    let parts: Vec<Cow<'_, str>> = query.split('&').map(|part| masked_part(part, shows_positions)).collect();
    parts.join("&")
}

fn masked_part(part: &str, shows_positions: bool) -> Cow<'_, str> {
    let is_shown = |name: &str| SHOWN.contains(&name) && (shows_positions || !POSITIONS.contains(&name));
    match part.split_once('=') {
        Some((name, _)) if is_shown(name) && !hides_token(part) => part.into(),
        Some((name, _)) => format!("{name}={MASK}").into(),
        // A part without `=` may be the secret itself.
        None if part.is_empty() || SHOWN.contains(&part) => part.into(),
        None => MASK.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_percent_encoded_is_not_shown() {
        let shown = |target: &str| shown_target(&target.parse().unwrap(), true);
        for (target, expected) in [
            ("/v1/clients/phd%5Fa1%5F5a", "***"),
            ("/v1/clients/%70hd_a1_5a?limit=1", "***?limit=1"),
            ("/?id=phd%5fa1%5f5a&lat=1", "/?id=***&lat=1"),
            ("/?id=phd%5Fa1_5a%&u=%", "/?id=***&u=***"),
            ("/v1/clients/bus%2F7?id=bus%2F7", "/v1/clients/bus%2F7?id=bus%2F7"),
        ] {
            assert_eq!(shown(target), expected, "{target}");
        }
    }

    #[test]
    fn only_values_that_can_be_no_secrets_are_shown() {
        for (query, expected) in [
            ("location=1,1&radius=5&key=AIza", "location=1,1&radius=5&key=***"),
            ("token=x&access_token=y&KEY=z&k%65y=w", "token=***&access_token=***&KEY=***&k%65y=***"),
            ("key=a=b&pagetoken=c", "key=***&pagetoken=***"),
            ("opennow&secret", "opennow&***"),
            ("", ""),
        ] {
            assert_eq!(masked(query, true), expected, "{query}");
        }
        assert_eq!(masked("location=1,1&radius=5", false), "location=***&radius=5");
        let phone = "id=my-phone&lat=1&lon=2&timestamp=3&batt=4";
        assert_eq!(masked(phone, true), "id=my-phone&lat=1&lon=2&timestamp=3&batt=***");
        assert_eq!(masked(phone, false), "id=my-phone&lat=***&lon=***&timestamp=3&batt=***");
    }
}
