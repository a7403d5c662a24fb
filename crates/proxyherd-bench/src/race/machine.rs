//! The machine on which the race runs, and the versions of programs, as the report names them.
//!
//! What a system does not tell is "unknown".

use std::fs;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::target;

const UNKNOWN: &str = "unknown";

/// The machine.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    /// Cores that the race may use.
    pub(crate) cores: usize,
    /// Memory, bytes.
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// The kind of virtual machine, or "none".
    pub(crate) virtualization: String,
}

impl Machine {
    /// This machine.
    pub(crate) fn this() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Machine {
            processor: processor(&cpuinfo).unwrap_or_else(|| UNKNOWN.to_owned()),
            cores: target::cores(),
            memory_bytes: memory_bytes(&meminfo).unwrap_or(0),
            kernel: first_line_of("uname", &["-srm"]).unwrap_or_else(|| std::env::consts::OS.to_owned()),
            virtualization: virtualization(&cpuinfo),
        }
    }

    #[cfg(test)]
    pub(crate) fn unknown() -> Machine {
        Machine {
            processor: UNKNOWN.to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            kernel: UNKNOWN.to_owned(),
            virtualization: UNKNOWN.to_owned(),
        }
    }
}

/// The first line that a program prints, on standard output or standard error. `None`: the program is not there or
/// prints nothing.
pub(crate) fn first_line_of(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let line = String::from_utf8_lossy(&text).lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

/// Today in UTC, as year, month and day.
pub(crate) fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date_of(seconds / 86_400)
}

/// The date that is so many days after 1970-01-01, by the algorithm of Howard Hinnant (`civil_from_days`): years begin
/// in March, so that the leap day is the last day of a year.
fn date_of(days: u64) -> String {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kibibytes)
}

/// A virtual machine has the flag `hypervisor`.
fn virtualization(cpuinfo: &str) -> String {
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    let Some(flags) = flags.next() else { return UNKNOWN.to_owned() };
    let is_virtual = flags.split_whitespace().any(|flag| flag == "hypervisor");
    if is_virtual { "a virtual machine".to_owned() } else { "none".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_and_the_memory_are_found_among_other_lines() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu hypervisor sse\n";
        assert_eq!(processor(cpuinfo).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(virtualization(cpuinfo), "a virtual machine");
        assert_eq!(virtualization("flags : fpu sse\n"), "none");
        assert_eq!((processor(""), virtualization("").as_str()), (None, UNKNOWN));
        assert_eq!(memory_bytes("MemFree: 1 kB\nMemTotal:   16 kB\n"), Some(16 * 1024));
        assert_eq!(memory_bytes(""), None);
    }

    #[test]
    fn days_have_their_dates() {
        for (days, date) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_787, "2026-11-30"),
            (20_788, "2026-12-01"),
        ] {
            assert_eq!(date_of(days), date);
        }
    }

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        assert_eq!(first_line_of("no-such-program-anywhere", &[]), None);
        assert_eq!(first_line_of("sh", &["-c", "echo; echo two"]), None);
        assert_eq!(first_line_of("sh", &["-c", "echo one >&2"]).as_deref(), Some("one"));
    }
}
