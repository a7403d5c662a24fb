//! The TLS of doors: what servers show to clients, read from two PEM files and read again when these have changed.
//!
//! [`DoorTls`] is one server's, for all its doors. Each door makes an [`Acceptor`] of it, which adds the protocols that
//! the door speaks inside TLS (ALPN). Clients show no certificates. Links have certificates of their own
//! (`credentials`), of which this knows nothing.

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
    current: RwLock<LastRead>,
}

#[derive(Clone, Debug)]
struct LastRead {
    held: Arc<LoadedCertificate>,
    stamps: [Option<Stamp>; 2],
}

/// What was read, and is in use.
#[derive(Debug)]
struct LoadedCertificate {
    config: Arc<ServerConfig>,
    not_before_s: i64,
    not_after_s: i64,
}

impl DoorTls {
    /// Reads the certificate, with those between it and its authority behind it, and its key.
    pub fn open(certificate: &Path, key: &Path) -> Result<DoorTls, CredentialsError> {
        let stamps = stamps(certificate, key);
        let held = Arc::new(read(certificate, key)?);
        let current = RwLock::new(LastRead { held, stamps });
        Ok(DoorTls { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// What a door takes TLS connections with. `alpn` names what the door speaks inside, the best first; where it names
    /// nothing, a client may ask for anything.
    pub(crate) fn acceptor(self: &Arc<DoorTls>, alpn: &[&[u8]]) -> Acceptor {
        let alpn = alpn.iter().map(|name| name.to_vec()).collect();
        Acceptor { tls: Arc::clone(self), alpn, made: Mutex::default() }
    }

    fn held(&self) -> Arc<LoadedCertificate> {
        Arc::clone(&self.current.read().held)
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
        self.current.read().stamps
    }

    /// A certificate that is out of time changes nothing either, as long as the one in use is not.
    fn reload(&self) -> Result<(), CredentialsError> {
        let (stamps, now_s) = (self.seen(), clock::now_s());
        let read = read(&self.certificate, &self.key);
        let mut current = self.current.write();
        // What can't be read is not worth another look before it changes.
        current.stamps = stamps;
        let read = read?;
        if current.held.out_of_time(now_s).is_none()
            && let Some(how) = read.out_of_time(now_s)
        {
            return Err(CredentialsError::OutOfTime { path: self.certificate.clone(), how });
        }
        current.held = Arc::new(read);
        Ok(())
    }

    fn not_after_s(&self) -> i64 {
        self.held().not_after_s
    }

    fn advice(&self) -> String {
        format!("put a new one into {}", self.certificate.display())
    }
}

impl LoadedCertificate {
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

/// Phones come back often: they resume by tickets, of which a server keeps nothing. TLS 1.2 is for old ones.
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

/// What one door takes TLS connections with.
#[derive(Debug)]
pub(crate) struct Acceptor {
    tls: Arc<DoorTls>,
    alpn: Vec<Vec<u8>>,
    /// What the door uses, and what it was made of.
    made: Mutex<Option<(Arc<LoadedCertificate>, Arc<ServerConfig>)>>,
}

impl Acceptor {
    /// For a connection that is made now.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let held = self.tls.held();
        let mut made = self.made.lock();
        if let Some((of, config)) = &*made
            && Arc::ptr_eq(of, &held)
        {
            return Arc::clone(config);
        }
        let mut config = (*held.config).clone();
        config.alpn_protocols.clone_from(&self.alpn);
        let config = Arc::new(config);
        *made = Some((held, Arc::clone(&config)));
        config
    }
}
