//! What one HTTP connection, and all of them together, may take of the server. Clients are programs on this machine, but
//! any web page that a browser here has open can connect too.

use std::time::Duration;

use crate::admission::descriptors::{OPERATORS, OPERATORS_APART};

// Connections. Each has a seat (`seat`). How many there are in the general room is the operator's to say: `connections`
// and `connections_per_address` in `[limits]`, which clients of all doors share.

/// Connections that have given way and whose sockets are not closed yet. With as many, the next connection is accepted
/// when one of them is closed, which takes microseconds. They use descriptors that are kept from clients.
pub(super) const LEAVING_MAX: usize = 16;
/// Seats in the reserve, for connections that find no seat in the general room. They take the descriptors that are kept from
/// clients and not needed otherwise. When the reserve is full, one of it gives way.
pub(super) const RESERVE_SEATS: usize = OPERATORS - OPERATORS_APART - LEAVING_MAX;
/// How long a connection in the reserve may take for the head of its request ...
pub(super) const RESERVE_HEAD_MAX: Duration = Duration::from_secs(2);
/// ... and how long it may last in all: a reader of metrics far away has its answer by then.
pub(super) const RESERVE_MAX: Duration = Duration::from_secs(5);
/// When a client may come back that found a seat in the reserve only, and asked for what only clients ask for.
pub(super) const RETRY_AFTER_S: u64 = 1;
/// A connection in the general room without a request under way gives way to another one only after this time. A request
/// is on its way by then, and a client that asks more often keeps its connection.
pub(super) const UNDISTURBED: Duration = Duration::from_secs(1);
/// How many of those connections that have been without a request for longest are looked at to find one that gives way to
/// a connection from an address with fewer seats.
pub(super) const CANDIDATES_MAX: usize = 64;

// Heads.

/// Longest head of a request, bytes: its first line and its headers, of which there may be 100. In HTTP/1.1 a longer head
/// is answered 431 and the connection is closed; a head that arrives all at once may be up to twice as long. In HTTP/2
/// only its stream ends, unless the head is many times as long or comes in more than a few CONTINUATION frames. The
/// five texts of a question, four wishes and a page token, fit at their longest, with every byte percent-encoded.
pub(super) const HEAD_LEN_MAX: usize = 32 * 1024;
/// How long a connection may be without a request under way: before its first one, between two of them, and while the
/// head of one arrives. Past it the connection is closed.
pub(super) const HEAD_MAX: Duration = Duration::from_secs(10);
/// Input up to this length is not counted as memory that the connection takes, bytes: any connection may have it.
pub(super) const HEAD_FREE_LEN: usize = 4 * 1024;
/// Bytes that a connection may send without a request of it being answered: heads, and in HTTP/2 any other frame. Past it
/// the connection is closed. So floods of PING, SETTINGS, PRIORITY or WINDOW_UPDATE end soon.
pub(super) const CHATTER_LEN_MAX: usize = 256 * 1024;
/// How much of [`CHATTER_LEN_MAX`] a connection gets back in a second, bytes: a connection with one long answer has its
/// PING and WINDOW_UPDATE frames.
pub(super) const CHATTER_PER_S: usize = 4 * 1024;

// Bodies of requests. No path takes one today.

/// Longest body of a request, bytes. A longer body is answered 413.
pub(super) const BODY_LEN_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive, from the head on. Past it the request is answered 408.
pub(super) const BODY_MAX: Duration = Duration::from_secs(10);

// Answers.

/// How long a client may take none of its answer. Past it the connection is closed.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long a client may take for a whole answer of known length. Past it the connection is closed. In HTTP/2 a client
/// that opens no window takes nothing, though the socket could be written to.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Answers are handed over in pieces of this length, bytes, so that what a client has not taken is known. In HTTP/2 the
/// protocol's own buffers hold one piece, not more, for each stream that is stuck.
pub(super) const PIECE_LEN: usize = 4 * 1024;
/// Longest answer that `undated` sends, bytes. Places and metrics stay far below it; a longer answer closes the connection.
pub(super) const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;
/// How long requests that have begun may take when the server stops. Past it they are cut off.
pub(super) const PARTING_MAX: Duration = Duration::from_secs(1);

// HTTP/2.

/// Requests under way at once on one HTTP/2 connection; the client waits with more, and a stream past it is refused. RFC 9113,
/// section 6.5.2, advises against less: clients send as many before they have heard of a bound.
pub(super) const STREAMS_MAX: u32 = 100;
/// Memory that a request under way takes beside its answer, bytes, rounded up: its stream, its task, its headers. It counts for
/// all requests of a connection but one. Where there is no room for another (`buffers_mb`), the connection is closed: otherwise
/// a client that takes none of its answers would hold a hundred requests on each of its connections.
pub(super) const REQUEST_LEN: usize = 8 * 1024;
/// Streams that a client has reset before the server took them up. One more ends the connection (rapid reset,
/// CVE-2023-44487).
pub(super) const RESETS_PENDING_MAX: usize = 20;
/// Requests that a client has taken back in the middle, more than half as many as were answered. One more ends the connection:
/// each has cost work that nobody wants. A person who types may well take back dozens.
pub(super) const RESETS_MAX: u64 = 100;
/// Streams that the server had to reset for what the client did wrong. One more ends the connection.
pub(super) const ERRORS_MAX: usize = 64;
/// How many bytes of one body a client may send before they are read, and of all bodies of a connection together. The
/// second cannot be less (RFC 9113, section 6.9.2).
pub(super) const STREAM_WINDOW: u32 = 32 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 65_535;
/// Longest frame, bytes; the least that the protocol allows.
pub(super) const FRAME_LEN_MAX: u32 = 16 * 1024;
/// What is kept of a stream's answer in the protocol's own buffer, bytes.
pub(super) const SEND_BUFFER_LEN: usize = 64 * 1024;
/// A connection with a long answer under way is sent a PING this often ...
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(20);
/// ... and is closed if it does not answer within this time.
pub(super) const PONG_MAX: Duration = Duration::from_secs(10);
