//! Measures how many requests the cache of places saves. Clients walk about a city in virtual time, and ask the same
//! facade as the doors. A provider in this process answers and counts the requests.
//!
//! Nothing is sent over a network, and nothing depends on the speed of the machine: the same seed gives the same
//! result. The provider counts the requests, so the result does not rely on the cache's own counters.

mod city;
mod walkers;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use proxyherd_core::places::{Center, Grid, Query};
use proxyherd_places::provider::Provider;
use proxyherd_places::{
    CacheSettings, Environment, LookupOutcome, Places, RequestSettings, Settings, Unlimited,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::city::{City, Order};
use self::walkers::Walkers;
use crate::format::grouped;

/// For one question in this many, the answer is compared with the exact answer.
const COMPARE_EVERY: usize = 20;
/// Number of places at the beginning of an answer that are compared.
const TOP: usize = 5;

/// The walk and the settings of the cache.
#[derive(Args)]
pub(crate) struct Walk {
    /// Number of clients.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// Interval between two questions of a client, seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    every_s: u32,
    /// Length of the walk, minutes.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Sides of the squares in which all questions share an answer, meters. There is one walk for each side.
    #[arg(long, value_delimiter = ',', default_value = "0,50,100,200")]
    snap_m: Vec<u32>,
    /// Radius of the questions, meters.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    radius_m: u32,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What one walk measured.
struct WalkResult {
    snap_m: u32,
    questions: u64,
    requests: u64,
    outcomes: Vec<(&'static str, u64)>,
    /// Meters between the position of each question and that of its answer, in ascending order.
    off_m: Vec<f64>,
    /// The average number of places at the beginning of an answer that differ from the exact answer. The first number
    /// is for the order of importance, and the second for the order of distance.
    differ: [f64; 2],
}

/// Simulates one walk for each side and prints the results.
pub(crate) fn measure(walk: &Walk) -> Result<()> {
    let mut text = heading(walk);
    for &snap_m in &walk.snap_m {
        // Each runtime has a virtual time of its own, which advances whenever there is nothing else to do.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().context("no runtime")?;
        row(&mut text, &runtime.block_on(simulate(walk, snap_m)));
    }
    anstream::print!("{text}{}", notes(walk));
    Ok(())
}

async fn simulate(walk: &Walk, snap_m: u32) -> WalkResult {
    let city = Arc::new(City::new(walk.seed));
    let places = facade(&city, snap_m);
    let mut walkers = Walkers::new(&city, walk.clients, walk.seed);
    let grid = Grid::new(snap_m);
    let mut errors = AnswerErrors { city: &city, grid, off_m: Vec::new(), differ: [0; 2], compared: 0 };
    let (start, every) = (Instant::now(), Duration::from_secs(walk.every_s.into()));
    let rounds = walk.minutes * 60 / walk.every_s;
    let mut asked = JoinSet::new();
    for number in 0..rounds as usize * walk.clients as usize {
        // The clients' questions are spread evenly over the interval.
        let at = every.mul_f64(number as f64 / f64::from(walk.clients));
        sleep_until(start + at).await;
        let query = city.query(walkers.walk(number % walk.clients as usize, at), walk.radius_m);
        errors.add(number, &query);
        let places = Arc::clone(&places);
        asked.spawn(async move { places.ask(&query).await.outcome });
        while asked.try_join_next().is_some() {}
    }
    let questions = u64::from(rounds) * u64::from(walk.clients);
    asked.join_all().await;
    places.stop().await;
    let outcomes = LookupOutcome::ALL.map(|outcome| (outcome.label(), places.count(outcome)));
    let (off_m, differ) = errors.end();
    WalkResult { snap_m, questions, requests: city.requests(), outcomes: outcomes.into(), off_m, differ }
}

/// The facade with its default settings, except for the squares and for the rate, which has no limit. With a limit, the
/// questions above the limit would not become requests, and the cache would look better than it is.
fn facade(city: &Arc<City>, snap_m: u32) -> Arc<Places> {
    let default = Settings::default();
    let settings = Settings {
        requests: RequestSettings { per_second: 0, ..default.requests },
        cache: CacheSettings { snap_m, ..default.cache },
        ..default
    };
    let first = Arc::clone(city) as Arc<dyn Provider>;
    let environment = Environment::silent(|| 0, || 0);
    Places::with(first, vec![], &settings, Arc::new(Unlimited), environment)
}

/// Compares answers with the exact answers.
struct AnswerErrors<'a> {
    city: &'a City,
    grid: Option<Grid>,
    off_m: Vec<f64>,
    differ: [usize; 2],
    compared: usize,
}

impl AnswerErrors<'_> {
    fn add(&mut self, number: usize, query: &Query) {
        let moved = self.grid.map_or_else(|| query.clone(), |grid| grid.moved(query));
        let asked = Center::new(query.latitude, query.longitude);
        self.off_m.push(asked.separation(moved.latitude, moved.longitude).meters());
        if !number.is_multiple_of(COMPARE_EVERY) {
            return;
        }
        self.compared += 1;
        for (differ, order) in self.differ.iter_mut().zip([Order::Importance, Order::Distance]) {
            let exact = self.city.find(query, order, TOP);
            *differ +=
                self.city.find(&moved, order, TOP).iter().filter(|found| !exact.contains(found)).count();
        }
    }

    fn end(mut self) -> (Vec<f64>, [f64; 2]) {
        self.off_m.sort_by(f64::total_cmp);
        (self.off_m, self.differ.map(|differ| differ as f64 / self.compared.max(1) as f64))
    }
}

fn heading(walk: &Walk) -> String {
    let questions_per_s = f64::from(walk.clients) / f64::from(walk.every_s);
    format!(
        "\n{} clients walk about a city for {} minutes; each asks for places within {} m every {} s: {questions_per_s:.0} \
         questions a second\n\n{:>7}  {:>10}  {:>9}  {:>7}  {:>27}  {:>21}  outcomes\n{:>7}  {:>10}  {:>9}  {:>7}  {:>6} {:>6} \
         {:>6} {:>6}  {:>10} {:>10}\n",
        grouped(f64::from(walk.clients)),
        walk.minutes,
        walk.radius_m,
        walk.every_s,
        "square,",
        "questions",
        "requests",
        "share",
        "meters off",
        format!("of the first {TOP} differ"),
        "m",
        "",
        "",
        "",
        "mean",
        "p50",
        "p99",
        "max",
        "by rank",
        "by meters",
    )
}

fn row(text: &mut String, result: &WalkResult) {
    let off_m = &result.off_m;
    let at = |share: f64| off_m[((off_m.len() - 1) as f64 * share) as usize];
    let mean = off_m.iter().sum::<f64>() / off_m.len() as f64;
    let outcomes: Vec<String> = result
        .outcomes
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| format!("{label} {}", grouped(*count as f64)))
        .collect();
    let _ = writeln!(
        text,
        "{:>7}  {:>10}  {:>9}  {:>5.2} %  {mean:>6.1} {:>6.1} {:>6.1} {:>6.1}  {:>10.2} {:>10.2}  {}",
        result.snap_m,
        grouped(result.questions as f64),
        grouped(result.requests as f64),
        100.0 * result.requests as f64 / result.questions as f64,
        at(0.5),
        at(0.99),
        at(1.0),
        result.differ[0],
        result.differ[1],
        outcomes.join(", "),
    );
}

fn notes(walk: &Walk) -> String {
    let cache = CacheSettings::default();
    format!(
        "\n{}\n\
         The cache has its default settings: {} MB, and an answer is fresh for {} s. Meters off: from the position of the\n\
         question to that of the answer. One question in {COMPARE_EVERY} had its first {TOP} places compared with those of the exact\n\
         answer: how many differ on average, ranked by importance and by distance. Seed {}.\n",
        city::notes(),
        cache.max_bytes / 1_000_000,
        cache.fresh.as_secs(),
        walk.seed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(snap_m: u32, seed: u64) -> WalkResult {
        let walk = Walk { clients: 500, every_s: 60, minutes: 10, snap_m: vec![snap_m], radius_m: 500, seed };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(simulate(&walk, snap_m))
    }

    #[test]
    fn every_question_is_answered_and_squares_spare_requests() {
        let (exact, squares) = (walked(0, 1), walked(100, 1));
        for result in [&exact, &squares] {
            assert_eq!(result.questions, 5000);
            let counted: u64 = result.outcomes.iter().map(|(_, count)| count).sum();
            assert_eq!(counted, 5000);
            assert!(result.outcomes.contains(&("failed", 0)));
        }
        assert_eq!((exact.off_m.last(), exact.differ), (Some(&0.0), [0.0; 2]));
        assert!(squares.requests < exact.requests / 2, "{} {}", squares.requests, exact.requests);
        let farthest = *squares.off_m.last().unwrap();
        assert!((60.0..=70.72).contains(&farthest), "{farthest}");
    }

    #[test]
    fn the_same_seed_walks_the_same_way() {
        let (one, same, other) = (walked(100, 1), walked(100, 1), walked(100, 2));
        assert_eq!((one.requests, &one.off_m), (same.requests, &same.off_m));
        assert_ne!(one.off_m, other.off_m);
    }
}
