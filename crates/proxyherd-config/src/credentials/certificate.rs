//! The content of one certificate: for whom it is, and when it is valid. `trust` decides whether to trust a
//! certificate.
//!
//! A server's certificate has one URI, `proxyherd://<herd>/<server>`, as subject alternative name. The names of servers
//! are not host names, and may have characters that host names can't have. The authority's URI is `proxyherd://<herd>`.

use jiff::Timestamp;
use proxyherd_core::types::ServerName;
use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate, error::X509Error, extensions::GeneralName, prelude::FromDer as _,
};

use proxyherd_places::contained::contained;

const SCHEME: &str = "proxyherd://";

/// Seconds in a day.
pub(super) const DAY_S: i64 = 24 * 3600;

/// The server that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The herd's id when the authority was made.
    pub(crate) herd: String,
    /// The server's name.
    pub(crate) server: ServerName,
}

/// The content of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The certificate's URI of this program's scheme, if the certificate has exactly one such URI.
    uri: Option<String>,
    /// The period in which the certificate is valid.
    pub validity: Validity,
    /// The public key, encoded as in the certificate (SubjectPublicKeyInfo).
    pub(super) public_key_der: Vec<u8>,
}

/// Why a certificate can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The form of the certificate is wrong. The text is the library's.
    #[error(transparent)]
    Form(#[from] X509Error),
    /// More bytes follow the end of the certificate.
    #[error("more bytes follow the end of the certificate")]
    LongerThanItSays,
    /// The library panicked while it read the certificate.
    #[error("the library that reads certificates failed")]
    Panic,
}

/// The period in which a certificate is valid. Both ends are inclusive, POSIX seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub(super) not_before_s: i64,
    /// The last second.
    pub not_after_s: i64,
}

/// Why a certificate is not valid at some moment. Each variant holds the time when the period ends or begins, POSIX
/// seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfTime {
    /// The certificate expired at this time.
    Expired(i64),
    /// The certificate is valid from this time on.
    NotYet(i64),
}

impl Validity {
    /// Returns an error unless a certificate is valid at `now_s`.
    pub(crate) fn check(self, now_s: i64) -> Result<(), OutOfTime> {
        match now_s {
            _ if now_s > self.not_after_s => Err(OutOfTime::Expired(self.not_after_s)),
            _ if now_s < self.not_before_s => Err(OutOfTime::NotYet(self.not_before_s)),
            _ => Ok(()),
        }
    }

    /// The period in which both of two certificates are valid.
    pub(crate) fn and(self, other: Validity) -> Validity {
        Validity {
            not_before_s: self.not_before_s.max(other.not_before_s),
            not_after_s: self.not_after_s.min(other.not_after_s),
        }
    }
}

impl Member {
    /// The URI in the certificate.
    pub(crate) fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.herd, self.server)
    }
}

/// The URI of a herd's authority.
pub(super) fn authority_uri(herd: &str) -> String {
    format!("{SCHEME}{herd}")
}

impl Facts {
    /// Reads a certificate, which may come from a stranger.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Facts, Unreadable> {
        contained(|| Facts::read(certificate)).unwrap_or(Err(Unreadable::Panic))
    }

    fn read(certificate: &[u8]) -> Result<Facts, Unreadable> {
        let (rest, certificate) = X509Certificate::from_der(certificate).map_err(X509Error::from)?;
        if !rest.is_empty() {
            return Err(Unreadable::LongerThanItSays);
        }
        let names = certificate.subject_alternative_name()?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let mut uris = names.filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        });
        let uri = uris.next().filter(|_| uris.next().is_none()).map(str::to_owned);
        let held = certificate.validity();
        let validity =
            Validity { not_before_s: held.not_before.timestamp(), not_after_s: held.not_after.timestamp() };
        Ok(Facts { uri, validity, public_key_der: certificate.public_key().raw.to_vec() })
    }

    /// The server that the certificate is for. `None`: the certificate is not for a server of a herd.
    pub(crate) fn member(&self) -> Option<Member> {
        let (herd, server) = self.uri.as_deref()?.strip_prefix(SCHEME)?.split_once('/')?;
        Some(Member { herd: herd.to_owned(), server: ServerName::new(server).ok()? })
    }

    /// The herd of the authority that the certificate is for. `None`: the certificate is not for an authority.
    pub fn authority(&self) -> Option<&str> {
        self.uri.as_deref()?.strip_prefix(SCHEME).filter(|herd| !herd.contains('/'))
    }
}

/// Whole days from `now_s` until `not_after_s`. Negative if `not_after_s` is in the past.
pub fn days_left(not_after_s: i64, now_s: i64) -> i64 {
    not_after_s.saturating_sub(now_s).div_euclid(DAY_S)
}

/// The date of a time in UTC, such as `2027-11-24`.
pub fn date(time_s: i64) -> String {
    /// The end of a certificate without an end, 99991231235959Z (RFC 5280, section 4.1.2.5). It is later than the last
    /// time of the library.
    const NO_END_S: i64 = 253_402_300_799;
    match Timestamp::from_second(time_s) {
        _ if time_s == NO_END_S => "9999-12-31".to_owned(),
        Ok(time) => time.strftime("%F").to_string(),
        Err(_) => format!("second {time_s}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(uri: &str) -> Facts {
        let validity = Validity { not_before_s: 0, not_after_s: 0 };
        Facts { uri: Some(uri.to_owned()), validity, public_key_der: Vec::new() }
    }

    #[test]
    fn a_uri_names_a_server_or_the_authority_and_nothing_else() {
        let member = Member { herd: "herd-7f3a9c".into(), server: ServerName::new("a_b.c-1").unwrap() };
        assert_eq!(member.uri(), "proxyherd://herd-7f3a9c/a_b.c-1");
        assert_eq!(facts(&member.uri()).member(), Some(member));
        assert_eq!(facts("proxyherd://herd/Riley").authority(), None);
        assert_eq!(facts("proxyherd://herd/a/b").member(), None, "no server's name has a slash");
        assert_eq!(facts("proxyherd://herd/").member(), None);
        let authority = facts(&authority_uri("herd"));
        assert_eq!((authority.member(), authority.authority()), (None, Some("herd")));
    }

    #[test]
    fn days_are_whole_and_negative_once_they_are_past() {
        for (left_s, days) in
            [(0, 0), (DAY_S - 1, 0), (DAY_S, 1), (30 * DAY_S, 30), (-1, -1), (-DAY_S - 1, -2)]
        {
            assert_eq!(days_left(1_000_000 + left_s, 1_000_000), days, "{left_s}");
        }
        assert_eq!(date(1_795_461_363), "2026-11-23");
        let (_, no_end) = x509_parser::time::ASN1Time::from_der(b"\x18\x0f99991231235959Z").unwrap();
        assert_eq!(date(no_end.timestamp()), "9999-12-31");
    }
}
