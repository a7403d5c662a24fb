//! Whom a server believes: whoever shows a certificate of its own herd's authority, for as long as that holds.
//!
//! Both ends of a link judge alike. Which server of the herd it is, is looked at when the handshake is done: a dialling
//! end knows whom it dialled, and an accepting end has yet to be told.

use std::{fmt, sync::Arc, time::Duration};

use proxyherd_core::types::ServerName;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName as TlsName, TrustAnchor, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::certificate::{Facts, Member, OutOfTime, Validity, date};

/// Why a certificate is not believed. Each says whose it claims to be, as far as that is known, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Of this herd, but its time is over.
    #[error("the certificate of {0} expired on {1}: renew it with `proxyherd init --server {0}`")]
    Expired(String, String),
    /// Of this herd, but its time is to come.
    #[error("the certificate of {0} begins on {1}: look at the clocks of both machines")]
    NotYet(String, String),
    /// Somebody else's authority made it.
    #[error("it is of another authority than ca.pem: both servers need certificates of one `proxyherd init`")]
    OtherAuthority,
    /// The same authority made it for another herd.
    #[error("it is for the herd \"{0}\" and this server's for \"{1}\"")]
    OtherHerd(String, String),
    /// It names no server.
    #[error("it names no server of a herd; `proxyherd init --server NAME` makes one that does")]
    Nameless,
    /// It can't be read, or is not meant for links.
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

/// The herd's authority, as this server knows it. While one authority takes over from another there are two, and two
/// herds by name: each authority has its own.
pub(super) struct Trust {
    herds: Vec<String>,
    anchors: Vec<TrustAnchor<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Trust in `authorities` to name the servers of `herd`, or of those that they say are theirs. The error says which of them is no authority.
    pub(super) fn new(
        herd: String,
        authorities: &[CertificateDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Trust, webpki::Error> {
        let anchors = authorities.iter().map(|authority| Ok(anchor_from_trusted_cert(authority)?.to_owned()));
        let named = authorities.iter().filter_map(|authority| Facts::of(authority).ok());
        let named = named.filter_map(|facts| facts.authority().map(str::to_owned));
        let herds = std::iter::once(herd).chain(named).collect();
        Ok(Trust { herds, anchors: anchors.collect::<Result<_, _>>()?, algorithms })
    }

    /// Whether to believe `certificate` at `now`, and whose it is. `usage` makes it of use at one end of a link.
    pub(super) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<Member, Untrusted> {
        let facts = Facts::of(certificate).map_err(|error| unfit(&error))?;
        // Its time is looked at last: of what others have made, it does not matter how old it is.
        let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let Validity { not_before_s, not_after_s } = facts.validity;
        let within_s = now_s.clamp(not_before_s, not_after_s.max(not_before_s));
        let within = UnixTime::since_unix_epoch(Duration::from_secs(within_s.unsigned_abs()));
        self.follow(certificate, between, within, usage)?;
        let member = facts.member().ok_or(Untrusted::Nameless)?;
        if !self.herds.contains(&member.herd) {
            return Err(Untrusted::OtherHerd(member.herd, self.herds[0].clone()));
        }
        facts.validity.check(now_s).map_err(|when| Untrusted::out_of_time(&member.server, when))?;
        Ok(member)
    }

    /// Follows the signatures up to the authority.
    fn follow(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        time: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Untrusted> {
        let certificate = EndEntityCert::try_from(certificate).map_err(|error| unfit(&error))?;
        let followed = certificate.verify_for_usage(
            self.algorithms.all,
            &self.anchors,
            between,
            time,
            usage,
            None,
            None,
        );
        match followed {
            Ok(_) => Ok(()),
            // An authority of the same name but another key is found by its signature alone.
            Err(webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey) => {
                Err(Untrusted::OtherAuthority)
            }
            Err(error) => Err(unfit(&error)),
        }
    }

    fn judge_in_handshake(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let judged = self.judge(certificate, between, now, usage);
        judged.map(|_| ()).map_err(|why| CertificateError::Other(OtherError(Arc::new(why))).into())
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({:?}, {} authorities)", self.herds, self.anchors.len())
    }
}

fn unfit(error: &webpki::Error) -> Untrusted {
    Untrusted::Unfit(error.to_string())
}

/// TLS 1.2 is not spoken at all; the library has one trait for both.
fn no_tls12() -> Error {
    Error::General("links speak TLS 1.3 only".to_owned())
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
        self.judge_in_handshake(certificate, between, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
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
        self.judge_in_handshake(certificate, between, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
