//! Decides which certificates the commands `client`, `status` and `token` trust when they dial a door with TLS. For any
//! other certificate, this module says what is wrong with it.
//!
//! A door may show exactly the certificate that `[tls]` names. This certificate is trusted for every name and address
//! that is dialed. On the machine of the server the address is often 127.0.0.1, which no authority certifies. This
//! system must trust any other certificate for the name that was dialed.

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

/// The result of [`trouble`] for a door that does not speak TLS.
pub(crate) const UNENCRYPTED: &str = "it does not speak TLS";

/// The results of [`trouble`] for a certificate that is not trusted.
pub(crate) const UNTRUSTED: [&str; 5] = [EXPIRED, NOT_YET, OTHER_NAME, OTHER_AUTHORITY, UNFIT];
const EXPIRED: &str =
    "its certificate has expired: the server needs a new one, unless this machine's clock is wrong";
const NOT_YET: &str = "its certificate is not valid yet: check the clocks of both machines";
const OTHER_NAME: &str = "its certificate is not for the name or address that was dialed: dial a name that the \
                          certificate has, or have a certificate made for this one";
const OTHER_AUTHORITY: &str = "its certificate is of an authority that this system does not trust: add the authority \
                               to those of this system, or, if a door of the herd shows the certificate, give \
                               --config FILE, a herd.toml whose [tls] names the certificate as `cert`";
const UNFIT: &str = "this system does not trust its certificate: if a door of the herd shows it, give --config FILE, a \
                     herd.toml whose [tls] names it as `cert`; otherwise the server needs another certificate";

/// A TLS configuration for dialing doors. `certificate` is the file that `[tls]` names. If this machine does not have
/// the file, only the system's authorities count. If the system has no authorities, only the file counts.
pub(crate) fn client_config(certificate: Option<&Path>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = DoorVerifier::new(certificate, &provider);
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("ring supports rustls' default versions");
    config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
}

/// What went wrong with a TLS connection, in words without a name and an address. `None` if the error is not from TLS.
pub(crate) fn trouble(error: &io::Error) -> Option<&'static str> {
    Some(tls_trouble(error.get_ref()?.downcast_ref::<Error>()?))
}

/// [`trouble`] for an error from TLS.
pub(crate) fn tls_trouble(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(why) => certificate_trouble(why),
        Error::InvalidMessage(_) => UNENCRYPTED,
        _ => "no encrypted connection can be made",
    }
}

/// What is wrong with a certificate, and what to do.
fn certificate_trouble(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => EXPIRED,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => NOT_YET,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => OTHER_NAME,
        // An authority with the same name but another key differs only in its signatures.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => OTHER_AUTHORITY,
        _ => UNFIT,
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_that_is_not_believed_is_told_with_what_is_wrong_and_what_to_do() {
        let authority = || {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            (params.self_signed(&key).unwrap().der().clone(), Issuer::new(params, key))
        };
        let ((root, trusted), (_, other)) = (authority(), authority());
        let provider = Arc::new(ring::default_provider());
        let system = Verifier::new_with_extra_roots([root], Arc::clone(&provider)).unwrap();
        let algorithms = provider.signature_verification_algorithms;
        let door_verifier = DoorVerifier { own: None, system: Some(system), algorithms };
        let seen = |issuer: &Issuer<'_, KeyPair>, (from, until), dialed: &str| {
            let mut params = CertificateParams::new(["herd.example".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
            let shown = params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap();
            let (name, now) = (ServerName::try_from(dialed).unwrap(), Duration::from_secs(1_795_461_363));
            let now = UnixTime::since_unix_epoch(now);
            match door_verifier.verify_server_cert(shown.der(), &[], &name, &[], now) {
                Ok(_) => "it is trusted",
                Err(error) => trouble(&io::Error::other(error)).unwrap(),
            }
        };
        let good = (2025, 2028);
        for (issuer, times, dialed, expected) in [
            (&trusted, good, "herd.example", "it is trusted"),
            (
                &trusted,
                (2024, 2025),
                "herd.example",
                "its certificate has expired: the server needs a new one",
            ),
            (&trusted, (2027, 2028), "herd.example", "its certificate is not valid yet: check the clocks"),
            (
                &trusted,
                good,
                "other.example",
                "its certificate is not for the name or address that was dialed",
            ),
            (&trusted, good, "127.0.0.1", "its certificate is not for the name or address that was dialed"),
            (
                &other,
                good,
                "herd.example",
                "its certificate is of an authority that this system does not trust",
            ),
        ] {
            let seen = seen(issuer, times, dialed);
            assert!(seen.starts_with(expected), "{seen}");
        }
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
