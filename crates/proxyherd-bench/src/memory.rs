//! Measures how much memory a client takes. Fills a replica of core, with the allocator that the servers use, and reads
//! the process's resident memory before and after.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use proxyherd_core::{
    replica::{Replica, ReplicaSettings},
    types::{Attributes, ClientId, Coordinates, Origin, Report, ServerName, Stamp, Timestamp},
};

use crate::procfs::resident;

/// The POSIX time of all reports, nanoseconds. Any other time would work as well.
const NOW_NS: u64 = 1_621_464_827_959_498_503;

/// Fills a replica with `clients` clients, and prints the number of bytes that each client takes in addition to its ID.
/// `has_index`: whether the replica has the index of clients by position. `is_plain`: the number alone is printed.
pub(super) fn measure(clients: u32, has_index: bool, is_plain: bool) -> Result<()> {
    let me = Origin { server: ServerName::new("Riley")?, incarnation: 1 };
    let settings = ReplicaSettings {
        me,
        seed: 1,
        max_clients: u64::MAX,
        client_ttl_ns: None,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 60_000_000_000,
        client_index: has_index,
        rules: Default::default(),
    };
    let before = resident(std::process::id())?;
    let replica = Replica::new(settings);
    let id_bytes: u64 = (0..clients).map(|number| report(&replica, number)).sum();
    let grown = resident(std::process::id())?.saturating_sub(before);
    let each = grown.saturating_sub(id_bytes) as f64 / f64::from(clients);
    if is_plain {
        writeln!(anstream::stdout(), "{each:.3}")?;
        drop(replica);
        return Ok(());
    }
    writeln!(
        anstream::stdout(),
        "{clients} clients with IDs of {:.1} bytes: {:.0} MB resident, {each:.0} bytes a client beyond its ID",
        id_bytes as f64 / f64::from(clients),
        grown as f64 / 1e6,
    )?;
    drop(replica);
    Ok(())
}

/// Measures the same in a process of its own, in which no memory was used before. Returns the number of bytes.
pub(super) fn measure_apart(clients: u32, has_index: bool) -> Result<f64> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut command = Command::new(program);
    command.args(["memory", "--plain", "--clients", &clients.to_string()]);
    if !has_index {
        command.arg("--no-index");
    }
    let output = command.stderr(Stdio::inherit()).output().context("cannot start this program again")?;
    ensure!(output.status.success(), "the process that measures memory failed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("{text:?} is no number of bytes"))
}

/// Reports one client. Returns the length of its ID.
fn report(replica: &Replica, number: u32) -> u64 {
    let client = format!("client-{number:08}.example");
    let report = Report {
        client: ClientId::new(client.as_bytes()).expect("letters and digits are an ID"),
        coordinates: Coordinates::parse(b"+34.068930-118.445127").expect("Los Angeles is on Earth"),
        stamp: Stamp::Client(Timestamp::from_nanos(NOW_NS).expect("2021 is before 2286")),
        attributes: Attributes::NONE,
    };
    let (_, wake) = replica.report(NOW_NS, &report);
    debug_assert!(wake.is_empty(), "a replica without links wakes none");
    client.len() as u64
}
