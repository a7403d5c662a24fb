//! Reads the data of Linux about a process from `/proc`: processor time, resident memory and open descriptors.
//!
//! Other systems have no `/proc`. There [`cpu_time`] returns nothing, which tables show as unknown, and the other
//! functions fail.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The unit of Linux' counters of processor time. For programs it is always 1/100 s, even if the kernel's own tick
/// differs.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of all threads of the process `pid` since it started. The precision of 10 ms is enough for
/// rounds of a second and more.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    parse_cpu_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Resident memory of the process `pid`, bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_memory(&status, "VmRSS:").with_context(|| format!("{path} has no line VmRSS"))
}

/// The highest resident memory of the process `pid` since it started, bytes.
pub(crate) fn resident_max(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_memory(&status, "VmHWM:").with_context(|| format!("{path} has no line VmHWM"))
}

/// Open descriptors of the process `pid`.
pub(crate) fn descriptors(pid: u32) -> Result<usize> {
    let path = format!("/proc/{pid}/fd");
    Ok(fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?.count())
}

/// Memory of the kernel for the buffers of all TCP sockets of this machine, bytes.
pub(crate) fn socket_memory() -> Result<u64> {
    let path = "/proc/net/sockstat";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    parse_socket_memory(&text).with_context(|| format!("{path} has no memory of TCP"))
}

/// Bytes that this machine has sent over IPv4 since it started, with headers, on all interfaces and loopback.
pub(crate) fn sent_octets() -> Result<u64> {
    let path = "/proc/net/netstat";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    parse_sent_octets(&text).with_context(|| format!("{path} does not tell the bytes that were sent"))
}

/// Parses the lines of IpExt: the first has names, and the second has their values.
fn parse_sent_octets(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split(' ').position(|name| name == "OutOctets")?;
    values.split(' ').nth(place)?.parse().ok()
}

/// Parses proc_pid_stat(5). The second field is the program's name in parentheses, which may itself hold spaces and
/// parentheses. Fields 14 and 15 are the user and the system time.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut times = after_name.split(' ').skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(TICK * user.checked_add(system)?)
}

/// Parses proc_pid_status(5), which has a line such as `VmRSS:     1234 kB`.
fn parse_memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kibibytes)
}

/// Parses the line of TCP, such as `TCP: inuse 2 orphan 0 tw 4 alloc 5 mem 6`. The last number is in pages.
fn parse_socket_memory(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    let pages: u64 = line.rsplit_once("mem ")?.1.trim().parse().ok()?;
    Some(rustix::param::page_size() as u64 * pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_after_any_program_name() {
        let stat = "42 (a ) name) S 1 42 42 0 -1 4194560 500 0 3 0 120 30 7 8 20 0 5 0 9999 1000 200";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_millis(1500)));
        assert_eq!(parse_cpu_time("42 (cut) S 1"), None);
    }

    #[test]
    fn the_memory_of_sockets_is_found_among_other_lines() {
        let text = "sockets: used 9\nTCP: inuse 2 orphan 0 tw 4 alloc 5 mem 6\nUDP: inuse 0 mem 3\n";
        assert_eq!(parse_socket_memory(text), Some(6 * rustix::param::page_size() as u64));
        assert_eq!(parse_socket_memory("TCP6: inuse 0\n"), None);
    }

    #[test]
    fn sent_bytes_are_found_by_their_name() {
        let text = "TcpExt: OutOctets\nTcpExt: 9\nIpExt: InOctets OutOctets Bcast\nIpExt: 5 7 8\n";
        assert_eq!(parse_sent_octets(text), Some(7));
        assert_eq!(parse_sent_octets("IpExt: InOctets\nIpExt: 5\n"), None);
        assert!(sent_octets().unwrap() > 0);
    }

    #[test]
    fn resident_memory_is_found_among_other_lines() {
        let status = "Name:\tx\nVmHWM:\t 19 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(parse_memory(status, "VmRSS:"), Some(12 * 1024));
        assert_eq!(parse_memory(status, "VmHWM:"), Some(19 * 1024));
        assert_eq!(parse_memory("Name:\tx\n", "VmRSS:"), None);
        assert!(resident_max(std::process::id()).unwrap() > 0);
        assert!(resident(std::process::id()).unwrap() > 0);
    }
}
