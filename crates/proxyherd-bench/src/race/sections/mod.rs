//! The sections of the race. Each measures the samples of its figures at the contestants, in rounds.
//!
//! [`measure`] runs one section on a [`Course`], which has the contestants, the lengths of rounds, and the results. In
//! each round all contestants have their turn, and the one that begins changes. Round 0 does not count: in this round
//! connections, tables, caches and compilers of the other languages warm up.

mod cost;
mod doors;
mod herd;
mod latency;
mod memory;
mod minute;
mod near;
mod paced;
mod single;
mod streams;
mod throughput;
mod whatsat;

use std::time::Duration;

use anyhow::{Context, Result};

use super::field::{Contestant, Field, Running};
use super::figures::{FIGURES, Section};
use super::results::Results;
use crate::load::{self, LOS_ANGELES, LoadPlan, LoadResult};
use crate::progress::Progress;
use crate::target;

/// Connections of the generator, unless a figure says otherwise.
const CONNECTIONS: u32 = 50;
/// Clients that report, unless a figure says otherwise.
const CLIENTS: u32 = 10_000;
/// A contestant that answers a smaller share of what is due within the round does not keep up.
const KEPT_MIN: f64 = 0.95;

/// Measures a section.
pub(super) fn measure(section: Section, course: &mut Course<'_>) -> Result<()> {
    match section {
        Section::Throughput => throughput::measure(course),
        Section::Latency => latency::measure(course),
        Section::Paced => paced::measure(course),
        Section::Herd => herd::measure(course),
        Section::Cost => cost::measure(course),
        Section::Memory => memory::measure(course),
        Section::Whatsat => whatsat::measure(course),
        Section::Near => near::measure(course),
        Section::Streams => streams::measure(course),
        Section::Doors => doors::measure(course),
        Section::Minute => minute::measure(course),
        Section::Cores => single::cores(course),
        Section::Startup => single::startup(course),
    }
}

/// How long and how often everything is measured.
#[derive(Clone, Debug)]
pub(crate) struct Lengths {
    /// Rounds that count.
    pub(crate) rounds: u32,
    /// Rounds that count, of sections whose rounds are long.
    pub(crate) long_rounds: u32,
    /// Length of a round, and of a long one.
    pub(crate) round: Duration,
    pub(crate) long_round: Duration,
    /// Length of the run in which a herd that has just started warms up.
    pub(crate) warm_up: Duration,
    /// Length of the section `minute`.
    pub(crate) minute: Duration,
    /// Given rates, and numbers of clients, are divided by this.
    pub(crate) divisor: u32,
    pub(crate) is_quick: bool,
}

impl Lengths {
    /// The lengths for figures that count.
    pub(crate) fn full(rounds: u32) -> Lengths {
        Lengths {
            rounds,
            long_rounds: rounds.min(3),
            round: Duration::from_secs(1),
            long_round: Duration::from_secs(4),
            warm_up: Duration::from_secs(2),
            minute: Duration::from_secs(60),
            divisor: 1,
            is_quick: false,
        }
    }

    /// The lengths for a test.
    pub(crate) fn quick() -> Lengths {
        Lengths {
            rounds: 1,
            long_rounds: 1,
            round: Duration::from_millis(200),
            long_round: Duration::from_millis(400),
            warm_up: Duration::from_secs(1),
            minute: Duration::from_secs(1),
            divisor: 20,
            is_quick: true,
        }
    }

    /// The lengths in plain words.
    pub(crate) fn text(&self) -> String {
        format!(
            "{} rounds of {} s that count (long ones: {} of {} s), and one before them that does not",
            self.rounds,
            self.round.as_secs_f64(),
            self.long_rounds,
            self.long_round.as_secs_f64()
        )
    }
}

/// What a section has at hand.
pub(crate) struct Course<'a> {
    pub(crate) field: &'a Field,
    pub(crate) lengths: &'a Lengths,
    pub(crate) results: &'a mut Results,
    /// Whether the memory of ten million clients is measured, too.
    pub(crate) has_ten_million: bool,
    /// Whether a contestant that fails ends the section. Otherwise it leaves the section, and the report says why.
    is_strict: bool,
    section: Section,
    progress: Progress,
}

impl<'a> Course<'a> {
    pub(crate) fn new(
        field: &'a Field,
        lengths: &'a Lengths,
        results: &'a mut Results,
        (section, has_ten_million, is_strict): (Section, bool, bool),
    ) -> Course<'a> {
        Course { field, lengths, results, has_ten_million, is_strict, section, progress: Progress::new() }
    }

    /// The value of an attempt. If a contestant has failed, the report says so, and there is none.
    fn value_of<T>(&mut self, label: &str, attempt: Result<T>) -> Result<Option<T>> {
        match attempt {
            Ok(value) => Ok(Some(value)),
            Err(error) if self.is_strict => Err(error.context(label.to_owned())),
            Err(error) => {
                eprintln!("{label} leaves the section: {error:#}");
                let text = format!("{label} failed, and its values here are not complete: {error:#}.");
                if let Some(figure) = FIGURES.iter().find(|figure| figure.section == self.section) {
                    self.results.remark(figure.id, text);
                }
                Ok(None)
            }
        }
    }

    /// Starts one server of each contestant. They stay until the section ends, so that compilers of the other languages
    /// stay warm.
    fn start_all(&mut self, start: impl Fn(&Contestant) -> Result<Running>) -> Result<Vec<Running>> {
        let mut all = Vec::new();
        for contestant in &self.field.contestants {
            self.show(|| format!("starting {}", contestant.label));
            let started = start(contestant).with_context(|| format!("{} does not start", contestant.label));
            all.extend(self.value_of(contestant.label, started)?);
        }
        Ok(all)
    }

    /// Measures all servers in turn, in so many rounds and one before them. A server that fails leaves the section.
    fn rounds(
        &mut self,
        running: &mut Vec<Running>,
        rounds: u32,
        mut measure: impl FnMut(&mut Course<'a>, &Running, u32) -> Result<()>,
    ) -> Result<()> {
        for round in 0..=rounds {
            let mut failed = Vec::new();
            for turn in turns(running.len(), round) {
                let measured = measure(self, &running[turn], round);
                if self.value_of(running[turn].label, measured)?.is_none() {
                    failed.push(running[turn].name);
                }
            }
            running.retain(|server| !failed.contains(&server.name));
        }
        Ok(())
    }

    /// Measures herds with so many servers in turn, in so many rounds. Each herd starts anew in each round,
    /// because idle herds would take processor time from the others. A herd that fails leaves the section.
    fn herd_rounds(
        &mut self,
        herds: &mut Vec<&'a Contestant>,
        (servers, rounds): (usize, u32),
        mut measure: impl FnMut(&mut Course<'a>, &Running, u32) -> Result<()>,
    ) -> Result<()> {
        for round in 1..=rounds {
            let mut failed = Vec::new();
            for turn in turns(herds.len(), round) {
                let herd = herds[turn];
                self.show(|| format!("round {round} of {rounds}: {servers} servers of {} start", herd.label));
                let measured = herd.start(servers).and_then(|running| measure(self, &running, round));
                let measured = measured.with_context(|| format!("{servers} servers of {}", herd.label));
                if self.value_of(herd.label, measured)?.is_none() {
                    failed.push(herd.name);
                }
            }
            herds.retain(|herd| !failed.contains(&herd.name));
        }
        Ok(())
    }

    /// The contestants that can run several servers and be asked which report each shows.
    fn askable(&self) -> Vec<&'a Contestant> {
        self.field.contestants.iter().filter(|contestant| contestant.can_be_asked()).collect()
    }

    /// The contestants that can run several servers.
    fn herds(&self) -> Vec<&'a Contestant> {
        self.field.contestants.iter().filter(|contestant| contestant.is_herd()).collect()
    }

    /// Adds a sample. Round 0 does not count.
    fn add(&mut self, figure: &str, who: &str, x: f64, round: u32, value: f64) -> Result<()> {
        if round == 0 { Ok(()) } else { self.results.add(figure, who, x, round, value) }
    }

    fn show(&mut self, line: impl FnOnce() -> String) {
        self.progress.show(line);
    }
}

/// The turns of a round: all numbers below `count`, beginning with another one in each round.
fn turns(count: usize, round: u32) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (turn + round as usize) % count)
}

/// Sends as fast as the servers answer.
fn drive(running: &Running, connections: u32, depth: u32, duration: Duration) -> Result<LoadResult> {
    let plan = LoadPlan {
        addresses: running.addresses.clone(),
        dialect: running.dialect,
        connections,
        threads: (target::cores() / 2).clamp(1, connections as usize),
        clients: CLIENTS.max(connections * depth),
        around: LOS_ANGELES,
        depth,
        duration,
    };
    load::run(&plan).with_context(|| format!("driving {} at depth {depth}", running.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_in_each_round_and_another_one_begins() {
        for round in 0..7 {
            let mut order: Vec<usize> = turns(3, round).collect();
            assert_eq!(order[0], round as usize % 3);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2]);
        }
        assert_eq!(turns(0, 5).count(), 0);
    }
}
