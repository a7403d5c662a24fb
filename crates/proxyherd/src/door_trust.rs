//! Which certificates the program's own commands believe where they dial a door with TLS.
//!
//! A door may show the very certificate that `[tls]` names, by whatever name or address it is dialed: on the machine of
//! the server that is often 127.0.0.1, which no authority certifies. Any other certificate must be one that this system
//! trusts, for the name that was dialed.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

/// What [`trouble`] says of a certificate that is not believed.
pub(crate) const UNTRUSTED: &str =
    "its certificate is neither one that this system trusts nor the one that `cert` in [tls] names";

/// What [`trouble`] says of something else than TLS.
pub(crate) const UNENCRYPTED: &str = "it does not speak TLS";

/// A TLS configuration for dialing doors. `certificate` is the file that `[tls]` names. Where this machine does not have
/// it, or has no authorities of its own, the rest still holds.
pub(crate) fn client_config(certificate: Option<&Path>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = DoorVerifier::new(certificate, &provider);
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("ring supports rustls' default versions");
    config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
}

/// What went wrong with a TLS connection, in words that hold no name and no address; `None` if it is no error of TLS.
pub(crate) fn trouble(error: &io::Error) -> Option<&'static str> {
    Some(match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(_) => UNTRUSTED,
        Error::InvalidMessage(_) => UNENCRYPTED,
        _ => "no encrypted connection can be made",
    })
}

#[derive(Debug)]
struct DoorVerifier {
    own: Option<CertificateDer<'static>>,
    system: Option<Verifier>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl DoorVerifier {
    fn new(certificate: Option<&Path>, provider: &Arc<CryptoProvider>) -> DoorVerifier {
        DoorVerifier {
            own: certificate.and_then(|path| CertificateDer::from_pem_file(path).ok()),
            system: Verifier::new(Arc::clone(provider)).ok(),
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for DoorVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match (&self.own, &self.system) {
            // The signatures below show that the door has its key.
            (Some(own), _) if own == certificate => Ok(ServerCertVerified::assertion()),
            (_, Some(system)) => system.verify_server_cert(certificate, between, name, ocsp, now),
            (_, None) => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Doors with TLS for tests, whose certificates no authority has signed.
#[cfg(test)]
pub(crate) mod testing {
    use std::{
        fs,
        net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
        path::PathBuf,
        thread,
    };

    use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
    use tempfile::TempDir;

    use super::*;

    /// A door at an address of its own.
    pub(crate) struct TlsDoor {
        pub(crate) address: SocketAddr,
        dir: TempDir,
    }

    impl TlsDoor {
        /// Treats each connection as told, one after the other.
        pub(crate) fn open(
            mut treat: impl FnMut(StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
        ) -> TlsDoor {
            let made = rcgen::generate_simple_self_signed(["herd.example".to_owned()]).unwrap();
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
            let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
            let config = Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).unwrap());
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                    treat(StreamOwned::new(connection, stream.unwrap()));
                }
            });
            TlsDoor { address, dir }
        }

        /// Its certificate, which no authority has signed and which does not name its address.
        pub(crate) fn certificate(&self) -> PathBuf {
            self.dir.path().join("cert.pem")
        }
    }
}
