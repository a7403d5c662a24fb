//! Decides whether to trust a certificate. The herd's own authority must have issued the certificate, and the
//! certificate must be valid now.
//!
//! Both ends of a link use the same rules. After the handshake, each end checks which server of the herd the
//! certificate names. The dialing end knows which server it has dialed. The accepting end takes the name from the
//! certificate.
//!
//! rustls verifies the chain of signatures. The verifiers of rustls are not enough by themselves, for three reasons.
//! They look for a host name, but a server's name is a URI. They check dates first, so they would report a stranger's
//! certificate as expired. And their errors do not say whose certificate was refused, but the logs of both servers must
//! say this.

use std::{sync::Arc, time::Duration};

use proxyherd_core::types::ServerName;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, ring},
    pki_types::{CertificateDer, ServerName as TlsName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::certificate::{Facts, Member, OutOfTime, Validity, date};

/// Why a certificate is not trusted. Each variant says for whom the certificate is, if known, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The certificate is for a server of this herd, but has expired.
    #[error("the certificate of {0} expired on {1}: renew it with `proxyherd init --server {0}`")]
    Expired(String, String),
    /// The certificate is for a server of this herd, but is not valid yet.
    #[error("the certificate of {0} begins on {1}: check the clocks of both machines")]
    NotYet(String, String),
    /// Another authority issued the certificate.
    #[error(
        "the certificate is of another authority than ca.pem: both servers need certificates of the same `proxyherd \
         init`"
    )]
    OtherAuthority,
    /// The same authority issued the certificate for another herd.
    #[error("the certificate is for the herd \"{0}\", but this server is in the herd \"{1}\"")]
    OtherHerd(String, String),
    /// The certificate names no server.
    #[error(
        "the certificate names no server of a herd; `proxyherd init --server NAME` makes one with a name"
    )]
    Nameless,
    /// The certificate can't be read, or is not for links.
    #[error("the certificate is not for links ({0})")]
    Unfit(String),
}

impl Untrusted {
    /// The error about a certificate of `server` that is expired or not valid yet.
    pub(super) fn out_of_time(server: &ServerName, when: OutOfTime) -> Untrusted {
        match when {
            OutOfTime::Expired(on_s) => Untrusted::Expired(server.to_string(), date(on_s)),
            OutOfTime::NotYet(from_s) => Untrusted::NotYet(server.to_string(), date(from_s)),
        }
    }
}

/// The end of a link that shows a certificate. The same rules apply to both ends, but the certificate must allow its
/// use at this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The end that dials, a client of TLS.
    Dials,
    /// The end that accepts, a server of TLS.
    Accepts,
}

/// The herd's authority, as this server knows it. While a new authority takes over from an old one, there are two
/// authorities. Each authority has its own name of the herd.
#[derive(Debug)]
pub(super) struct Trust {
    herds: Vec<String>,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Verifies the signatures in the certificate of the dialing end, and the signatures of handshakes at both ends.
    library: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    /// Trust in `authorities` to name the servers of `herd`, or of the herds that the authorities name. An error says
    /// which certificate is not an authority's.
    pub(super) fn new(herd: String, authorities: &[CertificateDer<'_>]) -> Result<Trust, Error> {
        let mut roots = RootCertStore::empty();
        authorities.iter().try_for_each(|authority| roots.add(authority.clone()))?;
        let named = authorities.iter().filter_map(|authority| Facts::of(authority).ok());
        let named = named.filter_map(|facts| facts.authority().map(str::to_owned));
        let (herds, roots) = (std::iter::once(herd).chain(named).collect(), Arc::new(roots));
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let library = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider).build();
        let library = library.map_err(|error| Error::General(error.to_string()))?;
        Ok(Trust { herds, roots, algorithms, library })
    }

    /// Checks a certificate that `end` of a link shows at `now`. Returns the server that the certificate names.
    pub(super) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        end: End,
    ) -> Result<Member, Untrusted> {
        let facts = Facts::of(certificate).map_err(|error| Untrusted::Unfit(error.to_string()))?;
        // Dates are checked last. So the error about a certificate of another authority names the authority, even if
        // the certificate has expired. For this reason the chain is checked at a time when the certificate is valid.
        let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let Validity { not_before_s, not_after_s } = facts.validity;
        let within_s = now_s.clamp(not_before_s, not_after_s.max(not_before_s));
        let within = UnixTime::since_unix_epoch(Duration::from_secs(within_s.unsigned_abs()));
        self.follow(certificate, between, within, end)?;
        let member = facts.member().ok_or(Untrusted::Nameless)?;
        if !self.herds.contains(&member.herd) {
            return Err(Untrusted::OtherHerd(member.herd, self.herds[0].clone()));
        }
        facts.validity.check(now_s).map_err(|when| Untrusted::out_of_time(&member.server, when))?;
        Ok(member)
    }

    /// Checks the chain of signatures up to the authority.
    fn follow(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        time: UnixTime,
        end: End,
    ) -> Result<(), Untrusted> {
        let followed = match end {
            End::Dials => self.library.verify_client_cert(certificate, between, time).map(|_| ()),
            // The library's verifier of servers also requires a host name, and servers of a herd have no host names.
            End::Accepts => ParsedCertificate::try_from(certificate).and_then(|certificate| {
                let (roots, algorithms) = (&self.roots, self.algorithms.all);
                verify_server_cert_signed_by_trust_anchor(&certificate, roots, between, time, algorithms)
            }),
        };
        followed.map_err(|error| match error {
            // An authority with the same name but another key differs only in its signatures.
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Untrusted::OtherAuthority
            }
            // The library shows such an error with its types around it.
            Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => {
                Untrusted::Unfit(why.to_string())
            }
            Error::InvalidCertificate(error) => Untrusted::Unfit(error.to_string()),
            error => Untrusted::Unfit(error.to_string()),
        })
    }

    fn judge_in_handshake(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        end: End,
    ) -> Result<(), Error> {
        let judged = self.judge(certificate, between, now, end);
        judged.map(|_| ()).map_err(|why| CertificateError::Other(OtherError(Arc::new(why))).into())
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &TlsName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge_in_handshake(certificate, between, now, End::Accepts)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}

impl ClientCertVerifier for Trust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Every server has one certificate, so a hint has no effect.
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge_in_handshake(certificate, between, now, End::Dials)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}
