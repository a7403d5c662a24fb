//! Every bound of a server's log, with its unit and what happens when it is reached.

use std::time::Duration;

/// What callers may have waiting for the writer, bytes, each entry's own size included. When it is full, lines
/// are left out and counted. There are two such buffers: one fills while the other is written.
pub(super) const BUFFER_LEN_MAX: usize = 1024 * 1024;
/// The part of the buffer that clients cannot fill, bytes: it is kept for the server's and the links' events.
pub(super) const BUFFER_RESERVE_LEN: usize = 128 * 1024;
/// How much of one line is written, bytes before escaping. The rest is left out and its length is told.
pub(super) const LINE_SHOWN_LEN_MAX: usize = 1024;
/// How much is formatted before it is handed to the file, bytes. A larger piece waits for the next write.
pub(super) const CHUNK_LEN_MAX: usize = 64 * 1024;
/// How many places of an answer its summary names. More are told by an ellipsis.
pub(super) const PLACES_NAMED_MAX: usize = 3;

/// How much of a text in an answer of places its summary shows, bytes before escaping.
pub(super) const ANSWER_TEXT_LEN_MAX: usize = 80;

/// How many lines a second crates may cause in each log. More are left out and counted.
pub(super) const CRATE_LINES_PER_S: u32 = 20;
/// How much of the name of a reporting module is written, bytes. The rest is left out.
pub(super) const MODULE_LEN_MAX: usize = 64;

/// How long the writer gathers lines after a write, unless the buffer is half full before.
pub(super) const GATHER: Duration = Duration::from_millis(200);
/// The second of `lines_per_s`.
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// How long after a write that failed it is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long stderr is spared after it was told that the file cannot be written.
pub(super) const TELL_AGAIN_AFTER: Duration = Duration::from_secs(60);
