//! The certificate that a server's doors show to clients. It is read from two PEM files, and read again when they have changed.
//!
//! A server has one [`DoorTls`] for all its doors. Each door makes an [`Acceptor`] of it, which adds the protocols that the door
//! speaks within TLS (ALPN). The certificate in use is only ever replaced by one that was read completely and is valid now.
//!
//! Clients show no certificates. This module does not know the certificates of links (`credentials`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};
use rustls::{ServerConfig, crypto::ring::Ticketer, pki_types::CertificateDer};

use crate::{
    clock,
    credentials::{
        CredentialsError, Facts, Make, Reread, Words, date, provider, read_certificates, read_key,
    },
    stamp::Stamp,
};

/// The certificate that the doors of one server show.
#[derive(Debug)]
pub struct DoorTls {
    certificate: PathBuf,
    key: PathBuf,
    state: RwLock<CertificateState>,
}

/// The certificate in use, and what was last read.
#[derive(Clone, Debug)]
struct CertificateState {
    in_use: Arc<LoadedCertificate>,
    /// The stamps of both files at the last read, which may have failed.
    stamps: [Option<Stamp>; 2],
}

/// A certificate that was read.
#[derive(Debug)]
struct LoadedCertificate {
    config: Arc<ServerConfig>,
    not_before_s: i64,
    not_after_s: i64,
}

impl DoorTls {
    /// Reads the certificate and its key. The intermediate certificates, if there are any, stand behind the certificate in its
    /// file.
    pub fn open(certificate: &Path, key: &Path) -> Result<DoorTls, CredentialsError> {
        let stamps = stamps(certificate, key);
        let in_use = Arc::new(read(certificate, key)?);
        let state = RwLock::new(CertificateState { in_use, stamps });
        Ok(DoorTls { certificate: certificate.to_owned(), key: key.to_owned(), state })
    }

    /// Makes a door's acceptor. `alpn` names the protocols that the door speaks within TLS, the best first. If it is empty, a
    /// client may name any.
    pub(crate) fn acceptor(self: &Arc<DoorTls>, alpn: &[&[u8]]) -> Acceptor {
        let alpn = alpn.iter().map(|name| name.to_vec()).collect();
        Acceptor { tls: Arc::clone(self), alpn, last: Mutex::default() }
    }

    fn in_use(&self) -> Arc<LoadedCertificate> {
        Arc::clone(&self.state.read().in_use)
    }
}

impl Reread for DoorTls {
    type Stamps = [Option<Stamp>; 2];
    const WORDS: Words = Words {
        of: " of the doors",
        whose: "the one that clients see",
        which: "the certificate of the doors",
        consequence: "clients refuse it",
    };

    fn seen(&self) -> Self::Stamps {
        stamps(&self.certificate, &self.key)
    }

    fn read_at(&self) -> Self::Stamps {
        self.state.read().stamps
    }

    /// A certificate that is not valid now replaces the one in use only if that one is not valid now either.
    fn reload(&self) -> Result<(), CredentialsError> {
        let (stamps, now_s) = (self.seen(), clock::now_s());
        let read = read(&self.certificate, &self.key);
        let mut state = self.state.write();
        // Files that can't be read are read again only when they have changed.
        state.stamps = stamps;
        let read = read?;
        if state.in_use.out_of_time(now_s).is_none()
            && let Some(how) = read.out_of_time(now_s)
        {
            return Err(CredentialsError::OutOfTime { path: self.certificate.clone(), how });
        }
        state.in_use = Arc::new(read);
        Ok(())
    }

    fn not_after_s(&self) -> i64 {
        self.in_use().not_after_s
    }

    fn advice(&self) -> String {
        format!("put a new one into {}", self.certificate.display())
    }
}

impl LoadedCertificate {
    /// Why the certificate is not valid now, if it is not.
    fn out_of_time(&self, now_s: i64) -> Option<String> {
        match now_s {
            _ if now_s > self.not_after_s => {
                Some(format!("expired on {}: put a new one there", date(self.not_after_s)))
            }
            _ if now_s < self.not_before_s => {
                Some(format!("holds from {} on: is this machine's clock right?", date(self.not_before_s)))
            }
            _ => None,
        }
    }
}

fn stamps(certificate: &Path, key: &Path) -> [Option<Stamp>; 2] {
    [certificate, key].map(Stamp::of)
}

fn read(certificate: &Path, key: &Path) -> Result<LoadedCertificate, CredentialsError> {
    let certificates = read_certificates(certificate, || Make::Door)?;
    let facts = Facts::of(&certificates[0])
        .map_err(|_| CredentialsError::Empty { path: certificate.to_owned(), what: "certificate" })?;
    let key = read_key(key, || Make::Door, &certificates, certificate)?;
    let library = |why| CredentialsError::Library { path: certificate.to_owned(), why };
    let config = server_config(certificates, key).map_err(library)?;
    let Facts { not_before_s, not_after_s, .. } = facts;
    Ok(LoadedCertificate { config: Arc::new(config), not_before_s, not_after_s })
}

/// The TLS configuration of a certificate. Phones connect often, and resume earlier sessions by tickets, for which the server
/// keeps nothing. TLS 1.2 is for old phones.
fn server_config(
    certificates: Vec<CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// Makes the TLS configuration for each connection of one door.
#[derive(Debug)]
pub(crate) struct Acceptor {
    tls: Arc<DoorTls>,
    alpn: Vec<Vec<u8>>,
    /// The last configuration, and the certificate that it was made of.
    last: Mutex<Option<(Arc<LoadedCertificate>, Arc<ServerConfig>)>>,
}

impl Acceptor {
    /// The configuration for a connection that begins now.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let certificate = self.tls.in_use();
        let mut last = self.last.lock();
        if let Some((made_of, config)) = &*last
            && Arc::ptr_eq(made_of, &certificate)
        {
            return Arc::clone(config);
        }
        let mut config = (*certificate.config).clone();
        config.alpn_protocols.clone_from(&self.alpn);
        let config = Arc::new(config);
        *last = Some((certificate, Arc::clone(&config)));
        config
    }
}
