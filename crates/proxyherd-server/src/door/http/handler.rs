//! Answers the requests of a connection. This module has the checks of every request and the headers of every response,
//! whatever the path and the version of HTTP.
//!
//! A response counts against the buffers from the moment that it is there. It is compressed only after that.
//!
//! [`RequestHandler::handle`] takes a request whose header section is complete. It refuses the request or passes the
//! request to the router. It then writes the body of an error, adds the request's ID and the headers for web pages, and
//! wraps the response's body, so the connection's slot knows how many of the body's bytes are not sent yet. The handler
//! knows nothing about a path except its row in the table of paths.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use proxyherd_log::LogLevel;
use tokio::time::Instant;

use super::{
    authentication::{self, ShownToken},
    compression,
    connection_state::{Audience, SlotKind},
    origin::{self, OriginPolicy, PageOrigin},
    paths::{DoorPaths, Pages, PathName, PathRow},
    phones::{PhoneLog, PhoneRequest},
    problem::{self, Problem},
    request_body::{self, BodyBounds},
    request_id::{RequestId, X_REQUEST_ID},
    request_log::LoggedRequest,
    response_body::{ResponseBody, ResponseForm},
    searches::Turn,
    slot::{ConnectionSlot, RequestGuard},
};
use crate::{access::Grant, caller::Caller, herd::Herd};

/// The answer on a connection in the reserve to a request that is not for operators.
const RESERVE_ONLY: &str =
    "too many connections are open, so only operators' paths are answered now; try again later";
/// The value of `Cache-Control` of a response that has none.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Headers that a response keeps when a 503 takes its place.
const KEPT_HEADERS: [HeaderName; 2] =
    [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_EXPOSE_HEADERS];
/// The answer in place of a response for which there is no memory.
const BUFFERS_FULL: &str =
    "the buffers are full of responses that clients have not received yet; try again later";

/// The handlers of a door.
#[derive(Clone)]
pub(super) struct Routers {
    /// The handlers of the paths in the table.
    pub(super) paths: Router,
    /// The handler of the requests of phones, whatever their paths are.
    pub(super) phones: Router,
    /// What the log says about the responses to phones.
    pub(super) phone_log: Arc<PhoneLog>,
}

impl Routers {
    fn of(&self, row: Option<&PathRow>) -> &Router {
        match row.map(|row| row.name) {
            Some(PathName::Phones) => &self.phones,
            _ => &self.paths,
        }
    }
}

/// What the requests of one connection need.
#[derive(Clone)]
pub(super) struct RequestHandler {
    pub(super) herd: Arc<Herd>,
    pub(super) routers: Routers,
    pub(super) origins: Arc<OriginPolicy>,
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
        let row =
            DoorPaths::of(self.caller.door, self.herd.is_in_demo()).find(request.method(), request.uri());
        let guard = self.slot.begin(audience(row));
        self.answer(guard, request, row)
    }

    async fn answer<B>(
        self,
        mut guard: RequestGuard,
        request: Request<B>,
        row: Option<&'static PathRow>,
    ) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let id = RequestId::of(request.headers());
        let address =
            authentication::address_of(self.caller.address, request.headers(), &self.herd.access().proxies);
        let logged = LoggedRequest::new(self.herd.log(), address, &id, &request);
        let phone = is_of_phone(row).then(|| PhoneRequest::of(&request));
        let method = request.method().clone();
        // A proxy in front of this server may find another end of a body with Transfer-Encoding. The bytes that follow
        // would then be read as a request that no client has sent (RFC 9112, section 6.1).
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let version = request.version();
        let accepts_gzip = method != Method::HEAD && compression::accepts_gzip(request.headers());
        // A stream of HTTP/2 keeps the memory of this future until its response is sent. What is in the box is given
        // back as soon as the response is known.
        let mut response = Box::pin(self.respond(request.map(Body::new), row, address)).await;
        if let Some(phone) = phone {
            self.routers.phone_log.write(self.herd.log(), address, &phone, &response);
        }
        problem::render(&mut response, &id);
        let form = ResponseForm::new(&response, &method, version);
        let mut response = counted(response, form, &mut guard, audience(row), &id);
        // The response counts now, so the next search may have its turn.
        response.extensions_mut().remove::<Turn>();
        let mut response = compression::compressed(response, accepts_gzip).await;
        guard.shrink_response(form.len(&response).unwrap_or(0));
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.slot.upgrade();
        } else if is_last || self.slot.is_slot_needed() {
            self.close_after(&mut response, version);
        }
        response.headers_mut().insert(X_REQUEST_ID, id.value());
        // Answers tell where people are, or depend on who asks. A path whose answers may be kept says so itself.
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(NO_STORE);
        let response = response.map(|body| Body::new(ResponseBody::new(body, guard, form)));
        let by = response.extensions().get::<Arc<Grant>>().map(|by| &**by);
        logged.answered(self.herd.log(), &response, by);
        response
    }

    async fn respond(
        &self,
        mut request: Request<Body>,
        row: Option<&'static PathRow>,
        address: SocketAddr,
    ) -> Response {
        set_host(&mut request);
        let pages = row.map_or(Pages::Any, |row| row.pages);
        let page = match self.origins.admit(request.version(), request.uri(), request.headers(), pages) {
            Ok(page) => page,
            Err(refusal) => return refusal.into_response(),
        };
        let mut response = self.respond_to(request, row, &page, address).await;
        self.origins.add_headers(&page, response.headers_mut());
        response
    }

    /// The response to a request from a page that may request the path.
    async fn respond_to(
        &self,
        mut request: Request<Body>,
        row: Option<&'static PathRow>,
        page: &PageOrigin,
        address: SocketAddr,
    ) -> Response {
        if self.slot.slot_kind == SlotKind::Reserve && audience(row) == Audience::Clients {
            self.slot.count_refusal(self.caller.door);
            return Problem::unavailable(RESERVE_ONLY).into_response();
        }
        if let Some(row) = row
            && origin::is_options(request.method())
        {
            return origin::options(row, page, request.headers()).into_response();
        }
        let token = authentication::without_token(&mut request);
        let connected = Caller { address, ..self.caller.clone() };
        let shown = ShownToken::of(row, &request, token);
        let caller = match authentication::caller_of(&self.herd, connected, shown).await {
            Ok(caller) => caller,
            Err(refusal) => return refusal.at(row),
        };
        // The log says which token it was.
        let level = if is_of_phone(row) { LogLevel::Info } else { LogLevel::Debug };
        let is_logged = self.herd.log().enabled(level);
        let by = caller.rights.grant().filter(|_| is_logged).cloned();
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(Arc::clone(&self.slot));
        if let Err(refusal) = request_body::check(request.headers()) {
            return refusal.into_response();
        }
        let bounds = row.map_or(BodyBounds::DEFAULT, |row| row.body);
        let mut response = request_body::limited(request, &self.slot, bounds, async |request| {
            let Ok(response) = TowerToHyperService::new(self.routers.of(row).clone()).call(request).await;
            response
        })
        .await;
        if let Some(by) = by {
            response.extensions_mut().insert(by);
        }
        response
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

/// Whether a phone sends its reports with such a request.
fn is_of_phone(row: Option<&PathRow>) -> bool {
    row.is_some_and(|row| row.name == PathName::Phones)
}

/// The users of a path. The paths of operators are answered even on connections in the reserve.
fn audience(row: Option<&PathRow>) -> Audience {
    row.map_or(Audience::Clients, |row| row.audience)
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

/// The response, whose bytes count from now on. If the buffers have no room for the response, a 503 replaces it.
fn counted(
    mut response: Response,
    form: ResponseForm,
    guard: &mut RequestGuard,
    audience: Audience,
    id: &RequestId,
) -> Response {
    match form.len(&response) {
        Some(len) if !guard.begin_response(len, audience, Instant::now()) => {}
        Some(_) | None => return response,
    }
    let mut instead = Problem::unavailable(BUFFERS_FULL).into_response();
    problem::render(&mut instead, id);
    *instead.extensions_mut() = std::mem::take(response.extensions_mut());
    for kept in KEPT_HEADERS {
        if let Some(value) = response.headers().get(&kept) {
            instead.headers_mut().insert(kept, value.clone());
        }
    }
    instead
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
