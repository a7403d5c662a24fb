//! Valid and invalid certificates that a test makes, and TLS for a test that acts as a server.
//!
//! This module does not use the program's code, so it defines the content of certificates independently.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    version::TLS13,
};

use super::wait::PATIENCE;

/// An authority that makes certificates for the herd "test".
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in the format of the files.
#[derive(Clone, Debug)]
pub(crate) struct Certified {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// All test authorities have the same name, and differ only in their keys.
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for one server that is valid for years.
    pub(crate) fn server(&self, name: &str) -> Certified {
        self.certify(Some(&format!("proxyherd://test/{name}")), 2020, 2120)
    }

    /// A certificate with this URI, which is valid from the beginning of one year to the beginning of another year.
    pub(crate) fn certify(&self, uri: Option<&str>, from: i32, until: i32) -> Certified {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uri.map(|uri| SanType::URI(uri.try_into().unwrap())).into_iter().collect();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certified { certificate, key: key.serialize_pem() }
    }

    /// Writes the files that these servers need into `dir`, and removes all other files.
    pub(crate) fn fill(&self, dir: &Path, servers: &[&str]) {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("ca.pem"), &self.pem).unwrap();
        servers.iter().for_each(|name| self.server(name).put(dir, name));
    }
}

impl Certified {
    /// Writes both files of a server.
    pub(crate) fn put(&self, dir: &Path, name: &str) {
        let key = dir.join(format!("{name}.key"));
        fs::write(&key, &self.key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(dir.join(format!("{name}.pem")), &self.certificate).unwrap();
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// The test's end of an encrypted connection that the test has dialed.
pub(crate) type Dialed = StreamOwned<ClientConnection, TcpStream>;

/// Dials a peer port with this certificate or without a certificate, and accepts any certificate of the server. The
/// handshake begins with the first read or write.
pub(crate) fn dial(peer: SocketAddr, shown: Option<&Certified>) -> Dialed {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(shown) => config.with_client_auth_cert(vec![shown.der()], shown.key_der()).unwrap(),
    };
    let name = ServerName::try_from("anybody").unwrap();
    let stream = TcpStream::connect(peer).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// A server's TLS configuration that presents this certificate and does not ask the client for a certificate.
pub(crate) fn server_config(shown: &Certified) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown.der()], shown.key_der())
        .unwrap();
    Arc::new(config)
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
