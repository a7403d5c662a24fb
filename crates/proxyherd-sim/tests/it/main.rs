//! The simulator finds nothing wrong with the core as it is, and does with the core as it must not be.

use proxyherd_core::flood::Rules;
use proxyherd_sim::{
    outcome::{Outcome, Symptom},
    run,
    scenario::{Given, Scenario},
    timeline::SECOND,
};

const FIVE_SERVERS: Given = Given { servers: Some(5), length: 600 * SECOND };
const THE_TRAP: Rules = Rules { advance_by_record: true };

fn run_seed(seed: u64, given: Given, rules: Rules) -> Outcome {
    run(Scenario::draw(seed, given), rules)
}

fn assert_sound(outcome: &Outcome, servers: &str) {
    let Outcome { seed, violations, .. } = outcome;
    let found: String = violations.iter().map(|violation| format!("  {violation}\n")).collect();
    assert!(found.is_empty(), "cargo run --release -p proxyherd-sim -- --seed {seed}{servers}\n{found}");
}

#[test]
fn five_servers_agree_after_ten_minutes_of_trouble_with_any_of_200_seeds() {
    for seed in 0..200 {
        assert_sound(&run_seed(seed, FIVE_SERVERS, Rules::default()), " --servers 5");
    }
}

#[test]
fn herds_of_other_shapes_agree_too() {
    for seed in 1000..1020 {
        assert_sound(&run_seed(seed, Given { servers: None, ..FIVE_SERVERS }, Rules::default()), "");
    }
}

#[test]
fn the_trap_breaks_the_vectors_and_in_the_end_the_herd() {
    let mut symptoms = Vec::new();
    for seed in 0..200 {
        let outcome = run_seed(seed, FIVE_SERVERS, THE_TRAP);
        symptoms.extend(outcome.violations.iter().map(|violation| violation.symptom));
        if symptoms.contains(&Symptom::Invariant1) && symptoms.contains(&Symptom::NeverConverged) {
            return;
        }
    }
    panic!("200 seeds with a rule that is wrong only showed {symptoms:?}");
}

#[test]
fn a_seed_always_does_the_same() {
    for seed in [3, 11] {
        let [first, second] = [(); 2].map(|()| run_seed(seed, FIVE_SERVERS, Rules::default()));
        assert_eq!((first.trace, first.tally), (second.trace, second.tally));
    }
    let trace = |seed| run_seed(seed, FIVE_SERVERS, Rules::default()).trace;
    assert_ne!(trace(3), trace(4));
}

#[test]
fn a_run_in_which_too_little_happened_is_no_proof() {
    let mut scenario = Scenario::draw(1, FIVE_SERVERS);
    scenario.faults.interval = 3600 * SECOND;
    let outcome = run(scenario, Rules::default());
    assert_eq!(outcome.violations.iter().map(|it| it.symptom).collect::<Vec<_>>(), [Symptom::Gate]);
}
