//! Measures how many searches for the nearest clients a replica answers in a second, while clients move, for several
//! radii. A Redis server that holds the same clients can answer the same searches (GEOSEARCH) in the same run.
//!
//! The replica is searched in this process, and Redis over a socket, alone and with several searches outstanding. So
//! only the way in which the rates change with the radius can be compared directly. The same number of moves in a
//! second goes to both. Rounds of both alternate, so that disturbances affect both alike.

mod redis;
mod world;

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use proxyherd_core::{
    command::{Around, Limit, Near},
    limits::BATCH_LEN_MAX,
    places::Point,
    replica::{Effort, Offer, Replica, ReplicaSettings},
    types::{Attributes, ClientId, Origin, Report, ServerName, Stamp, Timestamp},
};

use self::{
    redis::Redis,
    world::{Dice, Position, World},
};
use crate::stats::Spread;

/// The POSIX time of the first reports, nanoseconds.
const START_NS: u64 = 1_621_464_827_000_000_000;
/// Half the Earth's circumference and a little more, meters: the radius for Redis where there is none.
const WHOLE_EARTH_M: f64 = 20_100_000.0;
/// The radii, meters.
const RADII_M: [Option<f64>; 3] = [Some(1_000.0), Some(1_000_000.0), None];

/// What to measure.
#[derive(Args)]
pub(super) struct NearPlan {
    /// Number of clients.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    clients: u32,
    /// Number of clients in an answer.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nearest: u32,
    /// Number of moves in a second, meanwhile.
    #[arg(long, default_value_t = 20_000)]
    moves: u32,
    /// Threads that search.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Rounds for each radius.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one round, seconds.
    #[arg(long, default_value = "1", value_parser = crate::seconds)]
    seconds: Duration,
    /// Put all clients into cities. Default: evenly spread.
    #[arg(long)]
    cities: bool,
    /// Search without an index.
    #[arg(long)]
    no_index: bool,
    /// Address of a Redis server to compare with. All clients are stored there under the key proxyherd-bench.
    #[arg(long, value_name = "ADDR")]
    redis: Option<SocketAddr>,
    /// Number of searches outstanding at Redis, in addition to rounds with one.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    depth: u32,
}

impl NearPlan {
    /// Searches of ten among clients that are evenly spread and of which 20,000 move in a second.
    pub(super) fn new(clients: u32, rounds: u32, seconds: Duration, redis: Option<SocketAddr>) -> NearPlan {
        NearPlan {
            clients,
            nearest: 10,
            moves: 20_000,
            threads: 2,
            rounds,
            seconds,
            cities: false,
            no_index: false,
            redis,
            depth: 16,
        }
    }
}

/// What was measured.
pub(super) struct NearResult {
    /// Memory of the index, bytes a client.
    index_bytes: f64,
    filled_in: Duration,
    /// In the order of [`RADII_M`].
    pub(super) radii: Vec<OfRadius>,
}

/// Rates of the rounds within one radius, searches a second.
pub(super) struct OfRadius {
    radius_m: Option<f64>,
    pub(super) ours: Vec<f64>,
    /// Redis with one search outstanding. Empty: there is no Redis.
    redis_one: Vec<f64>,
    /// Redis with several searches outstanding.
    pub(super) redis_deep: Vec<f64>,
}

/// The clients, in a replica and perhaps in a Redis server.
struct Clients<'a> {
    plan: &'a NearPlan,
    world: World,
    replica: Replica,
    /// The time of the last reports.
    now_ns: AtomicU64,
}

/// Measures and prints the rates.
pub(super) fn run(plan: &NearPlan) -> Result<()> {
    let mut out = anstream::stdout();
    let result = measure(plan)?;
    writeln!(
        out,
        "{} clients, {}: index of {:.1} bytes a client, filled in {:.1} s",
        plan.clients,
        if plan.cities { "in cities" } else { "evenly spread" },
        result.index_bytes,
        result.filled_in.as_secs_f64(),
    )?;
    for OfRadius { radius_m, ours, redis_one, redis_deep } in &result.radii {
        let radius = radius_m.map_or("none".to_owned(), |radius_m| format!("{} km", radius_m / 1000.0));
        let rate = |rates: &[f64]| {
            let Spread { low, median, high } = Spread::of(rates.iter().copied());
            format!("{median:.0} searches/s ({low:.0} to {high:.0})")
        };
        writeln!(out, "radius {radius}: replica, {} threads: {}", plan.threads, rate(ours))?;
        if plan.redis.is_some() {
            writeln!(out, "radius {radius}: Redis, 1 outstanding: {}", rate(redis_one))?;
            writeln!(out, "radius {radius}: Redis, {} outstanding: {}", plan.depth, rate(redis_deep))?;
        }
    }
    Ok(())
}

/// Measures the rates.
pub(super) fn measure(plan: &NearPlan) -> Result<NearResult> {
    let world = if plan.cities { World::of_cities() } else { World::even() };
    let clients =
        Clients { plan, world, replica: replica(!plan.no_index)?, now_ns: AtomicU64::new(START_NS) };
    let mut dice = Dice(1);
    let places: Vec<Position> = (0..plan.clients).map(|_| clients.world.place(&mut dice)).collect();
    let all = || (0..plan.clients).zip(places.iter().copied());
    let began = Instant::now();
    clients.report(&all().collect::<Vec<_>>());
    let filled_in = began.elapsed();
    let index_bytes = clients.replica.client_index_bytes() as f64 / f64::from(plan.clients);
    if let Some(address) = plan.redis {
        let mut redis = Redis::connect(address)?;
        redis.clear()?;
        redis.set(all())?;
    }
    let mut radii = Vec::new();
    for radius_m in RADII_M {
        let (mut ours, mut theirs) = (Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..plan.rounds {
            ours.push(clients.searched(radius_m, &places)?);
            if let Some(address) = plan.redis {
                for (depth, rates) in [1, plan.depth].into_iter().zip(&mut theirs) {
                    rates.push(clients.searched_in_redis(address, radius_m, depth, &places)?);
                }
            }
        }
        let [redis_one, redis_deep] = theirs;
        radii.push(OfRadius { radius_m, ours, redis_one, redis_deep });
    }
    Ok(NearResult { index_bytes, filled_in, radii })
}

fn replica(client_index: bool) -> Result<Replica> {
    Ok(Replica::new(ReplicaSettings {
        me: Origin { server: ServerName::new("Riley")?, incarnation: 1 },
        seed: 1,
        max_clients: u64::MAX,
        client_ttl_ns: None,
        client_interval_ns: 0,
        clock_offset_max_ns: 60_000_000_000,
        client_index,
        report_rules: Default::default(),
        rules: Default::default(),
    }))
}

impl Clients<'_> {
    /// Reports positions to the replica.
    fn report(&self, moved: &[(u32, Position)]) {
        for some in moved.chunks(BATCH_LEN_MAX) {
            let now_ns = self.now_ns.fetch_add(1000, Relaxed);
            let timestamp = Timestamp::from_nanos(now_ns).expect("the time of the run is before 2286");
            let ids: Vec<String> = some.iter().map(|(client, _)| format!("client-{client:07}")).collect();
            let mut offers: Vec<Offer<'_>> = ids
                .iter()
                .zip(some)
                .map(|(id, (_, at))| {
                    Offer::new(Report {
                        client: ClientId::new(id.as_bytes()).expect("letters and digits are an ID"),
                        coordinates: at.coordinates(),
                        stamp: Stamp::Client(timestamp),
                        attributes: Attributes::NONE,
                    })
                })
                .collect();
            let wake = self.replica.report_all(now_ns, &mut offers);
            debug_assert!(wake.is_empty(), "a replica without links wakes none");
        }
    }

    /// The rate of searches in the replica while clients move.
    fn searched(&self, radius_m: Option<f64>, places: &[Position]) -> Result<f64> {
        let end = Instant::now() + self.plan.seconds;
        let is_over = AtomicBool::new(false);
        let begun = Instant::now();
        let searches: u64 = std::thread::scope(|scope| {
            let mover = scope.spawn(|| {
                self.move_clients(&is_over, places, |moved| {
                    self.report(moved);
                    Ok(())
                })
            });
            let searchers: Vec<_> = (0..self.plan.threads)
                .map(|thread| scope.spawn(move || self.search_until(end, radius_m, u64::from(thread))))
                .collect();
            let searches = searchers.into_iter().map(|searcher| searcher.join().unwrap_or(0)).sum();
            is_over.store(true, Relaxed);
            mover.join().unwrap_or(Ok(())).map(|()| searches)
        })?;
        Ok(searches as f64 / begun.elapsed().as_secs_f64())
    }

    fn search_until(&self, end: Instant, radius_m: Option<f64>, seed: u64) -> u64 {
        let mut dice = Dice(self.now_ns.load(Relaxed) + seed);
        let limit = Limit::new(self.plan.nearest as usize).expect("the argument is in range");
        let mut searches = 0;
        while Instant::now() < end {
            let at = self.world.place(&mut dice);
            let point = Point::new(at.latitude, at.longitude).expect("the world has its places on Earth");
            let near = Near { around: Around::Point(point), radius_m, limit };
            let _ = std::hint::black_box(self.replica.near(
                self.now_ns.load(Relaxed),
                &near,
                Effort::ANY,
                |_| true,
            ));
            searches += 1;
        }
        searches
    }

    /// The rate of searches in Redis while clients move. Measures at least one batch of searches, however long it
    /// takes.
    fn searched_in_redis(
        &self,
        address: SocketAddr,
        radius_m: Option<f64>,
        depth: u32,
        places: &[Position],
    ) -> Result<f64> {
        let (mut searcher, mut mover) = (Redis::connect(address)?, Redis::connect(address)?);
        let is_over = AtomicBool::new(false);
        let end = Instant::now() + self.plan.seconds;
        let begun = Instant::now();
        let searches: u64 = std::thread::scope(|scope| {
            let moving =
                scope.spawn(|| self.move_clients(&is_over, places, |moved| mover.set(moved.iter().copied())));
            let mut search = || -> Result<u64> {
                let mut dice = Dice(self.now_ns.fetch_add(1, Relaxed));
                let mut searches = 0;
                while Instant::now() < end {
                    for _ in 0..depth {
                        let at = self.world.place(&mut dice);
                        searcher.search(at, radius_m.unwrap_or(WHOLE_EARTH_M), self.plan.nearest as usize);
                    }
                    searcher.flush()?;
                    searches += u64::from(depth);
                }
                Ok(searches)
            };
            let searches = search();
            is_over.store(true, Relaxed);
            moving.join().unwrap_or(Ok(()))?;
            searches
        })
        .context("Redis cannot be searched")?;
        Ok(searches as f64 / begun.elapsed().as_secs_f64())
    }

    /// Moves clients at the plan's rate, a few at a time.
    fn move_clients(
        &self,
        is_over: &AtomicBool,
        places: &[Position],
        mut take: impl FnMut(&[(u32, Position)]) -> Result<()>,
    ) -> Result<()> {
        let begun = Instant::now();
        let mut dice = Dice(self.now_ns.load(Relaxed));
        let mut moved = 0;
        while !is_over.load(Relaxed) {
            let due = (begun.elapsed().as_secs_f64() * f64::from(self.plan.moves)) as u64;
            let count = due.saturating_sub(moved).min(BATCH_LEN_MAX as u64);
            if count == 0 {
                std::thread::sleep(Duration::from_micros(500));
                continue;
            }
            let some: Vec<(u32, Position)> = (0..count)
                .map(|_| {
                    let client = dice.below(self.plan.clients);
                    (client, places[client as usize].step(&mut dice))
                })
                .collect();
            take(&some)?;
            moved += count;
        }
        Ok(())
    }
}
