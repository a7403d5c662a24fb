//! Tests of the layers between clients and a provider over the network: one request serves many clients, old answers
//! are returned if the provider fails, and another provider answers if the provider hangs.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    google::{Behavior, Google},
    harness::{Client, Herd, Plan, WHERE_AND_WHEN, eventually, metric},
};

/// One server that asks the stand-in, with these lines in `[places]`.
fn start(google: &Google, lines: &str) -> Herd {
    let mut herd = Plan::single().places(&format!("provider = \"google\"\n{lines}")).prepare();
    let key = herd.dir().join("google.key");
    fs::write(&key, google.key()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(herd.dir().join("herd.toml")).unwrap();
    write!(file, "[places.google]\nkey_file = \"google.key\"\nbase_url = \"{}\"\n", google.url()).unwrap();
    herd.start("Riley");
    herd
}

fn count(herd: &Herd, result: &str) -> f64 {
    let name = format!("proxyherd_places_total{{result=\"{result}\"}}");
    metric(herd.at("Riley").http, &name).unwrap()
}

fn asked(client: &mut Client) -> Value {
    client.nearby("WHATSAT kiwi 1 5").json
}

#[test]
fn a_thousand_clients_that_ask_at_once_at_one_spot_cost_one_request() {
    const CONNECTIONS: usize = 250;
    const CLIENTS: usize = 4;
    let google = Google::start();
    google.behave(Behavior::Held);
    let herd = start(&google, "");
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| herd.client("Riley")).collect();
    for (number, connection) in connections.iter_mut().enumerate() {
        let clients = (0..CLIENTS).map(|client| format!("c{number}-{client}"));
        let lines: String = clients
            .map(|client| format!("IAMAT {client} {WHERE_AND_WHEN}\nWHATSAT {client} 1 5\n"))
            .collect();
        connection.send(lines.as_bytes());
    }
    google.wait_for(1);
    google.behave(Behavior::Good);
    for connection in &mut connections {
        for _ in 0..CLIENTS {
            assert!(connection.line().starts_with("AT "));
            let answer = connection.read_nearby().json;
            assert_eq!(answer["status"], "OK", "{answer}");
            assert_eq!(answer["results"].as_array().unwrap().len(), 5);
        }
    }
    assert_eq!(google.count(), 1);
    assert_eq!(count(&herd, "fetched"), 1.0);
    assert_eq!(count(&herd, "joined") + count(&herd, "hit"), (CONNECTIONS * CLIENTS - 1) as f64);
    let requests = "proxyherd_places_requests_total{provider=\"google\",result=\"answered\"}";
    assert_eq!(metric(herd.at("Riley").http, requests), Some(1.0));
}

#[test]
fn an_old_answer_is_given_while_the_provider_fails() {
    let google = Google::start();
    let herd = start(&google, "fresh_s = 1\nstale_s = 0\nretries = 0");
    let mut client = herd.client("Riley");
    client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let first = asked(&mut client);
    assert_eq!(first["status"], "OK", "{first}");
    google.behave(Behavior::Fails(503));
    eventually("the answer is old", || {
        assert_eq!(asked(&mut client), first);
        if count(&herd, "stale") > 0.0 { Ok(()) } else { Err(google.count()) }
    });
    assert_eq!(count(&herd, "failed"), 0.0);
}

#[test]
fn another_provider_answers_within_the_deadline_where_the_first_hangs() {
    let google = Google::start();
    google.behave(Behavior::Held);
    let herd = start(&google, "fallback = [\"embedded\"]\ndeadline_ms = 1000");
    let mut client = herd.client("Riley");
    client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let answer = client.nearby("WHATSAT kiwi 10 5").json;
    assert_eq!(answer["status"], "OK", "{answer}");
    assert!(answer["html_attributions"].to_string().contains("GeoNames"), "{answer}");
    assert_eq!(count(&herd, "fallback"), 1.0);
    google.behave(Behavior::Good);
}

/// Before, each answer was read into separate memory without a common limit, and a hundred of the longest answers took
/// 800 MB.
#[test]
fn a_hundred_of_the_longest_answers_share_one_budget_of_memory() {
    const ASKED: usize = 100;
    let google = Google::start();
    google.behave(Behavior::Hangs(4 << 20));
    let herd = start(&google, "per_second = 0\nretries = 0\ndeadline_ms = 60000");
    let mut connections: Vec<_> = (0..ASKED).map(|_| herd.client("Riley")).collect();
    let before = herd.process("Riley").memory_peak();
    for (number, connection) in connections.iter_mut().enumerate() {
        connection
            .send(format!("IAMAT c{number} +34.{number:02}-118 1000\nWHATSAT c{number} 1 5\n").as_bytes());
    }
    let of_google = |name: &str, rest: &str| {
        let name = format!("proxyherd_places_{name}{{provider=\"google\"{rest}}}");
        metric(herd.at("Riley").http, &name).unwrap()
    };
    eventually("those that find no room are given up", || {
        let refused = of_google("requests_total", ",result=\"no_room\"");
        if refused >= (ASKED - 8) as f64 { Ok(()) } else { Err(refused) }
    });
    let grown = herd.process("Riley").memory_peak() - before;
    assert!(grown < 200 << 20, "{} MB", grown >> 20);
    assert!(of_google("flying", "") > 0.0, "some have found room");
    assert_eq!(of_google("left_alone", ""), 0.0, "it is no fault of Google's");
    let told = connections.iter_mut().find_map(|connection| {
        connection.stream().set_nonblocking(true).unwrap();
        let is_answered = connection.stream().peek(&mut [0; 256]).is_ok_and(|len| len > 100);
        connection.stream().set_nonblocking(false).unwrap();
        is_answered.then(|| (connection.line(), connection.read_nearby().json))
    });
    let (_, told) = told.expect("those that were given up are answered");
    assert_eq!(told["status"], "OVER_QUERY_LIMIT", "{told}");
    assert!(told["error_message"].as_str().unwrap().contains("too many long answers"), "{told}");
}
