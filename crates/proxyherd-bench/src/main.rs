//! The command line of the load generator: `floor` races one proxyherd server against an echo server, `load` drives
//! any server that speaks the line protocol, `memory` and `idle` tell what a client and a connection cost, `abuse` what
//! garbage does to a server, `places` what a cache of places spares, `heal` what a cut link costs once it returns,
//! `steady` whether a herd grows in an hour's work.
//!
//! This file knows the arguments and the exit codes. What is sent and checked is in [`load`], what is started and
//! driven in [`target`], the race in [`floor`]; the other measurements have a module each. Each tells its own results, in
//! the words of [`report`].

mod abuse;
mod floor;
mod heal;
mod idle;
mod load;
mod memory;
mod nearby;
mod places;
mod process_memory;
mod process_time;
mod progress;
mod report;
mod stats;
mod steady;
mod target;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use floor::Race;
use load::{Dialect, Plan};
use nearby::Comparison;
use target::herd::{self, Herd};

/// The allocator that the servers use, so that memory is measured as they spend it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load generator and races for proxyherd.
#[derive(Parser)]
#[command(name = "proxyherd-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Race one proxyherd server against an echo server of the same bytes, at depth 1 and 128.
    #[command(
        after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- floor --json floor.json"
    )]
    Floor(FloorArgs),
    /// Send IAMAT lines to servers that are running, and check what they answer.
    #[command(after_help = "Example:\n  proxyherd-bench load 127.0.0.1:12000 --depth 128 --seconds 10")]
    Load(LoadArgs),
    /// Compare the rates of WHATSAT and IAMAT at one server, both at depth 1.
    #[command(
        after_help = "Examples:\n  proxyherd-bench nearby\n  proxyherd-bench nearby --osm places.idx --around 48.13,11.55"
    )]
    Nearby {
        /// Rounds of each, taken in turns.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// An index of OpenStreetMap's places, for the provider osm. Default: the embedded provider.
        #[arg(long, value_name = "FILE")]
        osm: Option<PathBuf>,
        /// Around where the clients stand.
        #[arg(long, value_name = "LAT,LON", default_value = "34.0,-118.3", value_parser = point)]
        around: (f64, f64),
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Fill a map and tell what a client costs in memory.
    Memory {
        /// How many clients.
        #[arg(long, default_value_t = 1_000_000)]
        clients: u32,
    },
    /// Open connections that say nothing, and tell what each costs the server in memory.
    #[command(after_help = "Needs as many descriptors in this process and in the server's: see `ulimit -n`.")]
    Idle {
        /// How many connections.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Send malformed input of every kind to a live socket, and tell how long somebody else waits meanwhile.
    Abuse {
        /// How many inputs.
        #[arg(long, default_value_t = 100_000)]
        inputs: u64,
        /// The same seed makes the same inputs.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        seed: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Cut two servers apart, let records change on both sides, and tell how soon and with how many bytes they agree
    /// again. Exit with 1 if that is later than 1 s, or more than 1.2 times the changed records' own bytes.
    #[command(after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- heal --rounds 10")]
    Heal(HealArgs),
    /// Drive the classic herd for long at a part of what it takes in, with clients that roam, and tell whether any
    /// server's memory or descriptors grow. Exit with 1 if so.
    #[command(
        after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- steady --minutes 5 --json steady.json"
    )]
    Steady(SteadyArgs),
    /// Let clients walk about a city in virtual time and tell which share of their questions about places became
    /// requests, and how far off the answers were.
    #[command(after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- places --snap-m 100")]
    Places(places::Walk),
    /// Echo whatever arrives, until standard input ends: the floor, in a process of its own.
    #[command(hide = true)]
    EchoServer,
}

/// How the generator behaves, whatever it drives.
#[derive(Args)]
struct Shape {
    /// Connections that are open and busy at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Different clients that report, split evenly between the connections.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(load::CLIENTS_MAX)))]
    clients: u32,
    /// Threads of the generator. Default: half of the cores, so that the server has the other half.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Args)]
struct FloorArgs {
    #[command(flatten)]
    shape: Shape,
    /// Rounds of each server at each depth, taken in turns.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one round, seconds. Many short ones see more even noise than few long ones.
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Worker threads of both servers. Default: the number of cores.
    #[arg(long)]
    workers: Option<usize>,
    /// The proxyherd program. Default: the one beside this program, brought up to date if cargo runs this.
    #[arg(long, value_name = "FILE")]
    server_bin: Option<PathBuf>,
    /// Also write everything measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with 1 if a target is not met.
    #[arg(long)]
    strict: bool,
}

/// Which server is started for a measurement.
#[derive(Args)]
struct ServerArgs {
    /// The proxyherd program. Default: the one beside this program, brought up to date if cargo runs this.
    #[arg(long, value_name = "FILE")]
    server_bin: Option<PathBuf>,
}

impl ServerArgs {
    /// All that is measured comes from one address, and no client that garbage names is to count as growth.
    fn start(&self) -> Result<Herd> {
        let settings = ["limits.connections_per_address=1_000_000", "herd.max_clients=10_000"];
        Herd::start_with(&herd::program(self.server_bin.as_deref())?, None, &settings)
    }
}

#[derive(Args)]
struct HealArgs {
    /// How many records both servers hold.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(2..=i64::from(load::CLIENTS_MAX)))]
    records: u32,
    /// How many of them change during a cut, half of them at each server.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    changed: u32,
    /// How often the link is cut.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The same seed changes the same records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Encrypt the link, with certificates that `proxyherd init` makes.
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct SteadyArgs {
    /// For how long, minutes.
    #[arg(long, default_value = "60", value_parser = minutes)]
    minutes: Duration,
    /// Which part of what the herd takes in is sent to it.
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    share: f64,
    /// Connections that are open at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=600))]
    connections: u32,
    #[command(flatten)]
    server: ServerArgs,
    /// Also write everything measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct LoadArgs {
    /// Where the servers listen; connections are dealt out in turn.
    #[arg(required = true, value_name = "ADDR", value_parser = address)]
    addresses: Vec<SocketAddr>,
    #[command(flatten)]
    shape: Shape,
    /// Lines outstanding on each connection, sent as one write.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(load::DEPTH_MAX)))]
    depth: u32,
    /// How long to send, seconds.
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// What the servers answer.
    #[arg(long, value_enum, default_value = "at")]
    expect: Expect,
}

#[derive(Clone, Copy, ValueEnum)]
enum Expect {
    /// An AT line for each report.
    At,
    /// The line itself.
    Echo,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("proxyherd-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Floor(args) => race(&args),
        Command::Load(args) => drive(args),
        Command::Memory { clients } => memory::measure(clients).map(|()| ExitCode::SUCCESS),
        Command::Idle { connections, server } => {
            idle::measure(&server.start()?, connections).map(|()| ExitCode::SUCCESS)
        }
        Command::Abuse { inputs, seed, server } => {
            let is_borne = abuse::measure(&server.start()?, inputs, seed)?;
            Ok(if is_borne { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Heal(args) => heal_again(&args),
        Command::Steady(args) => keep_steady(&args),
        Command::Places(walk) => places::measure(&walk).map(|()| ExitCode::SUCCESS),
        Command::Nearby { rounds, osm, around, server } => {
            let comparison = Comparison { rounds, osm, around };
            let is_met = nearby::run(&comparison, server.server_bin.as_deref())?;
            Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::EchoServer => target::echo::serve().map(|()| ExitCode::SUCCESS),
    }
}

fn race(args: &FloorArgs) -> Result<ExitCode> {
    let race = Race {
        connections: args.shape.connections,
        clients: args.shape.clients,
        threads: threads(&args.shape)?,
        rounds: args.rounds,
        round: args.seconds,
        workers: args.workers,
    };
    let result = floor::run(race, args.server_bin.as_deref())?;
    anstream::print!("{}", floor::told::table(&result));
    write_json(args.json.as_deref(), || floor::told::json(&result))?;
    let missed = result.depths.iter().any(|depth| !depth.is_met());
    Ok(if args.strict && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn heal_again(args: &HealArgs) -> Result<ExitCode> {
    let HealArgs { records, changed, rounds, seed, tls: is_encrypted, .. } = *args;
    if changed > records {
        bail!("--changed must be at most --records, {records}");
    }
    let plan = heal::Plan { records, changed, rounds, seed, is_encrypted };
    let is_met = heal::run(plan, args.server.server_bin.as_deref())?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn keep_steady(args: &SteadyArgs) -> Result<ExitCode> {
    let plan = steady::Plan { duration: args.minutes, share: args.share, connections: args.connections };
    let found = steady::run(plan, args.server.server_bin.as_deref())?;
    anstream::print!("{}", steady::told::table(&found));
    write_json(args.json.as_deref(), || steady::told::json(&found))?;
    Ok(if found.is_flat() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_json(path: Option<&Path>, json: impl FnOnce() -> serde_json::Value) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, format!("{:#}\n", json()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn drive(args: LoadArgs) -> Result<ExitCode> {
    let plan = Plan {
        addresses: args.addresses,
        dialect: match args.expect {
            Expect::At => Dialect::Herd,
            Expect::Echo => Dialect::Echo,
        },
        connections: args.shape.connections,
        threads: threads(&args.shape)?,
        clients: args.shape.clients,
        around: load::LOS_ANGELES,
        depth: args.depth,
        duration: args.seconds,
    };
    let outcome = load::run(&plan)?;
    anstream::print!("{}", load::told::table(&plan, &outcome));
    Ok(ExitCode::SUCCESS)
}

fn threads(shape: &Shape) -> Result<usize> {
    let threads = shape.threads.unwrap_or_else(|| (target::cores() / 2).max(1));
    if threads == 0 || threads > shape.connections as usize {
        bail!("--threads must be between 1 and the number of connections, {}", shape.connections);
    }
    Ok(threads)
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse().context("not a number of seconds")?;
    if !(0.01..=86_400.0).contains(&seconds) {
        bail!("must be between 0.01 and 86400 seconds");
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn minutes(text: &str) -> Result<Duration> {
    let minutes: f64 = text.parse().context("not a number of minutes")?;
    seconds(&(60.0 * minutes).to_string())
}

fn share(text: &str) -> Result<f64> {
    let share: f64 = text.parse().context("not a number")?;
    if !(0.01..=1.0).contains(&share) {
        bail!("must be between 0.01 and 1");
    }
    Ok(share)
}

fn point(text: &str) -> Result<(f64, f64)> {
    let (latitude, longitude) = text.split_once(',').context("expected LAT,LON in degrees")?;
    let (latitude, longitude): (f64, f64) = (latitude.trim().parse()?, longitude.trim().parse()?);
    if !(-89.0..=89.0).contains(&latitude) || !(-179.0..=179.0).contains(&longitude) {
        bail!("must be within 89 degrees of the equator and 179 of Greenwich");
    }
    Ok((latitude, longitude))
}

fn address(text: &str) -> Result<SocketAddr> {
    let mut found = text.to_socket_addrs().context("expected HOST:PORT")?;
    found.next().context("that name has no address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        for bad in ["0", "-1", "NaN", "inf", "two", ""] {
            assert!(seconds(bad).is_err(), "{bad:?}");
        }
    }
}
