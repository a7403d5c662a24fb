//! The lines that callers have handed over and the writer has not yet written.
//!
//! [`Buffer`] takes lines and runs of lines as raw bytes, with a tag that holds the source and the time. [`Draining`]
//! is the same buffer on the writer's side, from which the writer takes one piece after another.
//!
//! Entries and bytes together take at most [`BUFFER_LEN_MAX`]. A thread that serves clients appends entries while it
//! holds the log's mutex, so this module formats nothing.

use std::net::SocketAddr;

use jiff::Timestamp;
use proxyherd_core::types::ServerName;

use super::{
    Direction, LogLevel, Subject,
    limits::{BUFFER_LEN_MAX, BUFFER_RESERVE_LEN},
    pieces::{self, Piece, Pieces},
};

/// The subject of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineSource {
    Server,
    Places,
    Link(ServerName),
    Client(SocketAddr),
    /// One request of a client, or its answer. The caller has written the line.
    Request(SocketAddr),
    /// A module of a crate that the program is built from.
    Crate(Box<str>),
}

impl From<Subject<'_>> for LineSource {
    fn from(subject: Subject<'_>) -> LineSource {
        match subject {
            Subject::Server => LineSource::Server,
            Subject::Places => LineSource::Places,
            Subject::Link(neighbor) => LineSource::Link(neighbor.clone()),
            Subject::Client(peer) => LineSource::Client(peer),
        }
    }
}

/// Whether a line is traffic or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineMark {
    Traffic(Direction),
    Event(LogLevel),
}

/// The log's information about the bytes of an entry.
#[derive(Clone, Debug)]
pub(super) struct LineTag {
    pub(super) time: Timestamp,
    pub(super) source: LineSource,
    pub(super) mark: LineMark,
}

impl LineTag {
    /// The direction of an entry that is a run of several pieces. Only clients' traffic comes in such runs. `None` for
    /// an entry of one line.
    fn run(&self) -> Option<Direction> {
        match (&self.source, self.mark) {
            (LineSource::Client(_), LineMark::Traffic(direction)) => Some(direction),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct BufferEntry {
    tag: LineTag,
    len: usize,
}

/// Entries in order, with their bytes end to end.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    entries: Vec<BufferEntry>,
    bytes: Vec<u8>,
}

impl Buffer {
    /// A buffer that has allocated all its memory, so that the buffer never grows while a caller waits. Untouched
    /// memory costs only address space.
    pub(super) fn with_room() -> Buffer {
        Buffer {
            entries: Vec::with_capacity(BUFFER_LEN_MAX / size_of::<BufferEntry>()),
            bytes: Vec::with_capacity(BUFFER_LEN_MAX),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.len() >= BUFFER_LEN_MAX / 2
    }

    fn len(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<BufferEntry>()
    }

    /// Maximum length of one more entry, bytes. `None` if there is no room for an entry. Lines that clients can cause
    /// must leave a reserve for events of the herd.
    fn room(&self, source: &LineSource) -> Option<usize> {
        let is_of_clients =
            matches!(source, LineSource::Client(_) | LineSource::Request(_) | LineSource::Crate(_));
        let len_max = if is_of_clients { BUFFER_LEN_MAX - BUFFER_RESERVE_LEN } else { BUFFER_LEN_MAX };
        len_max.checked_sub(self.len() + size_of::<BufferEntry>())
    }

    /// Appends one line if it fits. Returns 1 if the line was kept, and otherwise 0.
    pub(super) fn push_line(&mut self, tag: LineTag, line: &[u8]) -> u64 {
        match self.room(&tag.source) {
            Some(room) if line.len() <= room => self.push(tag, line, 1),
            _ => 0,
        }
    }

    /// Appends as many of a run's `pieces` as fit. Returns the number of pieces that were kept.
    pub(super) fn push_run(&mut self, tag: LineTag, direction: Direction, run: &[u8], pieces: u64) -> u64 {
        match self.room(&tag.source) {
            Some(room) if run.len() <= room => self.push(tag, run, pieces),
            Some(room) => {
                let (run, pieces) = pieces::head(direction, run, pieces, room);
                if pieces == 0 { 0 } else { self.push(tag, run, pieces) }
            }
            None => 0,
        }
    }

    fn push(&mut self, tag: LineTag, bytes: &[u8], pieces: u64) -> u64 {
        self.bytes.extend_from_slice(bytes);
        self.entries.push(BufferEntry { tag, len: bytes.len() });
        pieces
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }
}

/// A buffer from which the writer takes pieces, with the position of the next piece.
#[derive(Debug, Default)]
pub(super) struct Draining {
    buffer: Buffer,
    /// The index of the entry that has the next piece. The next field is the position of the entry's first byte.
    entry: usize,
    entry_at: usize,
    /// The position of the next piece in the entry's bytes.
    piece_at: usize,
}

impl Draining {
    pub(super) fn with_room() -> Draining {
        Draining { buffer: Buffer::with_room(), ..Draining::default() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Exchanges the finished buffer for `filled`.
    pub(super) fn swap(&mut self, filled: &mut Buffer) {
        assert!(self.is_done(), "only a buffer that was written whole is exchanged");
        std::mem::swap(&mut self.buffer, filled);
    }

    /// The next piece. Returns the same piece until [`Draining::advance`] is called.
    pub(super) fn peek(&self) -> Option<(&LineTag, Piece<'_>)> {
        self.next().map(|(entry, piece, _)| (&entry.tag, piece))
    }

    /// Moves to the next piece. After the last piece the buffer is empty.
    pub(super) fn advance(&mut self) {
        let Some((entry, _, piece_end)) = self.next() else { return };
        let entry_len = entry.len;
        self.piece_at = piece_end;
        if piece_end < entry_len {
            return;
        }
        (self.entry, self.entry_at, self.piece_at) = (self.entry + 1, self.entry_at + entry_len, 0);
        if self.entry == self.buffer.entries.len() {
            self.buffer.clear();
            (self.entry, self.entry_at) = (0, 0);
        }
    }

    /// Drops the remaining pieces. Returns the number of dropped lines.
    pub(super) fn discard(&mut self) -> u64 {
        let mut lines = 0;
        while self.next().is_some() {
            self.advance();
            lines += 1;
        }
        lines
    }

    /// The next piece, with its entry, and with the position of the piece's end in the entry's bytes.
    fn next(&self) -> Option<(&BufferEntry, Piece<'_>, usize)> {
        let entry = self.buffer.entries.get(self.entry)?;
        let rest = &self.buffer.bytes[self.entry_at..][..entry.len][self.piece_at..];
        let Some(direction) = entry.tag.run() else {
            return Some((entry, Piece::Line(rest), entry.len));
        };
        let mut pieces = Pieces::of(direction, rest);
        let piece = pieces.next()?;
        Some((entry, piece, entry.len - pieces.rest_len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> LineSource {
        LineSource::Client(([127, 0, 0, 1], 51234).into())
    }

    fn tag(source: LineSource, mark: LineMark) -> LineTag {
        LineTag { time: Timestamp::UNIX_EPOCH, source, mark }
    }

    fn input() -> LineTag {
        tag(client(), LineMark::Traffic(Direction::In))
    }

    fn warning() -> LineTag {
        tag(LineSource::Server, LineMark::Event(LogLevel::Warn))
    }

    fn drained(mut buffer: Buffer) -> Vec<Vec<u8>> {
        let mut draining = Draining::default();
        draining.swap(&mut buffer);
        let mut lines = Vec::new();
        while let Some((_, piece)) = draining.peek() {
            let (Piece::Line(bytes) | Piece::Answer(bytes)) = piece;
            lines.push(bytes.to_vec());
            draining.advance();
        }
        assert!(draining.is_done());
        lines
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.push_run(input(), Direction::In, b"a\nb\n", 2), 2);
        assert_eq!(buffer.push_line(warning(), b""), 1);
        assert_eq!(buffer.push_line(warning(), b"c\nd"), 1);
        let out = tag(client(), LineMark::Traffic(Direction::Out));
        assert_eq!(buffer.push_run(out, Direction::Out, b"AT\n{\n}\n\n? e\n", 3), 3);
        assert_eq!(drained(buffer), [&b"a"[..], b"b", b"", b"c\nd", b"AT", b"{\n}\n\n", b"? e"]);
    }

    #[test]
    fn a_run_that_does_not_fit_is_kept_up_to_its_last_line_that_does() {
        let mut buffer = Buffer::default();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let run = line.repeat(1024);
        let kept = buffer.push_run(input(), Direction::In, &run, 1024);
        assert_eq!(kept, 895, "one line less than 896 KiB has, because the entry takes room too");
        assert_eq!(drained(buffer).len(), 895);
    }

    #[test]
    fn clients_cannot_fill_the_room_of_events() {
        let mut buffer = Buffer::default();
        while buffer.push_run(input(), Direction::In, b"IAMAT\n", 1) == 1 {}
        assert_eq!(buffer.push_line(tag(client(), LineMark::Event(LogLevel::Error)), b"client"), 0);
        let h2 = tag(LineSource::Crate("h2".into()), LineMark::Event(LogLevel::Error));
        assert_eq!(buffer.push_line(h2, b"crate"), 0);
        assert_eq!(buffer.push_line(warning(), b"server"), 1);
        while buffer.push_line(warning(), &[b'x'; 999]) == 1 {}
        assert!(buffer.len() <= BUFFER_LEN_MAX);
        assert!(buffer.len() > BUFFER_LEN_MAX - 2_000);
    }

    #[test]
    fn a_full_buffer_never_grew() {
        let mut buffer = Buffer::with_room();
        let capacity = (buffer.entries.capacity(), buffer.bytes.capacity());
        while buffer.push_line(warning(), b"") == 1 {}
        buffer.clear();
        while buffer.push_line(warning(), &[b'x'; 10_000]) == 1 {}
        assert_eq!((buffer.entries.capacity(), buffer.bytes.capacity()), capacity);
    }
}
