//! This server's certificate for links, and its trust in other servers' certificates: mutual TLS, with certificates of
//! the herd's own authority. A link goes through here, or is in the clear and on loopback.
//!
//! `Credentials::connect` and `Credentials::accept` make an encrypted connection and say which server of this herd
//! is at the other end. What that server may do is `peer`'s business. Files are read again while the server runs
//! (`watch`); connections that are up keep the certificates that they began with.
//!
//! Floors, lowest first: `certificate`; `trust`, `authority`; `error`; `pem`, `in_use`; `files`, `handshake`; `audit`,
//! `watch`.

mod audit;
mod authority;
mod certificate;
mod error;
mod files;
mod handshake;
mod in_use;
mod pem;
#[cfg(test)]
mod tests;
mod trust;
mod watch;

use std::{path::Path, sync::Arc};

use proxyherd_core::types::ServerName;
use rustls::{
    CommonState,
    pki_types::{CertificateDer, ServerName as TlsName},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use self::files::LinkTls;
pub(crate) use self::{
    audit::{Finding, audit, expiry},
    authority::{Authority, Issued},
    certificate::{Facts, OutOfTime, Validity, date, days_left},
    files::{AUTHORITY_NAME, Paths, authority_path, read_authorities},
    handshake::HandshakeError,
    in_use::{Dated, InUse},
    pem::{provider, read_certificates, read_key},
    watch::{Reread, Words, reload, watch},
};
pub use self::{
    error::{CredentialsError, Make},
    trust::Untrusted,
};
use crate::clock;

/// The log warns every day of a certificate that is valid for fewer days than this.
pub(crate) const DAYS_LEFT_MIN: i64 = 30;

/// The certificates that one server's links use. They can be read again at any time.
#[derive(Debug)]
pub struct Credentials {
    paths: Paths,
    in_use: InUse<LinkTls>,
}

impl Credentials {
    /// Reads the files of `server` in the directory `dir`. Blocks.
    pub fn open(dir: &Path, server: &ServerName) -> Result<Credentials, CredentialsError> {
        let paths = Paths::new(dir, server);
        let in_use = InUse::open(paths.all(), || paths.read(clock::now_s()))?;
        Ok(Credentials { paths, in_use })
    }

    /// Reads the files again, for later connections. An error changes nothing, and neither does a certificate that is
    /// out of time, as long as the one in use is not. Blocks while it reads.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        self.in_use.reload(|| self.paths.read(clock::now_s()), |when| self.paths.out_of_time(when))
    }

    /// Whole days until the certificate expires; negative once it has.
    pub fn days_left(&self) -> i64 {
        days_left(self.in_use.not_after_s(), clock::now_s())
    }

    /// Seconds until the certificate expires; negative once it has.
    pub fn seconds_left(&self) -> i64 {
        self.in_use.not_after_s().saturating_sub(clock::now_s())
    }

    /// Makes an encrypted connection of one that this end has dialed, and returns the other end's name.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, ServerName), HandshakeError> {
        let connector = TlsConnector::from(Arc::clone(&self.in_use.get().client));
        // The library wants a host's name. It is not sent, and `trust` does not look at it.
        let name = TlsName::try_from("server.proxyherd").expect("a name of letters and a dot is one");
        let stream = connector.connect(name, stream).await?;
        let server = shown_by(stream.get_ref().1)?;
        Ok((stream.into(), server))
    }

    /// Makes an encrypted connection of one that was accepted, and returns the other end's name.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, ServerName), HandshakeError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.in_use.get().server));
        let stream = acceptor.accept(stream).await?;
        let server = shown_by(stream.get_ref().1)?;
        Ok((stream.into(), server))
    }
}

/// The server whose certificate the other end has shown, and `trust` has believed.
fn shown_by(connection: &CommonState) -> Result<ServerName, HandshakeError> {
    let shown = connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let facts = Facts::of(shown.ok_or(HandshakeError::NoCertificate)?);
    let member = facts.ok().and_then(|facts| facts.member()).ok_or(Untrusted::Nameless)?;
    Ok(member.server)
}
