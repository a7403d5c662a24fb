//! Reads a server's files for links: the authority's certificate, the server's certificate and its key.
//!
//! The files that are read match each other: the key belongs to the certificate, and the authority has issued the
//! certificate for this server. Other modules check whether the certificate is valid now (`in_use`, `trust`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use proxyherd_core::types::ServerName;
use rustls::{
    ClientConfig, ServerConfig,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::NoServerSessionStorage,
    version::TLS13,
};

use super::{
    certificate::{Facts, OutOfTime, Validity},
    error::{CredentialsError, Make},
    in_use::Dated,
    pem::{self, provider, read_certificates},
    trust::{End, Trust, Untrusted},
};

/// The name of the authority's files. The files of a server have the server's name. So no server may have this name.
pub const AUTHORITY_NAME: &str = "ca";
/// The protocol inside TLS that both ends of a link name (ALPN, RFC 7301).
const ALPN: &[u8] = b"proxyherd/1";

/// The paths of a server's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The server's name.
    pub server: ServerName,
    /// The certificates of the herd's authorities.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// The TLS configurations of a server's links, made from the server's files.
#[derive(Debug)]
pub struct LinkTls {
    validity: Validity,
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

impl Dated for LinkTls {
    fn validity(&self) -> Validity {
        self.validity
    }
}

impl Paths {
    /// The paths of the files of `server` in the directory `dir`.
    pub fn new(dir: &Path, server: &ServerName) -> Paths {
        Paths {
            server: server.clone(),
            authority: authority_path(dir),
            certificate: dir.join(format!("{server}.pem")),
            key: dir.join(format!("{server}.key")),
        }
    }

    /// The server's own files.
    pub fn own(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    /// All files that the server reads.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        vec![self.authority.clone(), self.certificate.clone(), self.key.clone()]
    }

    /// Reads the server's certificate chain, its own certificate first. Checks that the authority in the same directory
    /// has issued the chain.
    pub(super) fn read_certificate(
        &self,
        now_s: i64,
    ) -> Result<(Vec<CertificateDer<'static>>, Facts), CredentialsError> {
        let authorities = read_authorities(&self.authority)?;
        let make = || Make::Server(self.server.clone());
        let certificates = read_certificates(&self.certificate, make)?;
        let untrusted = |why| CredentialsError::Untrusted { path: self.certificate.clone(), why };
        let facts_of = |certificate: &CertificateDer<'_>| {
            Facts::of(certificate).map_err(|error| untrusted(Untrusted::Unfit(error.to_string())))
        };
        let mut facts = facts_of(&certificates[0])?;
        let member = facts.member().ok_or_else(|| untrusted(Untrusted::Nameless))?;
        if member.server != self.server {
            let (path, server) = (self.certificate.clone(), self.server.clone());
            return Err(CredentialsError::OtherServer { path, named: member.server, server });
        }
        let trust = trust(&self.authority, member.herd, &authorities)?;
        // A certificate that is expired or not valid yet is still read. The log warns of such a certificate, and a new
        // certificate can replace it while the server runs.
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s.unsigned_abs()));
        for end in [End::Dials, End::Accepts] {
            match trust.judge(&certificates[0], &certificates[1..], now, end) {
                Ok(_) | Err(Untrusted::Expired(..) | Untrusted::NotYet(..)) => {}
                Err(why) => return Err(untrusted(why)),
            }
        }
        // A chain is valid only while each of its certificates is valid.
        for between in &certificates[1..] {
            facts.validity = facts.validity.and(facts_of(between)?.validity);
        }
        Ok((certificates, facts))
    }

    /// Reads the private key. Checks that the key belongs to the certificate and that only the file's owner can read
    /// the key.
    pub fn read_key(
        &self,
        certificates: &[CertificateDer<'static>],
    ) -> Result<PrivateKeyDer<'static>, CredentialsError> {
        let make = || Make::Server(self.server.clone());
        pem::read_key(&self.key, make, certificates, &self.certificate)
    }

    /// Reads all three files.
    pub(super) fn read(&self, now_s: i64) -> Result<LinkTls, CredentialsError> {
        let (certificates, facts) = self.read_certificate(now_s)?;
        let key = self.read_key(&certificates)?;
        let herd = facts.member().expect("a certificate that names no server was refused").herd;
        let authorities = read_authorities(&self.authority)?;
        let trust = Arc::new(trust(&self.authority, herd, &authorities)?);
        let library = |why| CredentialsError::Library { path: self.certificate.clone(), why };
        let client = client_config(&trust, certificates.clone(), key.clone_key()).map_err(library)?;
        let server = server_config(&trust, certificates, key).map_err(library)?;
        Ok(LinkTls { validity: facts.validity, client: Arc::new(client), server: Arc::new(server) })
    }

    /// The message about a certificate that is expired or not valid yet.
    pub(super) fn out_of_time(&self, when: OutOfTime) -> CredentialsError {
        let why = Untrusted::out_of_time(&self.server, when);
        CredentialsError::Untrusted { path: self.certificate.clone(), why }
    }
}

/// The path of the authority's certificate.
pub fn authority_path(dir: &Path) -> PathBuf {
    dir.join(format!("{AUTHORITY_NAME}.pem"))
}

/// Reads the authority's certificate. While a new authority takes over from an old one, the file has both certificates.
pub fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    read_certificates(path, || Make::Herd)
}

fn trust(path: &Path, herd: String, authorities: &[CertificateDer<'_>]) -> Result<Trust, CredentialsError> {
    Trust::new(herd, authorities).map_err(|error| CredentialsError::Untrusted {
        path: path.to_owned(),
        why: Untrusted::Unfit(error.to_string()),
    })
}

/// Links last long, so resuming a session would save nothing. Without resumption every handshake checks the
/// certificates.
fn client_config(
    trust: &Arc<Trust>,
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(trust) as _)
        .with_client_auth_cert(certificates, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// See [`client_config`].
fn server_config(
    trust: &Arc<Trust>,
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::clone(trust) as _)
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
