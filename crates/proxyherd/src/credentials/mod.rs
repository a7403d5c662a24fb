//! What a server shows its neighbors to be believed, and whom it believes: mutual TLS with certificates of the herd's
//! own authority. Every link goes through here, or is plain and on loopback.
//!
//! Whoever gets a connection from here knows which server of this herd is at the other end. What that server may
//! do is `peer`'s business. Files are read again while the server runs (`watch`); connections that are up keep
//! what they began with.
//!
//! Floors, lowest first: `certificate`; `trust`, `authority`; `error`; `pem`; `files`, `handshake`; `audit`, `watch`.

mod audit;
mod authority;
mod certificate;
mod error;
mod files;
mod handshake;
mod pem;
#[cfg(test)]
mod tests;
mod trust;
mod watch;

use std::{path::Path, sync::Arc};

use parking_lot::RwLock;
use proxyherd_core::types::ServerName;
use rustls::{
    CommonState,
    pki_types::{CertificateDer, ServerName as TlsName},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use self::files::Held;
pub(crate) use self::{
    audit::{Finding, audit, expiry},
    authority::{Authority, Issued},
    certificate::{Facts, date, days_left},
    files::{AUTHORITY_NAME, Paths, authority_path, read_authorities},
    handshake::HandshakeError,
    pem::{provider, read_certificates, read_key},
    watch::{Reread, Words, reload, watch},
};
pub use self::{
    error::{CredentialsError, Make},
    trust::Untrusted,
};
use crate::{clock, stamp::Stamp};

/// A certificate that holds for fewer days than this is worth a word every day.
pub(crate) const DAYS_LEFT_MIN: i64 = 30;

/// What one server shows and believes.
#[derive(Debug)]
pub struct Credentials {
    paths: Paths,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    held: Arc<Held>,
    stamps: [Option<Stamp>; 3],
}

impl Credentials {
    /// Reads those of `server` from the directory `dir`.
    pub fn open(dir: &Path, server: &ServerName) -> Result<Credentials, CredentialsError> {
        let paths = Paths::new(dir, server);
        let stamps = paths.stamps();
        let held = Arc::new(paths.read(clock::now_s())?);
        Ok(Credentials { paths, current: RwLock::new(Current { held, stamps }) })
    }

    /// Reads the files again, for the connections that are made from here on. An error leaves all as it was, and so does
    /// a certificate that is out of time, as long as the one that is held is not. Blocks while it reads.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        let stamps = self.paths.stamps();
        let now_s = clock::now_s();
        let read = self.paths.read(now_s);
        let mut current = self.current.write();
        // What can't be read is not worth another look before it changes.
        current.stamps = stamps;
        let read = read?;
        if self.paths.out_of_time(&current.held, now_s).is_none()
            && let Some(error) = self.paths.out_of_time(&read, now_s)
        {
            return Err(error);
        }
        current.held = Arc::new(read);
        Ok(())
    }

    /// Whole days until the certificate expires; negative once it has.
    pub fn days_left(&self) -> i64 {
        days_left(self.held().not_after_s, clock::now_s())
    }

    /// Seconds until the certificate expires; negative once it has.
    pub fn seconds_left(&self) -> i64 {
        self.held().not_after_s.saturating_sub(clock::now_s())
    }

    /// Makes sure, over a connection that this end has dialled, of who is at the other end.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, ServerName), HandshakeError> {
        let connector = TlsConnector::from(Arc::clone(&self.held().client));
        // The library wants a name of the host; it is not sent, and what counts is the name in the certificate.
        let name = TlsName::try_from("server.proxyherd").expect("a name of letters and a dot is one");
        let stream = connector.connect(name, stream).await?;
        let server = who(stream.get_ref().1)?;
        Ok((stream.into(), server))
    }

    /// Makes sure, over a connection that was accepted, of who is at the other end.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, ServerName), HandshakeError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.held().server));
        let stream = acceptor.accept(stream).await?;
        let server = who(stream.get_ref().1)?;
        Ok((stream.into(), server))
    }

    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.current.read().held)
    }
}

/// Whose certificate was shown and believed.
fn who(connection: &CommonState) -> Result<ServerName, HandshakeError> {
    let shown = connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let facts = Facts::of(shown.ok_or(HandshakeError::NoCertificate)?);
    let member = facts.ok().and_then(|facts| facts.member()).ok_or(Untrusted::Nameless)?;
    Ok(member.server)
}
