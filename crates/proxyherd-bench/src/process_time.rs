//! How much processor time a process has used, as Linux tells it under `/proc`.
//!
//! Elsewhere there is no answer, and reports leave the figure out. Linux counts in hundredths of a second here, which
//! is fine enough for rounds of a second and more.

use std::time::Duration;

/// The unit of these counters is fixed at 1/100 s towards programs, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of the process `pid`, all threads together, since it started.
pub(crate) fn used_by(pid: u32) -> Option<Duration> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// See proc_pid_stat(5): the second field is the program's name in parentheses, which may itself hold spaces and
/// parentheses; fields 14 and 15 are the user and the system time.
fn parse(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut times = after_name.split(' ').skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(TICK * user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "42 (a ) name) S 1 42 42 0 -1 4194560 500 0 3 0 120 30 7 8 20 0 5 0 9999 1000 200";
        assert_eq!(parse(stat), Some(Duration::from_millis(1500)));
        assert_eq!(parse("42 (cut) S 1"), None);
    }
}
