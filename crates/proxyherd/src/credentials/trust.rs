//! Decides whether to believe a certificate: the herd's own authority must have made it, and it must be valid now.
//!
//! Both ends of a link decide by the same rules. Which server of the herd the certificate names is checked after the
//! handshake: the dialing end knows whom it has dialed, and the accepting end takes the name from the certificate.
//!
//! rustls follows the chain of signatures. Its verifiers alone are not enough, for three reasons. They look for a host's
//! name, and a server's name is a URI. They check dates first, so they would call a stranger's old certificate expired.
//! And a refusal by them does not say whose certificate it is, but the logs of both ends must.

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

/// Why a certificate is not believed. Each variant says for whom the certificate is, as far as that is known, and what
/// to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is for a server of this herd, and has expired.
    #[error("the certificate of {0} expired on {1}: renew it with `proxyherd init --server {0}`")]
    Expired(String, String),
    /// It is for a server of this herd, and is not valid yet.
    #[error("the certificate of {0} begins on {1}: look at the clocks of both machines")]
    NotYet(String, String),
    /// Another authority made it.
    #[error(
        "it is of another authority than ca.pem: both servers need certificates of the same `proxyherd init`"
    )]
    OtherAuthority,
    /// The same authority made it for another herd.
    #[error("it is for the herd \"{0}\" and this server's for \"{1}\"")]
    OtherHerd(String, String),
    /// It names no server.
    #[error("it names no server of a herd; `proxyherd init --server NAME` makes one that does")]
    Nameless,
    /// It can't be read, or is not for links.
    #[error("it is no certificate for a link ({0})")]
    Unfit(String),
}

impl Untrusted {
    /// What to say of a certificate of `server` that is out of time.
    pub(super) fn out_of_time(server: &ServerName, when: OutOfTime) -> Untrusted {
        match when {
            OutOfTime::Expired(on_s) => Untrusted::Expired(server.to_string(), date(on_s)),
            OutOfTime::NotYet(from_s) => Untrusted::NotYet(server.to_string(), date(from_s)),
        }
    }
}

/// Which end of a link shows a certificate. Both ends are judged alike, but each must be allowed to be that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The end that dials, a client of TLS.
    Dials,
    /// The end that accepts, a server of TLS.
    Accepts,
}

/// The herd's authority, as this server knows it. While one authority takes over from another there are two, and two
/// herds by name: each authority has its own.
#[derive(Debug)]
pub(super) struct Trust {
    herds: Vec<String>,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Follows signatures from the end that dials, and checks the signatures of handshakes at both ends.
    library: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    /// Trust in `authorities` to name the servers of `herd`, or of those that they say are theirs. The error says which
    /// of them is no authority.
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

    /// Whether to believe `certificate` at `now`, and whose it is, when `end` of a link shows it.
    pub(super) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        end: End,
    ) -> Result<Member, Untrusted> {
        let facts = Facts::of(certificate).map_err(|error| Untrusted::Unfit(error.to_string()))?;
        // Dates are checked last: a certificate of another authority is refused as such, whether it has expired or not.
        // So the chain is checked at a time when the certificate is valid.
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
            // The library's verifier of servers looks for a host's name too, and servers of a herd have none.
            End::Accepts => ParsedCertificate::try_from(certificate).and_then(|certificate| {
                let (roots, algorithms) = (&self.roots, self.algorithms.all);
                verify_server_cert_signed_by_trust_anchor(&certificate, roots, between, time, algorithms)
            }),
        };
        followed.map_err(|error| match error {
            // An authority of the same name but with another key differs by its signatures only.
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Untrusted::OtherAuthority
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
        // Every server has one certificate, so there is nothing to choose by a hint.
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
