//! Runs seeds. For each seed that fails, prints the command that runs it again.

mod progress;

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use clap::{Parser, ValueEnum};
use proxyherd_core::flood::{Broken, Rules};
use proxyherd_sim::{
    Shortest,
    outcome::Outcome,
    scenario::{Durability, Given, SERVERS_MAX, SERVERS_MIN, Scenario},
    shorten,
    timeline::SECOND,
};

use crate::progress::Progress;

/// Many servers of a herd on a seeded network, in virtual time, and checkers that observe them.
///
/// Each seed is a herd with its own topology, wires, clocks, clients and faults. Each seed is run twice, and both runs
/// must be identical. If a seed fails, the command that runs it again is printed. If the failing seed is the only one,
/// it is run again with fewer and fewer faults and clients, and the smallest run that still fails is printed.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  proxyherd-sim --seeds 1000\n  proxyherd-sim --seed 17 --servers 5\n  \
                        proxyherd-sim --seeds 200 --bad-rule advance-by-record\n  \
                        proxyherd-sim --seeds 200 --bad-members"
)]
struct Arguments {
    /// Run this seed, or begin with this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run this many seeds [default: 100, or 1 with --seed]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Number of servers of each herd [default: 3 to 8, by the seed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(SERVERS_MIN..=SERVERS_MAX))]
    servers: Option<u64>,
    /// Time during which things go wrong, virtual minutes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Let members turn bad for a while: they send anything that the link protocol can express
    #[arg(long)]
    bad_members: bool,
    /// Let each server have a journal, on a disk with faults, and acknowledge reports when they are durable there
    #[arg(long)]
    journal: bool,
    /// Let each server acknowledge reports when this many neighbors hold them, and, with --journal, when its own
    /// journal does, too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=8))]
    replicas: Option<u64>,
    /// Break a rule of the flood, to check that the checkers notice
    #[arg(long, value_name = "NAME")]
    bad_rule: Option<BadRule>,
    /// Run each seed only once, for half the time
    #[arg(long)]
    once: bool,
    /// Number of seeds that run at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
}

/// A broken rule; see `proxyherd_core::flood::Broken`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BadRule {
    /// The vector advances for each record as it arrives, and not only by markers
    AdvanceByRecord,
    /// A marker is sent before records that it covers
    MarkerOvertakes,
    /// A slot is sent with the content that it had when it was queued
    OldVersion,
    /// When a link comes up again, everything that was once sent counts as received
    TrustWhatWasSent,
    /// A record that comes over a link is not passed on
    KeepToMyself,
    /// The record that comes last is kept
    MergeByArrival,
    /// Now and then a record that has come is not kept
    LoseSome,
    /// A marker is sent although a FIFO was cleared
    MarkWhatWasCleared,
    /// A link that becomes eager again is not sent the records that it has missed
    SkipTheResend,
    /// A follower is told that all is covered while part of it is still queued
    CoverWhatWaits,
    /// A record expires or is removed, and followers are not told
    RemoveSilently,
    /// A server does not answer lies in its own name
    CloseOnLies,
    /// A record is merged even if its time of receipt is far in the future
    TrustReceipts,
    /// A record is not passed on once it has expired by the server's own clock
    CarryByOwnRule,
    /// A link state is believed even if its stamp is far ahead
    BelieveStates,
    /// One server's name may have any number of incarnations
    OriginsUnbounded,
    /// A journal says that changes are durable without a sync
    SkipTheSync,
    /// A journal says that changes are durable when they are written, before the sync
    DurableWhenWritten,
    /// Vectors behind damaged bytes of a store count
    TrustBehindDamage,
}

impl BadRule {
    fn broken(self) -> Broken {
        match self {
            BadRule::AdvanceByRecord => Broken::AdvanceByRecord,
            BadRule::MarkerOvertakes => Broken::MarkerOvertakes,
            BadRule::OldVersion => Broken::OldVersion,
            BadRule::TrustWhatWasSent => Broken::TrustWhatWasSent,
            BadRule::KeepToMyself => Broken::KeepToMyself,
            BadRule::MergeByArrival => Broken::MergeByArrival,
            BadRule::LoseSome => Broken::LoseSome,
            BadRule::MarkWhatWasCleared => Broken::MarkWhatWasCleared,
            BadRule::SkipTheResend => Broken::SkipTheResend,
            BadRule::CoverWhatWaits => Broken::CoverWhatWaits,
            BadRule::RemoveSilently => Broken::RemoveSilently,
            BadRule::CloseOnLies => Broken::CloseOnLies,
            BadRule::TrustReceipts => Broken::TrustReceipts,
            BadRule::CarryByOwnRule => Broken::CarryByOwnRule,
            BadRule::BelieveStates => Broken::BelieveStates,
            BadRule::OriginsUnbounded => Broken::OriginsUnbounded,
            BadRule::SkipTheSync => Broken::SkipTheSync,
            BadRule::DurableWhenWritten => Broken::DurableWhenWritten,
            BadRule::TrustBehindDamage => Broken::TrustBehindDamage,
        }
    }
}

impl Arguments {
    fn seeds(&self) -> std::ops::Range<u64> {
        let first = self.seed.unwrap_or(0);
        let count = self.seeds.unwrap_or(if self.seed.is_some() { 1 } else { 100 });
        first..first.saturating_add(count)
    }

    fn run(&self, seed: u64) -> Outcome {
        let run = if self.once { proxyherd_sim::run } else { proxyherd_sim::run_twice };
        run(self.scenario(seed), self.rules())
    }

    fn scenario(&self, seed: u64) -> Scenario {
        let given = Given {
            servers: self.servers.map(|servers| servers as usize),
            length: self.minutes * 60 * SECOND,
            has_bad_members: self.bad_members,
            durability: self.durability(),
        };
        Scenario::draw(seed, given)
    }

    /// What acknowledgements wait for. `None`: each seed decides.
    fn durability(&self) -> Option<Durability> {
        let replicas = self.replicas.map(|replicas| replicas as usize);
        let is_given = self.journal || replicas.is_some();
        is_given.then_some(Durability { has_journal: self.journal, replicas: replicas.unwrap_or(0) })
    }

    fn rules(&self) -> Rules {
        Rules { broken: self.bad_rule.map(BadRule::broken) }
    }

    /// The smallest run that shows the first violation of a failing seed.
    fn shortest(&self, outcome: &Outcome) -> Option<Shortest> {
        let violation = outcome.violations.iter().min_by_key(|violation| violation.at)?;
        shorten(&self.scenario(outcome.seed), self.rules(), violation.symptom)
    }

    /// The command that runs one seed again.
    fn command(&self, seed: u64) -> String {
        let mut command = format!("cargo run --release -p proxyherd-sim -- --seed {seed}");
        if let Some(servers) = self.servers {
            command += &format!(" --servers {servers}");
        }
        if self.minutes != 10 {
            command += &format!(" --minutes {}", self.minutes);
        }
        if self.bad_members {
            command += " --bad-members";
        }
        if self.journal {
            command += " --journal";
        }
        if let Some(replicas) = self.replicas {
            command += &format!(" --replicas {replicas}");
        }
        if let Some(name) = self.bad_rule.and_then(|rule| rule.to_possible_value()) {
            command += &format!(" --bad-rule {}", name.get_name());
        }
        command
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seeds();
    let progress = Mutex::new(Progress::new(seeds.end - seeds.start));
    let next = AtomicU64::new(seeds.start);
    let run = || {
        while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|seed| seeds.contains(seed)) {
            let began = Instant::now();
            let outcome = arguments.run(seed);
            let took = began.elapsed();
            let shortest = if seeds.end - seeds.start == 1 { arguments.shortest(&outcome) } else { None };
            let mut progress = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            progress.done(&outcome, took, &arguments.command(seed));
            if let Some(shortest) = shortest {
                progress.shortest(&shortest);
            }
        }
    };
    std::thread::scope(|scope| {
        (1..arguments.jobs).for_each(|_| drop(scope.spawn(run)));
        run();
    });
    progress.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).finish()
}
