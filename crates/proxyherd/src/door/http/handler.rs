//! Answers the requests of a connection: what every request has to pass, whatever its path and version of HTTP, and what
//! every response gets.
//!
//! [`RequestHandler::handle`] takes a request whose header section is complete, refuses it or gives it to the router, and
//! wraps the response's body so that the connection's slot knows how much of it is not sent yet. Of paths it knows only
//! which ones are operators'.

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

/// The paths of operators and their tools, which are also answered on connections in the reserve.
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
    /// The response to a request whose header section is complete. The request is in progress from this call on, even if
    /// the returned future is not polled yet.
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
        // A proxy in front may cut a body with Transfer-Encoding differently. Then what follows would be read as a request
        // that no client has sent (RFC 9112, section 6.1).
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
        request.extensions_mut().insert(self.caller);
        if let Err(refusal) = request_body::check(request.headers()) {
            return refusal.into_response();
        }
        request_body::limited(request, &self.slot, async |request| {
            let Ok(response) = TowerToHyperService::new(self.router.clone()).call(request).await;
            response
        })
        .await
    }

    /// Has the connection close when this response and those in progress are sent.
    fn close_after(&self, response: &mut Response, version: Version) {
        if version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        } else {
            self.slot.drain();
        }
    }
}

/// Length of a request's header section, bytes, rounded up. So small frames of HTTP/2, such as WINDOW_UPDATE, do not add up
/// from request to request.
fn header_section_len<B>(request: &Request<B>) -> usize {
    const EXTRA_LEN: usize = 64;
    let target_len = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    EXTRA_LEN + target_len + fields.sum::<usize>()
}

fn audience(path: &str) -> Audience {
    if OPERATORS_PATHS.contains(&path) { Audience::Operators } else { Audience::Clients }
}

fn unavailable(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_S.to_string())], why).into_response()
}

/// Copies the host of an HTTP/2 request from `:authority` to the Host header, where the router looks for it.
fn set_host(request: &mut Request<Body>) {
    if request.version() < Version::HTTP_2 || request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// The response with a body that is counted until it is sent; or 503 in its place, where the buffers have no room for it.
fn bounded(response: Response, form: ResponseForm, guard: RequestGuard, audience: Audience) -> Response {
    let Some(len) = form.len(&response) else {
        return response.map(|body| Body::new(ResponseBody::new(body, guard, 0, form)));
    };
    if guard.begin_response(len, audience, Instant::now()) {
        return response.map(|body| Body::new(ResponseBody::new(body, guard, len, form)));
    }
    let mut instead = unavailable("too many responses wait for their clients to receive them\n");
    let connection = response.headers().get(header::CONNECTION).cloned();
    instead.headers_mut().extend(connection.map(|value| (header::CONNECTION, value)));
    instead.map(|body| Body::new(ResponseBody::new(body, guard, 0, form)))
}
