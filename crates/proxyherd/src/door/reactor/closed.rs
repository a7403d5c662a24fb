//! Why connections are closed, in words for the log.

use std::{fmt, io, time::Duration};

use super::protocol::Reason;
use crate::door::entrance::HandshakeFailed;
use proxyherd_log::LogLevel;

/// Why a connection was closed before its client closed it.
#[derive(Debug)]
pub(super) enum Closed {
    /// The network says so.
    Broken(io::Error),
    /// There is no encrypted connection.
    Handshake(HandshakeFailed),
    /// What came is not what the client has encrypted.
    Tls(rustls::Error),
    /// The network ended an encrypted connection, and not the client: what came last may be a part of what it sent.
    Truncated,
    /// The protocol says so.
    Protocol(Reason),
    /// The rest of a unit did not come.
    HalfUnit(&'static str, Duration),
    /// Nothing came for long.
    Idle(Duration),
    /// The client did not take what it was told.
    NotReading(Duration),
    /// More of what it is told, and has said, waits than there is room for.
    NoRoom,
    /// What it said was not safe in time.
    NotDurable(Duration),
    /// This server failed.
    Failed(&'static str),
    /// The server is stopping.
    Stopping,
}

impl Closed {
    /// How important it is to whoever reads the log: faults of the client, and this server's, more than the usual ends.
    /// Strangers look at every port that speaks TLS, so what does not come as far as a connection is less.
    pub(super) fn level(&self) -> LogLevel {
        match self {
            Closed::Failed(_) => LogLevel::Error,
            Closed::Tls(_)
            | Closed::HalfUnit(..)
            | Closed::NotReading(_)
            | Closed::NoRoom
            | Closed::NotDurable(_) => LogLevel::Warn,
            Closed::Protocol(reason) if reason.is_fault => LogLevel::Warn,
            Closed::Handshake(_) => LogLevel::Info,
            Closed::Broken(_)
            | Closed::Truncated
            | Closed::Protocol(_)
            | Closed::Idle(_)
            | Closed::Stopping => LogLevel::Debug,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::Broken(error) => write!(f, "{error}"),
            Closed::Handshake(failed) => write!(f, "{failed}"),
            Closed::Tls(error) => write!(f, "TLS: {error}"),
            Closed::Truncated => f.write_str("the network ended its TLS connection without the end of TLS"),
            Closed::Protocol(reason) => f.write_str(&reason.why),
            Closed::HalfUnit(unit, limit) => {
                write!(f, "a {unit}'s end did not come within {} s", limit.as_secs())
            }
            Closed::Idle(limit) => write!(f, "nothing came for {} s", limit.as_secs()),
            Closed::NotReading(limit) => write!(f, "it did not take its replies for {} s", limit.as_secs()),
            Closed::NoRoom => {
                write!(
                    f,
                    "it asked for more than it took, and there is no more room for that (`buffers_mb` in [limits])"
                )
            }
            Closed::NotDurable(limit) => {
                write!(f, "what it said was not safe within {:.1} s, so it got no reply", limit.as_secs_f64())
            }
            Closed::Failed(how) => f.write_str(how),
            Closed::Stopping => write!(f, "this server is stopping"),
        }
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Closed {
        Closed::Broken(error)
    }
}
