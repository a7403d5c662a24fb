//! Tests of every command of the line protocol, at every server of the classic herd.

use serde_json::Value;

use crate::harness::{Herd, NAMES, Nearby, Plan, WHERE_AND_WHEN, talk};

/// Checks the whole reply to a WHATSAT: the AT line, JSON, and one empty line at the end and nowhere else.
fn read_nearby(reply: &str) -> Nearby {
    let (at, rest) = reply.split_once('\n').unwrap();
    let json = rest.strip_suffix("\n\n").unwrap();
    assert!(!json.contains("\n\n") && !json.ends_with('\n'), "{reply}");
    Nearby { at: at.to_owned(), json: serde_json::from_str(json).unwrap() }
}

fn results(json: &Value) -> &Vec<Value> {
    json["results"].as_array().unwrap()
}

/// The herd that most tests in this file share, because reading a configuration and starting five processes takes time.
fn classic() -> Herd {
    Plan::classic().encrypted().start()
}

#[test]
fn a_report_at_any_server_is_told_alike_by_all_others() {
    let herd = classic();
    for name in NAMES {
        let client = format!("kiwi.of.{name}");
        let at = herd.client(name).ask(&format!("IAMAT {client} {WHERE_AND_WHEN}"));
        let fields: Vec<&str> = at.split(' ').collect();
        assert_eq!(fields[..2], ["AT", name]);
        let seconds = fields[2].strip_prefix('+').expect("the report's time has long been");
        assert_eq!(seconds.split_once('.').unwrap().1.len(), 9, "{at}");
        assert_eq!(fields[3..].join(" "), format!("{client} {WHERE_AND_WHEN}"));
        assert_eq!(herd.agreed(&NAMES, &client), at);
    }
    for name in NAMES {
        assert_eq!(herd.client(name).ask("HELLO"), "? HELLO");
        let places = herd.client(name).nearby("WHATSAT kiwi.of.Riley 10 5");
        assert_eq!(results(&places.json).len(), 5, "{}", places.json);
        assert_eq!(places.json["status"], "OK");
    }
}

#[test]
fn a_client_that_pipes_its_lines_and_half_closes_has_every_answer() {
    let herd = classic();
    let lines = format!("IAMAT kiwi {WHERE_AND_WHEN}\nWHATSAT kiwi 10 5\nHELLO\n");
    let replies = String::from_utf8(talk(herd.line("Riley"), lines.as_bytes())).unwrap();
    let (at, rest) = replies.split_once('\n').unwrap();
    let nearby = read_nearby(rest.strip_suffix("? HELLO\n").unwrap());
    assert_eq!(nearby.at, at);
    assert_eq!(results(&nearby.json).len(), 5);
    for result in results(&nearby.json) {
        assert!(result["name"].as_str().is_some_and(|name| !name.is_empty()), "{result}");
        assert!(result["geometry"]["location"]["lat"].is_number(), "{result}");
    }
    for name in NAMES {
        assert_eq!(herd.agreed(&[name], "kiwi"), at, "{name} tells what Riley told");
    }
}

#[test]
fn lines_end_and_fields_part_as_the_protocol_says() {
    let herd = Plan::single().start();
    let riley = herd.line("Riley");
    let told = |bytes: &[u8]| String::from_utf8(talk(riley, bytes)).unwrap();
    let (place, time) = WHERE_AND_WHEN.split_once(' ').unwrap();

    let without_end = told(format!("IAMAT kiwi {WHERE_AND_WHEN}").as_bytes());
    assert!(without_end.ends_with(&format!(" kiwi {WHERE_AND_WHEN}\n")), "{without_end}");

    assert_eq!(told(b""), "");
    assert_eq!(told(b"\n\r\n \t\x0b\x0c\r\n\n   "), "", "blank lines have no reply");
    assert_eq!(told(b"\n\nHELLO\n\n"), "? HELLO\n");
    assert_eq!(told(b"HELLO\r\n"), "? HELLO\r\n", "a line is copied as it came, but for its LF");
    assert_eq!(told(b"  HELLO\t \n"), "?   HELLO\t \n");

    let separated = format!(" \t IAMAT\x0bkiwi\x0c\r {place}\t\t{time} \r\n");
    let at = told(separated.as_bytes());
    assert!(at.starts_with("AT Riley +") && at.ends_with(&format!(" kiwi {WHERE_AND_WHEN}\n")), "{at:?}");
    let nearby = told(b"\rWHATSAT\x0ckiwi\x0b10\t1\r\n");
    assert_eq!(read_nearby(&nearby).json["results"].as_array().unwrap().len(), 1);
}

#[test]
fn no_more_places_come_than_were_asked_for() {
    let herd = Plan::single().start();
    let mut client = herd.client("Riley");
    client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    for limit in [0, 1, 5, 20] {
        let nearby = client.nearby(&format!("WHATSAT kiwi 50 {limit}"));
        assert_eq!(results(&nearby.json).len(), limit, "there is enough around Los Angeles");
        assert_eq!(nearby.json["status"], "OK", "the status is what it would have been");
    }
    client.ask("IAMAT castaway -48.876667-123.393333 1621464827");
    let nowhere = client.nearby("WHATSAT castaway 50 20");
    assert_eq!((nowhere.json["status"].as_str(), results(&nowhere.json).len()), (Some("ZERO_RESULTS"), 0));
    let whole = talk(herd.line("Riley"), b"WHATSAT kiwi 50 20\nWHATSAT castaway 1 0\nWHATSAT kiwi 1 00");
    assert_eq!(
        String::from_utf8(whole).unwrap().split("\n\n").count(),
        4,
        "each reply ends at its empty line"
    );
}

#[test]
fn what_came_in_is_echoed_byte_for_byte() {
    let herd = Plan::single().start();
    let mut client = herd.client("Riley");
    for fields in [
        "kiwi +034.0-118.445127000000 0000000001.5",
        "kiwi -00.000-000.0 1621464827",
        "kiwi +90-180 1.000000000",
        "\u{1f95d}.cs.ucla.edu +5.5+6.6 1621464828.000",
    ] {
        let at = client.ask(&format!("IAMAT {fields}"));
        assert!(at.starts_with("AT Riley +") && at.ends_with(&format!(" {fields}")), "{at}");
    }
    let at = client.ask("IAMAT moa +034.0-0118.4451270 0000000001.5");
    assert_eq!(at, "? IAMAT moa +034.0-0118.4451270 0000000001.5", "four digits are too many");
    let exact = "kakapo +007.10-008.200 0000000009.90";
    let reported = client.ask(&format!("IAMAT {exact}"));
    assert_eq!(client.nearby("WHATSAT kakapo 1 1").at, reported, "the record keeps the text as it came");
}

#[test]
fn a_clock_that_is_ahead_shows_as_a_negative_difference() {
    let herd = Plan::pair().start();
    let at = herd.client("Riley").ask("IAMAT early +1+1 9000000000.5");
    assert!(at.starts_with("AT Riley -") && at.ends_with(" early +1+1 9000000000.5"), "{at}");
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "early"), at);
    // Because of the limit for fast clocks, the server takes the client's corrected reports after 5 s. A report that is
    // 10 s in the past is older than the version that this limit allowed, so the report changes nothing yet.
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    herd.client("Riley").ask(&format!("IAMAT early +2+2 {}", now_s - 10));
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "early"), at);
}
