//! Days and months of UTC, by the calendar.

use std::fmt;

const DAY_NS: u64 = 24 * 3600 * 1_000_000_000;
const FIRST_YEAR: u32 = 1970;
/// The year of the last moment that a clock can show.
const YEAR_MAX: u32 = 2554;

/// The time that a quota lasts before the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// One day, or one month. Of two periods of one span, the later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    /// Whether it is a day or a month.
    pub span: Span,
    /// Days, or months, since the beginning of 1970.
    pub number: u32,
}

impl Span {
    /// Both spans.
    pub const ALL: [Span; 2] = [Span::Day, Span::Month];

    /// The span's name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Span::Day => "day",
            Span::Month => "month",
        }
    }

    /// The period in which `now_ns` lies, POSIX time in nanoseconds.
    pub fn at(self, now_ns: u64) -> Period {
        let day = (now_ns / DAY_NS) as u32;
        let number = match self {
            Span::Day => day,
            Span::Month => {
                let (year, month, _) = date(day);
                (year - FIRST_YEAR) * 12 + month
            }
        };
        Period { span: self, number }
    }

    /// The time for which a record about such a period is kept after it was written, seconds: until the period is over,
    /// and a few days more for wrong clocks and for people who look.
    pub fn keep_s(self) -> u32 {
        match self {
            Span::Day => 4 * 24 * 3600,
            Span::Month => 40 * 24 * 3600,
        }
    }
}

impl Period {
    /// Reads a period in the form in which it is displayed, and in no other form.
    pub fn parse(span: Span, text: &str) -> Option<Period> {
        let digits = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { text.parse::<u32>().ok() } else { None }
        };
        let mut parts = text.split('-');
        let (year, month) = (parts.next()?, parts.next()?);
        let day = if span == Span::Day { parts.next()? } else { "01" };
        if parts.next().is_some() || [year.len(), month.len(), day.len()] != [4, 2, 2] {
            return None;
        }
        let [year, month, day] =
            [digits(year)?, digits(month)?.checked_sub(1)?, digits(day)?.checked_sub(1)?];
        let years = (FIRST_YEAR..=YEAR_MAX).contains(&year).then_some(FIRST_YEAR..year)?;
        let lengths = lengths(year);
        if day >= *lengths.get(month as usize)? {
            return None;
        }
        let number = match span {
            Span::Month => (year - FIRST_YEAR) * 12 + month,
            Span::Day => {
                let before: u32 = years.map(|year| 365 + leap_days(year)).sum();
                before + lengths[..month as usize].iter().sum::<u32>() + day
            }
        };
        Some(Period { span, number })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span {
            Span::Day => {
                let (year, month, day) = date(self.number);
                write!(f, "{year}-{:02}-{:02}", month + 1, day + 1)
            }
            Span::Month => write!(f, "{}-{:02}", FIRST_YEAR + self.number / 12, self.number % 12 + 1),
        }
    }
}

/// Year, month and day of the month of a day since 1970. The first month and the first day are 0.
fn date(day: u32) -> (u32, u32, u32) {
    let (mut year, mut left) = (FIRST_YEAR, day);
    while left >= 365 + leap_days(year) {
        left -= 365 + leap_days(year);
        year += 1;
    }
    let lengths = lengths(year);
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as u32, left)
}

/// The number of days in each month of a year.
fn lengths(year: u32) -> [u32; 12] {
    [31, 28 + leap_days(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

fn leap_days(year: u32) -> u32 {
    u32::from(year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_are_the_calendars() {
        let check = |seconds: u64, day: &str, month: &str| {
            let now_ns = seconds * 1_000_000_000;
            let told = Span::ALL.map(|span| span.at(now_ns).to_string());
            assert_eq!(told, [day, month], "{seconds}");
        };
        check(0, "1970-01-01", "1970-01");
        check(86_399, "1970-01-01", "1970-01");
        check(86_400, "1970-01-02", "1970-01");
        check(951_782_399, "2000-02-28", "2000-02");
        check(951_782_400, "2000-02-29", "2000-02");
        check(951_868_800, "2000-03-01", "2000-03");
        check(1_621_464_827, "2021-05-19", "2021-05");
        check(1_709_164_800, "2024-02-29", "2024-02");
        check(1_798_761_599, "2026-12-31", "2026-12");
        check(1_798_761_600, "2027-01-01", "2027-01");
        check(4_107_542_400, "2100-03-01", "2100-03");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        for day in 0..200_000 {
            let ((year, month, first), (next_year, next_month, next)) = (date(day), date(day + 1));
            let begins =
                if next > 0 { next == first + 1 && month == next_month } else { month != next_month };
            assert!(begins && next_year - year == u32::from(next_month == 0 && next == 0), "{day}");
        }
    }

    #[test]
    fn a_period_is_read_as_it_is_displayed() {
        for number in (0..200_000).step_by(37).chain([59, 60, 213_500]) {
            let day = Period { span: Span::Day, number };
            assert_eq!(Period::parse(Span::Day, &day.to_string()), Some(day));
            let month = Period { span: Span::Month, number: number % 7000 };
            assert_eq!(Period::parse(Span::Month, &month.to_string()), Some(month));
        }
        for text in [
            "",
            "2026",
            "2026-10",
            "2026-10-32",
            "2026-02-29",
            "2026-00-01",
            "2026-13-01",
            "2026-10-00",
            "2026-10-5",
            "02026-10-05",
            "2026-10-05-",
            "2026-10-+5",
            "1969-12-31",
            "2555-01-01",
            "x026-10-05",
        ] {
            assert_eq!(Period::parse(Span::Day, text), None, "{text}");
        }
        for text in ["", "2026", "2026-10-05", "2026-13", "2026-00", "2026-1", "2026-10-"] {
            assert_eq!(Period::parse(Span::Month, text), None, "{text}");
        }
    }

    #[test]
    fn the_last_moment_that_a_clock_can_tell_has_a_month() {
        assert_eq!(Span::Month.at(u64::MAX).to_string(), "2554-07");
    }
}
