//! The herd's authority. It makes its own certificate and a certificate for each server. Only `proxyherd init` uses
//! this module. A running server never reads the authority's key.
//!
//! This module decides what certificates say. It knows nothing of files, and times are arguments.

use std::time::Duration;

use proxyherd_core::types::ServerName;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::certificate::{DAY_S, Facts, Member, authority_uri};

/// Number of days for which an authority's certificate is valid: ten years.
const AUTHORITY_DAYS: i64 = 3650;
/// Time before its creation from which a certificate is valid. The clocks of a herd's machines differ, so a machine
/// whose clock is behind must accept a new certificate.
const BEFORE_S: i64 = 3600;

/// Why there is no certificate. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the file holds no certificate of an authority that `proxyherd init` has made")]
    NotOurs,
    #[error("the file holds no private key that can be read")]
    NoKey,
    #[error("the key belongs to another authority")]
    OtherKey,
    #[error("the authority has expired: let another take over (the chapter Certificates of the book)")]
    Expired,
    #[error(transparent)]
    Library(#[from] rcgen::Error),
}

/// An authority and its key.
pub struct Authority {
    herd: String,
    issuer: Issuer<'static, KeyPair>,
    not_after_s: i64,
}

/// A certificate and its private key, to be written to files.
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key.
    pub key_pem: String,
    /// The last second at which the certificate is valid, POSIX time.
    pub not_after_s: i64,
}

impl Authority {
    /// A new authority for `herd`, and its own certificate and key.
    pub fn create(herd: &str, now_s: i64) -> Result<(Authority, Issued), AuthorityError> {
        let not_after_s = now_s + AUTHORITY_DAYS * DAY_S;
        let mut params = params(herd, now_s, not_after_s)?;
        params.subject_alt_names = vec![SanType::URI(authority_uri(herd).try_into()?)];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let (certificate_pem, key_pem) = (certificate.pem(), key.serialize_pem());
        let authority = Authority { herd: herd.to_owned(), issuer: Issuer::new(params, key), not_after_s };
        Ok((authority, Issued { certificate_pem, key_pem, not_after_s }))
    }

    /// The authority whose key is `key_pem`. The authority's certificate must be among `certificates`, because a file
    /// may hold the certificates of an old and a new authority.
    pub fn open(certificates: &[CertificateDer<'_>], key_pem: &str) -> Result<Authority, AuthorityError> {
        let key = KeyPair::from_pem(key_pem).map_err(|_| AuthorityError::NoKey)?;
        let herds: Vec<Facts> = certificates
            .iter()
            .filter_map(|certificate| Facts::of(certificate).ok())
            .filter(|facts| facts.authority().is_some())
            .collect();
        if herds.is_empty() {
            return Err(AuthorityError::NotOurs);
        }
        let public_key_der = key.subject_public_key_info();
        let own = herds.iter().find(|facts| facts.public_key_der == public_key_der);
        let facts = own.ok_or(AuthorityError::OtherKey)?;
        let herd = facts.authority().ok_or(AuthorityError::NotOurs)?.to_owned();
        let params = params(&herd, facts.validity.not_before_s, facts.validity.not_after_s)?;
        Ok(Authority { herd, issuer: Issuer::new(params, key), not_after_s: facts.validity.not_after_s })
    }

    /// A certificate for `server` with a new key. The certificate is valid for `days`, but not longer than the
    /// authority.
    pub fn issue(&self, server: &ServerName, now_s: i64, days: u32) -> Result<Issued, AuthorityError> {
        if now_s >= self.not_after_s {
            return Err(AuthorityError::Expired);
        }
        let not_after_s = self.not_after_s.min(now_s + i64::from(days) * DAY_S);
        let member = Member { herd: self.herd.clone(), server: server.clone() };
        let mut params = CertificateParams::default();
        set_validity(&mut params, now_s, not_after_s);
        params.distinguished_name = distinguished_name(&[(DnType::CommonName, server.as_str())]);
        params.subject_alt_names = vec![SanType::URI(member.uri().try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A server dials some of its neighbors, and the other neighbors dial the server.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem(), not_after_s })
    }
}

/// The certificate parameters of the authority of `herd`: its names and its permissions. [`Authority::open`] makes the
/// same parameters again from the herd's name and the dates. So this must never change for authorities that are in use.
fn params(herd: &str, now_s: i64, not_after_s: i64) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    set_validity(&mut params, now_s, not_after_s);
    // A herd's id may have the maximum length of a common name. So the common name has no room for the word
    // "authority".
    params.distinguished_name =
        distinguished_name(&[(DnType::OrganizationName, "proxyherd authority"), (DnType::CommonName, herd)]);
    // The authority signs servers' certificates, and no certificates of other authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn distinguished_name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    parts.iter().for_each(|(part, text)| distinguished.push(part.clone(), *text));
    distinguished
}

fn set_validity(params: &mut CertificateParams, now_s: i64, not_after_s: i64) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs((now_s - BEFORE_S).unsigned_abs());
    params.not_after = epoch + Duration::from_secs(not_after_s.unsigned_abs());
}
