//! Every bound of the herd, with its unit and what happens when it is reached.

/// Longest client ID, bytes. A longer one makes its command invalid.
pub const CLIENT_ID_LEN_MAX: usize = 256;
/// Longest server name, bytes. A longer one is refused in the configuration and in HELLO.
pub const SERVER_NAME_LEN_MAX: usize = 64;
/// Most bytes of attributes on one record, encoded. A report with more is refused.
pub const ATTRIBUTES_LEN_MAX: usize = 512;
/// Longest attribute name, bytes.
pub const ATTRIBUTE_NAME_LEN_MAX: usize = 32;

/// Longest line of the line protocol, bytes without its LF. A longer one is answered `? ` and its first
/// [`LINE_ECHO_LEN`] bytes, and the connection is closed.
pub const LINE_LEN_MAX: usize = 8 * 1024;
/// How much of an overlong line its answer repeats, bytes.
pub const LINE_ECHO_LEN: usize = 64;

/// How far a client's clock may run ahead before the server's clock bounds its versions, nanoseconds.
pub const CLOCK_AHEAD_MAX_NS: i64 = 5_000_000_000;

/// Largest radius of a question about places, metres. A larger one makes its command invalid.
pub const RADIUS_M_MAX: u32 = 50_000;
/// Most places in one answer. A larger limit makes its command invalid.
pub const PLACES_MAX: u8 = 20;
