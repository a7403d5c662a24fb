//! The memory for answers that are being read. All these answers share one budget of bytes.
//!
//! An [`AnswerBody`] takes memory from the budget before it grows. When the body is dropped, all its memory goes back
//! to the budget. The body is dropped after the answer has been parsed. Invariant: all answers that are being read at
//! the same time hold no more than the budget, whatever their number and length. This module does not know where the
//! bytes come from or what they mean.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Failure;

/// Maximum length of an answer, bytes. Twenty places take some hundred thousand bytes. Reading stops as soon as an
/// answer is longer.
const BODY_LEN_MAX: usize = 4 * 1024 * 1024;
/// Maximum memory for all answers that this process is reading, bytes. This is enough for hundreds of usual answers, or
/// for eight answers of the maximum length. If there is no room for the next part of an answer, the answer fails with
/// [`Failure::NoRoom`]. In a test with a hundred of the longest answers at the same time, a process grew by 140 MB,
/// because the network and the allocator hold additional memory.
const BODIES_LEN_MAX: usize = 32 * 1024 * 1024;

/// The memory of this process.
static ROOM: AnswerRoom = AnswerRoom::new(BODIES_LEN_MAX);

/// Bytes of memory that may still be taken.
struct AnswerRoom(AtomicUsize);

impl AnswerRoom {
    const fn new(len: usize) -> AnswerRoom {
        AnswerRoom(AtomicUsize::new(len))
    }

    fn take(&self, len: usize) -> Result<(), Failure> {
        let taken = self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(len));
        taken.map(drop).map_err(|_| Failure::NoRoom)
    }

    fn give_back(&self, len: usize) {
        self.0.fetch_add(len, Relaxed);
    }
}

/// An answer's bytes, at most [`BODY_LEN_MAX`].
pub(crate) struct AnswerBody {
    bytes: Vec<u8>,
    /// The number of bytes that this body has taken from the budget: always at least the capacity of `bytes`.
    taken: usize,
    room: &'static AnswerRoom,
}

impl AnswerBody {
    /// An empty body that takes from the budget of this process.
    pub(crate) fn new() -> AnswerBody {
        AnswerBody::in_room(&ROOM)
    }

    fn in_room(room: &'static AnswerRoom) -> AnswerBody {
        AnswerBody { bytes: Vec::new(), taken: 0, room }
    }

    /// Appends the next bytes of the answer.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let len = self.bytes.len() + piece.len();
        if len > BODY_LEN_MAX {
            return Err(Failure::Unreadable(format!("it is longer than {BODY_LEN_MAX} bytes")));
        }
        if len > self.taken {
            // Doubling keeps copies rare. During a copy, the old and the new bytes exist at the same time.
            let wanted = len.max(2 * self.taken).min(BODY_LEN_MAX);
            self.room.take(wanted - self.taken)?;
            self.taken = wanted;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes so far, to be changed in place.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.room.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_the_room_and_give_it_back() {
        static ROOM: AnswerRoom = AnswerRoom::new(1000);
        let (mut one, mut other) = (AnswerBody::in_room(&ROOM), AnswerBody::in_room(&ROOM));
        assert_eq!(one.push(&[1; 600]), Ok(()));
        assert_eq!(other.push(&[2; 401]), Err(Failure::NoRoom));
        assert_eq!(other.push(&[2; 400]), Ok(()), "what was refused has taken nothing");
        assert_eq!(one.push(&[1]), Err(Failure::NoRoom));
        assert_eq!((one.bytes(), other.bytes()), (&[1; 600][..], &[2; 400][..]));
        drop(one);
        assert_eq!(other.push(&[2; 100]), Ok(()));
        drop(other);
        assert_eq!(ROOM.0.load(Relaxed), 1000);
    }

    #[test]
    fn no_answer_takes_more_memory_than_room() {
        static ROOM: AnswerRoom = AnswerRoom::new(2 * BODY_LEN_MAX);
        let mut body = AnswerBody::in_room(&ROOM);
        let piece = [0; 10_007];
        while body.bytes.len() + piece.len() <= BODY_LEN_MAX {
            assert_eq!(body.push(&piece), Ok(()));
            assert!(body.bytes.capacity() <= body.taken && body.taken <= BODY_LEN_MAX);
        }
        assert!(matches!(body.push(&piece), Err(Failure::Unreadable(_))));
    }
}
