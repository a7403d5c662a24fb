//! Every bound of a server's log, with its unit and what happens when it is reached.

use std::time::Duration;

/// Maximum size of the lines that wait for the writer, bytes, including the size of the entries. When the buffer is
/// full, lines are left out and counted. There are two such buffers: one fills while the other one is written.
pub(super) const BUFFER_LEN_MAX: usize = 1024 * 1024;
/// The part of the buffer that clients cannot fill, bytes. This part is kept for events of the server and its links.
pub(super) const BUFFER_RESERVE_LEN: usize = 128 * 1024;
/// Maximum length of the part of a line that is written, bytes before escaping. The rest is left out, and the written
/// line ends with the length of the rest.
pub(super) const LINE_SHOWN_LEN_MAX: usize = 1024;
/// Maximum size of the text that one write hands to the file, bytes. A line that does not fit waits for the next write.
pub(super) const CHUNK_LEN_MAX: usize = 64 * 1024;
/// Maximum number of places that the summary of an answer names. An ellipsis stands for further places.
pub(super) const PLACES_NAMED_MAX: usize = 3;
/// Maximum length of a name or message in the summary of an answer, bytes before escaping. An ellipsis stands for the
/// rest.
pub(super) const ANSWER_TEXT_LEN_MAX: usize = 80;

/// Maximum number of lines per second that crates may cause in each log. Further lines are left out and counted.
pub(super) const CRATE_LINES_PER_S: u32 = 20;
/// Maximum length of the name of a reporting module, bytes. The rest of the name is left out.
pub(super) const MODULE_LEN_MAX: usize = 64;

/// Time that the writer gathers lines after a write. A half-full buffer ends this time early.
pub(super) const GATHER: Duration = Duration::from_millis(200);
/// The period of `lines_per_s` and of [`CRATE_LINES_PER_S`].
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// Time that the writer waits after a failed write.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Time after which the writer repeats on stderr that the file cannot be written.
pub(super) const TELL_AGAIN_AFTER: Duration = Duration::from_secs(60);
