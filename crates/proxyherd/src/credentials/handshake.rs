//! What became of a TLS handshake, in words that an operator can do something with.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::trust::Untrusted;

/// Why there is no encrypted connection. Nothing of the herd was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// What the other end shows is not believed here.
    #[error("its certificate is refused: {0}")]
    Untrusted(#[from] Untrusted),
    /// The other end shows nothing.
    #[error("it shows no certificate: it is no server of this herd")]
    NoCertificate,
    /// What this end shows is not believed there.
    #[error("it refuses this server's certificate ({0}): its log says why")]
    RefusedThere(&'static str),
    /// The other end says something that is no TLS.
    #[error("it does not speak TLS; if it is a server of this herd, is its `tls` \"off\"?")]
    NotTls,
    /// The other end has no version or algorithm in common with this one.
    #[error("it speaks no TLS 1.3 as links do ({0})")]
    Incompatible(String),
    /// The other end hangs up.
    #[error("it ended the TLS handshake; if it is a server of this herd, is its `tls` \"off\"?")]
    Ended,
    /// Anything else.
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
    /// What TLS says, also once the handshake is done at this end: with TLS 1.3 the dialling end is, before the other
    /// has looked at its certificate. Any other error is given back.
    pub(crate) fn in_tls(error: io::Error) -> Result<HandshakeError, io::Error> {
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
            Error::AlertReceived(alert) => HandshakeError::told(*alert),
            _ => None,
        }
    }

    /// What the other end says before it hangs up.
    fn told(alert: AlertDescription) -> Option<HandshakeError> {
        match alert {
            AlertDescription::CertificateExpired => Some(HandshakeError::RefusedThere("expired")),
            AlertDescription::CertificateUnknown
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => Some(HandshakeError::RefusedThere("not believed")),
            AlertDescription::UnknownCA => Some(HandshakeError::RefusedThere("another authority")),
            AlertDescription::CertificateRequired => Some(HandshakeError::RefusedThere("none shown")),
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
                Some(HandshakeError::Incompatible("it says so".to_owned()))
            }
            _ => None,
        }
    }
}
