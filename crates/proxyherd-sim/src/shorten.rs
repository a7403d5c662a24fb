//! Shortens a failure: runs a failing seed again and again with fewer faults and fewer clients, as long as the run
//! shows the same symptom (delta debugging: Zeller and Hildebrandt, 2002).

use std::collections::BTreeSet;

use proxyherd_core::flood::Rules;

use crate::{
    outcome::{Outcome, Symptom, Violation},
    scenario::Scenario,
    world::replay,
};

/// Maximum number of runs that one search may take.
const RUNS_MAX: usize = 150;
/// The numbers of clients that are tried.
const CLIENTS: [usize; 4] = [1, 2, 5, 20];

/// The smallest run that still fails.
#[derive(Clone, Debug)]
pub struct Shortest {
    /// The violation of that run.
    pub violation: Violation,
    /// The number of clients that were left.
    pub clients: usize,
    /// The first is the number of faults that were needed, the second the number that were drawn.
    pub faults: (usize, u64),
    /// The last events before the violation.
    pub story: Vec<String>,
}

/// Looks for the smallest run of `scenario` that still shows `symptom`. `None` if the scenario does not show the
/// symptom.
pub fn shorten(scenario: &Scenario, rules: Rules, symptom: Symptom) -> Option<Shortest> {
    let mut search = Search { scenario: scenario.clone(), rules, symptom, runs: 0 };
    let (.., drawn) = replay(scenario.clone(), rules, None, symptom);
    let mut faults: Vec<u64> = (1..=drawn).collect();
    if !search.fails(&faults) {
        return None;
    }
    search.fewer_clients(&faults);
    search.fewer_faults(&mut faults);
    search.fewer_clients(&faults);
    let (outcome, story, _) = search.run(&faults);
    Some(Shortest {
        violation: of(&outcome, symptom)?.clone(),
        clients: search.scenario.clients.count,
        faults: (faults.len(), drawn),
        story: story.into_lines(),
    })
}

struct Search {
    scenario: Scenario,
    rules: Rules,
    symptom: Symptom,
    runs: usize,
}

impl Search {
    fn run(&self, faults: &[u64]) -> (Outcome, crate::story::Story, u64) {
        let faults: BTreeSet<u64> = faults.iter().copied().collect();
        replay(self.scenario.clone(), self.rules, Some(&faults), self.symptom)
    }

    fn fails(&mut self, faults: &[u64]) -> bool {
        self.runs += 1;
        self.runs <= RUNS_MAX && of(&self.run(faults).0, self.symptom).is_some()
    }

    fn fewer_clients(&mut self, faults: &[u64]) {
        let now = self.scenario.clients.count;
        for count in CLIENTS.into_iter().filter(|&count| count < now) {
            self.scenario.clients.count = count;
            if self.fails(faults) {
                return;
            }
        }
        self.scenario.clients.count = now;
    }

    /// Leaves out shorter and shorter stretches of faults.
    fn fewer_faults(&mut self, faults: &mut Vec<u64>) {
        let mut length = faults.len().div_ceil(2);
        while length > 0 && self.runs < RUNS_MAX {
            let mut begin = 0;
            while begin < faults.len() {
                let end = (begin + length).min(faults.len());
                let fewer = [&faults[..begin], &faults[end..]].concat();
                if self.fails(&fewer) {
                    *faults = fewer;
                } else {
                    begin = end;
                }
            }
            length = if length == 1 { 0 } else { length.div_ceil(2) };
        }
    }
}

fn of(outcome: &Outcome, symptom: Symptom) -> Option<&Violation> {
    outcome.violations.iter().find(|violation| violation.symptom == symptom)
}
