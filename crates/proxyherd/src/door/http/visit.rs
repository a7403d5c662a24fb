//! A request's way from its connection to the router and back: what every request has to pass, whatever its path and
//! protocol, and what every answer gets.
//!
//! It knows the seat and the log, and of paths only which ones are operators'.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Method, Request, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use http_body::{Frame, SizeHint};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::{
    body,
    limits::{PIECE_LEN, RETRY_AFTER_S},
    seat::{Flight, Seat},
    traffic,
};
use crate::herd::Herd;

/// What is asked by operators and their tools: it is answered from the reserve, too.
const OPERATORS_PATHS: [&str; 4] = ["/health/livez", "/health/readyz", "/metrics", "/v1/status"];

/// One connection as its requests know it.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) herd: Arc<Herd>,
    pub(super) router: Router,
    pub(super) seat: Arc<Seat>,
    pub(super) client: SocketAddr,
}

impl Visit {
    /// The answer to a request whose head is complete.
    pub(super) async fn answer<B>(self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let asked = traffic::Asked::of(&self.herd.log, self.client, &request);
        let is_operators = OPERATORS_PATHS.contains(&request.uri().path());
        let is_head = request.method() == Method::HEAD;
        // Where the two lengths of such a request are read differently by a proxy in front, the next request would be one
        // that nobody sent (RFC 9112, section 6.1).
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let version = request.version();
        let flight = self.seat.begin(is_operators);
        let mut response = self.respond(request.map(Body::new), is_operators).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.seat.upgrade();
        } else if is_last || self.seat.is_needed() {
            self.end_after(&mut response, version);
        }
        asked.tell(&self.herd.log, &response);
        give(response, flight, is_head)
    }

    async fn respond(&self, mut request: Request<Body>, is_operators: bool) -> Response {
        if self.seat.is_in_reserve() && !is_operators {
            self.seat.turn_away();
            return busy("too many connections are open; operators' paths are answered\n");
        }
        name_host(&mut request);
        let request = match body::check(request, &self.seat) {
            Ok(request) => request,
            Err(refusal) => return refusal.into_response(),
        };
        body::bounded(request, async |request| {
            let Ok(response) = TowerToHyperService::new(self.router.clone()).call(request).await;
            response
        })
        .await
    }

    /// Has the connection end with this answer, and with those under way.
    fn end_after(&self, response: &mut Response, version: Version) {
        if version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        } else {
            self.seat.leave();
        }
    }
}

fn busy(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_S.to_string())], why).into_response()
}

/// HTTP/2 has the host in its address; from here on it stands where HTTP/1.1 has it.
fn name_host(request: &mut Request<Body>) {
    if request.version() < Version::HTTP_2 || request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Gives `response` to the connection, piece by piece, as long as there is room for what clients have not taken.
fn give(response: Response, flight: Flight, is_head: bool) -> Response {
    let len = response.body().size_hint().exact().map(|len| usize::try_from(len).unwrap_or(usize::MAX));
    let response = match len {
        Some(len) if !is_head && !flight.answering(len, Instant::now()) => {
            busy("too many answers wait for their clients to take them\n")
        }
        _ => response,
    };
    let owed_len = if is_head { 0 } else { len.unwrap_or(0) };
    response.map(|body| Body::new(Given { body, piece: Bytes::new(), owed_len, is_head, flight }))
}

/// The body of an answer.
struct Given {
    body: Body,
    /// What has come from `body` and was not handed on.
    piece: Bytes,
    /// How many bytes the seat knows of that were not handed on.
    owed_len: usize,
    is_head: bool,
    flight: Flight,
}

impl HttpBody for Given {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.piece.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.piece = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let piece = this.piece.split_to(this.piece.len().min(PIECE_LEN));
        let paid_len = piece.len().min(this.owed_len);
        this.owed_len -= paid_len;
        this.flight.gave(paid_len);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, ahead) = (self.body.size_hint(), self.piece.len() as u64);
        // The upper bound may not be below the lower one at any time.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + ahead);
        }
        hint.set_lower(hint.lower() + ahead);
        hint
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if self.is_head || self.is_end_stream() {
            self.flight.answered();
        }
        self.flight.gave(self.owed_len);
    }
}
