//! The limits on what one HTTP connection, and all HTTP connections together, may use of the server. The doc of each
//! limit says what happens when the limit is reached.
//!
//! A client can be any program that reaches the door: on this machine, and anywhere if the door is not on loopback. Any
//! web page that is open in a browser there can connect, too.

use std::time::Duration;

use crate::admission::descriptors::{OPERATORS, OPERATORS_APART};

// Connections. Each connection has a slot (`slots`). The operator sets the number of general slots: `connections` and
// `connections_per_address` in `[limits]`, which the clients of all doors share.

/// Maximum number of evicted connections whose sockets are not closed yet. At this number, the door accepts no
/// connection until an evicted connection is closed, which takes microseconds. Evicted connections use descriptors that
/// are reserved from clients.
pub(super) const EVICTED_OPEN_MAX: usize = 16;
/// Number of slots in the reserve, for connections that get no general slot. These slots use the descriptors that are
/// reserved from clients and have no other use. When the reserve is full, one of its connections is evicted.
pub(super) const RESERVE_SLOTS: usize = OPERATORS - OPERATORS_APART - EVICTED_OPEN_MAX;
/// Maximum time in which the header section of a request must arrive on a connection in the reserve. After this time
/// the connection is closed.
pub(super) const RESERVE_IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum total time of a connection in the reserve. After this time the connection is closed. This time is enough
/// even for a distant reader of metrics to receive the response.
pub(super) const RESERVE_LIFETIME_MAX: Duration = Duration::from_secs(5);
/// The value of `Retry-After` in responses to clients whose connections are in the reserve, seconds.
pub(super) const RETRY_AFTER_S: u64 = 1;
/// Minimum idle time of a connection with a general slot before the connection is evicted. Within this time the first
/// request of a new connection arrives. A client that sends requests more often keeps its connection.
pub(super) const EVICTION_IDLE_MIN: Duration = Duration::from_secs(1);
/// Maximum number of the longest idle connections that are examined to find a connection to evict. The newcomer's
/// address must have fewer slots.
pub(super) const EVICTION_CANDIDATES_MAX: usize = 64;

// Header sections.

/// Maximum length of a request's header section, including the request line, bytes. A header section may have 100
/// fields. In HTTP/1.1, the response to a longer header section is 431, and the connection is closed. But a header
/// section that arrives all at once may be twice as long. In HTTP/2, a longer header section ends only its stream. The
/// connection ends if the header section is many times as long or comes in more than a few CONTINUATION frames. A
/// Nearby Search request fits even if all its texts have their maximum length and each byte is percent-encoded.
pub(super) const HEADER_SECTION_LEN_MAX: usize = 32 * 1024;
/// Maximum time for which a connection may be idle, which means without a request in progress. A connection is idle
/// before its first request, between two requests, and while a header section arrives. After this time the connection
/// is closed.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Minimum time that a header section has from its first byte on. This time matters for a request that begins to arrive
/// just before [`IDLE_TIMEOUT`].
pub(super) const HEADER_SECTION_TIME_MIN: Duration = Duration::from_secs(1);
/// Maximum length of an incomplete header section that does not count against `buffers_mb`, bytes.
pub(super) const HEADER_SECTION_FREE_LEN: usize = 4 * 1024;
/// The input allowance: maximum number of bytes that a connection may send without completing a request. Header
/// sections count, and in HTTP/2 all frames count. When the allowance is used up, the connection is closed. This ends
/// floods of PING, SETTINGS, PRIORITY or WINDOW_UPDATE.
pub(super) const INPUT_ALLOWANCE_LEN: usize = 256 * 1024;
/// Rate at which the input allowance refills, bytes per second. The refill allows a connection with one long response
/// to send PING and WINDOW_UPDATE frames.
pub(super) const INPUT_ALLOWANCE_PER_S: usize = 4 * 1024;

// TLS. The buffers of rustls do not count against `buffers_mb`, because tokio-rustls does not show their size. rustls
// limits them for each connection: one record that has not arrived completely (18,437 bytes; in the handshake 65,535),
// one decrypted record (16 KiB), and 64 KiB of encrypted output. The number of connections has a limit, so the sum has
// a limit too.

/// Maximum length of a client's `X-Request-Id`, bytes. A longer ID is replaced.
pub(super) const REQUEST_ID_LEN_MAX: usize = 128;

// Bodies of requests.

/// Maximum length of a request's body at paths that name no other limit, bytes. The response to a longer body is 413.
pub(super) const BODY_LEN_MAX: usize = 1024 * 1024;
/// Length of a body up to which it does not count against `buffers_mb`, bytes. Twice the length of what exceeds this
/// counts until the request is answered. If there is no room, the response is 503.
pub(super) const BODY_FREE_LEN: usize = 32 * 1024;
/// Maximum length of the body of a single report, bytes. The response to a longer body is 413. The longest valid report
/// has less than half of this length.
pub(super) const REPORT_LEN_MAX: usize = 16 * 1024;
/// Maximum length of the body of many reports, bytes. The response to a longer body is 413, and no report is taken.
pub(super) const BATCH_BODY_LEN_MAX: usize = 16 * 1024 * 1024;
/// Maximum number of reports in one body. The response to more reports is 413, and no report is taken.
pub(super) const BATCH_REPORTS_MAX: usize = 100_000;
/// Maximum number of errors that the answer to many reports lists. Further reports that are refused are only counted.
pub(super) const BATCH_ERRORS_MAX: usize = 1000;
/// Maximum length of the body of a phone's request, bytes. The response to a longer body is 413. Batches of Overland
/// are the longest such bodies, with less than 1 KiB for each report.
pub(super) const PHONE_BODY_LEN_MAX: usize = 2 * 1024 * 1024;
/// Maximum number of reports in the body of a phone's request. The response to more reports is 413, and no report is
/// taken. Overland's settings allow no greater batch.
pub(super) const PHONE_REPORTS_MAX: usize = 1000;
/// Maximum number of lines in the log in a second, of one server, about phones whose reports are not taken. Further
/// lines are left out and counted; at level `debug` none is left out.
pub(super) const PHONE_LINES_PER_S: u32 = 10;
/// Maximum time in which the body of many reports, or of a phone's request, must arrive after its header section. After
/// this time the response is 408, and no report is taken.
pub(super) const BATCH_BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time in which a body must arrive after its header section. After this time the response is 408.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

// Queries.

/// Maximum length of a query, bytes. The response to a longer query is 422.
pub(super) const QUERY_LEN_MAX: usize = 16 * 1024;
/// Maximum number of `ids` in a query. The response to more is 422.
pub(super) const IDS_MAX: usize = 1000;
/// Maximum number of clients in one answer: the greatest `limit`. The response to a greater `limit` is 422.
pub(super) const CLIENTS_MAX: usize = 10_000;
/// Maximum number of `ids` in a query that end in `*`. Every client is compared with each of them. The response to more
/// is 422.
pub(super) const PREFIXES_MAX: usize = 32;
/// Maximum number of searches for clients that run at once, if they may look at many clients. Further ones wait in
/// line. The answer of each such search keeps its place until its bytes count against `buffers_mb`.
pub(super) const SEARCHES_MAX: usize = 4;
/// Maximum number of these searches of one token, or of one address without a token. Further ones wait in line.
pub(super) const SEARCHES_PER_CALLER_MAX: usize = 2;
/// Maximum number of these searches that run or wait in line. The response to more is 503.
pub(super) const SEARCHES_IN_LINE_MAX: usize = 1000;
/// Maximum number of these searches of one token, or of one address without a token, that run or wait in line. The
/// response to more is 503.
pub(super) const SEARCHES_IN_LINE_PER_CALLER_MAX: usize = 100;
/// Maximum time in which such a search must end, with its wait in line. After this time the response is 503.
pub(super) const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which a stream tries its search for the state again, if there was no room for it, or if it was not done
/// within [`SEARCH_TIMEOUT`]. Up to as much again is added, at random, so that many streams do not try together.
pub(super) const STREAM_SEARCH_PAUSE: Duration = Duration::from_secs(1);
/// Maximum time for which a stream tries again. After this time the stream ends, and its reader may connect again.
pub(super) const STREAM_SEARCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of clients that a search may visit on the thread that serves connections, roughly. A search that
/// needs more begins anew in line. These visits take less than a millisecond.
pub(super) const BRIEF_VISITS_MAX: usize = 4096;
/// Maximum `limit` of a search on the thread that serves connections.
pub(super) const BRIEF_CLIENTS_MAX: usize = 100;
/// Maximum number of clients that are looked up by their IDs on the thread that serves connections.
pub(super) const BRIEF_IDS_MAX: usize = 32;
/// Maximum number of other clients in the answer to a report of OwnTracks. These are the nearest.
pub(super) const FRIENDS_MAX: usize = 100;
/// Maximum number of searches for these clients that may look at many clients and that run or wait in line at once. The
/// answer to a report that would need one more has no other clients.
pub(super) const FRIEND_SEARCHES_MAX: usize = 2;
/// Maximum number of long responses that are compressed at once. Further ones wait; their bytes count against
/// `buffers_mb` by then.
pub(super) const COMPRESSIONS_MAX: usize = 4;
/// The `limit` of a query without one.
pub(super) const CLIENTS_DEFAULT: usize = 100;
/// The `limit` of a query for labels of a map without one.
pub(super) const LABELS_DEFAULT: usize = 100;

// Responses.

/// Minimum length of a response that is compressed, bytes. Below this length, the headers would outweigh the gain.
pub(super) const COMPRESSED_LEN_MIN: usize = 1024;

/// Maximum time for which the socket may accept no bytes while there are bytes to write. After this time the connection
/// is closed.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// [`WRITE_TIMEOUT`] of a connection with a stream or a WebSocket. A reader that reads slowly but steadily can seem to
/// take nothing for tens of seconds, because an operating system with a large receive buffer opens its window in steps.
/// In HTTP/2, also the maximum time in which the client's flow control must let a piece of a stream's events pass.
pub(super) const STREAM_WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of bytes that the operating system takes for a connection before it can send them, roughly. Without
/// this limit it takes megabytes from a client's connection that was fast before the client stopped reading: a stream's
/// reader would get old events later, and many such readers would use up the system's memory for sockets. The system
/// takes more again when half of this is sent, so a response still arrives as fast as the network allows.
pub(super) const SOCKET_UNSENT_LEN_MAX: u32 = 32 * 1024;
/// Maximum time in which a client must receive a response of known length. After this time the connection is closed. In
/// HTTP/2, a client that opens no flow-control window receives nothing although the socket accepts bytes.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Length of the pieces in which hyper receives responses, bytes. Because of these pieces the door knows how many bytes
/// of each response are not sent yet. In HTTP/2 hyper buffers at most one piece for each stream that can't proceed.
pub(super) const RESPONSE_PIECE_LEN: usize = 4 * 1024;
/// Maximum length of a response that `dateless` sends, bytes. Places and metrics are far shorter. A longer response
/// closes the connection.
pub(super) const DATELESS_RESPONSE_LEN_MAX: usize = 16 * 1024 * 1024;
/// Maximum time for which a connection stays open while it is shut down. When the server stops, requests in progress
/// have this time. When the connection was idle, the client has this time to reply to GOAWAY. After this time the
/// connection is closed.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum of that time at a stop of a server whose reports have to become durable. A request that waits for this gets
/// its answer. The stop of the server waits a little longer for its doors.
pub(super) const DRAIN_DURABLE_MAX: Duration = Duration::from_secs(4);

// Streams and WebSockets. Each stream's connection has a slot like any other. The limits of the herd's streams, such as
// their number, are in core's `limits` and in `herd`.

/// Length of a batch of events, bytes. A batch ends with the event that reaches this length, and an event is shorter
/// than 8 KiB. The next batch is taken only when the connection has taken this one. A client that does not take a batch
/// is disconnected after [`STREAM_WRITE_TIMEOUT`].
pub(super) const EVENTS_LEN: usize = 8 * 1024;
/// Time between two comments in a stream of server-sent events. Proxies and clients see by them that the connection
/// lives.
pub(super) const STREAM_COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// Time after which a browser connects again, if the server has ended its stream for a reason, milliseconds.
pub(super) const STREAM_RETRY_CROWDED_MS: u32 = 30_000;
/// Maximum length of `Last-Event-ID`, bytes. A longer value counts as none, because no server makes such an ID.
pub(super) const LAST_EVENT_ID_LEN_MAX: usize = 64;
/// Maximum length of a message that a client sends over a WebSocket, bytes. A longer message ends the connection with
/// the code 1009.
pub(super) const WS_MESSAGE_LEN_MAX: usize = 64 * 1024;
/// Length of the buffer into which the messages of one WebSocket are read, bytes. It grows for a longer message.
pub(super) const WS_READ_BUFFER_LEN: usize = 2 * 1024;
/// Maximum number of bytes of a WebSocket that wait for the socket: a batch of events and answers to the client's
/// pings. When it is full, only the last ping is answered (RFC 6455, section 5.5.3), as soon as there is room.
pub(super) const WS_WRITE_BUFFER_LEN_MAX: usize = 4 * EVENTS_LEN;
/// Time between two pings of a WebSocket.
pub(super) const WS_PING_INTERVAL: Duration = Duration::from_secs(15);
/// Maximum time for which a client may send nothing over a WebSocket, not even the answer to a ping. After this time
/// the connection is closed.
pub(super) const WS_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Maximum time in which the client of a WebSocket must show a token, if tokens are on and its handshake had none.
/// After this time the connection is closed with the code 1008.
pub(super) const WS_TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

// HTTP/2.

/// Maximum number of concurrent streams of one connection. A further stream is refused, and the client sends the
/// request again later. RFC 9113, section 6.5.2, advises against a lower number. Clients open this many streams before
/// they have received the server's SETTINGS.
pub(super) const STREAMS_MAX: u32 = 100;
/// Memory of one request in progress without its response, bytes, rounded up: its stream, its task, its header section.
/// This memory counts against `buffers_mb` for all but one of the requests of a connection. If there is no room for
/// another request, the connection is closed. Otherwise a client that receives no responses could hold a hundred
/// requests on each connection.
pub(super) const REQUEST_LEN: usize = 8 * 1024;
/// Maximum number of streams that a client has reset before the server handled them. One more such stream closes the
/// connection (rapid reset, CVE-2023-44487).
pub(super) const RESETS_PENDING_MAX: usize = 20;
/// Maximum number of canceled requests in excess of half the number of answered requests. One more canceled request
/// closes the connection, because each canceled request has caused useless work. The limit allows dozens, because a
/// program that sends requests while a person types may cancel dozens.
pub(super) const CANCELLATIONS_MAX: u64 = 100;
/// Maximum number of streams that the server had to reset because of the client's errors. One more such stream closes
/// the connection.
pub(super) const STREAM_ERRORS_MAX: usize = 64;
/// Maximum number of bytes of one body that a client may send before the server has read them.
pub(super) const STREAM_WINDOW: u32 = 32 * 1024;
/// Maximum number of bytes of all bodies of one connection together that a client may send before the server has read
/// them. RFC 9113, section 6.9.2, allows no lower number.
pub(super) const CONNECTION_WINDOW: u32 = 65_535;
/// Maximum length of a frame that a client may send, bytes. The protocol allows no lower limit.
pub(super) const FRAME_LEN_MAX: u32 = 16 * 1024;
/// Maximum number of bytes of one stream's response that hyper may buffer.
pub(super) const SEND_BUFFER_LEN: usize = 64 * 1024;
/// Time between two PINGs to a connection with a long response.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Maximum time in which the client must acknowledge a PING. After this time the connection is closed. A client that
/// reads a stream slowly acknowledges it late, because it first reads what was sent before.
pub(super) const PING_TIMEOUT: Duration = STREAM_WRITE_TIMEOUT;
