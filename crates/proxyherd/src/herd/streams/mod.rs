//! Live streams: [`Herd::stream`](super::Herd::stream) opens one and returns a [`StreamHandle`], from which a door takes
//! events. When there is something to take, and there was nothing before, the stream's bell rings.

mod handle;

pub use proxyherd_core::streams::{StreamEnd, Taken};

use proxyherd_core::{
    replica::{Effort, Unfinished},
    streams::{EventId, StreamEvent},
};

pub use self::handle::{StreamRefusal, StreamRequest, StreamsFull};

/// An open stream. Dropping the handle detaches the stream: its reader can resume it for some time.
#[derive(Debug)]
pub struct StreamHandle {}

impl StreamHandle {
    /// Searches the state of a stream that begins anew. A door calls this, on a thread that may wait, whenever
    /// [`StreamHandle::take`] returns [`Taken::Gather`], and then takes again. If the search does not finish, the door
    /// gathers again later, or drops the handle.
    pub fn gather(&self, _now_ns: u64, _effort: Effort<'_>) -> Result<(), Unfinished> {
        Ok(())
    }

    /// Takes the next event, with the client's record as it is at `now_ns`. `tell` may be called under a shard's lock,
    /// so it must be quick, and it must not call the herd.
    pub fn take<T>(&self, _now_ns: u64, _tell: impl FnOnce(&StreamEvent<'_>, EventId) -> T) -> Taken<T> {
        Taken::Empty
    }
}
