//! Parses an expression, and corrects three things in which the crate differs from OpenStreetMap's definition:
//!
//! - The crate reads a date that does not exist (`Sep 31`) as the whole year. Here such a date matches no day.
//! - The crate reads a rule that is only a comment, or days and a comment (`Mo "by appointment"`), as open. Here the
//!   state is unknown.
//! - The crate uses a fallback (`Tu 09:00-11:00 || "by appointment"`) only on days that no other rule matches. Here the
//!   fallback is used whenever the rules before it are closed. So each fallback becomes an expression of its own,
//!   together with the later rules, which override all rules before them.
//!
//! The evaluator accepts only text. So a corrected expression is written as text and parsed again. If the second
//! parsing does not give the same expression, the text counts as unreadable.

use opening_hours::{OpeningHours, RuleKind};
use opening_hours_syntax::rules::day::{Date, MonthdayRange, Year};
use opening_hours_syntax::rules::time::TimeSelector;
use opening_hours_syntax::rules::{OpeningHoursExpression, RuleOperator, RuleSequence};

use super::super::limits::FALLBACKS_MAX;

/// Parses a text into one or more expressions: the state is the state of the first expression that is not closed.
/// `None` if the text cannot be read.
pub(super) fn read(text: &str) -> Option<Vec<OpeningHours>> {
    let hours: OpeningHours = text.parse().ok()?;
    let expression = hours.get_expression();
    let parts = parts(mended(&expression.rules, text))?;
    if parts.len() == 1 && parts[0] == expression.rules {
        return Some(vec![hours]);
    }
    parts.into_iter().map(written).collect()
}

fn mended(rules: &[RuleSequence], text: &str) -> Vec<RuleSequence> {
    let mut rules = rules.to_vec();
    doubt_comments(&mut rules, text);
    rules.retain_mut(|rule| has_days(&mut rule.day_selector.monthday));
    rules
}

/// Splits rules into several parts: the rules before the first fallback, and one part for each fallback. Other rules
/// after a fallback override both the fallback and the rules before it, so these rules are in all parts: `A || B; C`
/// becomes `A; C` and `B; C`. `None` if there are too many fallbacks.
fn parts(rules: Vec<RuleSequence>) -> Option<Vec<Vec<RuleSequence>>> {
    let is_fallback = |rule: &RuleSequence| rule.operator == RuleOperator::Fallback;
    // If a fallback is the first rule, there is nothing before it, so it counts as an ordinary rule.
    let starts: Vec<usize> = (0..rules.len()).filter(|&at| at == 0 || is_fallback(&rules[at])).collect();
    let last_of = |part: usize| starts.get(part + 1).map_or(rules.len(), |&next| next);
    let later = |part: usize| rules[last_of(part)..].iter().filter(|&rule| !is_fallback(rule));
    let part = |(part, &start): (usize, &usize)| {
        rules[start..last_of(part)].iter().chain(later(part)).cloned().collect()
    };
    match starts.len() {
        // All rules were dropped, or none is a fallback.
        0 | 1 => Some(vec![rules]),
        count if count > FALLBACKS_MAX + 1 => None,
        _ => Some(starts.iter().enumerate().map(part).collect()),
    }
}

/// Makes an expression of these rules. An expression without rules is always closed.
fn written(mut rules: Vec<RuleSequence>) -> Option<OpeningHours> {
    let Some(first) = rules.first_mut() else { return "off".parse().ok() };
    first.operator = RuleOperator::Normal;
    let expression = OpeningHoursExpression { rules };
    let again: OpeningHours = expression.to_string().parse().ok()?;
    (*again.get_expression() == expression).then_some(again)
}

/// Changes the state of rules to unknown if they are open only because they have a comment.
fn doubt_comments(rules: &mut [RuleSequence], text: &str) {
    let stated = states_before_comments(text);
    // A rule may have a second comment before its days, which the crate drops. Then the comments cannot be matched to
    // the rules, and all rules without times become unknown.
    let is_clear = stated.len() == rules.iter().filter(|rule| !rule.comment.is_empty()).count();
    let commented = rules.iter_mut().filter(|rule| !rule.comment.is_empty());
    for (at, rule) in commented.enumerate() {
        let says_when = rule.time_selector != TimeSelector::default() || (is_clear && stated[at]);
        if rule.kind == RuleKind::Open && !says_when {
            rule.kind = RuleKind::Unknown;
        }
    }
}

/// For each comment, whether the text in front of it says that the place is open, or at which times. The parsed rules
/// of `open "x"`, `24/7 "x"` and `"x"` are the same, so only the text shows the difference. In a text that has been
/// parsed, quotes surround comments and nothing else.
fn states_before_comments(text: &str) -> Vec<bool> {
    let parts: Vec<&str> = text.split('"').collect();
    let says = |before: &str| ["open", "24/7", "24:00"].iter().any(|end| ends_with(before.trim_end(), end));
    parts.as_chunks().0.iter().map(|[before, _comment]| says(before)).collect()
}

fn ends_with(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start.and_then(|start| text.get(start..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// Removes ranges that match no day. Returns whether the rule can still match any day.
fn has_days(ranges: &mut Vec<MonthdayRange>) -> bool {
    if ranges.is_empty() {
        return true;
    }
    ranges.retain_mut(has_day);
    !ranges.is_empty()
}

/// Moves the ends of a range inward to dates that exist. Returns whether the range still matches any day.
fn has_day(range: &mut MonthdayRange) -> bool {
    let MonthdayRange::Date { start: (start, _), end: (end, _) } = range else { return true };
    let year = start.year().or(end.year());
    let (Some(from), Some(to)) = (fixed(*start, year), fixed(*end, year)) else { return true };
    let was_forward = from <= to;
    let (from, to) = (forward(start, year).unwrap_or(from), back(end, year).unwrap_or(to));
    !was_forward || from <= to
}

/// A date as year, month and day, which can be compared.
fn fixed(date: Date, year: Option<Year>) -> Option<(Option<Year>, u8, u8)> {
    match date {
        Date::Fixed { year: own, month, day } => Some((own.or(year), month.into(), day)),
        Date::Weekday { .. } | Date::Easter { .. } => None,
    }
}

/// Moves a date past the end of its month forward, to the first of the next month.
fn forward(date: &mut Date, of_year: Option<Year>) -> Option<(Option<Year>, u8, u8)> {
    if let Date::Fixed { year, month, day } = date
        && *day > days_in(u8::from(*month), year.or(of_year))
    {
        // This is never December, which has 31 days.
        (*month, *day) = (month.next(), 1);
    }
    fixed(*date, of_year)
}

/// Moves a date past the end of its month back, to the last day of the month.
fn back(date: &mut Date, of_year: Option<Year>) -> Option<(Option<Year>, u8, u8)> {
    if let Date::Fixed { year, month, day } = date {
        *day = (*day).min(days_in(u8::from(*month), year.or(of_year)));
    }
    fixed(*date, of_year)
}

/// The number of days in a month. Without a year, the maximum number of days.
fn days_in(month: u8, year: Option<Year>) -> u8 {
    let is_leap = |Year(year)| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if year.is_none_or(is_leap) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Parts of expressions.
    const PARTS: [&str; 22] = [
        "Mo",
        "Tu-Fr",
        "PH",
        "SH +1 day",
        "Feb 29",
        "Feb 30",
        "Sep 31-Oct 02",
        "Apr-Jun 31",
        "2023 Feb 29",
        "easter -2 days",
        "week 1-53/2",
        "09:00-24:00",
        "00:00-24:00",
        "(dusk+05:00)-25:00",
        "24/7",
        "open",
        "off",
        "\"a\"",
        "\"ö\":",
        "; ",
        " || ",
        ", ",
    ];

    proptest! {
        #[test]
        fn no_combination_of_parts_does_harm(parts in proptest::collection::vec(select(&PARTS[..]), 1..9)) {
            let text = parts.join(" ").replace("  ", " ");
            let plain = text.parse::<OpeningHours>();
            let read = read(&text);
            prop_assert!(plain.is_ok() || read.is_none(), "{}", text);
            prop_assert!(read.is_none_or(|parts| !parts.is_empty()), "{}", text);
        }
    }

    #[test]
    fn what_needs_no_mending_stays_as_it_is() {
        for text in [
            "24/7",
            "Mo-Fr 08:00-18:00; PH +1 day off",
            "Sep 30 off; Feb 29 10:00-12:00",
            "Dec 24-Jan 02 off",
            "Jan 31-Feb 29 10:00-12:00",
            "open \"ring the bell\"",
            "24/7 \"ring the bell\"",
            "Mo 00:00-24:00 \"ring the bell\"",
            "Mo-Fr 09:00-18:00 \"by appointment\"",
            "Mo off \"ask Ann\"",
            "easter -2 days off; Mo[5] 10:00-12:00",
        ] {
            let plain: OpeningHours = text.parse().unwrap();
            assert_eq!(read(text), Some(vec![plain]), "{text}");
        }
        assert_eq!(read("by appointment"), None);
    }

    #[test]
    fn dates_that_do_not_exist_match_no_day() {
        for (text, mended) in [
            ("Mo-Su 00:00-24:00; Sep 31 off", "Mo-Su 00:00-24:00"),
            ("Feb 30", "off"),
            ("Feb 30 10:00-12:00", "off"),
            ("Feb 30-Feb 31 off; Mo 10:00-12:00", "Mo 10:00-12:00"),
            ("Feb 30 off || Mo 10:00-12:00", "Mo 10:00-12:00"),
            ("Mo 10:00-12:00, Feb 30 10:00-12:00", "Mo 10:00-12:00"),
            ("2023 Feb 29 off; Mo 10:00-12:00", "Mo 10:00-12:00"),
            ("2024 Feb 29 off; Mo 10:00-12:00", "2024 Feb 29 off; Mo 10:00-12:00"),
            ("Apr 31,May 01 off; Mo-Su 10:00-12:00", "May 01 off; Mo-Su 10:00-12:00"),
            // A longer range begins and ends at the nearest dates within it.
            ("Jun 01-Jun 31 10:00-12:00", "Jun 01-Jun 30 10:00-12:00"),
            ("Jun 31-Sep 31 10:00-12:00", "Jul 01-Sep 30 10:00-12:00"),
            ("Feb 29-Feb 31 10:00-12:00", "Feb 29 10:00-12:00"),
            ("Nov 31-Feb 30 10:00-12:00", "Dec 01-Feb 29 10:00-12:00"),
        ] {
            assert_eq!(read(text), Some(vec![mended.parse().unwrap()]), "{text}");
        }
    }

    #[test]
    fn a_rule_of_nothing_but_a_comment_is_unknown() {
        for (text, mended) in [
            ("\"by appointment\"", "unknown \"by appointment\""),
            ("Mo-Su \"nach Vereinbarung\"", "Mo-Su unknown \"nach Vereinbarung\""),
            ("Mo-Fr 09:00-24:00; \"a\"", "Mo-Fr 09:00-24:00; unknown \"a\""),
            ("Mo open \"a\"; Tu \"b\"; We \"c\"", "Mo open \"a\"; Tu unknown \"b\"; We unknown \"c\""),
            ("Dec 24 \"a\"; Mo OPEN \"open\"", "Dec 24 unknown \"a\"; Mo open \"open\""),
            // With two comments it is not clear which comment the crate has kept.
            ("\"a\":Mo open \"b\"", "Mo unknown \"b\""),
        ] {
            assert_eq!(read(text), Some(vec![mended.parse().unwrap()]), "{text}");
        }
    }

    #[test]
    fn fallbacks_become_expressions_of_their_own() {
        for (text, parts) in [
            (
                "Tu,Th 09:00-11:00 || \"by appointment\"",
                &["Tu,Th 09:00-11:00", "unknown \"by appointment\""][..],
            ),
            ("Mo 10:00-12:00 || Tu 10:00-12:00 || off", &["Mo 10:00-12:00", "Tu 10:00-12:00", "off"]),
            ("Mo 10:00-12:00; PH off || unknown", &["Mo 10:00-12:00; PH off", "unknown"]),
            ("Mo 10:00-12:00 || \"a\"; PH off", &["Mo 10:00-12:00; PH off", "unknown \"a\"; PH off"]),
            (
                "Mo 10:00-12:00; Su off || Tu 10:00-12:00; PH off || We 10:00-12:00; SH off",
                &[
                    "Mo 10:00-12:00; Su off; PH off; SH off",
                    "Tu 10:00-12:00; PH off; SH off",
                    "We 10:00-12:00; SH off",
                ],
            ),
        ] {
            let parts: Vec<OpeningHours> = parts.iter().map(|part| part.parse().unwrap()).collect();
            assert_eq!(read(text), Some(parts), "{text}");
        }
    }

    #[test]
    fn more_fallbacks_than_any_place_needs_are_unreadable() {
        let with = |count: usize| format!("Mo 10:00-12:00{}", " || Tu 10:00-12:00; PH off".repeat(count));
        assert_eq!(read(&with(FALLBACKS_MAX)).map(|parts| parts.len()), Some(FALLBACKS_MAX + 1));
        assert_eq!(read(&with(FALLBACKS_MAX + 1)), None);
    }

    #[test]
    fn an_expression_that_changes_when_it_is_written_is_unreadable() {
        assert_eq!(read("PH +1 day off; \"by appointment\""), None);
    }
}
