//! Why a TLS handshake between servers failed, and what an operator can do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::trust::Untrusted;

/// Why there is no encrypted connection. The other end has learned nothing about the herd.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// This end does not trust the other end's certificate.
    #[error("this server refuses the other end's certificate: {0}")]
    Untrusted(#[from] Untrusted),
    /// The other end shows no certificate.
    #[error("the other end shows no certificate, so it is not a server of this herd")]
    NoCertificate,
    /// The other end does not trust this end's certificate.
    #[error("the other end refuses this server's certificate ({0}): look at the log of the other end")]
    RefusedThere(&'static str),
    /// The other end sends something that is not TLS.
    #[error("the other end does not speak TLS; if it is a server of this herd, is its `tls` \"off\"?")]
    NotTls,
    /// The two ends have no version or algorithm in common.
    #[error("the other end does not speak TLS 1.3 in the way that links do ({0})")]
    Incompatible(String),
    /// The other end closes the connection during the handshake.
    #[error("the other end ended the TLS handshake; if it is a server of this herd, is its `tls` \"off\"?")]
    Ended,
    /// The handshake failed for another reason.
    #[error("the TLS handshake failed: {0}")]
    Other(io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> HandshakeError {
        HandshakeError::in_tls(error).unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                HandshakeError::Ended
            }
            _ => HandshakeError::Other(error),
        })
    }
}

impl HandshakeError {
    /// The meaning of a TLS error, during the handshake or after it. In TLS 1.3 the handshake of the dialing end is
    /// over before the other end has checked the dialing end's certificate. Any error that is not from TLS is returned
    /// unchanged.
    pub fn in_tls(error: io::Error) -> Result<HandshakeError, io::Error> {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        tls.and_then(HandshakeError::of).ok_or(error)
    }

    fn of(error: &Error) -> Option<HandshakeError> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                Some(HandshakeError::Untrusted(other.0.downcast_ref::<Untrusted>()?.clone()))
            }
            Error::NoCertificatesPresented => Some(HandshakeError::NoCertificate),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) => Some(HandshakeError::NotTls),
            Error::PeerIncompatible(why) => Some(HandshakeError::Incompatible(format!("{why:?}"))),
            Error::NoApplicationProtocol => {
                Some(HandshakeError::Incompatible("another protocol inside".to_owned()))
            }
            Error::AlertReceived(alert) => HandshakeError::of_alert(*alert),
            _ => None,
        }
    }

    /// The meaning of the other end's last TLS alert.
    fn of_alert(alert: AlertDescription) -> Option<HandshakeError> {
        match alert {
            AlertDescription::CertificateExpired => Some(HandshakeError::RefusedThere("expired")),
            AlertDescription::CertificateUnknown
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => Some(HandshakeError::RefusedThere("not trusted")),
            AlertDescription::UnknownCA => Some(HandshakeError::RefusedThere("another authority")),
            AlertDescription::CertificateRequired => Some(HandshakeError::RefusedThere("none shown")),
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
                Some(HandshakeError::Incompatible("it says so".to_owned()))
            }
            _ => None,
        }
    }
}
