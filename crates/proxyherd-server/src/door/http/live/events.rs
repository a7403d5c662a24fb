//! An open stream as the door reads it: events in short batches, and the search for the state of a stream that begins
//! anew.
//!
//! A [`EventSource`] belongs to one connection. [`EventSource::next`] never waits. It returns [`EventBatch::Gather`] if
//! the state must be searched first: [`EventSource::gather`] does that. A short search is done at once. A longer one
//! waits for its turn in [`Searches`](crate::door::http::searches::Searches). The bell that was passed to
//! [`EventSource::open`] rings when there is something to take again.
//!
//! A form ([`EventForm`]) writes one event: this module does not know how events are framed.

use std::{pin::Pin, sync::Arc, time::Duration};

use proxyherd_config::clock;
use proxyherd_core::{
    codec::json,
    places::{Center, Separation},
    replica::Effort,
};
use proxyherd_streams::{EventId, StreamEvent, StreamsFull as CoreFull};
use tokio::time::{Instant, sleep};

use super::{Live, wanted::WantedStream};
use crate::{
    caller::Caller,
    door::http::{
        limits::{
            BRIEF_VISITS_MAX, EVENTS_LEN, STREAM_SEARCH_PAUSE, STREAM_SEARCH_TIMEOUT, STREAM_WRITE_TIMEOUT,
        },
        problem::Problem,
        searches::NoResult,
    },
    herd::{Herd, StreamEnd, StreamHandle, StreamRefusal, StreamRequest, StreamsFull, Taken},
};

/// An open stream.
#[derive(Debug)]
pub(super) struct EventSource {
    stream: Arc<StreamHandle>,
    caller: Caller,
    center: Option<Center>,
}

/// A search for the state of a stream that begins anew.
pub(super) type GatherTask = Pin<Box<dyn Future<Output = Result<(), NoResult>> + Send>>;

/// What [`EventSource::next`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventBatch {
    /// Events were written, and there may be more.
    More,
    /// Nothing is left after the events that were written. The bell rings when there is something again.
    Last,
    /// After the events that were written, the state must be gathered.
    Gather,
    /// The stream ends after the events that were written.
    End(StreamEnd),
}

/// Writes one event: the name of its kind, its ID, and the JSON of its data.
pub(super) trait EventForm {
    /// Writes an event. `write_data` appends the JSON.
    fn write(&mut self, kind: &'static str, id: EventId, write_data: impl FnOnce(&mut Vec<u8>));
    /// Number of bytes that were written since the batch began.
    fn len(&self) -> usize;
}

impl EventSource {
    /// Opens a stream, or resumes the one with this last event.
    pub(super) fn open(
        herd: &Herd,
        caller: Caller,
        wanted: WantedStream,
        last_event_id: Option<&[u8]>,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Result<EventSource, StreamRefusal> {
        let WantedStream { filter, kinds, center } = wanted;
        let request = StreamRequest { filter, kinds, last_event_id: last_event_id.map(Box::from) };
        let stream = herd.stream(&caller, clock::now_ns(), request, bell)?;
        Ok(EventSource { stream: Arc::new(stream), caller, center })
    }

    /// Records that the connection is closed because its reader has taken nothing for too long.
    pub(super) fn is_cut(&self, herd: &Herd) {
        herd.stream_is_cut(&self.caller, STREAM_WRITE_TIMEOUT);
    }

    /// Writes the next events, until [`EVENTS_LEN`] bytes are there or nothing is left.
    pub(super) fn next(&self, form: &mut impl EventForm) -> EventBatch {
        let now_ns = clock::now_ns();
        while form.len() < EVENTS_LEN {
            match self.stream.take(now_ns, |event, id| write(form, event, id, self.center)) {
                Taken::Event(()) => {}
                Taken::Empty => return EventBatch::Last,
                Taken::Gather => return EventBatch::Gather,
                Taken::Ended(why) => return EventBatch::End(why),
            }
        }
        EventBatch::More
    }

    /// Gathers the state. After that, the next events can be taken. If there is no room for the search now, it is tried
    /// again and again until [`STREAM_SEARCH_TIMEOUT`]: many readers connect again at the same time.
    pub(super) fn gather(&self, live: &Live) -> GatherTask {
        let brief = self.stream.gather(clock::now_ns(), Effort::visits(BRIEF_VISITS_MAX));
        let (stream, caller) = (Arc::clone(&self.stream), self.caller.clone());
        let searches = Arc::clone(&live.searches);
        Box::pin(async move {
            if brief.is_ok() {
                return Ok(());
            }
            let until = Instant::now() + STREAM_SEARCH_TIMEOUT;
            loop {
                let stream = Arc::clone(&stream);
                let search =
                    move |is_canceled: &_| stream.gather(clock::now_ns(), Effort::until(is_canceled));
                match searches.run(&caller, search).await {
                    // Only a search that nobody waits for is canceled.
                    Ok((gathered, _turn)) => return gathered.map_err(|_| NoResult::TimedOut),
                    Err(NoResult::Crowded | NoResult::TimedOut) if Instant::now() < until => {}
                    Err(why) => return Err(why),
                }
                sleep(pause()).await;
            }
        })
    }
}

/// The time until a search is tried again.
fn pause() -> Duration {
    let share = f64::from(clock::random() as u32) / f64::from(u32::MAX);
    STREAM_SEARCH_PAUSE + STREAM_SEARCH_PAUSE.mul_f64(share)
}

fn write(form: &mut impl EventForm, event: &StreamEvent<'_>, id: EventId, center: Option<Center>) {
    let nothing = |out: &mut Vec<u8>| out.extend_from_slice(b"{}");
    match event {
        StreamEvent::Reset => form.write("reset", id, nothing),
        StreamEvent::Synced => form.write("synced", id, nothing),
        StreamEvent::Left(client) => form.write("left", id, |out| json::write_id(out, client)),
        StreamEvent::Gone(client) => form.write("gone", id, |out| json::write_id(out, client)),
        StreamEvent::Location(found) => {
            let at = found.coordinates;
            let separation =
                center.map(|center| center.separation(at.latitude().degrees(), at.longitude().degrees()));
            let distance_m = separation.map(Separation::meters);
            form.write("location", id, |out| json::write_client(out, found, distance_m));
        }
        StreamEvent::Presence(event) => form.write("presence", id, |out| {
            let number = format_args!("{:032x}", event.event_id);
            json::write_presence(out, number, event.kind.label(), event.client);
        }),
    }
}

/// Why a stream has ended, for its reader.
pub(super) fn reason(why: StreamEnd) -> &'static str {
    match why {
        StreamEnd::RightsEnded => "the token was revoked or is past its end",
        StreamEnd::TakenOver => "another connection has resumed this stream",
        StreamEnd::TooLarge => "more clients match than a stream can hold; ask for fewer clients",
        StreamEnd::ServerFull => {
            "the streams of this server hold too many clients in all; name fewer clients or try later"
        }
        StreamEnd::Failed => "this server had a fault and has ended the stream; connect again",
        StreamEnd::ShuttingDown => "this server is stopping",
    }
}

/// Why the search for the state of a stream has no result, for the stream's reader.
pub(super) fn search_reason(why: NoResult) -> &'static str {
    match why {
        NoResult::Crowded => "too many searches wait already; try again later, or ask for fewer clients",
        NoResult::TimedOut => "the search for the state of the stream took too long; ask for fewer clients",
        NoResult::Failed => "the search for the state of the stream failed; the server's log says why",
    }
}

impl From<StreamRefusal> for Problem {
    fn from(refusal: StreamRefusal) -> Problem {
        match refusal {
            StreamRefusal::Denied(denied) => denied.into(),
            StreamRefusal::Full(full @ StreamsFull::Streams(CoreFull::Ids)) => {
                Problem::invalid(full.to_string())
            }
            StreamRefusal::Full(full) => Problem::unavailable(full.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_too_many_ids_is_the_callers_mistake_and_a_full_server_is_not() {
        let status = |full: CoreFull| {
            let refusal = StreamRefusal::Full(StreamsFull::Streams(full));
            axum::response::IntoResponse::into_response(Problem::from(refusal)).status().as_u16()
        };
        assert_eq!([CoreFull::Ids, CoreFull::Streams, CoreFull::Unindexed].map(status), [422, 503, 503]);
    }
}
