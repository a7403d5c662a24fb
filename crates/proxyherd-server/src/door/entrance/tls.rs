//! The certificate that a server's doors show to clients. The server reads the certificate and its key from two PEM
//! files, and reads both files again when they have changed.
//!
//! A server has one [`DoorTls`] for all its doors. Each door makes an [`Acceptor`] from the [`DoorTls`]. The acceptor
//! adds the protocols that the door speaks within TLS (ALPN). A new certificate replaces the certificate in use only
//! after both files were read without an error.
//!
//! Clients do not show certificates. This module does not know the certificates of links (`credentials`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use proxyherd_config::credentials::{
    CredentialsError, Dated, Facts, InUse, Make, OutOfTime, Reread, Validity, Words, date, provider,
    read_certificates, read_key,
};
use rustls::{ServerConfig, crypto::ring::Ticketer, pki_types::CertificateDer};

/// The certificate that the doors of one server show.
#[derive(Debug)]
pub struct DoorTls {
    certificate: PathBuf,
    key: PathBuf,
    in_use: InUse<DoorConfig>,
}

/// What was made from both files.
#[derive(Debug)]
pub struct DoorConfig {
    server: ServerConfig,
    validity: Validity,
}

impl Dated for DoorConfig {
    fn validity(&self) -> Validity {
        self.validity
    }
}

impl DoorTls {
    /// Reads the certificate and its key. Intermediate certificates, if there are any, follow the certificate in its
    /// file.
    pub fn open(certificate: &Path, key: &Path) -> Result<DoorTls, CredentialsError> {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let paths = vec![certificate.clone(), key.clone()];
        let in_use = InUse::open(paths, || read(&certificate, &key))?;
        Ok(DoorTls { certificate, key, in_use })
    }

    /// Makes a door's acceptor. `alpn` names the protocols that the door speaks within TLS, the preferred protocol
    /// first. If `alpn` is empty, a client may name any protocol.
    pub(crate) fn acceptor(self: &Arc<DoorTls>, alpn: &[&[u8]]) -> Acceptor {
        let alpn = alpn.iter().map(|name| name.to_vec()).collect();
        Acceptor { tls: Arc::clone(self), alpn, last: Mutex::default() }
    }
}

impl Reread for DoorTls {
    type Made = DoorConfig;
    const WORDS: Words = Words {
        of: " of the doors",
        whose: "the one that clients see",
        which: "the certificate of the doors",
        consequence: "clients refuse it",
    };

    fn in_use(&self) -> &InUse<DoorConfig> {
        &self.in_use
    }

    fn reload(&self) -> Result<(), CredentialsError> {
        self.in_use.reload(
            || read(&self.certificate, &self.key),
            |when| CredentialsError::OutOfTime { path: self.certificate.clone(), how: out_of_time(when) },
        )
    }

    fn advice(&self) -> String {
        format!("put a new certificate into {}", self.certificate.display())
    }
}

fn out_of_time(when: OutOfTime) -> String {
    match when {
        OutOfTime::Expired(on_s) => format!("expired on {}: put a new certificate there", date(on_s)),
        OutOfTime::NotYet(from_s) => {
            format!("is not valid before {}: is this machine's clock right?", date(from_s))
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<DoorConfig, CredentialsError> {
    let certificates = read_certificates(certificate, || Make::Door)?;
    let facts = Facts::of(&certificates[0])
        .map_err(|_| CredentialsError::Empty { path: certificate.to_owned(), what: "certificate" })?;
    let key = read_key(key, || Make::Door, &certificates, certificate)?;
    let library = |why| CredentialsError::Library { path: certificate.to_owned(), why };
    let server = server_config(certificates, key).map_err(library)?;
    Ok(DoorConfig { server, validity: facts.validity })
}

/// The TLS configuration for a certificate. Phones connect often and resume earlier sessions by session tickets. The
/// server stores nothing for these tickets. TLS 1.2 is for old phones.
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
    /// The last configuration, and the certificate that it was made from.
    last: Mutex<Option<(Arc<DoorConfig>, Arc<ServerConfig>)>>,
}

impl Acceptor {
    /// The TLS configuration for a connection that begins now.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let in_use = self.tls.in_use.get();
        let mut last = self.last.lock();
        if let Some((made_of, config)) = &*last
            && Arc::ptr_eq(made_of, &in_use)
        {
            return Arc::clone(config);
        }
        let mut config = in_use.server.clone();
        config.alpn_protocols.clone_from(&self.alpn);
        let config = Arc::new(config);
        *last = Some((in_use, Arc::clone(&config)));
        config
    }
}
