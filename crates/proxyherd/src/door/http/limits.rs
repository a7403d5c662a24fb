//! The bounds on what one HTTP connection, and all of them together, may take of the server. Each says what happens when
//! it is reached.
//!
//! Clients are programs on this machine. But any web page that a browser on this machine has open can connect too.

use std::time::Duration;

use crate::admission::descriptors::{OPERATORS, OPERATORS_APART};

// Connections. Each connection has a slot (`slots`). The operator sets the number of general slots: `connections` and
// `connections_per_address` in `[limits]`, which the clients of all doors share.

/// Evicted connections whose sockets are not closed yet. While there are this many, the door accepts no connection until
/// one of them is closed, which takes microseconds. They use descriptors that are kept from clients.
pub(super) const EVICTED_OPEN_MAX: usize = 16;
/// Slots in the reserve, for connections that get no general slot. They use the descriptors that are kept from clients and
/// are not needed otherwise. When the reserve is full, one of its connections is evicted.
pub(super) const RESERVE_SLOTS: usize = OPERATORS - OPERATORS_APART - EVICTED_OPEN_MAX;
/// How long a connection in the reserve may take for the header section of its request. Past it the connection is closed.
pub(super) const RESERVE_IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection in the reserve may last in all. Past it the connection is closed. Until then even a distant
/// reader of metrics has received its response.
pub(super) const RESERVE_LIFETIME_MAX: Duration = Duration::from_secs(5);
/// The `Retry-After` that a client is sent whose connection is in the reserve, seconds.
pub(super) const RETRY_AFTER_S: u64 = 1;
/// A connection with a general slot is evicted only after it has been idle for this long. By then a first request has
/// arrived, and a client that sends requests more often keeps its connection.
pub(super) const EVICTION_IDLE_MIN: Duration = Duration::from_secs(1);
/// How many of the longest idle connections are examined to find one that may be evicted for a connection from an address
/// with fewer slots.
pub(super) const EVICTION_CANDIDATES_MAX: usize = 64;

// Header sections.

/// Longest header section of a request with its request line, bytes. It may have 100 fields. In HTTP/1.1 the answer to a
/// longer one is 431, and the connection is closed; a header section that arrives all at once may be twice as long. In
/// HTTP/2 only its stream ends, unless the header section is many times as long or comes in more than a few CONTINUATION
/// frames. A Nearby Search request fits with all its texts at their longest and each of their bytes percent-encoded.
pub(super) const HEADER_SECTION_LEN_MAX: usize = 32 * 1024;
/// How long a connection may be idle, which means without a request in progress: before its first request, between two
/// requests, and while a header section arrives. Past it the connection is closed.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The least time that a header section has from its first byte on. It matters for a request that begins to arrive just
/// before [`IDLE_TIMEOUT`].
pub(super) const HEADER_SECTION_TIME_MIN: Duration = Duration::from_secs(1);
/// An incomplete header section up to this length does not count against `buffers_mb`, bytes.
pub(super) const HEADER_SECTION_FREE_LEN: usize = 4 * 1024;
/// The input allowance: bytes that a connection may send without completing a request. Header sections count, and in
/// HTTP/2 all frames. Past it the connection is closed, which ends floods of PING, SETTINGS, PRIORITY or WINDOW_UPDATE.
pub(super) const INPUT_ALLOWANCE_LEN: usize = 256 * 1024;
/// How fast the input allowance refills, bytes per second. It lets a connection with one long response send PING and
/// WINDOW_UPDATE frames.
pub(super) const INPUT_ALLOWANCE_PER_S: usize = 4 * 1024;

// TLS. What rustls buffers for one connection does not count against `buffers_mb`, because tokio-rustls does not show
// it. rustls bounds it: one record that has not arrived completely (18,437 bytes; in the handshake 65,535), one decrypted
// record (16 KiB), and 64 KiB of encrypted output. The number of connections has a bound, so the sum has one too.

// Bodies of requests. No path takes one today.

/// Longest body of a request, bytes. The answer to a longer one is 413.
pub(super) const BODY_LEN_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive after its header section. Past it the answer is 408.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

// Responses.

/// How long the socket may accept no bytes while there are some to write. Past it the connection is closed.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to receive a response of known length. Past it the connection is closed. In HTTP/2 a client
/// that opens no flow-control window receives nothing although the socket accepts bytes.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Responses are handed to hyper in pieces of this length, bytes, so that the door knows how much of each is not sent yet.
/// In HTTP/2 hyper buffers at most one piece for each stream that can't proceed.
pub(super) const RESPONSE_PIECE_LEN: usize = 4 * 1024;
/// Longest response that `dateless` sends, bytes. Places and metrics are far shorter. A longer response closes the
/// connection.
pub(super) const DATELESS_RESPONSE_LEN_MAX: usize = 16 * 1024 * 1024;
/// How long a connection that is being shut down stays open: for requests in progress when the server stops, and for the
/// client's reply to GOAWAY when the connection was idle. Past it the connection is closed.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

// HTTP/2.

/// Concurrent streams of one connection. One more is refused, and the client sends it again later. RFC 9113, section
/// 6.5.2, advises against fewer: clients open as many before they have received the server's SETTINGS.
pub(super) const STREAMS_MAX: u32 = 100;
/// Memory of one request in progress without its response, bytes, rounded up: its stream, its task, its header section. It
/// counts against `buffers_mb` for all requests of a connection but one. Where there is no room for another request, the
/// connection is closed. Otherwise a client that receives no responses could hold a hundred requests on each connection.
pub(super) const REQUEST_LEN: usize = 8 * 1024;
/// Streams that a client has reset before the server handled them. One more closes the connection (rapid reset,
/// CVE-2023-44487).
pub(super) const RESETS_PENDING_MAX: usize = 20;
/// Canceled requests beyond half the number of answered ones. One more closes the connection: each has cost work that
/// nobody wants. A person who types may well cancel dozens.
pub(super) const CANCELLATIONS_MAX: u64 = 100;
/// Streams that the server had to reset because of the client's errors. One more closes the connection.
pub(super) const STREAM_ERRORS_MAX: usize = 64;
/// How many bytes of one body a client may send before the server has read them.
pub(super) const STREAM_WINDOW: u32 = 32 * 1024;
/// The same for all bodies of a connection together. It can't be less (RFC 9113, section 6.9.2).
pub(super) const CONNECTION_WINDOW: u32 = 65_535;
/// Longest frame that a client may send, bytes. The protocol allows no lower limit.
pub(super) const FRAME_LEN_MAX: u32 = 16 * 1024;
/// How much of one stream's response hyper may buffer, bytes.
pub(super) const SEND_BUFFER_LEN: usize = 64 * 1024;
/// How often a connection with a long response is sent a PING.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long the client may take to acknowledge a PING. Past it the connection is closed.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(10);
