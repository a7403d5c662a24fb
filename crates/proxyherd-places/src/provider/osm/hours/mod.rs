//! Evaluates `opening_hours` of OpenStreetMap: whether a place is open, in its own time zone and with its own holidays.
//!
//! [`evaluate`] parses and evaluates an expression, which takes some ten microseconds. The result is valid for hours.
//! So each place in memory keeps an [`OpenState`]: whether the place is open, and the time until which this is known.
//! If a question finds a state that is still valid, nothing is evaluated. Any other question is answered on a thread
//! that may wait.
//!
//! `sunrise` and `sunset` are at fixed hours, as in the crate `opening_hours` without coordinates. School holidays are
//! unknown, and regional holidays make a state unknown. `expression` corrects the crate's mistakes in parsing.
//!
//! Anybody can write an expression, and some expressions make the crate panic. So every call into the crate is
//! [`contained`]: after a panic the place has no state, and nothing else is affected.

mod expression;

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, NaiveDateTime, TimeDelta};
use jiff::{Timestamp, civil, tz::TimeZone};
use opening_hours::localization::Country;
use opening_hours::{Context, OpeningHours, RuleKind};

use super::index::Locale;
use super::limits::HOURS_KEPT_MAX_S;
use crate::contained::contained;

/// Whether a place is open, and the time until which this is known. The value is the second since 1970, shifted left by
/// two bits to make room for the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenState(u64);

const CLOSED: u64 = 1;
const OPEN: u64 = 2;
const UNKNOWN: u64 = 3;

impl OpenState {
    fn new(is_open: Option<bool>, until_s: i64) -> OpenState {
        let state = match is_open {
            Some(false) => CLOSED,
            Some(true) => OPEN,
            None => UNKNOWN,
        };
        OpenState(u64::try_from(until_s).unwrap_or(0) << 2 | state)
    }

    /// An unknown state. It stays valid for the maximum time of a state.
    pub(super) fn unknown(now_s: i64) -> OpenState {
        OpenState::new(None, now_s.saturating_add(HOURS_KEPT_MAX_S))
    }

    /// The state that is stored here, if it is still valid.
    pub(super) fn load(from: &AtomicU64, now_s: i64) -> Option<OpenState> {
        let state = OpenState(from.load(Ordering::Relaxed));
        let holds = i64::try_from(state.0 >> 2).is_ok_and(|until_s| now_s < until_s);
        (holds && matches!(state.0 & 3, CLOSED | OPEN | UNKNOWN)).then_some(state)
    }

    pub(super) fn store(self, to: &AtomicU64) {
        to.store(self.0, Ordering::Relaxed);
    }

    /// Whether the place is open. `None` if the expression does not say.
    pub(super) fn is_open(self) -> Option<bool> {
        match self.0 & 3 {
            CLOSED => Some(false),
            OPEN => Some(true),
            _ => None,
        }
    }
}

/// Whether an expression can be parsed. `None` if the parser panics.
pub(super) fn is_readable(hours: &str) -> Option<bool> {
    contained(|| hours.parse::<OpeningHours>().is_ok())
}

/// Evaluates an expression at a second since 1970. `None` if the evaluator panics.
pub(super) fn evaluate(hours: &str, locale: &Locale, now_s: i64) -> Option<OpenState> {
    let latest = now_s.saturating_add(HOURS_KEPT_MAX_S);
    Some(match contained(|| try_evaluate(hours, locale, now_s))? {
        Some((is_open, until_s)) => {
            OpenState::new(is_open, until_s.unwrap_or(latest).clamp(now_s + 1, latest))
        }
        None => OpenState::unknown(now_s),
    })
}

fn try_evaluate(hours: &str, locale: &Locale, now_s: i64) -> Option<(Option<bool>, Option<i64>)> {
    let zone = TimeZone::get(&locale.zone).ok()?;
    let now = local(&zone, now_s)?;
    let context = context(&locale.country);
    let (mut is_open, mut until_s) = (Some(false), None);
    for hours in expression::read(hours)? {
        let interval = hours.with_context(context.clone()).iter_from(now).next()?;
        until_s = [until_s, second(&zone, interval.range.end)].into_iter().flatten().min();
        is_open = match interval.kind {
            RuleKind::Open => Some(true),
            RuleKind::Closed => Some(false),
            RuleKind::Unknown => None,
        };
        // As in the crate, a closed rule with a comment is final.
        if is_open != Some(false) || !interval.comment.is_empty() {
            break;
        }
    }
    Some((is_open, until_s))
}

/// The holidays of a country, if they are known. The crate does not search for changes after the maximum time for which
/// a state is valid.
fn context(country: &str) -> Context {
    let context = Context::default().approx_bound_interval_size(TimeDelta::days(2));
    match country.parse::<Country>() {
        Ok(country) => {
            context.with_holidays(country.holidays()).with_holidays_unknown(country.holidays_regional())
        }
        Err(_) => context,
    }
}

/// The local time at a second since 1970.
fn local(zone: &TimeZone, second: i64) -> Option<NaiveDateTime> {
    let offset = zone.to_offset(Timestamp::from_second(second).ok()?);
    Some(DateTime::from_timestamp(second + i64::from(offset.seconds()), 0)?.naive_utc())
}

/// The second since 1970 of a local time. If clocks show this time twice, the result is the earlier second.
fn second(zone: &TimeZone, local: NaiveDateTime) -> Option<i64> {
    let seconds = local.and_utc().timestamp();
    let local = civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let local = local.checked_add(jiff::Span::new().try_seconds(seconds).ok()?).ok()?;
    Some(zone.to_ambiguous_timestamp(local).earlier().ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale(zone: &str, country: &str) -> Locale {
        Locale { zone: zone.to_owned(), country: country.to_owned() }
    }

    fn second_of(time: &str) -> i64 {
        time.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn places_are_open_when_their_hours_say_so_on_their_clocks() {
        let (berlin, new_york) = (locale("Europe/Berlin", "DE"), locale("America/New_York", "US"));
        for (hours, place, time, expected) in [
            ("24/7", &berlin, "2026-02-03T03:00:00Z", Some(true)),
            ("off", &berlin, "2026-02-03T12:00:00Z", Some(false)),
            // A Tuesday in winter: Berlin is one hour ahead of UTC, and New York is five hours behind UTC.
            ("Mo-Fr 09:00-18:00", &berlin, "2026-02-03T07:59:59Z", Some(false)),
            ("Mo-Fr 09:00-18:00", &berlin, "2026-02-03T08:00:00Z", Some(true)),
            ("Mo-Fr 09:00-18:00", &berlin, "2026-02-03T16:59:00Z", Some(true)),
            ("Mo-Fr 09:00-18:00", &berlin, "2026-02-03T17:00:00Z", Some(false)),
            ("Mo-Fr 09:00-18:00", &new_york, "2026-02-03T08:00:00Z", Some(false)),
            ("Mo-Fr 09:00-18:00", &new_york, "2026-02-03T14:00:00Z", Some(true)),
            // In summer the clocks of both cities are one hour further ahead.
            ("Mo-Fr 09:00-18:00", &berlin, "2026-07-07T07:00:00Z", Some(true)),
            ("Mo-Fr 09:00-18:00", &new_york, "2026-07-07T13:00:00Z", Some(true)),
            // The hours of an evening continue past midnight.
            ("Fr,Sa 20:00-03:00", &berlin, "2026-02-07T01:30:00Z", Some(true)),
            ("Fr,Sa 20:00-03:00", &berlin, "2026-02-07T02:30:00Z", Some(false)),
            ("Mo-Sa 11:30-14:30,17:30-23:00; Su off", &berlin, "2026-02-03T14:00:00Z", Some(false)),
            ("Mo-Sa 11:30-14:30,17:30-23:00; Su off", &berlin, "2026-02-03T17:00:00Z", Some(true)),
            ("Mo-Sa 11:30-14:30,17:30-23:00; Su off", &berlin, "2026-02-08T17:00:00Z", Some(false)),
            // Christmas, on a Friday, is a holiday in Germany.
            ("Mo-Fr 09:00-18:00; PH off", &berlin, "2026-12-25T11:00:00Z", Some(false)),
            ("Mo-Fr 09:00-18:00; PH off", &berlin, "2026-12-18T11:00:00Z", Some(true)),
            ("Apr-Oct: 10:00-20:00", &berlin, "2026-02-03T12:00:00Z", Some(false)),
            ("Apr-Oct: 10:00-20:00", &berlin, "2026-07-07T12:00:00Z", Some(true)),
            ("Mo-Fr 09:00-18:00 \"by appointment\"", &berlin, "2026-02-03T11:00:00Z", Some(true)),
            ("Mo-Fr 09:00-18:00 unknown", &berlin, "2026-02-03T11:00:00Z", None),
            ("when the door is open", &berlin, "2026-02-03T11:00:00Z", None),
            // Dates that do not exist match no day.
            ("Mo-Su 00:00-24:00; Sep 31 off", &berlin, "2026-11-30T11:00:00Z", Some(true)),
            ("Mo-Su 00:00-24:00; Sep 31 off", &berlin, "2026-10-01T11:00:00Z", Some(true)),
            ("Mo-Su 10:00-18:00; Feb 30 off", &berlin, "2026-02-28T11:00:00Z", Some(true)),
            ("Feb 30", &berlin, "2026-03-01T11:00:00Z", Some(false)),
            ("Mo-Su 10:00-18:00; Feb 29 off", &berlin, "2028-02-29T11:00:00Z", Some(false)),
            ("Mo-Su 10:00-18:00; Feb 29 off", &berlin, "2027-03-01T11:00:00Z", Some(true)),
            // A rule that is only a comment is unknown.
            ("\"by appointment\"", &berlin, "2026-02-03T11:00:00Z", None),
            ("Mo-Su \"nach Vereinbarung\"", &berlin, "2026-02-03T11:00:00Z", None),
            ("Tu,Th 09:00-11:00 || \"by appointment\"", &berlin, "2026-02-03T09:00:00Z", Some(true)),
            ("Tu,Th 09:00-11:00 || \"by appointment\"", &berlin, "2026-02-03T11:00:00Z", None),
            // Rules after a fallback override the fallback on their days. Christmas is a holiday, and the first of
            // December is a Tuesday.
            ("Mo-Fr 09:00-18:00 || \"by appointment\"; PH off", &berlin, "2026-12-01T19:00:00Z", None),
            ("Mo-Fr 09:00-18:00 || \"by appointment\"; PH off", &berlin, "2026-12-01T11:00:00Z", Some(true)),
            ("Mo-Fr 09:00-18:00 || \"by appointment\"; PH off", &berlin, "2026-12-25T11:00:00Z", Some(false)),
            (
                "Mo-Fr 09:00-18:00 || \"by appointment\"; Sa 10:00-12:00",
                &berlin,
                "2026-12-05T12:00:00Z",
                Some(false),
            ),
            (
                "Mo-Fr 09:00-18:00 || \"by appointment\"; Sa 10:00-12:00",
                &berlin,
                "2026-12-05T10:00:00Z",
                Some(true),
            ),
            ("open \"by appointment\"", &berlin, "2026-02-03T11:00:00Z", Some(true)),
        ] {
            let kept = evaluate(hours, place, second_of(time)).unwrap();
            assert_eq!(kept.is_open(), expected, "{hours} at {time}, {}", place.zone);
        }
    }

    #[test]
    fn a_state_holds_until_it_changes_and_no_longer() {
        let berlin = locale("Europe/Berlin", "DE");
        let (opens, closes) = (second_of("2026-02-03T08:00:00Z"), second_of("2026-02-03T17:00:00Z"));
        let kept = AtomicU64::new(0);
        let loaded = |at_s| OpenState::load(&kept, at_s).map(OpenState::is_open);
        assert_eq!(loaded(opens), None, "nothing was evaluated yet");
        evaluate("Mo-Fr 09:00-18:00", &berlin, opens).unwrap().store(&kept);
        assert_eq!(loaded(opens), Some(Some(true)));
        assert_eq!(loaded(closes - 1), Some(Some(true)));
        assert_eq!(loaded(closes), None);
        evaluate("no hours at all", &berlin, opens).unwrap().store(&kept);
        assert_eq!(loaded(opens + HOURS_KEPT_MAX_S - 1), Some(None));
        assert_eq!(loaded(opens + HOURS_KEPT_MAX_S), None);
    }

    #[test]
    fn a_zone_that_nobody_knows_leaves_it_open_whether_it_is_open() {
        assert_eq!(evaluate("24/7", &locale("Mars/Olympus", ""), 0).unwrap().is_open(), None);
    }

    #[test]
    fn an_expression_that_makes_the_evaluator_panic_goes_no_further() {
        let berlin = locale("Europe/Berlin", "DE");
        for hours in ["(dusk+05:00)-25:00", "(sunset+23:59)-25:00"] {
            assert_eq!(is_readable(hours), Some(true), "{hours}");
            assert_eq!(evaluate(hours, &berlin, second_of("2026-02-03T11:00:00Z")), None, "{hours}");
        }
    }
}
