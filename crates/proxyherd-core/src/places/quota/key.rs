//! The key of an account in the replica: the account's server and its period.
//!
//! Any member can invent accounts. At any moment at most [`ACCOUNTS_MAX`](crate::limits::ACCOUNTS_MAX) accounts of one
//! server are [in time](QuotaKey::is_in_time), so the replica can have room for all of these, whatever accounts a
//! member invents.

use super::{Period, Span};
use crate::types::ServerName;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The key of a server's account. The replica holds it under [`Kind::QUOTA`](crate::types::Kind::QUOTA).
pub fn key(period: Period, server: &ServerName) -> String {
    format!("{}/{period}/{server}", period.span.as_str())
}

/// The parts of an account's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaKey<'a> {
    /// The period.
    pub period: Period,
    /// The name of the account's server.
    pub server: &'a str,
}

impl<'a> QuotaKey<'a> {
    /// Reads a key that [`key`] has written. Returns `None` for anything else.
    pub fn parse(key: &'a [u8]) -> Option<QuotaKey<'a>> {
        let (span, rest) = std::str::from_utf8(key).ok()?.split_once('/')?;
        let (period, server) = rest.split_once('/')?;
        let span = Span::ALL.into_iter().find(|one| one.as_str() == span)?;
        let period = Period::parse(span, period)?;
        ServerName::fits(server).then_some(QuotaKey { period, server })
    }

    /// Whether an account that was received at `received_ns` and is kept for `ttl_ns` can be of use. Such an account
    /// was issued after the begin of its period, and is kept no longer than servers keep their accounts. A clock may be
    /// wrong by one period.
    pub fn is_in_time(&self, received_ns: u64, ttl_ns: u64) -> bool {
        let Period { span, number } = self.period;
        let keep_ns = u64::from(span.keep_s()) * NANOS_PER_SECOND;
        let latest_ns = received_ns.saturating_add(ttl_ns).saturating_sub(keep_ns);
        number <= span.at(received_ns).number + 1 && span.at(latest_ns).number <= number + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::ACCOUNTS_MAX;

    const HOUR_NS: u64 = 3600 * NANOS_PER_SECOND;
    const DAY_NS: u64 = 24 * HOUR_NS;
    const NOW_NS: u64 = 1_791_158_400_000_000_000;

    #[test]
    fn a_key_reads_as_what_it_is() {
        let riley = ServerName::new("Riley").unwrap();
        let keys = Span::ALL.map(|span| key(span.at(NOW_NS), &riley));
        assert_eq!(keys, ["day/2026-10-05/Riley", "month/2026-10/Riley"]);
        for (span, key) in Span::ALL.into_iter().zip(&keys) {
            let parsed = QuotaKey { period: span.at(NOW_NS), server: "Riley" };
            assert_eq!(QuotaKey::parse(key.as_bytes()), Some(parsed));
        }
    }

    #[test]
    fn what_is_not_written_is_no_key() {
        for key in [
            "",
            "/",
            "//",
            "day",
            "day/2026-10-05",
            "day/2026-10-05/",
            "day//Riley",
            "day/2026-10/Riley",
            "month/2026-10-05/Riley",
            "year/2026/Riley",
            "day/2026-10-05/Riley/",
            "day/2026-10-05//Riley",
            "day/2026-10-05/R\u{e4}uber",
            "Day/2026-10-05/Riley",
        ] {
            assert_eq!(QuotaKey::parse(key.as_bytes()), None, "{key}");
        }
        assert_eq!(QuotaKey::parse(b"day/2026-10-05/\xff"), None);
    }

    #[test]
    fn an_account_is_in_time_whenever_its_server_tells_it() {
        for span in Span::ALL {
            let ttl_ns = u64::from(span.keep_s()) * NANOS_PER_SECOND;
            for hours in 0..24 * 70 {
                let told_ns = NOW_NS + hours * HOUR_NS;
                let key = QuotaKey { period: span.at(told_ns), server: "Riley" };
                // A clock that is ahead, and a clock that was found to have been ahead.
                for received_ns in [told_ns, told_ns + HOUR_NS, told_ns - HOUR_NS] {
                    assert!(key.is_in_time(received_ns, ttl_ns), "{key:?} {received_ns}");
                }
                assert!(key.is_in_time(told_ns, DAY_NS), "said to be gone");
                assert!(
                    !key.is_in_time(told_ns, 2 * ttl_ns + 31 * DAY_NS) && !key.is_in_time(told_ns, u64::MAX)
                );
                assert!(!key.is_in_time(told_ns - 63 * DAY_NS, ttl_ns));
            }
        }
    }

    #[test]
    fn no_server_has_more_accounts_in_time_than_there_is_room_for() {
        // All possible accounts: of any period, received at any time, kept for any time.
        for day in (0..70).step_by(9) {
            let now_ns = NOW_NS + day * DAY_NS;
            let mut keys = BTreeSet::new();
            for hours_ago in (0..24 * 80).step_by(12) {
                let received_ns = now_ns + HOUR_NS - hours_ago * HOUR_NS;
                let live_ns = now_ns - received_ns.min(now_ns);
                for span in Span::ALL {
                    let at = span.at(now_ns).number;
                    for number in at - 10..=at + 10 {
                        let key = QuotaKey { period: Period { span, number }, server: "Riley" };
                        // The account has not expired yet.
                        if key.is_in_time(received_ns, live_ns + 1) {
                            keys.insert(key.period);
                        }
                    }
                }
            }
            assert!(keys.len() <= ACCOUNTS_MAX, "{keys:?}");
            assert!(keys.len() > 8, "{keys:?}");
        }
    }
}
