//! `/v1/stream`: events as they happen, as server-sent events.
//!
//! The response's body is [`EventBody`], which the connection polls. It has no task of its own. The body yields one
//! batch of events at a time. `ResponseBody` asks for the next one only when the connection has taken the batch.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Extension,
    body::{Body, Bytes, HttpBody},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    response::Response,
};
use futures_util::task::AtomicWaker;
use http_body::Frame;
use proxyherd_config::clock;
use proxyherd_streams::EventId;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    Live,
    events::{self, EventBatch, EventForm, EventSource, GatherTask},
    wanted::{PARAMETERS, REPEATED, WantedStream},
};
use crate::{
    caller::Caller,
    door::http::{
        limits::{LAST_EVENT_ID_LEN_MAX, STREAM_COMMENT_INTERVAL, STREAM_RETRY_CROWDED_MS},
        media,
        problem::Problem,
        query::Query,
        slot::ConnectionSlot,
    },
    herd::{Herd, StreamEnd},
};

/// The media type of server-sent events.
pub(in crate::door::http) const EVENT_STREAM: &str = "text/event-stream";
/// The header in which a client that connects again names the last event that it has received.
const LAST_EVENT_ID: &str = "last-event-id";

/// Opens a stream of the clients that the query asks for.
pub(in crate::door::http) async fn get_stream(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    Extension(live): Extension<Live>,
    Extension(slot): Extension<Arc<ConnectionSlot>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = WantedStream::parse(&Query::of(&uri, &PARAMETERS, &REPEATED)?)?;
    media::accepted(&headers, &[EVENT_STREAM])?;
    let body = if method == Method::HEAD {
        herd.check_ids(&caller, clock::now_ns(), &wanted.filter.ids)?;
        Body::new(NoEvents)
    } else {
        Body::new(EventBody::open(herd, slot, caller, live, wanted, last_event_id(&headers))?)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect events before it passes them on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The last event that the client has received. A value that is too long to be an ID of any server counts as none.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<&[u8]> {
    let id = headers.get(LAST_EVENT_ID)?.as_bytes();
    (1..=LAST_EVENT_ID_LEN_MAX).contains(&id.len()).then_some(id)
}

/// The answer to HEAD: the length is not known.
struct NoEvents;

impl HttpBody for NoEvents {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Poll::Ready(None)
    }
}

/// The events of one stream.
struct EventBody {
    herd: Arc<Herd>,
    slot: Arc<ConnectionSlot>,
    source: EventSource,
    live: Live,
    bell: Arc<AtomicWaker>,
    gathering: Option<GatherTask>,
    comment_at: Pin<Box<Sleep>>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    has_ended: bool,
}

impl EventBody {
    fn open(
        herd: Arc<Herd>,
        slot: Arc<ConnectionSlot>,
        caller: Caller,
        live: Live,
        wanted: WantedStream,
        last_event_id: Option<&[u8]>,
    ) -> Result<EventBody, Problem> {
        let bell = Arc::new(AtomicWaker::new());
        let ring = Arc::clone(&bell);
        let source = EventSource::open(&herd, caller, wanted, last_event_id, move || ring.wake())?;
        Ok(EventBody {
            herd,
            slot,
            source,
            bell,
            gathering: None,
            comment_at: Box::pin(sleep(STREAM_COMMENT_INTERVAL)),
            stopped: Box::pin(live.stop.clone().cancelled_owned()),
            has_ended: false,
            live,
        })
    }

    /// The next bytes. `None`: the stream has ended.
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if self.has_ended || self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        let mut out = SseForm(Vec::new());
        if self.comment_at.as_mut().poll(context).is_ready() {
            // A comment shows proxies and clients that the connection lives.
            out.0.extend_from_slice(b":\n\n");
            self.comment_at.as_mut().reset(Instant::now() + STREAM_COMMENT_INTERVAL);
            // Registers this task with the timer.
            let _ = self.comment_at.as_mut().poll(context);
        }
        self.bell.register(context.waker());
        loop {
            if let Some(gathering) = &mut self.gathering {
                match gathering.as_mut().poll(context) {
                    Poll::Ready(gathered) => {
                        self.gathering = None;
                        if let Err(why) = gathered {
                            self.end(&mut out, events::search_reason(why));
                            break;
                        }
                    }
                    Poll::Pending if out.0.is_empty() => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            match self.source.next(&mut out) {
                EventBatch::Last if out.0.is_empty() => return Poll::Pending,
                EventBatch::More | EventBatch::Last => break,
                EventBatch::Gather => self.gathering = Some(self.source.gather(&self.live)),
                EventBatch::End(StreamEnd::ShuttingDown) => {
                    self.has_ended = true;
                    break;
                }
                EventBatch::End(why) => {
                    self.end(&mut out, events::reason(why));
                    break;
                }
            }
        }
        Poll::Ready(Some(out.0).filter(|out| !out.is_empty()))
    }

    /// Ends the stream after a comment that says why. A browser connects again by itself, but not soon.
    fn end(&mut self, out: &mut SseForm, why: &str) {
        let comment = format!(": {why}\nretry: {STREAM_RETRY_CROWDED_MS}\n\n");
        out.0.extend_from_slice(comment.as_bytes());
        self.has_ended = true;
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        if self.slot.is_cut() {
            self.source.is_cut(&self.herd);
        }
    }
}

impl HttpBody for EventBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let bytes = ready!(self.get_mut().poll_bytes(context));
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(Bytes::from(bytes)))))
    }
}

/// Events as text: `id:`, `event:` and `data:`, each on a line of its own, and a blank line after each event.
struct SseForm(Vec<u8>);

impl EventForm for SseForm {
    fn write(&mut self, kind: &'static str, id: EventId, write_data: impl FnOnce(&mut Vec<u8>)) {
        use std::io::Write as _;
        write!(self.0, "id: {id}\nevent: {kind}\ndata: ").expect("a vector takes everything");
        write_data(&mut self.0);
        self.0.extend_from_slice(b"\n\n");
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}
