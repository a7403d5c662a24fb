//! What one certificate says: whose it is, and from when until when it holds. Whether to believe it is `trust`'s.
//!
//! A server's certificate names it by one URI, `proxyherd://<herd>/<server>`, as subject alternative name: names of
//! servers are no host names, and may be written as host names can't. The authority's own is `proxyherd://<herd>`.

use std::time::Duration;

use jiff::Timestamp;
use proxyherd_core::types::ServerName;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

const SCHEME: &str = "proxyherd://";

/// Seconds in a day.
pub(super) const DAY_S: i64 = 24 * 3600;

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Which herd, by its id when the authority was made.
    pub(crate) herd: String,
    /// Which server of it.
    pub(crate) server: ServerName,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its URI of this program's scheme, if it has exactly one.
    uri: Option<String>,
    /// When it can be used.
    pub(crate) validity: Validity,
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
    /// As the certificate has it.
    pub(crate) fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.herd, self.server)
    }
}

/// The URI of a herd's authority.
pub(crate) fn authority_uri(herd: &str) -> String {
    format!("{SCHEME}{herd}")
}

impl Facts {
    /// Reads a certificate; the error is the library's word for what is wrong with its form.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Facts, Error> {
        let certificate = EndEntityCert::try_from(certificate)?;
        let mut uris = certificate.valid_uri_names().filter(|uri| uri.starts_with(SCHEME));
        let uri = uris.next().filter(|_| uris.next().is_none()).map(str::to_owned);
        Ok(Facts { uri, validity: validity(&certificate)? })
    }

    /// The server that it is for; `None` for one that is no server's of a herd.
    pub(crate) fn member(&self) -> Option<Member> {
        let (herd, server) = self.uri.as_deref()?.strip_prefix(SCHEME)?.split_once('/')?;
        Some(Member { herd: herd.to_owned(), server: ServerName::new(server).ok()? })
    }

    /// The herd whose authority it is; `None` for one that is none.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.uri.as_deref()?.strip_prefix(SCHEME).filter(|herd| !herd.contains('/'))
    }
}

/// The library tells a certificate's times where it refuses it for them, so it is asked about the earliest and the
/// latest moment there is; it looks at the time first.
fn validity(certificate: &EndEntityCert<'_>) -> Result<Validity, Error> {
    let refused_at = |time_s| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time_s));
        let nothing = (&[], &[], &[]);
        certificate
            .verify_for_usage(nothing.0, nothing.1, nothing.2, time, KeyUsage::client_auth(), None, None)
            .err()
    };
    let not_after_s = match refused_at(u64::MAX) {
        Some(Error::CertExpired { not_after, .. }) => not_after.as_secs(),
        Some(error) => return Err(error),
        None => u64::MAX,
    };
    let not_before_s = match refused_at(0) {
        Some(Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
        _ => 0,
    };
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    Ok(Validity { not_before_s: seconds(not_before_s), not_after_s: seconds(not_after_s) })
}

/// Whole days from `now_s` until `not_after_s`; negative once that is past.
pub(crate) fn days_left(not_after_s: i64, now_s: i64) -> i64 {
    not_after_s.saturating_sub(now_s).div_euclid(DAY_S)
}

/// `2027-11-24`, in UTC.
pub(crate) fn date(time_s: i64) -> String {
    match Timestamp::from_second(time_s) {
        Ok(time) => time.strftime("%F").to_string(),
        Err(_) => format!("second {time_s}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(uri: &str) -> Facts {
        let validity = Validity { not_before_s: 0, not_after_s: 0 };
        Facts { uri: Some(uri.to_owned()), validity }
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
    }
}
