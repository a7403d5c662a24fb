//! Compares the rate of questions about places with the rate of reports. One server gets WHATSAT lines and IAMAT lines
//! in alternating rounds.
//!
//! The depth is 1. A reply about places is a hundred times as long as its question, so with more lines outstanding the
//! measurement would show how fast the kernel copies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{self, Dialect, LoadPlan};
use crate::stats::Spread;
use crate::target::herd::{LoneServer, program};

/// The target for the rate of WHATSAT, as a share of the rate of IAMAT.
const TARGET: f64 = 1.0 / 3.0;
const CONNECTIONS: u32 = 50;
const CLIENTS: u32 = 10_000;
/// Length of a round. The first round of each kind has the same length and is not counted.
const ROUND: Duration = Duration::from_secs(1);

/// What to compare.
pub(crate) struct NearbyPlan {
    pub(crate) rounds: u32,
    /// An index of OpenStreetMap's places, which `proxyherd places import` writes. Without an index the embedded
    /// provider answers.
    pub(crate) osm: Option<PathBuf>,
    /// Position around which the clients are, degrees north and east.
    pub(crate) around: (f64, f64),
}

/// Compares and prints the result. Returns whether the target is met. Progress goes to standard error.
pub(crate) fn run(plan: &NearbyPlan, server_bin: Option<&Path>) -> Result<bool> {
    let mut settings = vec!["places.provider=embedded".to_owned()];
    if let Some(file) = &plan.osm {
        let file = file.canonicalize().with_context(|| format!("there is no {}", file.display()))?;
        settings = vec!["places.provider=osm".to_owned(), format!("places.osm.file={}", file.display())];
    }
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let herd = LoneServer::start_with(&program(server_bin)?, None, &settings)?;
    let drive = |dialect| {
        let plan = LoadPlan {
            addresses: vec![herd.target.address],
            dialect,
            connections: CONNECTIONS,
            threads: 1,
            clients: CLIENTS,
            around: plan.around,
            depth: 1,
            duration: ROUND,
        };
        load::run(&plan).map(|outcome| outcome.lines_per_second())
    };
    drive(Dialect::Herd)?;
    drive(Dialect::Nearby)?;
    let (mut asked, mut reported, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        let (whatsat, iamat) = (drive(Dialect::Nearby)?, drive(Dialect::Herd)?);
        eprintln!(
            "round {round} of {}: WHATSAT {whatsat:.0}/s, IAMAT {iamat:.0}/s, {:.3} of it",
            plan.rounds,
            whatsat / iamat
        );
        asked.push(whatsat);
        reported.push(iamat);
        ratios.push(whatsat / iamat);
    }
    let (asked, reported, ratio) = (Spread::of(asked), Spread::of(reported), Spread::of(ratios));
    let provider = if plan.osm.is_some() { "osm" } else { "embedded" };
    let is_met = ratio.median >= TARGET;
    println!(
        "WHATSAT … 10 5, provider {provider}: {:.0}/s compared with {:.0}/s of IAMAT, ratio {:.2} ({:.2} to {:.2}); target {TARGET:.2}, {}",
        asked.median,
        reported.median,
        ratio.median,
        ratio.low,
        ratio.high,
        if is_met { "met" } else { "not met" }
    );
    Ok(is_met)
}
