//! Numbers and times as people read them in a table.

/// A number with at most seven characters. Numbers from a million on are rounded down. `--json` has all digits.
pub(crate) fn short(number: u64) -> String {
    let (unit, sign) = match number {
        0..1_000_000 => return number.to_string(),
        1_000_000..1_000_000_000 => (1_000_000, 'M'),
        1_000_000_000..1_000_000_000_000 => (1_000_000_000, 'G'),
        _ => (1_000_000_000_000, 'T'),
    };
    format!("{}.{:02}{sign}", number / unit, number % unit / (unit / 100))
}

/// The two largest units of a time in seconds: `42s`, `12m 05s`, `3h 07m`, `4d 09h`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if minutes == 0 {
        format!("{seconds}s")
    } else if hours == 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else {
        format!("{days}d {:02}h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_number_is_short() {
        for (number, text) in [
            (0, "0"),
            (999_999, "999999"),
            (1_000_000, "1.00M"),
            (12_345_678, "12.34M"),
            (999_999_999, "999.99M"),
            (1_000_000_000, "1.00G"),
            (641_000_000_000, "641.00G"),
            (u64::MAX, "18446744.07T"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        for (seconds, text) in [
            (0.0, "0s"),
            (59.9, "59s"),
            (60.0, "1m 00s"),
            (3599.0, "59m 59s"),
            (3600.0, "1h 00m"),
            (86399.0, "23h 59m"),
            (86400.0, "1d 00h"),
            (1e7, "115d 17h"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }
}
