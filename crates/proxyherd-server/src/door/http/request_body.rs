//! Limits on the bodies of requests: their length, and the time in which they have to arrive.
//!
//! A request's header section passes [`check`] first. [`limited`] then calls the path's handler with a body that fails
//! when the body exceeds a limit. A handler reads the body in any way. If the body exceeds a limit, the response names
//! this limit, whatever the handler answers. The server does not wait for a body that no handler reads. A long body
//! counts against the buffers of clients until its request is answered.
//!
//! Nothing is decompressed: a body with a content coding is refused, so a small body can't become a large one here.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{
    limits::{BODY_FREE_LEN, BODY_LEN_MAX, BODY_TIMEOUT},
    problem::Problem,
    slot::ConnectionSlot,
};

/// Why a request is refused because of its body, or because of what its header section says about the body. A refused
/// request has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyRefusal {
    #[error("a body at this path has at most {0} bytes")]
    TooLong(usize),
    #[error("a body has to arrive within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("the memory for bodies and responses is full; try again later")]
    NoRoom,
    #[error("this server accepts no body with a Content-Encoding")]
    ContentEncoding,
    #[error("this server supports no expectation but 100-continue")]
    Expectation,
}

impl IntoResponse for BodyRefusal {
    fn into_response(self) -> Response {
        let code = match self {
            BodyRefusal::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyRefusal::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            BodyRefusal::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            BodyRefusal::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyRefusal::Expectation => StatusCode::EXPECTATION_FAILED,
        };
        let problem = match self {
            BodyRefusal::NoRoom => Problem::unavailable(self.to_string()),
            _ => Problem::new(code, self.to_string()),
        };
        let mut response = problem.into_response();
        let headers = response.headers_mut();
        // The rest of the body is not read, so no other request can follow on the connection.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if self == BodyRefusal::ContentEncoding {
            // RFC 9110, section 15.5.16, asks for this header.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response
    }
}

/// The limits on the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyBounds {
    /// Maximum length, bytes.
    pub(super) len_max: usize,
    /// Maximum time in which the body must arrive after the header section.
    pub(super) timeout: Duration,
}

impl BodyBounds {
    /// The limits at paths that have no limits of their own.
    pub(super) const DEFAULT: BodyBounds = BodyBounds { len_max: BODY_LEN_MAX, timeout: BODY_TIMEOUT };
}

/// Checks what the header section of a request says about the body. This must be called before any byte of the body is
/// read. A client that waits for 100 (Continue) then sends no byte of a refused body.
pub(super) fn check(headers: &HeaderMap) -> Result<(), BodyRefusal> {
    let differs = |from: &'static str| {
        move |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(from.as_bytes())
    };
    if headers.get_all(header::EXPECT).iter().any(differs("100-continue")) {
        return Err(BodyRefusal::Expectation);
    }
    if headers.get_all(header::CONTENT_ENCODING).iter().any(differs("identity")) {
        return Err(BodyRefusal::ContentEncoding);
    }
    Ok(())
}

/// Calls `respond` with the request, whose body now stays within `bounds`. The bytes that are read of the body are
/// given back to the input allowance of the connection with this slot.
pub(super) async fn limited(
    request: Request<Body>,
    slot: &Arc<ConnectionSlot>,
    bounds: BodyBounds,
    respond: impl AsyncFnOnce(Request<Body>) -> Response,
) -> Response {
    if request.body().is_end_stream() {
        return respond(request).await;
    }
    let progress = Arc::new(BodyProgress {
        slot: Arc::clone(slot),
        broken: OnceLock::new(),
        held_len: AtomicUsize::new(0),
    });
    let within = |body| Body::new(LimitedBody::new(body, bounds, Arc::clone(&progress)));
    let response = respond(request.map(within)).await;
    progress.broken.get().map_or(response, |refusal| refusal.into_response())
}

/// The whole body, which [`limited`] bounds. A body that arrives at once is not copied.
pub(super) async fn whole(mut body: Body) -> Result<Bytes, Problem> {
    let (mut first, mut more) = (Bytes::new(), Vec::new());
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // If the body exceeded a limit, the response says which one instead.
        let Ok(frame) = frame else {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was complete"));
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.is_empty() {
            first = data;
            continue;
        }
        if more.is_empty() {
            more.extend_from_slice(&first);
        }
        more.extend_from_slice(&data);
    }
    Ok(if more.is_empty() { first } else { more.into() })
}

/// What is known of a body while its request is answered.
struct BodyProgress {
    slot: Arc<ConnectionSlot>,
    /// The limit that the body has exceeded, if any.
    broken: OnceLock<BodyRefusal>,
    /// Number of bytes that the slot counts for the body.
    held_len: AtomicUsize,
}

impl BodyProgress {
    /// Counts `len` more bytes against the buffers. False: there is no room.
    fn hold(&self, len: usize) -> bool {
        let has_room = self.slot.hold_body(len);
        if has_room {
            self.held_len.fetch_add(len, Relaxed);
        }
        has_room
    }
}

impl Drop for BodyProgress {
    fn drop(&mut self) {
        let held_len = self.held_len.load(Relaxed);
        if held_len > 0 {
            self.slot.release_body(held_len);
        }
    }
}

/// A request's body that ends with an error if it exceeds a limit.
struct LimitedBody {
    body: Body,
    bounds: BodyBounds,
    left_len: usize,
    /// Begins when the handler first waits for the body. The body of a short request has arrived before that.
    timeout: Option<Pin<Box<Sleep>>>,
    progress: Arc<BodyProgress>,
}

impl LimitedBody {
    fn new(body: Body, bounds: BodyBounds, progress: Arc<BodyProgress>) -> LimitedBody {
        LimitedBody { body, bounds, left_len: bounds.len_max, timeout: None, progress }
    }

    fn too_long(&self) -> axum::Error {
        self.refuse(BodyRefusal::TooLong(self.bounds.len_max))
    }

    fn refuse(&self, refusal: BodyRefusal) -> axum::Error {
        axum::Error::new(*self.progress.broken.get_or_init(|| refusal))
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        // Asking hyper for a frame makes hyper send 100 (Continue). The client would then send a body that is too long.
        if this.body.size_hint().lower() > this.left_len as u64 {
            return Poll::Ready(Some(Err(this.too_long())));
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let Poll::Ready(frame) = polled else {
            let time_max = this.bounds.timeout;
            let timeout = this.timeout.get_or_insert_with(|| Box::pin(sleep(time_max)));
            return if timeout.as_mut().poll(context).is_ready() {
                Poll::Ready(Some(Err(this.refuse(BodyRefusal::TooSlow(time_max)))))
            } else {
                Poll::Pending
            };
        };
        let len = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        this.progress.slot.body_read(len);
        match this.left_len.checked_sub(len) {
            Some(left_len) => this.left_len = left_len,
            None => return Poll::Ready(Some(Err(this.too_long()))),
        }
        // A body that is gathered is copied when its memory grows.
        if this.bounds.len_max - this.left_len > BODY_FREE_LEN && !this.progress.hold(2 * len) {
            return Poll::Ready(Some(Err(this.refuse(BodyRefusal::NoRoom))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::IpAddr};

    use axum::{Router, routing::post};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use proxyherd_config::config::Limits;
    use tokio::time::Instant;

    use super::{super::slots::Slots, *};
    use crate::admission::Admission;

    /// The response of a path that takes a body and returns its length.
    async fn answered(headers: &[(&str, &str)], body: Body) -> (StatusCode, HeaderMap, String) {
        let router = Router::new()
            .route("/x", post(async |body: Bytes| body.len().to_string()))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let admission = Arc::new(Admission::new(&Limits::default(), 9));
        let slot = Slots::new(&admission).open(IpAddr::from([127, 0, 0, 1]), Instant::now());
        let mut request = Request::post("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let response = match check(request.headers()) {
            Ok(()) => {
                let respond = async |request| {
                    let Ok(response) = TowerToHyperService::new(router).call(request).await;
                    response
                };
                limited(request, &slot, BodyBounds::DEFAULT, respond).await
            }
            Err(refusal) => refusal.into_response(),
        };
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1000).await.unwrap();
        let text = match parts.extensions.get::<Problem>() {
            Some(problem) => problem.detail().to_owned(),
            None => String::from_utf8(body.to_vec()).unwrap(),
        };
        (parts.status, parts.headers, text)
    }

    /// A body that arrives in pieces with a pause before each.
    struct Pieces {
        left: usize,
        piece: Bytes,
        pause: Duration,
        next: Pin<Box<Sleep>>,
    }

    impl Pieces {
        fn body(left: usize, piece_len: usize, pause: Duration) -> Body {
            let piece = Bytes::from(vec![b'x'; piece_len]);
            Body::new(Pieces { left, piece, pause, next: Box::pin(sleep(pause)) })
        }
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            std::task::ready!(self.next.as_mut().poll(context));
            let pause = self.pause;
            self.next.as_mut().reset(Instant::now() + pause);
            self.left -= 1;
            Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
        }
    }

    #[tokio::test]
    async fn a_body_is_accepted_up_to_the_longest() {
        let (code, _, text) = answered(&[], Body::from(vec![b'x'; BODY_LEN_MAX])).await;
        assert_eq!((code, text), (StatusCode::OK, BODY_LEN_MAX.to_string()));
        // The first one announces its length, the second one does not.
        let no_pause = Duration::ZERO;
        for body in
            [Body::from(vec![b'x'; BODY_LEN_MAX + 1]), Pieces::body(BODY_LEN_MAX / 1024 + 1, 1024, no_pause)]
        {
            let (code, headers, text) = answered(&[], body).await;
            assert_eq!(
                (code, text.as_str()),
                (StatusCode::PAYLOAD_TOO_LARGE, "a body at this path has at most 1048576 bytes")
            );
            assert_eq!(headers[header::CONNECTION], "close");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_slowly_times_out() {
        let second = Duration::from_secs(1);
        let (code, _, text) = answered(&[], Pieces::body(9, 1, second)).await;
        assert_eq!((code, text.as_str()), (StatusCode::OK, "9"));
        let began = Instant::now();
        let (code, headers, text) = answered(&[], Pieces::body(1000, 1, second)).await;
        assert_eq!((code, text.as_str()), (StatusCode::REQUEST_TIMEOUT, "a body has to arrive within 10 s"));
        assert_eq!(headers[header::CONNECTION], "close");
        assert_eq!(began.elapsed().as_secs(), BODY_TIMEOUT.as_secs());
    }

    #[tokio::test]
    async fn content_codings_and_unknown_expectations_are_refused_by_the_header_section() {
        let unread = || Pieces::body(1, 1, Duration::from_secs(3600));
        for (name, value, expected) in [
            ("content-encoding", "gzip", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("content-encoding", "identity, br", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("expect", "200-ok", StatusCode::EXPECTATION_FAILED),
        ] {
            let (code, headers, _) = answered(&[(name, value)], unread()).await;
            assert_eq!(
                (code, &headers[header::CONNECTION]),
                (expected, &HeaderValue::from_static("close")),
                "{value}"
            );
        }
        for (name, value) in [("content-encoding", "Identity"), ("expect", "100-Continue")] {
            let (code, _, text) = answered(&[(name, value)], Body::from("abc")).await;
            assert_eq!((code, text.as_str()), (StatusCode::OK, "3"), "{value}");
        }
    }
}
