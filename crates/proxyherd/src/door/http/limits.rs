//! What one HTTP connection, and all of them together, may take of the server. Clients are programs on this machine, but
//! any web page that a browser here has open can connect too.

use std::time::Duration;

use crate::admission::descriptors::OPERATORS;

/// Most connections at once. One more waits in the listening socket's queue until another ends, which no
/// connection can put off for ever: by then each ends with its next answer, and see [`HEAD_MAX`] and [`WRITE_MAX`]. So
/// many descriptors are kept from clients.
pub(super) const CONNECTIONS_MAX: usize = OPERATORS;
/// Longest head of a request, bytes: its first line and its headers, of which there may be 100. A longer head is answered
/// 431 and the connection is closed; a head that arrives all at once may be up to twice as long. The five texts of a
/// question, four wishes and a page token, fit at their longest, with every byte percent-encoded.
pub(super) const HEAD_LEN_MAX: usize = 32 * 1024;
/// How long the head of a request may take to come, from the first moment at which it could. Past it the connection
/// is closed, so this is also how long one may be idle between two requests.
pub(super) const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long a client may take none of its answer. Past it the connection is closed.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(10);
/// Longest answer that `undated` sends, bytes. Places and metrics stay far below it; a longer answer closes the connection.
pub(super) const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;
/// How long requests that have begun may take when the server stops. Past it they are cut off.
pub(super) const PARTING_MAX: Duration = Duration::from_secs(1);

// Bodies need no limit: no path takes one, so none is read, and a connection that brings one is closed after the
// answer.
