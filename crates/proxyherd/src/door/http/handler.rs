//! Answers the requests of a connection. This module has the checks of every request and the headers of every response,
//! whatever the path and the version of HTTP.
//!
//! [`RequestHandler::handle`] takes a request whose header section is complete. It refuses the request or passes the
//! request to the router. It then wraps the response's body, so the connection's slot knows how many of the body's
//! bytes are not sent yet. The handler knows nothing about a path except whether the path is for operators.

use std::sync::Arc;

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Request, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::time::Instant;

use super::{
    connection_state::{Audience, SlotKind},
    limits::RETRY_AFTER_S,
    request_body,
    request_log::LoggedRequest,
    response_body::{ResponseBody, ResponseForm},
    slot::{ConnectionSlot, RequestGuard},
};
use crate::{caller::Caller, herd::Herd};

/// The paths of operators and their tools. These paths are answered even on connections in the reserve.
const OPERATORS_PATHS: [&str; 4] = ["/health/livez", "/health/readyz", "/metrics", "/v1/status"];

/// What the requests of one connection need.
#[derive(Clone)]
pub(super) struct RequestHandler {
    pub(super) herd: Arc<Herd>,
    pub(super) router: Router,
    pub(super) slot: Arc<ConnectionSlot>,
    pub(super) caller: Caller,
}

impl RequestHandler {
    /// The response to a request whose header section is complete. The request is in progress from this call on, even
    /// before the returned future is polled.
    pub(super) fn handle<B>(self, request: Request<B>) -> impl Future<Output = Response> + Send
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.slot.header_section_complete(header_section_len(&request));
        let audience = audience(request.uri().path());
        let guard = self.slot.begin(audience);
        self.answer(guard, request, audience)
    }

    async fn answer<B>(self, guard: RequestGuard, request: Request<B>, audience: Audience) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let logged = LoggedRequest::new(self.herd.log(), self.caller.address, &request);
        let method = request.method().clone();
        // A proxy in front of this server may find another end of a body with Transfer-Encoding. The bytes that follow
        // would then be read as a request that no client has sent (RFC 9112, section 6.1).
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let version = request.version();
        let mut response = self.respond(request.map(Body::new), audience).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.slot.upgrade();
        } else if is_last || self.slot.is_slot_needed() {
            self.close_after(&mut response, version);
        }
        let form = ResponseForm::new(&response, &method, version);
        let response = bounded(response, form, guard, audience);
        logged.answered(self.herd.log(), &response);
        response
    }

    async fn respond(&self, mut request: Request<Body>, audience: Audience) -> Response {
        if self.slot.slot_kind == SlotKind::Reserve && audience == Audience::Clients {
            self.slot.count_refusal();
            return unavailable("too many connections are open; only operators' paths are answered now\n");
        }
        set_host(&mut request);
        request.extensions_mut().insert(self.caller.clone());
        if let Err(refusal) = request_body::check(request.headers()) {
            return refusal.into_response();
        }
        request_body::limited(request, &self.slot, async |request| {
            let Ok(response) = TowerToHyperService::new(self.router.clone()).call(request).await;
            response
        })
        .await
    }

    /// Asks the connection to close after it has sent this response and the responses in progress.
    fn close_after(&self, response: &mut Response, version: Version) {
        if version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        } else {
            self.slot.drain();
        }
    }
}

/// Length of a request's header section, bytes, rounded up. Because of the rounding, small frames of HTTP/2, such as
/// WINDOW_UPDATE, do not add up over many requests. A proxy sends a whole URL as the target, with the authority in it.
fn header_section_len<B>(request: &Request<B>) -> usize {
    const EXTRA_LEN: usize = 64;
    let target_len = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let authority_len = request.uri().authority().map_or(0, |authority| authority.as_str().len());
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    EXTRA_LEN + target_len + authority_len + fields.sum::<usize>()
}

fn audience(path: &str) -> Audience {
    if OPERATORS_PATHS.contains(&path) { Audience::Operators } else { Audience::Clients }
}

fn unavailable(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_S.to_string())], why).into_response()
}

/// Copies the host of an HTTP/2 request from `:authority` to the Host header, where the router reads the host.
fn set_host(request: &mut Request<Body>) {
    if request.version() < Version::HTTP_2 || request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// The response with a body whose bytes count until they are sent. If the buffers have no room for the response, a 503
/// replaces it.
fn bounded(response: Response, form: ResponseForm, guard: RequestGuard, audience: Audience) -> Response {
    let Some(len) = form.len(&response) else {
        return response.map(|body| Body::new(ResponseBody::new(body, guard, 0, form)));
    };
    if guard.begin_response(len, audience, Instant::now()) {
        return response.map(|body| Body::new(ResponseBody::new(body, guard, len, form)));
    }
    let mut instead = unavailable("the buffers are full of responses that clients have not received yet\n");
    let connection = response.headers().get(header::CONNECTION).cloned();
    instead.headers_mut().extend(connection.map(|value| (header::CONNECTION, value)));
    instead.map(|body| Body::new(ResponseBody::new(body, guard, 0, form)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_section_counts_at_least_its_bytes_whatever_the_form_of_its_target() {
        let long = "http://a-very-long-name.of.a.server.in.a.herd.example:8000/health/livez?verbose=1";
        for target in ["/health/livez", long] {
            let sent = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n");
            let request = Request::get(target).header("host", "localhost").header("accept", "*/*");
            assert!(header_section_len(&request.body(()).unwrap()) >= sent.len(), "{target}");
        }
    }
}
