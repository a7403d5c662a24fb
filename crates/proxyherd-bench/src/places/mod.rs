//! What the cache of places spares: clients walk about a city in virtual time and ask the facade that the doors ask;
//! behind it stands a provider that counts.
//!
//! Nothing leaves this machine, and nothing depends on how fast it is: the same seed gives the same figures. What is
//! counted is the provider's own count, not the cache's.

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
use crate::report::grouped;

/// One question in so many is compared with its exact answer.
const COMPARE_EVERY: usize = 20;
/// How many results of an answer are compared.
const TOP: usize = 5;

/// Who walks, and how they are answered.
#[derive(Args)]
pub(crate) struct Walk {
    /// How many clients walk.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// Each asks so often, seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    every_s: u32,
    /// For how long, minutes.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Sides of the squares whose questions share an answer, metres; one walk each.
    #[arg(long, value_delimiter = ',', default_value = "0,50,100,200")]
    snap_m: Vec<u32>,
    /// Radius of the questions, metres.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    radius_m: u32,
    /// What chance follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What one walk came to.
struct Figures {
    snap_m: u32,
    questions: u64,
    requests: u64,
    outcomes: Vec<(&'static str, u64)>,
    /// Metres between where was asked and where was answered, sorted.
    off_m: Vec<f64>,
    /// Of the first results, how many are not among the exact ones, on average: the best first, the nearest first.
    differ: [f64; 2],
}

/// Walks once for each side and prints what that came to.
pub(crate) fn measure(walk: &Walk) -> Result<()> {
    let mut text = heading(walk);
    for &snap_m in &walk.snap_m {
        // Virtual time starts anew with each runtime, and goes on as soon as there is nothing else to do.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().context("no runtime")?;
        row(&mut text, &runtime.block_on(figures(walk, snap_m)));
    }
    anstream::print!("{text}{}", small_print(walk));
    Ok(())
}

async fn figures(walk: &Walk, snap_m: u32) -> Figures {
    let city = Arc::new(City::new(walk.seed));
    let places = facade(&city, snap_m);
    let mut walkers = Walkers::new(&city, walk.clients, walk.seed);
    let grid = Grid::new(snap_m);
    let mut comparison = Comparison { city: &city, grid, off_m: Vec::new(), differ: [0; 2], compared: 0 };
    let (start, every) = (Instant::now(), Duration::from_secs(walk.every_s.into()));
    let rounds = walk.minutes * 60 / walk.every_s;
    let mut asked = JoinSet::new();
    for number in 0..rounds as usize * walk.clients as usize {
        // The clients' turns are spread over the interval evenly.
        let at = every.mul_f64(number as f64 / f64::from(walk.clients));
        sleep_until(start + at).await;
        let query = city.query(walkers.walk(number % walk.clients as usize, at), walk.radius_m);
        comparison.add(number, &query);
        let places = Arc::clone(&places);
        asked.spawn(async move { places.ask(&query).await.outcome });
        while asked.try_join_next().is_some() {}
    }
    let questions = u64::from(rounds) * u64::from(walk.clients);
    asked.join_all().await;
    places.stop().await;
    let outcomes = LookupOutcome::ALL.map(|outcome| (outcome.label(), places.count(outcome)));
    let (off_m, differ) = comparison.end();
    Figures { snap_m, questions, requests: city.requests(), outcomes: outcomes.into(), off_m, differ }
}

/// The facade as it is set up by default, but for the squares, and without a bound on its rate: what is over it would
/// not become a request, and make the cache look better.
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

/// How far answers are off.
struct Comparison<'a> {
    city: &'a City,
    grid: Option<Grid>,
    off_m: Vec<f64>,
    differ: [usize; 2],
    compared: usize,
}

impl Comparison<'_> {
    fn add(&mut self, number: usize, query: &Query) {
        let moved = self.grid.map_or_else(|| query.clone(), |grid| grid.moved(query));
        let asked = Center::new(query.latitude, query.longitude);
        self.off_m.push(asked.separation(moved.latitude, moved.longitude).meters());
        if !number.is_multiple_of(COMPARE_EVERY) {
            return;
        }
        self.compared += 1;
        for (differ, order) in self.differ.iter_mut().zip([Order::Best, Order::Nearest]) {
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
        "\n{} clients walk about a city for {} minutes; each asks what lies within {} m every {} s: {questions_per_s:.0} \
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
        "metres off",
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
        "by metres",
    )
}

fn row(text: &mut String, figures: &Figures) {
    let off_m = &figures.off_m;
    let at = |share: f64| off_m[((off_m.len() - 1) as f64 * share) as usize];
    let mean = off_m.iter().sum::<f64>() / off_m.len() as f64;
    let outcomes: Vec<String> = figures
        .outcomes
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| format!("{label} {}", grouped(*count as f64)))
        .collect();
    let _ = writeln!(
        text,
        "{:>7}  {:>10}  {:>9}  {:>5.2} %  {mean:>6.1} {:>6.1} {:>6.1} {:>6.1}  {:>10.2} {:>10.2}  {}",
        figures.snap_m,
        grouped(figures.questions as f64),
        grouped(figures.requests as f64),
        100.0 * figures.requests as f64 / figures.questions as f64,
        at(0.5),
        at(0.99),
        at(1.0),
        figures.differ[0],
        figures.differ[1],
        outcomes.join(", "),
    );
}

fn small_print(walk: &Walk) -> String {
    let cache = CacheSettings::default();
    format!(
        "\n{}\n\
         The cache is set up by default: {} MB, an answer is new for {} s. Metres off: between where was asked and where\n\
         the answer is from. One question in {COMPARE_EVERY} was compared with its exact answer: of its first {TOP} places, how many\n\
         are others, on average, ranked by importance and by distance. Seed {}.\n",
        city::small_print(),
        cache.max_bytes / 1_000_000,
        cache.fresh.as_secs(),
        walk.seed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(snap_m: u32, seed: u64) -> Figures {
        let walk = Walk { clients: 500, every_s: 60, minutes: 10, snap_m: vec![snap_m], radius_m: 500, seed };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(figures(&walk, snap_m))
    }

    #[test]
    fn every_question_is_answered_and_squares_spare_requests() {
        let (exact, squares) = (walked(0, 1), walked(100, 1));
        for figures in [&exact, &squares] {
            assert_eq!(figures.questions, 5000);
            let counted: u64 = figures.outcomes.iter().map(|(_, count)| count).sum();
            assert_eq!(counted, 5000);
            assert!(figures.outcomes.contains(&("failed", 0)));
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
