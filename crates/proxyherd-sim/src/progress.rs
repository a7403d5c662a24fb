//! The output of a long run: one line on a terminal that is updated, plain lines otherwise, and a summary.

use std::{
    io::{IsTerminal, Write, stderr},
    process::ExitCode,
    time::{Duration, Instant},
};

use proxyherd_sim::{
    Shortest,
    outcome::{Outcome, Tally},
    timeline::SECOND,
};

/// The interval at which the line on a terminal is updated, and the interval at which a line is written elsewhere.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The run so far.
#[derive(Debug)]
pub(crate) struct Progress {
    total: u64,
    done: u64,
    failed: u64,
    tally: Tally,
    /// The sum of the times that each seed took.
    busy: Duration,
    is_terminal: bool,
    told_at: Instant,
}

impl Progress {
    /// The progress of a run of `total` seeds that has just begun.
    pub(crate) fn new(total: u64) -> Progress {
        Progress {
            total,
            done: 0,
            failed: 0,
            tally: Tally::default(),
            busy: Duration::ZERO,
            is_terminal: stderr().is_terminal(),
            told_at: Instant::now(),
        }
    }

    /// Notes that a seed is done. `command` runs it again.
    pub(crate) fn done(&mut self, outcome: &Outcome, took: Duration, command: &str) {
        self.done += 1;
        self.tally = self.tally.and(outcome.tally);
        self.busy += took;
        if self.total == 1 {
            self.clear();
            println!("seed {}: trace {:016x}\n{:#?}", outcome.seed, outcome.trace, outcome.tally);
        }
        if !outcome.violations.is_empty() {
            self.failed += 1;
            self.clear();
            println!("seed {} failed:", outcome.seed);
            outcome.violations.iter().for_each(|violation| println!("  {violation}"));
            println!("  again: {command}");
        }
        self.tell();
    }

    /// Prints the smallest run that shows the failure of the only seed that was run.
    pub(crate) fn shortest(&self, shortest: &Shortest) {
        self.clear();
        let (needed, drawn) = shortest.faults;
        let clients = shortest.clients;
        println!(
            "\nThe smallest run that fails has {needed} of {drawn} faults and {clients} clients. It ends like this:"
        );
        shortest.story.iter().for_each(|line| println!("{line}"));
        println!("  {}\n", shortest.violation);
    }

    fn tell(&mut self) {
        let interval = if self.is_terminal { INTERVALS.0 } else { INTERVALS.1 };
        if self.told_at.elapsed() < interval {
            return;
        }
        self.told_at = Instant::now();
        let end = if self.is_terminal { "" } else { "\n" };
        self.clear();
        eprint!("{} of {} seeds, {} failed{end}", self.done, self.total, self.failed);
        // If a progress line cannot be shown, the run continues.
        let _ = stderr().flush();
    }

    /// Clears the line on a terminal before output that stays.
    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }

    /// Prints the summary.
    pub(crate) fn finish(self) -> ExitCode {
        self.clear();
        let Tally { servers, reports, accepted, records, crashes, cuts, resets, reads, .. } = self.tally;
        println!(
            "{} seeds, {} failed: {servers} servers took {reports} reports ({accepted} were news), answered \
             {reads} queries and sent {records} records",
            self.done, self.failed
        );
        let Tally { pauses, swizzles, chokes, jumps, lost, .. } = self.tally;
        println!(
            "through {crashes} crashes, {pauses} pauses, {cuts} cuts, {swizzles} swizzles, {resets} resets, \
             {chokes} choked wires, {lost} lost pieces and {jumps} jumps of clocks"
        );
        let Tally { bad_members, lies, restored, lost_years, .. } = self.tally;
        if bad_members > 0 {
            println!(
                "{bad_members} members turned bad and sent {lies} lies, {restored} servers were restored from \
                 snapshots and {lost_years} clocks jumped by years"
            );
        }
        let Tally { held_back, acknowledged, commits, compactions, recoveries, torn, damage, .. } =
            self.tally;
        if held_back > 0 {
            println!(
                "{acknowledged} of {held_back} acknowledgements left in time, after {commits} commits and \
                 {compactions} compactions; {recoveries} stores were read, with {torn} torn ends and {damage} damages"
            );
        }
        let Tally { disk_troubles, disk_lies, blackouts, nights, late_loads, discarded, .. } = self.tally;
        if commits > 0 {
            println!(
                "through {disk_troubles} troubles of disks, {disk_lies} lies and {blackouts} blackouts; after {nights} \
                 nights {late_loads} old stores were read and {discarded} discarded"
            );
        }
        let Tally { agreements, settling, settling_max, time, .. } = self.tally;
        let seconds = |nanos: u64| nanos as f64 / SECOND as f64;
        println!(
            "agreed {agreements} times, after {:.2} s on average and {:.2} s at most",
            seconds(settling) / agreements.max(1) as f64,
            seconds(settling_max),
        );
        let Tally { calm_records, calm_records_least, .. } = self.tally;
        println!(
            "along trees {calm_records} records were sent for {calm_records_least} changes at other servers: {:.3} each",
            calm_records as f64 / calm_records_least.max(1) as f64
        );
        let Tally { streamed, stream_resets, resumed, presence, .. } = self.tally;
        println!(
            "readers of streams were told {streamed} events, began anew {stream_resets} times and resumed {resumed} \
             times; {presence} events of presence were compared"
        );
        let per_hour = 3600.0 / self.busy.as_secs_f64().max(1e-9);
        println!(
            "an hour of one core buys {:.0} servers, {:.1} million reports and {:.0} simulated hours",
            servers as f64 * per_hour,
            reports as f64 * per_hour / 1e6,
            seconds(time) / 3600.0 * per_hour,
        );
        if self.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
