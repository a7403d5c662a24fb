//! What one certificate says: for whom it is, and when it is valid. `trust` decides whether to believe it.
//!
//! A server's certificate has one URI, `proxyherd://<herd>/<server>`, as subject alternative name: the names of servers
//! are no host names, and may have characters that host names can't. The authority's URI is `proxyherd://<herd>`.

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

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its URI of this program's scheme, if it has exactly one.
    uri: Option<String>,
    /// When it can be used.
    pub(crate) validity: Validity,
    /// Its public key as it stands in the certificate (SubjectPublicKeyInfo).
    pub(crate) public_key_der: Vec<u8>,
}

/// Why a certificate can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The library's words for what is wrong with its form.
    #[error(transparent)]
    Form(#[from] X509Error),
    /// Bytes stand behind its end.
    #[error("there is more behind its end")]
    LongerThanItSays,
    /// The library does not get on with it.
    #[error("the library that reads it failed")]
    Panic,
}

/// From when until when a certificate can be used, both inclusive, POSIX seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before_s: i64,
    pub(crate) not_after_s: i64,
}

/// Why a certificate can't be used at some moment. Each says when it begins or ends, POSIX seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfTime {
    /// It expired then.
    Expired(i64),
    /// It begins then.
    NotYet(i64),
}

impl Validity {
    /// Whether a certificate can be used at `now_s`.
    pub(crate) fn check(self, now_s: i64) -> Result<(), OutOfTime> {
        match now_s {
            _ if now_s > self.not_after_s => Err(OutOfTime::Expired(self.not_after_s)),
            _ if now_s < self.not_before_s => Err(OutOfTime::NotYet(self.not_before_s)),
            _ => Ok(()),
        }
    }

    /// When both of two certificates can be used.
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
pub(crate) fn authority_uri(herd: &str) -> String {
    format!("{SCHEME}{herd}")
}

impl Facts {
    /// Reads a certificate, which may come from a stranger.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Facts, Unreadable> {
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

    /// The server that it is for; `None` if it is not for a server of a herd.
    pub(crate) fn member(&self) -> Option<Member> {
        let (herd, server) = self.uri.as_deref()?.strip_prefix(SCHEME)?.split_once('/')?;
        Some(Member { herd: herd.to_owned(), server: ServerName::new(server).ok()? })
    }

    /// The herd whose authority it is for; `None` if it is for no authority.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.uri.as_deref()?.strip_prefix(SCHEME).filter(|herd| !herd.contains('/'))
    }
}

/// Whole days from `now_s` until `not_after_s`; negative once that is past.
pub(crate) fn days_left(not_after_s: i64, now_s: i64) -> i64 {
    not_after_s.saturating_sub(now_s).div_euclid(DAY_S)
}

/// `2027-11-24`, in UTC.
pub(crate) fn date(time_s: i64) -> String {
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
