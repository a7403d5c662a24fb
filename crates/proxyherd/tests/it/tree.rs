//! Changes go along a spanning tree: each comes to each server once.

use crate::harness::{Herd, LINKS, Plan, eventually, metric, status};

const ALL: [&str; 5] = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];
const CLIENTS: usize = 500;

/// A metric of every link, both ends, added up.
fn sum(herd: &Herd, name: &str) -> f64 {
    let ends = LINKS.iter().flat_map(|&(one, other)| [(one, other), (other, one)]);
    let of = |(here, there)| metric(herd.at(here).http, &format!("{name}{{neighbor=\"{there}\"}}"));
    ends.filter_map(of).sum()
}

/// Tells Campbell of many clients; says how many records all links have carried once everybody knows.
fn records_sent(herd: &Herd) -> f64 {
    let mut client = herd.client("Campbell");
    (0..CLIENTS).for_each(|number| {
        assert!(client.ask(&format!("IAMAT client-{number} +1+1 1000")).starts_with("AT "));
    });
    eventually("everybody knows all clients", || {
        match ALL.iter().find(|name| status(herd.at(name).http)["records"] != CLIENTS) {
            Some(name) => Err(format!("{name} does not")),
            None => Ok(()),
        }
    });
    sum(herd, "proxyherd_link_payloads_sent_total")
}

#[test]
fn each_change_is_sent_once_to_each_other_server() {
    let herd = Plan::classic().start();
    eventually("the tree has four edges", || match sum(&herd, "proxyherd_link_eager") {
        8.0 => Ok(()),
        ends => Err(format!("{ends} ends of links are told of changes")),
    });
    let sent = records_sent(&herd);
    let least = (CLIENTS * (ALL.len() - 1)) as f64;
    assert!((least..=least * 1.05).contains(&sent), "{sent} records and {least} at least");
    assert_eq!(metric(herd.at("Riley").http, "proxyherd_root_mismatches_total"), Some(0.0));
}

#[test]
fn with_flood_all_every_link_is_told() {
    let herd = Plan::classic().herd("flood = \"all\"").start();
    eventually("every link is told", || match sum(&herd, "proxyherd_link_eager") {
        12.0 => Ok(()),
        ends => Err(format!("{ends} ends of links are told of changes")),
    });
    let sent = records_sent(&herd);
    assert!(sent > (CLIENTS * ALL.len()) as f64, "{sent}");
}
