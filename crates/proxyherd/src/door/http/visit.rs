//! A request's way from its connection to the router and back: what every request has to pass, whatever its path and
//! protocol, and what every answer gets.
//!
//! It knows the seat and the log, and of paths only which ones are operators'.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
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
use tokio::time::Instant;

use super::{
    body,
    limits::{PIECE_LEN, RETRY_AFTER_S},
    seat::{Flight, Seat},
    traffic,
};
use crate::{caller::Caller, herd::Herd};

/// What is asked by operators and their tools: it is answered from the reserve, too.
const OPERATORS_PATHS: [&str; 4] = ["/health/livez", "/health/readyz", "/metrics", "/v1/status"];

/// One connection as its requests know it.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) herd: Arc<Herd>,
    pub(super) router: Router,
    pub(super) seat: Arc<Seat>,
    pub(super) caller: Caller,
}

impl Visit {
    /// The answer to a request whose head is complete. The request counts from now on, and not only when somebody waits for
    /// the answer.
    pub(super) fn answer<B>(self, request: Request<B>) -> impl Future<Output = Response> + Send
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.seat.took_head(head_len(&request));
        let is_operators = OPERATORS_PATHS.contains(&request.uri().path());
        let flight = self.seat.begin(is_operators);
        self.answer_in(flight, request, is_operators)
    }

    async fn answer_in<B>(self, flight: Flight, request: Request<B>, is_operators: bool) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let asked = traffic::Asked::of(self.herd.log(), self.caller.address, &request);
        let is_head = request.method() == Method::HEAD;
        // Where the two lengths of such a request are read differently by a proxy in front, the next request would be one
        // that nobody sent (RFC 9112, section 6.1).
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let version = request.version();
        let mut response = self.respond(request.map(Body::new), is_operators).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.seat.upgrade();
        } else if is_last || self.seat.is_needed() {
            self.end_after(&mut response, version);
        }
        let response = give(response, flight, is_operators, is_head, version);
        asked.tell(self.herd.log(), &response);
        response
    }

    async fn respond(&self, mut request: Request<Body>, is_operators: bool) -> Response {
        if self.seat.is_in_reserve && !is_operators {
            self.seat.turn_away();
            return busy("too many connections are open; operators' paths are answered\n");
        }
        name_host(&mut request);
        request.extensions_mut().insert(self.caller);
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

/// How many bytes the head of a request has, rounded up: what is little in HTTP/2, such as its WINDOW_UPDATE frames, does not
/// add up from request to request.
fn head_len<B>(request: &Request<B>) -> usize {
    const BESIDE_LEN: usize = 64;
    let uri_len = request.uri().path_and_query().map_or(0, |asked| asked.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    BESIDE_LEN + uri_len + headers.sum::<usize>()
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
fn give(response: Response, flight: Flight, is_operators: bool, is_head: bool, version: Version) -> Response {
    let is_empty = is_head || response.body().is_end_stream();
    let len = response.body().size_hint().exact().filter(|_| !is_empty);
    let len = len.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
    let owed_len = len.unwrap_or(0);
    if len.is_some() && !flight.answering(owed_len, is_operators, Instant::now()) {
        let mut instead = busy("too many answers wait for their clients to take them\n");
        let is_last = response.headers().get(header::CONNECTION).cloned();
        instead.headers_mut().extend(is_last.map(|value| (header::CONNECTION, value)));
        return give_as(instead, flight, 0, is_empty, version);
    }
    give_as(response, flight, owed_len, is_empty, version)
}

fn give_as(
    response: Response,
    flight: Flight,
    owed_len: usize,
    is_empty: bool,
    version: Version,
) -> Response {
    let ends_by_poll = version >= Version::HTTP_2 && !is_empty;
    let given = |body| Given {
        body,
        piece: Bytes::new(),
        owed_len,
        lent_len: 0,
        ends_by_poll,
        has_ended: is_empty,
        flight,
    };
    response.map(|body| Body::new(given(body)))
}

/// The body of an answer.
///
/// In HTTP/2 hyper asks for a piece before the client has room for it. So a piece counts as given when hyper asks for more,
/// and for that the body does not tell its end beforehand.
struct Given {
    body: Body,
    /// What has come from `body` and was not handed on.
    piece: Bytes,
    /// How many bytes the seat knows of that were not given ...
    owed_len: usize,
    /// ... and how many of them hyper has now.
    lent_len: usize,
    ends_by_poll: bool,
    /// Whether hyper has asked for more and there was no more, or there was nothing from the beginning.
    has_ended: bool,
    flight: Flight,
}

impl Given {
    fn pay(&mut self) {
        let paid_len = std::mem::take(&mut self.lent_len);
        self.owed_len -= paid_len;
        if paid_len > 0 {
            self.flight.gave(paid_len);
        }
    }

    fn is_empty(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }
}

impl HttpBody for Given {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.pay();
        if this.piece.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.piece = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => {
                    this.has_ended |= matches!(other, Poll::Ready(None));
                    return other;
                }
            }
        }
        let piece = this.piece.split_to(this.piece.len().min(PIECE_LEN));
        this.lent_len = piece.len().min(this.owed_len);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        if self.ends_by_poll { self.has_ended } else { self.is_empty() }
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
        if self.has_ended || self.is_end_stream() {
            self.flight.answered();
        }
        self.flight.gave(self.owed_len);
    }
}
