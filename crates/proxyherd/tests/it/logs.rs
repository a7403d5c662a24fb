//! Tests of each server's log: traffic is in the log within a second, in a form that people and programs can read.

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    google::{Behavior, Google},
    harness::{
        Herd, Plan, WHERE_AND_WHEN, eventually, get,
        http2::{Http2, PING, frame, header, headers},
        within,
    },
};

/// Maximum time until a line is in the file: the promised second, and another second for a busy machine.
const IN_THE_FILE_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn a_line_is_in_the_file_within_a_second() {
    let herd = Plan::single().start();
    let mut riley = herd.client("Riley");
    let mut longest = Duration::ZERO;
    for number in 0..10 {
        let at = riley.ask(&format!("IAMAT kiwi-{number} {WHERE_AND_WHEN}"));
        let answered = Instant::now();
        within(IN_THE_FILE_WITHIN, "the reply is in the log", || {
            let log = herd.log("Riley");
            if log.contains(&format!("  >  {at}\n")) { Ok(()) } else { Err(log) }
        });
        longest = longest.max(answered.elapsed());
    }
    eprintln!("the slowest of ten lines was in the file after {longest:?}");
}

#[test]
fn commands_and_replies_can_be_followed() {
    let herd = Plan::single().start();
    let mut riley = herd.client("Riley");
    let address = riley.stream().local_addr().unwrap();
    let at = riley.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    riley.nearby("WHATSAT kiwi 10 5");
    assert_eq!(riley.ask("HELLO"), "? HELLO");
    herd.wait_for_log("Riley", "? HELLO");
    let log = herd.log("Riley");
    let mine = log.lines().filter(|line| line.contains(&address.to_string()));
    let said: Vec<&str> = mine.map(|line| line.split_once(&address.to_string()).unwrap().1.trim()).collect();
    assert_eq!(said[0], format!("<  IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(said[1], format!(">  {at}"));
    assert_eq!(said[2..4], ["<  WHATSAT kiwi 10 5".to_owned(), format!(">  {at}")]);
    assert!(said[4].starts_with(">  (places: OK, 5 results"), "{said:?}");
    assert_eq!(said[5..], ["<  HELLO", ">  ? HELLO"]);
    assert!(log.starts_with("# Riley, proxyherd "), "{log}");
}

#[test]
fn whatever_clients_send_the_log_stays_printable_and_one_line_a_line() {
    let herd = Plan::single().start();
    let mut riley = herd.client("Riley");
    riley.send(b"IAMAT \x1b[31mred\x07 +1+1 1000\n\xff\xfe\0 \\ \x0b forged\rIAMAT\n");
    riley.line_bytes();
    riley.line_bytes();
    herd.wait_for_log("Riley", r"<  IAMAT \x1b[31mred\x07 +1+1 1000");
    herd.wait_for_log("Riley", r"<  \xff\xfe\x00 \\ \x0b forged\x0dIAMAT");
    let log = fs::read(herd.log_path("Riley")).unwrap();
    let log = String::from_utf8(log).expect("the log is text");
    assert!(!log.chars().any(|char| char.is_control() && char != '\n'), "{log:?}");
}

#[test]
fn letters_of_every_script_are_in_the_log_as_they_are() {
    let herd = Plan::single().start();
    let mut riley = herd.client("Riley");
    for name in ["नमस्ते", "สวัสดี", "cafe\u{301}", "👩\u{200d}👧"] {
        riley.ask(&format!("IAMAT {name} +1+1 1000"));
        herd.wait_for_log("Riley", &format!("<  IAMAT {name} +1+1 1000"));
    }
    riley.ask("IAMAT ki\u{202e}wi +1+1 1000");
    herd.wait_for_log("Riley", r"<  IAMAT ki\xe2\x80\xaewi +1+1 1000");
    assert!(!herd.log("Riley").contains('\u{202e}'));
}

#[test]
fn a_log_that_leads_to_a_device_stays_and_one_that_is_cut_goes_on() {
    let herd = Plan::pair().log("max_mb = 1\nlines_per_s = 1000000").prepare();
    fs::create_dir(herd.dir().join("log")).unwrap();
    std::os::unix::fs::symlink("/dev/null", herd.log_path("Riley")).unwrap();
    let mut herd = herd;
    herd.start_all(&["Riley", "Jaquez"]);
    // Each time, the test writes half of the size at which the log is rotated.
    let half = |name: &str| {
        let line = format!("{}\n", "x".repeat(1000));
        let mut client = herd.client(name);
        for _ in 0..250 {
            client.send(line.as_bytes());
            client.line();
        }
    };
    for round in 0..4 {
        half("Riley");
        half("Jaquez");
        let end = format!("round-{round}");
        herd.client("Jaquez").ask(&end);
        herd.wait_for_log("Jaquez", &format!(">  ? {end}"));
        fs::OpenOptions::new().write(true).open(herd.log_path("Jaquez")).unwrap().set_len(0).unwrap();
    }
    let files = fs::read_dir(herd.dir().join("log")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["Jaquez.log", "Riley.log"], "2 MB went through each, and no file was ever full");
    assert_eq!(fs::read_link(herd.log_path("Riley")).unwrap().to_str(), Some("/dev/null"));
}

/// The first words of the events of Riley's link to Jaquez, in order.
fn link_events(herd: &Herd) -> Vec<String> {
    let log = herd.log("Riley");
    let events = log.lines().filter_map(|line| {
        let event = line.split_once("link   Jaquez")?.1.trim_start();
        event.strip_prefix("=  ").or_else(|| event.strip_prefix("!  warning: "))
    });
    events.map(|event| event.split([' ', ':']).next().unwrap().to_owned()).collect()
}

fn wait_for_link_events(herd: &Herd, expected: &[&str]) {
    eventually("the link's story is in the log", || {
        let events = link_events(herd);
        if events == expected { Ok(()) } else { Err(format!("{events:?}")) }
    });
}

#[test]
fn links_made_lost_and_made_again_are_in_the_log() {
    let mut herd = Plan::pair().start();
    wait_for_link_events(&herd, &["up"]);
    herd.kill_all(&["Jaquez"]);
    wait_for_link_events(&herd, &["up", "down"]);
    herd.start("Jaquez");
    wait_for_link_events(&herd, &["up", "down", "up"]);
    let line = herd.wait_for_log("Jaquez", "link   Riley");
    assert!(line.contains("up: dialed ") || line.contains("not up ("), "{line}");
}

#[test]
fn a_neighbor_that_cannot_be_reached_is_told_once_with_its_address() {
    let mut herd = Plan::pair().prepare();
    herd.start("Jaquez");
    let line = herd.wait_for_log("Jaquez", "not up");
    assert!(line.contains(&herd.at("Riley").peer.to_string()), "{line}");
    assert!(line.contains("can't reach the neighbor: Connection refused"), "{line}");
    herd.start("Riley");
    herd.wait_for_links(&["Jaquez", "Riley"]);
    herd.wait_for_log("Jaquez", "up: dialed");
    assert_eq!(herd.log("Jaquez").matches("not up").count(), 1, "the same trouble is told once");
}

#[test]
fn at_debug_level_a_link_shows_as_at_lines() {
    let herd = Plan::pair().log("level = \"debug\"").start();
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    eventually("both ends have the AT line", || {
        let is_sent = herd.log("Riley").lines().any(|line| is_on_link(line, "Jaquez", '>', &at));
        let is_received = herd.log("Jaquez").lines().any(|line| is_on_link(line, "Riley", '<', &at));
        if is_sent && is_received { Ok(()) } else { Err(format!("sent {is_sent}, received {is_received}")) }
    });
}

fn is_on_link(line: &str, neighbor: &str, direction: char, at: &str) -> bool {
    line.contains(&format!("link   {neighbor} ")) && line.ends_with(&format!(" {direction}  {at}"))
}

#[test]
fn json_is_one_object_a_line() {
    let mut herd = Plan::pair().log("format = \"json\"").start();
    let mut riley = herd.client("Riley");
    let at = riley.ask(&format!("IAMAT \"kiwi\"\x01 {WHERE_AND_WHEN}"));
    riley.nearby("WHATSAT \"kiwi\"\x01 10 2");
    riley.ask("HELLO");
    herd.kill_all(&["Jaquez"]);
    herd.wait_for_log("Riley", "down after");
    let address = riley.stream().local_addr().unwrap().to_string();
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    let log = herd.log("Riley");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let is_whole = ["time", "server", "level", "subject"].iter().all(|key| line[key].is_string());
        assert!(is_whole && line["server"] == "Riley", "{line}");
    }
    let holds = |wanted: Value| {
        let wanted = wanted.as_object().unwrap();
        let fits = |line: &&Value| wanted.iter().all(|(key, value)| line[key] == *value);
        assert!(lines.iter().any(|line| fits(&line)), "{wanted:?} is not in {log}");
    };
    let client = |direction: &str, line: &str| {
        let line = line.replace('\x01', r"\x01");
        serde_json::json!({"subject": "client", "name": address, "direction": direction, "line": line})
    };
    holds(client("in", &format!("IAMAT \"kiwi\"\x01 {WHERE_AND_WHEN}")));
    holds(client("out", &at));
    holds(client("out", "? HELLO"));
    holds(serde_json::json!({"subject": "link", "name": "Jaquez", "level": "info"}));
    holds(serde_json::json!({"subject": "server", "message": "stopped"}));
    let places = lines.iter().find(|line| line["places"].is_object()).unwrap();
    assert_eq!((&places["places"]["status"], &places["places"]["results"]), (&"OK".into(), &2.into()));
}

#[test]
fn a_full_log_is_put_aside_and_begun_again() {
    let herd = Plan::single().log("max_mb = 1\nkeep = 2\nlines_per_s = 1000000").start();
    let line = format!("{}\n", "x".repeat(1000));
    let mut riley = herd.client("Riley");
    eventually("the log has been put aside twice", || {
        for _ in 0..100 {
            riley.send(line.as_bytes());
            riley.line();
        }
        let files = fs::read_dir(herd.dir().join("log")).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        if files.len() == 3 { Ok(()) } else { Err(format!("{files:?}")) }
    });
}

/// An answer to a PING that was never sent. The crate h2 warns about such an answer.
fn unasked_pong() -> Vec<u8> {
    const ACK: u8 = 1;
    frame(PING, ACK, 0, b"unasked!")
}

#[test]
fn what_a_crate_warns_of_is_in_the_log_and_a_flood_of_it_is_bounded() {
    let herd = Plan::single().start();
    let mut client = Http2::connect(herd.at("Riley").http);
    client.stream.write_all(&unasked_pong().repeat(1_000)).unwrap();
    let line = herd.wait_for_log("Riley", "crate  h2::proto::ping_pong");
    assert!(line.contains("!  warning: recv PING ack that we never sent"), "{line}");
    herd.wait_for_log("Riley", "of events) since ");
    herd.wait_for_log("Riley", ": crates reported more than 20 in a second");
    let kept = herd.log("Riley").matches("crate  h2::proto::ping_pong").count();
    assert!(kept < 500, "{kept} of 1000");
}

#[test]
fn what_rustls_warns_of_is_in_the_log_too() {
    // A handshake that begins with ServerHelloDone (RFC 5246, section 7.4.5).
    const NO_CLIENT_HELLO: &[u8] = &[22, 3, 3, 0, 4, 14, 0, 0, 0];
    let herd = Plan::pair().encrypted().start();
    let mut peer = TcpStream::connect(herd.at("Riley").peer).unwrap();
    peer.write_all(NO_CLIENT_HELLO).unwrap();
    let line = herd.wait_for_log("Riley", "crate  rustls::");
    assert!(line.contains("!  warning: Received a ServerHelloDone handshake message"), "{line}");
}

#[test]
fn no_key_in_a_url_or_a_header_is_in_the_log_at_any_level() {
    const SECRET: &str = "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY";
    let herd = Plan::single().log("level = \"debug\"").start();
    let http = herd.at("Riley").http;
    let mut client = Http2::connect(http);
    let question = headers(&http.to_string(), &format!("/health/livez?key={SECRET}&{SECRET}"));
    let secrets = ["x-goog-api-key", "authorization", "cookie"].map(|name| header(name, SECRET));
    client.ask_by(1, &[question, secrets.concat()].concat());
    assert_eq!(client.answers(1)[&1].0, 200);
    // The warnings of crates are logged, and the request was logged before them.
    client.stream.write_all(&unasked_pong()).unwrap();
    herd.wait_for_log("Riley", "crate  h2::");
    let log = herd.log("Riley");
    assert!(log.contains("/health/livez?key=***&***"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn the_key_of_a_provider_is_not_in_the_log_however_its_requests_end() {
    // One provider sends the key in a header, and the other provider sends the key in the URL.
    for provider in ["google", "google-legacy"] {
        let google = Google::start();
        let lines = format!("provider = \"{provider}\"\nfresh_s = 1\nstale_s = 0\nretries = 0");
        let mut herd = Plan::single().places(&lines).log("level = \"debug\"").prepare();
        let key = herd.dir().join("google.key");
        fs::write(&key, google.key()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(herd.dir().join("herd.toml")).unwrap();
        write!(file, "[places.{provider}]\nkey_file = \"google.key\"\nbase_url = \"{}\"\n", google.url())
            .unwrap();
        herd.start("Riley");
        let mut riley = herd.client("Riley");
        riley.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
        for (number, behavior) in [
            Behavior::Good,
            Behavior::Reset,
            Behavior::CutOff,
            Behavior::Fails(503),
            Behavior::Redirect(302, format!("{}/elsewhere?key={}", google.url(), google.key())),
            Behavior::TellsTheKey,
        ]
        .into_iter()
        .enumerate()
        {
            google.behave(behavior);
            // A question with another radius is another question, so the cache has no answer for it.
            riley.nearby(&format!("WHATSAT kiwi {} 5", number + 1));
        }
        assert!(google.requests().iter().any(|asked| asked.key.as_deref() == Some(google.key())));
        riley.ask("END");
        herd.wait_for_log("Riley", ">  ? END");
        let log = herd.log("Riley");
        assert!(log.contains("places"), "{log}");
        assert!(!log.contains(google.key()), "{provider}: {log}");
    }
}

#[test]
fn a_log_without_positions_has_none_at_any_level() {
    let herd = Plan::pair().log("positions = false\nlevel = \"debug\"").start();
    let (mut riley, http) = (herd.client("Riley"), herd.at("Riley").http);
    riley.ask("IAMAT kiwi +34.068930-118.445127 1621464827");
    riley.nearby("WHATSAT kiwi 10 5");
    for line in [
        "IAMAT +34.068930-118.445127 1",
        "here kiwi 34.068930, -118.445127",
        "IAMAT kiwi 34.068930 -118.445127",
    ] {
        assert_eq!(riley.ask(line), format!("? {line}"));
    }
    let nearby = "/maps/api/place/nearbysearch/json";
    for path in [
        "/v1/clients?near=34.068930,-118.445127&limit=1".to_owned(),
        "/v1/clients/kiwi".to_owned(),
        format!("{nearby}?location=34.068930,-118.445127&radius=2000"),
        format!("{nearby}?client=kiwi&radius=2000"),
    ] {
        assert_eq!(get(http, &path).0, 200, "{path}");
    }
    riley.ask("the end");
    herd.wait_for_log("Riley", ">  ? …");
    herd.agreed(&["Riley", "Jaquez"], "kiwi");
    herd.wait_for_log("Jaquez", "<  AT Riley +");
    herd.wait_for_log("Riley", "nearbysearch/json?client=kiwi&radius=2000");
    for name in ["Riley", "Jaquez"] {
        let log = herd.log(name);
        for position in ["34.0", "118.4", "Westwood", "Bel Air"] {
            assert!(!log.contains(position), "{position} is in the log of {name}: {log}");
        }
        assert!(log.contains("kiwi …"), "IDs remain: {log}");
    }
}
