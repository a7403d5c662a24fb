//! Tests of the HTTP door: health, metrics and status show the state of a server.

use std::io::Read;

use serde_json::Value;

use crate::harness::{Herd, NAMES, Plan, WHERE_AND_WHEN, eventually, get, metric, neighbor, status};

#[test]
fn a_server_is_live_from_the_start_and_ready_with_its_first_link() {
    let mut herd = Plan::pair().prepare();
    herd.start("Riley");
    let riley = herd.at("Riley").http;
    assert_eq!(get(riley, "/health/livez"), (200, "ok\n".into()));
    let (code, body) = get(riley, "/health/readyz");
    // This is skipped if the test was delayed for so long that Riley already takes clients although it is alone.
    if status(riley)["uptime_s"].as_f64() < Some(5.0) {
        assert_eq!((code, body.as_str()), (503, "no link is up yet\n"));
    }
    herd.start("Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    eventually("they have compared what they hold", || match get(riley, "/health/readyz") {
        (200, body) if body == "ok\n" => Ok(()),
        (_, body) => Err(body),
    });
    let (code, body) = get(riley, "/nothing");
    assert!(code == 404 && body.contains("/v1/status"), "{code} {body}");
}

#[test]
fn a_server_that_is_ready_holds_what_the_herd_holds() {
    const CLIENTS: usize = 20_000;
    let mut herd = Plan::pair().start();
    let mut riley = herd.client("Riley");
    let reports = (0..CLIENTS).map(|client| format!("IAMAT client-{client} {WHERE_AND_WHEN}\n"));
    riley.send(reports.collect::<String>().as_bytes());
    (0..CLIENTS).for_each(|_| assert!(riley.line().starts_with("AT Riley ")));
    for _ in 0..3 {
        herd.kill_all(&["Jaquez"]);
        herd.start("Jaquez");
        let jaquez = herd.at("Jaquez").http;
        eventually("it is ready", || match get(jaquez, "/health/readyz") {
            (200, _) => Ok(()),
            (_, body) => Err(body),
        });
        assert_eq!(status(jaquez)["records"], CLIENTS);
    }
}

#[test]
fn a_server_that_is_alone_for_long_takes_clients_all_the_same() {
    let mut herd = Plan::pair().prepare();
    herd.start("Riley");
    let riley = herd.at("Riley").http;
    eventually("it is ready", || match get(riley, "/health/readyz") {
        (200, _) => Ok(()),
        (_, body) => Err(body),
    });
    assert!(status(riley)["uptime_s"].as_f64() >= Some(5.0));
    let alone = Plan::single().start();
    assert_eq!(get(alone.at("Riley").http, "/health/readyz").0, 200, "who has no links has none to wait for");
}

#[test]
fn a_link_that_comes_up_again_and_again_is_told_and_is_no_reason_to_end_the_server() {
    let mut herd = Plan::pair().prepare();
    herd.start("Riley");
    let riley = herd.at("Riley");
    let mut ups = 0;
    eventually("it is told", || {
        // A neighbor that completes the handshake and breaks the link every time.
        let mut jaquez = neighbor::dial(riley.peer, &neighbor::bytes_of(&neighbor::hello("Jaquez")));
        jaquez.read_exact(&mut [0; 1]).unwrap();
        drop(jaquez);
        ups += 1;
        let status = status(riley.http);
        if status["links"][0]["unsteady"] == true { Ok(()) } else { Err(status["links"].to_string()) }
    });
    assert!(ups >= 5, "{ups}");
    assert_eq!(metric(riley.http, "proxyherd_stuck"), Some(1.0));
    assert_eq!(get(riley.http, "/health/livez"), (200, "ok\n".into()));
    herd.wait_for_log("Riley", "this link comes up again and again and does not stay up");
}

#[test]
fn metrics_have_the_names_and_labels_that_scripts_rely_on() {
    let herd = Plan::classic().start();
    let http = herd.at("Bernard").http;
    for result in ["accepted", "stale", "rejected"] {
        for door in ["line", "http", "phones"] {
            let name = format!("proxyherd_reports_total{{result=\"{result}\",door=\"{door}\"}}");
            assert_eq!(metric(http, &name), Some(0.0));
        }
    }
    for result in ["hit", "stale", "joined", "fetched", "fallback", "failed"] {
        assert_eq!(metric(http, &format!("proxyherd_places_total{{result=\"{result}\"}}")), Some(0.0));
    }
    assert_eq!(metric(http, "proxyherd_records"), Some(0.0));
    for (name, expected) in [
        (concat!("proxyherd_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
        ("proxyherd_stuck", 0.0),
        ("proxyherd_namesake", 0.0),
    ] {
        assert_eq!(metric(http, name), Some(expected), "{name}");
    }
    for neighbor in ["Jaquez", "Juzang", "Campbell"] {
        let of = |name: &str| metric(http, &format!("{name}{{neighbor=\"{neighbor}\"}}"));
        assert_eq!(of("proxyherd_link_up"), Some(1.0));
        assert_eq!(of("proxyherd_link_payloads_sent_total"), Some(0.0));
        assert_eq!(of("proxyherd_link_payloads_received_total"), Some(0.0));
        assert!(of("proxyherd_link_lag_seconds") < Some(10.0));
    }
    let (_, text) = get(http, "/metrics");
    assert!(!text.contains("neighbor=\"Riley\""), "Riley is no neighbor of Bernard");
}

#[test]
fn reports_and_places_are_counted_by_what_became_of_them() {
    let herd = Plan::pair().start();
    let http = herd.at("Riley").http;
    let mut riley = herd.client("Riley");
    riley.ask("IAMAT kiwi +34-118 1000");
    riley.ask("IAMAT moa +34-118 1000");
    riley.ask("IAMAT kiwi +34-118 1001");
    riley.ask("IAMAT kiwi +34-118 1000");
    riley.ask("IAMAT kiwi +34-118 1001");
    riley.ask("IAMAT kiwi nowhere 1001");
    riley.ask("HELLO");
    let counted = ["accepted", "stale", "rejected"]
        .map(|result| metric(http, &format!("proxyherd_reports_total{{result=\"{result}\",door=\"line\"}}")));
    assert_eq!(counted, [Some(3.0), Some(2.0), Some(1.0)]);
    assert_eq!(metric(http, "proxyherd_records"), Some(2.0));
    assert_eq!(metric(http, "proxyherd_lines_invalid_total"), Some(2.0));
    let answered = || {
        let results = ["hit", "stale", "joined", "fetched", "fallback", "failed"];
        let count = |result| metric(http, &format!("proxyherd_places_total{{result=\"{result}\"}}")).unwrap();
        results.map(count).iter().sum::<f64>()
    };
    riley.nearby("WHATSAT kiwi 10 5");
    riley.nearby("WHATSAT kiwi 10 5");
    assert_eq!(answered(), 2.0, "each question is answered in one of the ways");
    herd.agreed(&["Jaquez"], "moa");
    herd.agreed(&["Jaquez"], "kiwi");
    let jaquez = herd.at("Jaquez").http;
    let accepted = metric(jaquez, "proxyherd_reports_total{result=\"accepted\",door=\"line\"}");
    assert_eq!(accepted, Some(0.0), "what neighbors tell is no report of a client");
    assert_eq!(metric(jaquez, "proxyherd_records"), Some(2.0));
}

/// The sum of a metric over all links of all servers.
fn payloads(herd: &Herd, which: &str) -> u64 {
    let of = |name: &&str| {
        let status = status(herd.at(name).http);
        let links = status["links"].as_array().unwrap().clone();
        links.iter().map(|link| link[which].as_u64().unwrap()).sum::<u64>()
    };
    NAMES.iter().map(of).sum()
}

#[test]
fn a_report_in_a_quiet_herd_costs_no_more_copies_than_flooding_needs() {
    const REPORTS: u64 = 20;
    let herd = Plan::classic().start();
    for number in 0..REPORTS {
        let at = herd.client(NAMES[number as usize % 5]).ask(&format!("IAMAT kiwi +1+1 {}", 1000 + number));
        assert_eq!(herd.agreed(&NAMES, "kiwi"), at);
    }
    let (sent, received) = eventually("all that was sent has come", || {
        let counted = (payloads(&herd, "payloads_sent"), payloads(&herd, "payloads_received"));
        if counted.0 == counted.1 { Ok(counted) } else { Err(format!("{counted:?}")) }
    });
    // With N servers and E links, a tree needs N-1 copies and plain flooding 2E-N+1.
    let (least, most) = (REPORTS * 4, REPORTS * 8);
    assert!((least..=most).contains(&sent), "{sent} copies of {REPORTS} reports, {received} received");
    eprintln!("{REPORTS} reports cost {sent} copies");
}

#[test]
fn status_tells_who_a_server_is_and_how_its_links_are() {
    let mut herd = Plan::classic().herd("id = \"herd-of-tests\"").start();
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&NAMES, "kiwi"), at);
    let before = status(herd.at("Juzang").http);
    assert_eq!((&before["server"], &before["herd"]), (&"Juzang".into(), &"herd-of-tests".into()));
    assert_eq!((&before["draining"], &before["records"]), (&false.into(), &1.into()));
    assert!(
        before["version"].is_string() && before["incarnation"].is_string() && before["uptime_s"].is_f64()
    );
    let neighbors = |status: &Value| -> Vec<String> {
        let links = status["links"].as_array().unwrap();
        links.iter().map(|link| link["neighbor"].as_str().unwrap().to_owned()).collect()
    };
    let mut names = neighbors(&before);
    names.sort();
    assert_eq!(names, ["Bernard", "Campbell", "Riley"]);
    herd.kill_all(&["Riley"]);
    let lost = eventually("the link to Riley is down", || {
        let status = status(herd.at("Juzang").http);
        let links = status["links"].as_array().unwrap();
        let link = links.iter().find(|link| link["neighbor"] == "Riley").unwrap();
        if link["up"] == false { Ok(link.clone()) } else { Err(link.to_string()) }
    });
    assert!(lost["trouble"].is_string() && lost["up_s"].is_null(), "{lost}");
    assert_eq!(metric(herd.at("Juzang").http, "proxyherd_link_up{neighbor=\"Riley\"}"), Some(0.0));
    herd.start("Riley");
    herd.wait_for_links(&NAMES);
    let after = status(herd.at("Riley").http);
    assert_eq!(after["records"], 1, "it has caught up by now: {after}");
    // The number is sent as text, because a double cannot hold it exactly.
    let incarnation = |status: &Value| status["incarnation"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(incarnation(&after) > incarnation(&before) && incarnation(&before) > 1 << 53);
}

#[test]
fn every_metric_is_explained_to_operators() {
    let herd = Plan::pair().start();
    let (_, text) = get(herd.at("Riley").http, "/metrics");
    let families: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(families.len() > 20, "{text}");
    let explained = include_str!("../../../../book/src/operating/watching.md");
    for family in families {
        assert!(explained.contains(&format!("`{family}")), "the book does not explain {family}");
    }
}
