//! Tests of a client that moves from server to server: every server returns the newest of its reports.

use std::{sync::Barrier, thread};

use crate::harness::{NAMES, Plan, eventually, metric};

#[test]
fn the_newest_report_wins_at_every_server_wherever_it_was_made() {
    let herd = Plan::classic().start();
    for (step, name) in NAMES.iter().cycle().take(10).enumerate() {
        let at = herd.client(name).ask(&format!("IAMAT kiwi +{step}-{step} {}", 1000 + step));
        assert_eq!(herd.agreed(&NAMES, "kiwi"), at, "step {step}, at {name}");
    }
}

#[test]
fn an_older_report_that_comes_later_elsewhere_changes_nothing() {
    let herd = Plan::classic().start();
    let newest = herd.client("Riley").ask("IAMAT kiwi +1+1 2000");
    assert_eq!(herd.agreed(&NAMES, "kiwi"), newest);
    for name in NAMES {
        let at = herd.client(name).ask("IAMAT kiwi +2+2 1999.999999999");
        assert!(at.starts_with(&format!("AT {name} +")), "a report that loses has its own reply: {at}");
        assert!(at.ends_with(" kiwi +2+2 1999.999999999"), "{at}");
        let stale = metric(herd.at(name).http, "proxyherd_reports_total{result=\"stale\",door=\"line\"}");
        assert_eq!(stale, Some(1.0), "{name} counts it");
    }
    // When the later client is known everywhere, all earlier updates about kiwi have arrived.
    herd.client("Campbell").ask("IAMAT after +3+3 2001");
    herd.agreed(&NAMES, "after");
    assert_eq!(herd.agreed(&NAMES, "kiwi"), newest);
}

#[test]
fn an_older_report_known_to_one_server_gives_way_when_it_meets_a_newer() {
    let mut herd = Plan::classic().prepare();
    herd.start("Riley");
    herd.client("Riley").ask("IAMAT kiwi +1+1 1000");
    let newer_there = herd.client("Riley").ask("IAMAT moa +1+1 3000");
    herd.start_all(&["Campbell"]);
    let newer_here = herd.client("Campbell").ask("IAMAT kiwi +2+2 2000");
    herd.client("Campbell").ask("IAMAT moa +2+2 2000");
    // Riley and Campbell are not neighbors. They get each other's records through the servers that start now.
    herd.start_all(&["Jaquez", "Juzang", "Bernard"]);
    eventually("Campbell's report of kiwi wins", || match herd.agreed(&NAMES, "kiwi") {
        at if at == newer_here => Ok(()),
        at => Err(at),
    });
    eventually("Riley's report of moa wins", || match herd.agreed(&NAMES, "moa") {
        at if at == newer_there => Ok(()),
        at => Err(at),
    });
}

#[test]
fn reports_of_one_time_made_at_once_everywhere_end_alike() {
    let herd = Plan::classic().start();
    for round in 0..5 {
        let begin = Barrier::new(NAMES.len());
        let client = format!("kiwi-{round}");
        let replies: Vec<String> = thread::scope(|scope| {
            let report = |index: usize| {
                let mut connection = herd.client(NAMES[index]);
                let line = format!("IAMAT {client} +{index}-{index} 1621464827.5");
                let begin = &begin;
                scope.spawn(move || {
                    begin.wait();
                    connection.ask(&line)
                })
            };
            let reporting: Vec<_> = (0..NAMES.len()).map(report).collect();
            reporting.into_iter().map(|reporter| reporter.join().unwrap()).collect()
        });
        let won = herd.agreed(&NAMES, &client);
        assert!(replies.contains(&won), "{won} is none of {replies:#?}");
    }
}

#[test]
fn a_report_made_twice_is_one_report() {
    let herd = Plan::classic().start();
    let first = herd.client("Riley").ask("IAMAT kiwi +1+1 1000");
    assert_eq!(herd.agreed(&NAMES, "kiwi"), first);
    let again = herd.client("Riley").ask("IAMAT kiwi +1+1 1000");
    let without_difference = |at: &str| at.split(' ').skip(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_difference(&first), without_difference(&again));
    let told = herd.agreed(&NAMES, "kiwi");
    assert_eq!(without_difference(&told), without_difference(&first));
    // The same report comes to another server: all servers return the same one of the two records.
    let elsewhere = herd.client("Bernard").ask("IAMAT kiwi +1+1 1000");
    let told = herd.agreed(&NAMES, "kiwi");
    assert!([first, again, elsewhere].contains(&told), "{told}");
}
