//! Tests of servers that die, come back, or start late: connected servers agree, and servers that return catch up.

use crate::harness::{Herd, LINKS, Ledger, NAMES, Plan};

/// The servers of `up`, in groups of servers that can reach each other.
fn groups<'a>(up: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut groups: Vec<Vec<&str>> = up.iter().map(|name| vec![*name]).collect();
    for (one, two) in LINKS {
        let group_of = |groups: &[Vec<&str>], name| groups.iter().position(|group| group.contains(&name));
        let (Some(first), Some(second)) = (group_of(&groups, one), group_of(&groups, two)) else { continue };
        if first != second {
            let joined = groups.remove(first.max(second));
            groups[first.min(second)].extend(joined);
        }
    }
    groups
}

fn pairs_of_servers() -> Vec<[&'static str; 2]> {
    let after = |at: usize| NAMES[at + 1..].iter().map(move |two| [NAMES[at], *two]);
    (0..NAMES.len()).flat_map(after).collect()
}

#[test]
fn two_servers_away_leave_the_rest_connected_but_for_three_pairs() {
    let without =
        |one, two| groups(&NAMES.into_iter().filter(|name| ![one, two].contains(name)).collect::<Vec<_>>());
    assert_eq!(without("Jaquez", "Bernard"), [vec!["Riley", "Juzang", "Campbell"]]);
    assert_eq!(without("Riley", "Bernard"), [vec!["Jaquez"], vec!["Juzang", "Campbell"]]);
    assert_eq!(without("Jaquez", "Juzang"), [vec!["Riley"], vec!["Campbell", "Bernard"]]);
    assert_eq!(without("Juzang", "Bernard"), [vec!["Riley", "Jaquez"], vec!["Campbell"]]);
    let pairs = pairs_of_servers();
    assert_eq!((pairs.len(), pairs.iter().filter(|[one, two]| without(one, two).len() > 1).count()), (10, 3));
}

/// Kills two servers, reports to each of the other servers, and starts the two servers again.
fn lose_two_and_find_them_again(herd: &mut Herd, ledger: &mut Ledger, round: usize, lost: &[&str]) {
    for name in NAMES {
        ledger.report(herd, name, &format!("{name}.{round}"));
    }
    herd.agree(&NAMES, &ledger.lines());

    herd.kill_all(lost);
    let up: Vec<&str> = NAMES.into_iter().filter(|name| !lost.contains(name)).collect();
    let before = ledger.clone();
    for group in groups(&up) {
        let mut known = before.clone();
        for name in &group {
            known.report(herd, name, &format!("{name}.{round}.while.two.are.away"));
            // A client that was at a lost server or in the other group, and has moved to another server.
            known.report(herd, name, &format!("{}.{round}", lost[0]));
        }
        known.report(herd, group[0], &format!("{}.{round}", lost[1]));
        herd.agree(&group, &known.lines());
        ledger.merge(&known);
    }

    herd.start_all(lost);
    herd.agree(&NAMES, &ledger.lines());
}

#[test]
fn any_two_servers_die_and_catch_up_with_all_they_missed() {
    let mut herd = Plan::classic().encrypted().start();
    let mut ledger = Ledger::default();
    for (round, lost) in pairs_of_servers().into_iter().enumerate() {
        eprintln!("round {round}: without {} and {}", lost[0], lost[1]);
        lose_two_and_find_them_again(&mut herd, &mut ledger, round, &lost);
    }
    herd.wait_for_links(&NAMES);
}

#[test]
fn a_server_that_starts_late_learns_everything() {
    let mut herd = Plan::classic().encrypted().prepare();
    let early: Vec<&str> = NAMES.into_iter().filter(|name| *name != "Campbell").collect();
    herd.start_all(&early);
    let mut ledger = Ledger::default();
    let mut riley = herd.client("Riley");
    for client in 0..500 {
        ledger.report_over(&mut riley, &format!("client-{client}"));
    }
    for name in &early {
        ledger.report(&herd, name, &format!("client-at-{name}"));
    }
    herd.agree(&early, &ledger.lines());
    herd.start("Campbell");
    herd.agree(&["Campbell"], &ledger.lines());
    ledger.report(&herd, "Campbell", "client-7");
    herd.agree(&NAMES, &ledger.lines());
}

#[test]
fn a_whole_herd_that_dies_forgets_and_begins_again() {
    let mut herd = Plan::pair().start();
    let mut ledger = Ledger::default();
    ledger.report(&herd, "Riley", "kiwi");
    herd.agree(&["Riley", "Jaquez"], &ledger.lines());
    herd.kill_all(&["Riley", "Jaquez"]);
    herd.start_all(&["Riley", "Jaquez"]);
    assert_eq!(herd.located("Riley", &["kiwi"]), ["? WHATSAT kiwi 10 0"], "nothing is on disk");
    // Earlier reports are forgotten: for servers without records, even an older report is new.
    let at = herd.client("Jaquez").ask("IAMAT kiwi +1+1 1000");
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "kiwi"), at);
}
