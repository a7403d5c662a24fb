//! The command line of the load generator, with one command for each measurement:
//!
//! - `floor` compares one proxyherd server with an echo server, `load` sends lines to any server that speaks the line
//!   protocol, `nearby` compares questions about places with reports, and `near` searches for the nearest clients,
//!   beside Redis.
//! - `http` measures reports, batches and searches over HTTP.
//! - `streams` measures live streams over HTTP.
//! - `durability` measures what acknowledgements cost that wait for the disk or for a neighbor, and `restart` how a
//!   server with a journal restarts.
//! - `memory` and `idle` measure the memory that a client and a connection take.
//! - `abuse` sends malformed input to a server. `heal` cuts a link and measures the repair. `steady` runs a herd for a
//!   long time and measures whether its memory grows.
//! - `race` measures all of this beside herds in other languages, and writes a report.
//! - `peers` says which herds in other languages this machine can run, and starts them.
//! - `places` simulates how many requests the cache of places saves.
//!
//! This file knows the arguments and the exit codes. [`load`] sends lines and checks the replies, and [`target`] starts
//! servers. Each measurement has a module of its own, which prints its results with the help of [`mod@format`].

mod abuse;
mod disk;
mod durability;
mod floor;
mod format;
mod heal;
mod http;
mod idle;
mod load;
mod memory;
mod near;
mod nearby;
mod peers;
mod places;
mod procfs;
mod progress;
mod race;
mod restart;
mod stats;
mod steady;
mod streams;
mod target;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use floor::FloorPlan;
use http::HttpPlan;
use load::{Dialect, LoadPlan};
use nearby::NearbyPlan;
use peers::Peer;
use target::group::LinkEncryption;
use target::herd::{self, LoneServer};

/// The same allocator as in the servers, so that `memory` measures the memory that a server would take.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures proxyherd: rates, latencies, memory, and how a herd behaves under stress.
#[derive(Parser)]
#[command(name = "proxyherd-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare the rate of one proxyherd server with that of an echo server, at depth 1 and 128.
    #[command(
        after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- floor --json floor.json"
    )]
    Floor(FloorArgs),
    /// Send IAMAT lines to running servers and check the replies.
    #[command(after_help = "Example:\n  proxyherd-bench load 127.0.0.1:12000 --depth 128 --seconds 10")]
    Load(LoadArgs),
    /// Compare the rates of WHATSAT and IAMAT lines at one server, both at depth 1.
    #[command(
        after_help = "Examples:\n  proxyherd-bench nearby\n  proxyherd-bench nearby --osm places.idx --around 48.13,11.55"
    )]
    Nearby {
        /// Number of rounds for each kind of line; the two kinds alternate.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// Index of OpenStreetMap's places that `proxyherd places import` has written, for the provider osm. Default:
        /// the embedded provider.
        #[arg(long, value_name = "FILE")]
        osm: Option<PathBuf>,
        /// Position around which the clients are.
        #[arg(long, value_name = "LAT,LON", default_value = "34.0,-118.3", value_parser = point)]
        around: (f64, f64),
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Measure the HTTP door of one server: single reports compared with a handler that does nothing, batches, and
    /// searches for the nearest clients while clients move. Exit with 1 if a target is not met.
    #[command(
        after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- http --part put --part batch"
    )]
    Http(HttpArgs),
    /// Measure live streams: the memory and processor time of 10,000 open streams, the time from a report to its
    /// events, what readers cost that stop reading, and how much a thousand streams lower the rate of IAMAT. Exit with
    /// 1 if a target is not met.
    #[command(
        after_help = "This process and the server's each need a descriptor for every stream: see `ulimit -Hn`.\n\n\
                      Example:\n  cargo run --profile dist -p proxyherd-bench -- streams --part many"
    )]
    Streams(StreamsArgs),
    /// Fill a replica with clients that move, and measure the rate of searches for the nearest clients, beside Redis.
    #[command(
        after_help = "Example:\n  redis-server --port 6399 --save '' & proxyherd-bench near --redis 127.0.0.1:6399"
    )]
    Near(near::NearPlan),
    /// Fill a replica with clients and measure the memory that each client takes.
    Memory {
        /// Number of clients.
        #[arg(long, default_value_t = 1_000_000)]
        clients: u32,
        /// Do without the index of clients by position.
        #[arg(long)]
        no_index: bool,
        /// Print the number of bytes of a client alone.
        #[arg(long)]
        plain: bool,
    },
    /// Open idle connections and measure the memory that each connection takes at the server.
    #[command(
        after_help = "This process and the server's each need a descriptor for every connection: see `ulimit -n`."
    )]
    Idle {
        /// Number of connections.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Send malformed input of every kind to a server, and measure how long another client waits for its replies
    /// meanwhile. Exit with 1 if the client waits too long or the server's memory grows.
    Abuse {
        /// Number of inputs.
        #[arg(long, default_value_t = 100_000)]
        inputs: u64,
        /// Seed of the inputs: the same seed makes the same inputs.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        seed: u64,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Cut the link between two servers, change records on both sides, restore the link, and measure the time and the
    /// bytes until both servers hold the same records. Exit with 1 if that takes over 1 s, or over 1.2 times the bytes
    /// of the changed records.
    #[command(after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- heal --rounds 10")]
    Heal(HealArgs),
    /// Send the classic herd a share of its highest rate for a long time, from clients that roam, and measure whether
    /// any server's memory or descriptors grow. Exit with 1 if there is growth.
    #[command(
        after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- steady --minutes 5 --json steady.json"
    )]
    Steady(SteadyArgs),
    /// Compare the rates and the latencies of reports that are acknowledged at once, after they are on the disk, and
    /// after a neighbor covers them, beside the time that the disk takes. Exit with 1 if the target is not met.
    #[command(
        after_help = "Examples:\n  cargo run --profile dist -p proxyherd-bench -- durability\n  cargo run --profile dist -p \
                      proxyherd-bench -- durability --dir /dev/shm"
    )]
    Durability(DurabilityArgs),
    /// Fill a server that has a journal, kill it, start it again, and measure the time until it is ready. Then make it
    /// compact its store, and measure the store and the waits of reports. Exit with 1 if a target is not met.
    #[command(
        after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- restart --clients 10000000"
    )]
    Restart(RestartArgs),
    /// Measure proxyherd beside herds in other languages and an echo server, in interleaved rounds, and write REPORT.md
    /// with tables and plots. Exit with 1 if a section could not be measured.
    #[command(
        after_help = "Examples:\n  proxyherd-bench race\n  proxyherd-bench race --only throughput,latency --rounds 3\n  \
                      proxyherd-bench race --render bench/results.json"
    )]
    Race(RaceArgs),
    /// List the herds that proxyherd is compared with, and which of them this machine can run; or start one.
    #[command(after_help = "Examples:\n  proxyherd-bench peers\n  proxyherd-bench peers --start node")]
    Peers {
        /// Start a herd of this one: five servers as in the classic herd. It ends when standard input ends.
        #[arg(long, value_enum, value_name = "PEER")]
        start: Option<Peer>,
        /// Start a single server instead.
        #[arg(long, requires = "start")]
        alone: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Simulate clients that walk about a city and ask for places, and measure the share of their questions that become
    /// requests to a provider, and the errors of the answers.
    #[command(after_help = "Example:\n  cargo run --profile dist -p proxyherd-bench -- places --snap-m 100")]
    Places(places::Walk),
    /// Run the echo server of `floor` until standard input ends.
    #[command(hide = true)]
    EchoServer,
    /// Run the server of `http` whose handler does nothing, until standard input ends.
    #[command(hide = true)]
    HandlerServer,
}

/// The size of the load.
#[derive(Args)]
struct LoadSizeArgs {
    /// Concurrent connections, each of which always has lines outstanding.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Number of clients that report, split evenly between the connections.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(load::CLIENTS_MAX)))]
    clients: u32,
    /// Threads of the generator. Default: half of the cores, which leaves the server the other half.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Args)]
struct FloorArgs {
    #[command(flatten)]
    size: LoadSizeArgs,
    /// Rounds of each server at each depth; the two servers alternate.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one round, seconds. With many short rounds, disturbances affect both servers alike.
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Worker threads of both servers. Default: the number of cores.
    #[arg(long)]
    workers: Option<usize>,
    /// The proxyherd program. Default: the program proxyherd in the directory of this program; if cargo runs this
    /// program, cargo builds proxyherd first.
    #[arg(long, value_name = "FILE")]
    server_bin: Option<PathBuf>,
    /// Also write all results to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with 1 if a target is not met.
    #[arg(long)]
    strict: bool,
}

/// The server that is started for a measurement.
#[derive(Args)]
struct ServerArgs {
    /// The proxyherd program. Default: the program proxyherd in the directory of this program; if cargo runs this
    /// program, cargo builds proxyherd first.
    #[arg(long, value_name = "FILE")]
    server_bin: Option<PathBuf>,
}

impl ServerArgs {
    /// Starts one server. All connections come from one address, so the limit of connections per address is raised. The
    /// number of clients is limited, because malformed input may by chance name new clients, and they must not count as
    /// growth.
    fn start(&self) -> Result<LoneServer> {
        let settings = ["limits.connections_per_address=1_000_000", "herd.max_clients=10_000"];
        LoneServer::start_with(&herd::program(self.server_bin.as_deref())?, None, &settings)
    }
}

#[derive(Args)]
struct HealArgs {
    /// Number of records that both servers hold.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(2..=i64::from(load::CLIENTS_MAX)))]
    records: u32,
    /// Number of records that change while the link is cut, half of them at each server.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    changed: u32,
    /// Number of times that the link is cut.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seed of the choice of records: the same seed changes the same records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Encrypt the link with certificates that `proxyherd init` makes.
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct SteadyArgs {
    /// Length of the run, minutes.
    #[arg(long, default_value = "60", value_parser = minutes)]
    minutes: Duration,
    /// Share of the herd's highest rate that is sent to it.
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    share: f64,
    /// Number of concurrent connections.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=600))]
    connections: u32,
    #[command(flatten)]
    server: ServerArgs,
    /// Also write all results to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct HttpArgs {
    /// What to measure. Default: everything.
    #[arg(long, value_enum)]
    part: Vec<http::Part>,
    /// Number of connections, each of which always has one request outstanding.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    connections: u32,
    /// Number of rounds of each kind of request; the kinds alternate.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one round, seconds.
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Number of clients among which the nearest ones are searched.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=i64::from(http::CLIENTS_MAX)))]
    clients: u32,
    /// Number of clients that move in a second during the searches.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    moves: u32,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct StreamsArgs {
    #[command(flatten)]
    plan: streams::StreamsPlan,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct DurabilityArgs {
    #[command(flatten)]
    plan: durability::DurabilityPlan,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct RaceArgs {
    #[command(flatten)]
    plan: race::RacePlan,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct RestartArgs {
    #[command(flatten)]
    plan: restart::RestartPlan,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct LoadArgs {
    /// Addresses of the servers, among which the connections are divided evenly.
    #[arg(required = true, value_name = "ADDR", value_parser = address)]
    addresses: Vec<SocketAddr>,
    #[command(flatten)]
    size: LoadSizeArgs,
    /// Number of lines outstanding on each connection; they are sent in one write.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(load::DEPTH_MAX)))]
    depth: u32,
    /// Length of the run, seconds.
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// The form of the servers' replies.
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
        Command::Floor(args) => floor(&args),
        Command::Load(args) => drive(args),
        Command::Near(plan) => near::run(&plan).map(|()| ExitCode::SUCCESS),
        Command::Memory { clients, no_index, plain } => {
            memory::measure(clients, !no_index, plain).map(|()| ExitCode::SUCCESS)
        }
        Command::Idle { connections, server } => {
            idle::measure(&server.start()?, connections).map(|()| ExitCode::SUCCESS)
        }
        Command::Abuse { inputs, seed, server } => {
            let is_met = abuse::measure(&server.start()?, inputs, seed)?;
            Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Heal(args) => heal(&args),
        Command::Steady(args) => steady(&args),
        Command::Peers { start, alone, server } => {
            peers::show(start, alone, server.server_bin.as_deref()).map(|()| ExitCode::SUCCESS)
        }
        Command::Places(walk) => places::measure(&walk).map(|()| ExitCode::SUCCESS),
        Command::Nearby { rounds, osm, around, server } => {
            let plan = NearbyPlan { rounds, osm, around };
            let is_met = nearby::run(&plan, server.server_bin.as_deref())?;
            Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Http(args) => http(args),
        Command::Streams(StreamsArgs { plan, server }) => {
            let is_met = streams::run(&plan, server.server_bin.as_deref())?;
            Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Durability(DurabilityArgs { plan, server }) => {
            let is_met = durability::run(&plan, server.server_bin.as_deref())?;
            Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Restart(RestartArgs { plan, server }) => {
            let is_met = restart::run(&plan, server.server_bin.as_deref())?;
            Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Race(RaceArgs { plan, server }) => {
            let is_whole = race::run(&plan, server.server_bin.as_deref())?;
            Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::HandlerServer => target::handler::serve().map(|()| ExitCode::SUCCESS),
        Command::EchoServer => target::echo::serve().map(|()| ExitCode::SUCCESS),
    }
}

fn floor(args: &FloorArgs) -> Result<ExitCode> {
    let plan = FloorPlan {
        connections: args.size.connections,
        clients: args.size.clients,
        threads: threads(&args.size)?,
        rounds: args.rounds,
        round: args.seconds,
        workers: args.workers,
    };
    let result = floor::run(plan, args.server_bin.as_deref())?;
    anstream::print!("{}", floor::output::table(&result));
    write_json(args.json.as_deref(), || floor::output::json(&result))?;
    let missed = result.depths.iter().any(|depth| !depth.is_met());
    Ok(if args.strict && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn heal(args: &HealArgs) -> Result<ExitCode> {
    let HealArgs { records, changed, rounds, seed, tls, .. } = *args;
    if changed > records {
        bail!("--changed must be at most --records, {records}");
    }
    let encryption = if tls { LinkEncryption::On } else { LinkEncryption::Off };
    let plan = heal::HealPlan { records, changed, rounds, seed, encryption };
    let is_met = heal::run(plan, args.server.server_bin.as_deref())?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn steady(args: &SteadyArgs) -> Result<ExitCode> {
    let plan =
        steady::SteadyPlan { duration: args.minutes, share: args.share, connections: args.connections };
    let found = steady::run(plan, args.server.server_bin.as_deref())?;
    anstream::print!("{}", steady::output::table(&found));
    write_json(args.json.as_deref(), || steady::output::json(&found))?;
    Ok(if found.is_flat() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn http(args: HttpArgs) -> Result<ExitCode> {
    let parts = if args.part.is_empty() { http::Part::value_variants().to_vec() } else { args.part };
    let HttpArgs { connections, rounds, clients, moves, .. } = args;
    let plan = HttpPlan { parts, connections, rounds, round: args.seconds, clients, moves };
    let is_met = http::run(&plan, args.server.server_bin.as_deref())?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_json(path: Option<&Path>, json: impl FnOnce() -> serde_json::Value) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, format!("{:#}\n", json()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn drive(args: LoadArgs) -> Result<ExitCode> {
    let plan = LoadPlan {
        addresses: args.addresses,
        dialect: match args.expect {
            Expect::At => Dialect::Herd,
            Expect::Echo => Dialect::Echo,
        },
        connections: args.size.connections,
        threads: threads(&args.size)?,
        clients: args.size.clients,
        around: load::LOS_ANGELES,
        depth: args.depth,
        duration: args.seconds,
    };
    let result = load::run(&plan)?;
    anstream::print!("{}", load::table(&plan, &result));
    Ok(ExitCode::SUCCESS)
}

fn threads(size: &LoadSizeArgs) -> Result<usize> {
    let threads = size.threads.unwrap_or_else(|| (target::cores() / 2).max(1));
    if threads == 0 || threads > size.connections as usize {
        bail!("--threads must be between 1 and the number of connections, {}", size.connections);
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
    found.next().context("this name has no address")
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
