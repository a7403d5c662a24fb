//! `/v1/ws`: makes a WebSocket of a request (RFC 6455, section 4.2).
//!
//! The origin of the page that asks, and the token if the request shows one, were checked before, as for every path.
//! The conversation runs in a task of its own, in which a fault stays.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{Live, sse, websocket};
use crate::{
    caller::Caller,
    door::http::{problem::Problem, query::Query, slot::ConnectionSlot},
    herd::Herd,
};

/// What a server appends to a client's key (RFC 6455, section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The version of the protocol.
const VERSION: &str = "13";

/// Begins a WebSocket.
pub(in crate::door::http) async fn get_ws(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    Extension(live): Extension<Live>,
    Extension(slot): Extension<Arc<ConnectionSlot>>,
    mut request: Request,
) -> Result<Response, Problem> {
    Query::of(request.uri(), &[], &[])?;
    let accept = accept(request.method(), request.version(), request.headers())?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(no_websocket)?;
    let last_event_id = sse::last_event_id(request.headers()).map(Box::from);
    let (tasks, conversation) =
        (live.tasks.clone(), websocket::Begun { herd, caller, live, slot, last_event_id });
    tasks.spawn(async move {
        // If the client goes away before the response is sent, there is nothing to upgrade.
        if let Ok(upgraded) = upgrade.await {
            websocket::converse(TokioIo::new(upgraded), conversation).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// The value of `Sec-WebSocket-Accept` for a request that is a complete handshake.
fn accept(method: &Method, version: Version, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    let is_upgrade = has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket");
    if method != Method::GET || version != Version::HTTP_11 || !is_upgrade {
        return Err(no_websocket());
    }
    if !has(header::SEC_WEBSOCKET_VERSION, VERSION) {
        let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "`Sec-WebSocket-Version` must be 13");
        return Err(problem.with(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)));
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16) => key,
        _ => {
            let detail = "`Sec-WebSocket-Key` must be there once, with 16 bytes in Base64";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), KEY_SUFFIX].concat());
    Ok(HeaderValue::from_str(&STANDARD.encode(hash)).expect("Base64 is ASCII"))
}

fn no_websocket() -> Problem {
    let detail = "this path speaks WebSocket only: send a handshake over HTTP/1.1, or read /v1/stream";
    Problem::new(StatusCode::UPGRADE_REQUIRED, detail)
        .with(header::UPGRADE, HeaderValue::from_static("websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(changed: (&'static str, &str), expected: Result<&str, u16>) {
        let mut headers: HeaderMap = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
        headers.insert(changed.0, changed.1.parse().unwrap());
        let found = accept(&Method::GET, Version::HTTP_11, &headers);
        let expected = expected.map(|accept| accept.parse().unwrap());
        assert_eq!(found.map_err(|problem| problem.status.as_u16()), expected, "{changed:?}");
    }

    #[test]
    fn only_a_complete_handshake_is_accepted() {
        // The example of RFC 6455, section 1.3.
        check(("host", "localhost"), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        check(("upgrade", "h2c"), Err(426));
        check(("connection", "close"), Err(426));
        check(("sec-websocket-version", "8"), Err(426));
        check(("sec-websocket-key", "dGhl"), Err(400));
        check(("sec-websocket-key", "?"), Err(400));
    }
}
