//! Every bound of a server's log, with its unit and what happens when it is reached.

use std::time::Duration;

/// How much may wait for the writer, bytes, the size of the entries included. When the buffer is full, lines are left
/// out and counted. There are two such buffers: one fills while the other is written.
pub(super) const BUFFER_LEN_MAX: usize = 1024 * 1024;
/// The part of the buffer that clients cannot fill, bytes. It is kept for events of the server and its links.
pub(super) const BUFFER_RESERVE_LEN: usize = 128 * 1024;
/// How much of one line is written, bytes before escaping. The rest is left out, and the line ends with its length.
pub(super) const LINE_SHOWN_LEN_MAX: usize = 1024;
/// How much is formatted before it is handed to the file, bytes. A line that does not fit waits for the next write.
pub(super) const CHUNK_LEN_MAX: usize = 64 * 1024;
/// How many places the summary of an answer names. An ellipsis stands for more.
pub(super) const PLACES_NAMED_MAX: usize = 3;
/// How much of a name or message the summary of an answer shows, bytes before escaping. An ellipsis stands for the
/// rest.
pub(super) const ANSWER_TEXT_LEN_MAX: usize = 80;

/// How many lines a second crates may cause in each log. More are left out and counted.
pub(super) const CRATE_LINES_PER_S: u32 = 20;
/// How much of the name of a reporting module is written, bytes. The rest is left out.
pub(super) const MODULE_LEN_MAX: usize = 64;

/// How long the writer gathers lines after a write. A buffer that is half full ends this.
pub(super) const GATHER: Duration = Duration::from_millis(200);
/// The period of `lines_per_s` and of [`CRATE_LINES_PER_S`].
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// How long the writer waits after a failed write.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long the writer waits before it repeats on stderr that the file cannot be written.
pub(super) const TELL_AGAIN_AFTER: Duration = Duration::from_secs(60);
