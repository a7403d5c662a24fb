//! The body of a response. The body reports to the connection's slot how many of its bytes are not sent yet.
//!
//! hyper takes the body in short pieces ([`RESPONSE_PIECE_LEN`]). In HTTP/2, hyper takes a piece before the client has
//! room for the piece. So a piece counts as sent when hyper asks for the next piece. For this reason the body must not
//! announce its end with its last piece.
//!
//! A body without a known length is a *stream*, which never ends by itself. A stream yields its bytes in batches. The
//! next batch is taken from the stream only when the connection has taken the last one. If the buffers have no room for
//! a batch, the stream ends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Method, Version},
    response::Response,
};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::{
    limits::{RESPONSE_PIECE_LEN, STREAM_WRITE_TIMEOUT},
    slot::RequestGuard,
};

/// How a response's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseForm {
    /// No body is sent, because the response has no body or because the request's method is HEAD.
    NoBody,
    /// HTTP/1: the body announces its end with its last piece.
    EndsWithLastPiece,
    /// HTTP/2: the body announces its end when hyper asks for more.
    EndsAfterLastPiece,
}

impl ResponseForm {
    /// The form of a response to a request with this method and version of HTTP.
    pub(super) fn new(response: &Response, method: &Method, version: Version) -> ResponseForm {
        if method == Method::HEAD || response.body().is_end_stream() {
            ResponseForm::NoBody
        } else if version >= Version::HTTP_2 {
            ResponseForm::EndsAfterLastPiece
        } else {
            ResponseForm::EndsWithLastPiece
        }
    }

    /// The length of the body that is sent, bytes. `None` for a stream, and where no body is sent.
    pub(super) fn len(self, response: &Response) -> Option<usize> {
        if self == ResponseForm::NoBody {
            return None;
        }
        let len = response.body().size_hint().exact()?;
        Some(usize::try_from(len).unwrap_or(usize::MAX))
    }
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyKind {
    /// All its bytes are in memory, and count as unsent.
    Whole,
    /// A stream. Its last batch counts as unsent.
    Stream,
}

/// A response's body as hyper takes it.
pub(super) struct ResponseBody {
    body: Body,
    guard: RequestGuard,
    form: ResponseForm,
    kind: BodyKind,
    /// Data that `body` has yielded and that hyper has not taken yet.
    rest: Bytes,
    /// Number of counted bytes in the piece that hyper took last.
    taken_len: usize,
    /// Whether hyper has asked for more and there was no more.
    has_ended: bool,
}

impl ResponseBody {
    /// A body. The guard knows how many of its bytes the slot counts as unsent.
    pub(super) fn new(body: Body, guard: RequestGuard, form: ResponseForm) -> ResponseBody {
        let has_ended = form == ResponseForm::NoBody;
        let is_whole = has_ended || body.size_hint().exact().is_some();
        let kind = if is_whole { BodyKind::Whole } else { BodyKind::Stream };
        ResponseBody { body, guard, form, kind, rest: Bytes::new(), taken_len: 0, has_ended }
    }

    /// Whether the buffers have room for a batch. A body in memory counts already.
    fn has_room_for(&mut self, batch: &Bytes) -> bool {
        self.kind == BodyKind::Whole || self.guard.begin_batch(batch.len(), self.batch_deadline())
    }

    /// Until when the next piece of a batch must have passed HTTP/2's flow control. In HTTP/1, the socket's timeout is
    /// enough.
    fn batch_deadline(&self) -> Option<Instant> {
        let is_controlled = self.kind == BodyKind::Stream && self.form == ResponseForm::EndsAfterLastPiece;
        is_controlled.then(|| Instant::now() + STREAM_WRITE_TIMEOUT)
    }

    /// Counts the piece that hyper took last as sent.
    fn count_sent(&mut self) {
        let sent_len = std::mem::take(&mut self.taken_len);
        self.guard.response_sent(sent_len);
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.count_sent();
        if this.rest.is_empty() {
            if this.kind == BodyKind::Stream {
                ready!(this.guard.poll_batch_sent(context));
            }
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if this.has_room_for(&data) => this.rest = data,
                    Ok(_) => {
                        this.has_ended = true;
                        return Poll::Ready(None);
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => {
                    this.has_ended |= matches!(other, Poll::Ready(None));
                    return other;
                }
            }
        } else if let Some(deadline) = this.batch_deadline() {
            this.guard.delay_batch(deadline);
        }
        let piece = this.rest.split_to(this.rest.len().min(RESPONSE_PIECE_LEN));
        if this.kind == BodyKind::Whole {
            this.taken_len = piece.len().min(this.guard.unsent_len());
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self.form {
            ResponseForm::EndsAfterLastPiece => self.has_ended,
            ResponseForm::NoBody | ResponseForm::EndsWithLastPiece => {
                self.rest.is_empty() && self.body.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, ahead) = (self.body.size_hint(), self.rest.len() as u64);
        // The order matters: the upper bound may never be below the lower bound.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + ahead);
        }
        hint.set_lower(hint.lower() + ahead);
        hint
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.has_ended || self.is_end_stream() {
            self.guard.answered();
        }
    }
}
