//! The reasons why this server closes connections, in words for the log.
//!
//! Each reason is a variant of [`CloseReason`] and has words and a level in the log.

use std::{fmt, io, time::Duration};

use proxyherd_log::LogLevel;

use super::protocol::ProtocolEnd;
use crate::door::entrance::HandshakeFailed;

/// Why a connection was closed before its client closed it.
#[derive(Debug)]
pub(super) enum CloseReason {
    /// The connection failed.
    Broken(io::Error),
    /// The TLS handshake failed.
    Handshake(HandshakeFailed),
    /// The client broke the rules of TLS, or the bytes that arrived are not the bytes that the client encrypted.
    Tls(rustls::Error),
    /// More than this many consecutive bytes arrived that contained no data for the protocol.
    TlsWithoutData(usize),
    /// The network ended a TLS connection without the client's `close_notify`. Some bytes that the client sent may be
    /// missing.
    Truncated,
    /// The protocol closed the connection.
    Protocol(ProtocolEnd),
    /// The rest of a unit did not arrive in time.
    HalfUnit(&'static str, Duration),
    /// The client was silent for too long.
    Idle(Duration),
    /// The client did not read its replies in time.
    NotReading(Duration),
    /// The buffers have no more room for the replies that the client does not read, or for the input that waits behind
    /// these replies.
    NoRoom,
    /// The client's reports did not become durable in time.
    NotDurable(Duration),
    /// The client's reports cannot become durable, because the journal has failed.
    NeverDurable,
    /// This server failed.
    Failed(&'static str),
    /// This server is stopping.
    Stopping,
}

impl CloseReason {
    /// The reason's level in the log. Faults of this server and of clients have a higher level than usual ends.
    /// Strangers scan every port that speaks TLS, so failed handshakes have a lower level than other faults.
    pub(super) fn level(&self) -> LogLevel {
        match self {
            CloseReason::Failed(_) => LogLevel::Error,
            CloseReason::Tls(_)
            | CloseReason::TlsWithoutData(_)
            | CloseReason::HalfUnit(..)
            | CloseReason::NotReading(_)
            | CloseReason::NoRoom
            | CloseReason::NotDurable(_)
            | CloseReason::NeverDurable => LogLevel::Warn,
            CloseReason::Protocol(end) if end.is_fault => LogLevel::Warn,
            CloseReason::Handshake(_) => LogLevel::Info,
            CloseReason::Broken(_)
            | CloseReason::Truncated
            | CloseReason::Protocol(_)
            | CloseReason::Idle(_)
            | CloseReason::Stopping => LogLevel::Debug,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Broken(error) => write!(f, "{error}"),
            CloseReason::Handshake(failed) => write!(f, "{failed}"),
            CloseReason::Tls(error) => write!(f, "TLS: {error}"),
            CloseReason::TlsWithoutData(len) => {
                write!(f, "the client sent more than {} KiB within TLS without data", len / 1024)
            }
            CloseReason::Truncated => f.write_str("the connection ended without TLS's close_notify"),
            CloseReason::Protocol(end) => f.write_str(&end.why),
            CloseReason::HalfUnit(unit, limit) => {
                write!(f, "the client did not finish a {unit} within {} s", limit.as_secs())
            }
            CloseReason::Idle(limit) => write!(f, "the client was silent for {} s", limit.as_secs()),
            CloseReason::NotReading(limit) => {
                write!(f, "the client did not read its replies for {} s", limit.as_secs())
            }
            CloseReason::NoRoom => {
                write!(
                    f,
                    "the client does not read its replies, and the buffers are full (`buffers_mb` in [limits])"
                )
            }
            CloseReason::NotDurable(limit) => {
                write!(
                    f,
                    "the client's reports were not durable within {:.1} s, so the client got no reply",
                    limit.as_secs_f64()
                )
            }
            CloseReason::NeverDurable => {
                f.write_str("the client's reports cannot become durable now, so the client got no reply")
            }
            CloseReason::Failed(how) => f.write_str(how),
            CloseReason::Stopping => write!(f, "this server is stopping"),
        }
    }
}

impl From<io::Error> for CloseReason {
    fn from(error: io::Error) -> CloseReason {
        CloseReason::Broken(error)
    }
}
