//! Why this server closes connections, in words for the log.
//!
//! Each reason is one variant of [`CloseReason`], which knows its words and its level in the log.

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
    /// The client broke the rules of TLS, or what came is not what the client encrypted.
    Tls(rustls::Error),
    /// More than this many bytes came in a row that TLS made no data of.
    TlsWithoutData(usize),
    /// The network ended a TLS connection, and the client did not. The last bytes may be part of what the client sent.
    Truncated,
    /// The protocol closed the connection.
    Protocol(ProtocolEnd),
    /// The rest of a unit did not come in time.
    HalfUnit(&'static str, Duration),
    /// The client was silent for too long.
    Idle(Duration),
    /// The client did not take its replies in time.
    NotReading(Duration),
    /// There is no more room for the replies that the client does not take, and for its input behind them.
    NoRoom,
    /// The client's reports were not durable in time.
    NotDurable(Duration),
    /// This server made a mistake.
    Failed(&'static str),
    /// This server is stopping.
    Stopping,
}

impl CloseReason {
    /// The reason's level in the log. Faults of this server and of clients are above the usual ends. Strangers scan
    /// every port that speaks TLS, so failed handshakes are below other faults.
    pub(super) fn level(&self) -> LogLevel {
        match self {
            CloseReason::Failed(_) => LogLevel::Error,
            CloseReason::Tls(_)
            | CloseReason::TlsWithoutData(_)
            | CloseReason::HalfUnit(..)
            | CloseReason::NotReading(_)
            | CloseReason::NoRoom
            | CloseReason::NotDurable(_) => LogLevel::Warn,
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
                write!(f, "TLS: more than {} KiB came in a row without data", len / 1024)
            }
            CloseReason::Truncated => {
                f.write_str("its connection ended without the end of TLS (close_notify)")
            }
            CloseReason::Protocol(end) => f.write_str(&end.why),
            CloseReason::HalfUnit(unit, limit) => {
                write!(f, "a {unit}'s end did not come within {} s", limit.as_secs())
            }
            CloseReason::Idle(limit) => write!(f, "nothing came for {} s", limit.as_secs()),
            CloseReason::NotReading(limit) => {
                write!(f, "it did not take its replies for {} s", limit.as_secs())
            }
            CloseReason::NoRoom => {
                write!(
                    f,
                    "it asked for more than it took, and there is no more room for that (`buffers_mb` in [limits])"
                )
            }
            CloseReason::NotDurable(limit) => {
                write!(
                    f,
                    "its reports were not durable within {:.1} s, so it got no reply",
                    limit.as_secs_f64()
                )
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
