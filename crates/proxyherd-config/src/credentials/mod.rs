//! This server's certificate for links, and its trust in other servers' certificates. Links use mutual TLS with
//! certificates of the herd's own authority. A link without encryption is allowed only on loopback and does not use
//! this module. `operator_token` has the other credential that `proxyherd init` makes: the token with which an operator
//! makes all others.
//!
//! `Credentials::connect` and `Credentials::accept` make an encrypted connection and return which server of this herd
//! is at the other end. `peer` decides what that server may do. Files are read again while the server runs (`watch`).
//! Connections that are up keep the certificates that they began with.
//!
//! Floors, lowest first: `certificate`; `trust`, `authority`; `error`; `pem`, `in_use`; `files`, `handshake`; `audit`,
//! `watch`; `operator_token`.

mod audit;
mod authority;
mod certificate;
mod error;
mod files;
mod handshake;
mod in_use;
mod operator_token;
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
pub use self::{
    audit::{Finding, audit, expiry},
    authority::{Authority, Issued},
    certificate::{Facts, OutOfTime, Validity, date, days_left},
    files::{AUTHORITY_NAME, Paths, authority_path, read_authorities},
    handshake::HandshakeError,
    in_use::{Dated, InUse},
    operator_token::{
        TokenFileError, audit_operator_token, hex, new_operator_token, operator_token_path, read_token_file,
        token_hash, token_of,
    },
    pem::{provider, read_certificates, read_key},
    watch::{Reread, Words, reload, watch},
};
pub use self::{
    error::{CredentialsError, Make},
    trust::Untrusted,
};
use crate::clock;

/// Number of days before the expiry of a certificate from which the log warns every day.
pub const DAYS_LEFT_MIN: i64 = 30;

/// The certificates of one server's links. The server can read them again at any time.
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

    /// Reads the files again, for later connections. An error changes nothing. A new certificate that is not valid now
    /// does not replace a valid one. Blocks during the read.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        self.in_use.reload(|| self.paths.read(clock::now_s()), |when| self.paths.out_of_time(when))
    }

    /// Whole days until the certificate expires. Negative: the certificate has expired.
    pub fn days_left(&self) -> i64 {
        days_left(self.in_use.not_after_s(), clock::now_s())
    }

    /// Seconds until the certificate expires. Negative: the certificate has expired.
    pub fn seconds_left(&self) -> i64 {
        self.in_use.not_after_s().saturating_sub(clock::now_s())
    }

    /// Encrypts a connection that this end has dialed, and returns the other end's name.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, ServerName), HandshakeError> {
        let connector = TlsConnector::from(Arc::clone(&self.in_use.get().client));
        // The library requires a host name. This name is not sent, and `trust` ignores it.
        let name = TlsName::try_from("server.proxyherd").expect("a name of letters and a dot is one");
        let stream = connector.connect(name, stream).await?;
        let server = shown_by(stream.get_ref().1)?;
        Ok((stream.into(), server))
    }

    /// Encrypts a connection that this end has accepted, and returns the other end's name.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, ServerName), HandshakeError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.in_use.get().server));
        let stream = acceptor.accept(stream).await?;
        let server = shown_by(stream.get_ref().1)?;
        Ok((stream.into(), server))
    }
}

/// The name of the server at the other end, from the certificate that the other end has shown and `trust` has accepted.
fn shown_by(connection: &CommonState) -> Result<ServerName, HandshakeError> {
    let shown = connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let facts = Facts::of(shown.ok_or(HandshakeError::NoCertificate)?);
    let member = facts.ok().and_then(|facts| facts.member()).ok_or(Untrusted::Nameless)?;
    Ok(member.server)
}
