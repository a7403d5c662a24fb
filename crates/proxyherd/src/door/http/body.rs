//! Bounds on the bodies of requests: their length, and the time in which they have to arrive. Nothing is unpacked: a body
//! with a content coding is refused, so a small one can't become a large one here.
//!
//! [`bounded`] holds for every path. A handler reads the body as it likes; where a bound is broken its reading fails, and
//! the client is told which bound it was, whatever the handler answers. A body that nobody reads is not waited for.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
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
    limits::{BODY_LEN_MAX, BODY_MAX},
    seat::Seat,
};

/// Why a request is refused for its body, or for what it says of it. It has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a body has at most {BODY_LEN_MAX} bytes")]
    TooLong,
    #[error("a body has to arrive within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("bodies are taken as they are, without Content-Encoding")]
    Packed,
    #[error("this server knows no expectation but 100-continue")]
    Expectation,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = match self {
            Refusal::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::Packed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Expectation => StatusCode::EXPECTATION_FAILED,
        };
        // What is left of the body is not read, so nothing can follow it. RFC 9110, section 15.5.16, asks for the second
        // header.
        let mut headers = HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_static("close"))]);
        if self == Refusal::Packed {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        (code, headers, format!("{self}\n")).into_response()
    }
}

/// Judges a request by its head, before anything of its body is asked for: a client that waits for 100 (Continue) sends
/// nothing of a body that is refused. What is read of the body counts at `seat` as asked for. A body that no handler
/// reads has any length.
pub(super) fn check(request: Request<Body>, seat: &Arc<Seat>) -> Result<Request<Body>, Refusal> {
    let headers = request.headers();
    let is_packed = |coding: &HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    let is_strange = |wish: &HeaderValue| !wish.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(header::EXPECT).iter().any(is_strange) {
        return Err(Refusal::Expectation);
    }
    if headers.get_all(header::CONTENT_ENCODING).iter().any(is_packed) {
        return Err(Refusal::Packed);
    }
    let seat = Arc::clone(seat);
    Ok(request.map(|body| Body::new(Heard { body, seat })))
}

/// Has `respond` answer the request with a body that keeps to the bounds.
pub(super) async fn bounded(
    request: Request<Body>,
    respond: impl AsyncFnOnce(Request<Body>) -> Response,
) -> Response {
    if request.body().is_end_stream() {
        return respond(request).await;
    }
    let broken = Broken::default();
    let within = |body| Body::new(Bounded::new(body, broken.clone()));
    let response = respond(request.map(within)).await;
    broken.get().map_or(response, |refusal| refusal.into_response())
}

/// Which bound a body broke, if any.
type Broken = Arc<OnceLock<Refusal>>;

/// A body that ends with an error where it breaks a bound.
struct Bounded {
    body: Body,
    left_len: usize,
    end: Pin<Box<Sleep>>,
    broken: Broken,
}

impl Bounded {
    fn new(body: Body, broken: Broken) -> Bounded {
        Bounded { body, left_len: BODY_LEN_MAX, end: Box::pin(sleep(BODY_MAX)), broken }
    }

    fn refuse(&self, refusal: Refusal) -> axum::Error {
        axum::Error::new(*self.broken.get_or_init(|| refusal))
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        // Asking for it would have a client that waits for 100 (Continue) send it.
        if this.body.size_hint().lower() > this.left_len as u64 {
            return Poll::Ready(Some(Err(this.refuse(Refusal::TooLong))));
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let Poll::Ready(frame) = polled else {
            let is_over = this.end.as_mut().poll(context).is_ready();
            return if is_over {
                Poll::Ready(Some(Err(this.refuse(Refusal::TooSlow(BODY_MAX)))))
            } else {
                Poll::Pending
            };
        };
        let len = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        match this.left_len.checked_sub(len) {
            Some(left_len) => this.left_len = left_len,
            None => return Poll::Ready(Some(Err(this.refuse(Refusal::TooLong)))),
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

/// A body that tells the seat what was read of it.
struct Heard {
    body: Body,
    seat: Arc<Seat>,
}

impl HttpBody for Heard {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.seat.took_body(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
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
    use tokio::time::Instant;

    use super::{super::rooms::Rooms, *};
    use crate::{admission::Admission, config::Limits};

    /// The answer of a path that takes a body and tells its length.
    async fn answered(headers: &[(&str, &str)], body: Body) -> (StatusCode, HeaderMap, String) {
        let router = Router::new()
            .route("/x", post(async |body: Bytes| body.len().to_string()))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let admission = Arc::new(Admission::new(&Limits::default(), 9));
        let seat = Rooms::new(&admission).seat(IpAddr::from([127, 0, 0, 1]), Instant::now());
        let mut request = Request::post("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match check(request.body(body).unwrap(), &seat) {
            Ok(request) => {
                let respond = async |request| {
                    let Ok(response) = TowerToHyperService::new(router).call(request).await;
                    response
                };
                bounded(request, respond).await
            }
            Err(refusal) => refusal.into_response(),
        };
        let (parts, body) = response.into_parts();
        let text = axum::body::to_bytes(body, 1000).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(text.to_vec()).unwrap())
    }

    /// A body of so many pieces that come this far apart.
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
    async fn a_body_is_as_long_as_it_may_be_and_no_longer() {
        let (code, _, text) = answered(&[], Body::from(vec![b'x'; BODY_LEN_MAX])).await;
        assert_eq!((code, text), (StatusCode::OK, BODY_LEN_MAX.to_string()));
        // One tells its length, the other does not.
        let no_pause = Duration::ZERO;
        for body in
            [Body::from(vec![b'x'; BODY_LEN_MAX + 1]), Pieces::body(BODY_LEN_MAX / 1024 + 1, 1024, no_pause)]
        {
            let (code, headers, text) = answered(&[], body).await;
            assert_eq!(
                (code, text.as_str()),
                (StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 1048576 bytes\n")
            );
            assert_eq!(headers[header::CONNECTION], "close");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_in_has_no_more_time_than_any_other() {
        let second = Duration::from_secs(1);
        let (code, _, text) = answered(&[], Pieces::body(9, 1, second)).await;
        assert_eq!((code, text.as_str()), (StatusCode::OK, "9"));
        let began = Instant::now();
        let (code, headers, text) = answered(&[], Pieces::body(1000, 1, second)).await;
        assert_eq!(
            (code, text.as_str()),
            (StatusCode::REQUEST_TIMEOUT, "a body has to arrive within 10 s\n")
        );
        assert_eq!(headers[header::CONNECTION], "close");
        assert_eq!(began.elapsed().as_secs(), BODY_MAX.as_secs());
    }

    #[tokio::test]
    async fn what_is_packed_or_expects_too_much_is_refused_by_its_head() {
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
