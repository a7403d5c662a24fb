//! Tests of `proxyherd data check`, `dump` and `restore` with real servers and their stores.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use serde_json::Value;

use crate::harness::{
    Finished, Herd, OPERATOR_TOKEN, Plan, Process, WHERE_AND_WHEN, bearer, eventually, fetch, request,
};

fn run(dir: &Path, line: &str) -> Finished {
    Process::run(dir, &line.split(' ').collect::<Vec<_>>())
}

/// Runs a command that must succeed.
fn done(dir: &Path, line: &str) -> Finished {
    let finished = run(dir, line);
    assert_eq!(finished.code, 0, "{line}: {finished:?}");
    finished
}

/// Runs a command that must fail in this way.
fn fails(dir: &Path, line: &str, code: i32, reason: &str) {
    let finished = run(dir, line);
    assert_eq!(finished.code, code, "{line}: {finished:?}");
    assert!(finished.err.contains(reason), "{line}: {finished:?}");
}

/// The records of a dump, by their keys. The dump has a header and an end.
fn records(dump: &str) -> BTreeMap<String, Value> {
    let lines: Vec<Value> = dump.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [header, records @ .., end] = &lines[..] else { panic!("{dump}") };
    assert_eq!((&header["format"], &header["version"]), (&"proxyherd-dump".into(), &1.into()));
    assert_eq!(end["records"], records.len());
    let key = |record: &Value| record["key"].as_str().or(record["key_base64"].as_str()).unwrap().to_owned();
    records.iter().map(|record| (key(record), record.clone())).collect()
}

/// The AT line that the record stands for.
fn at_line(key: &str, record: &Value) -> String {
    let text = |member: &str| record[member].as_str().unwrap();
    let (server, difference) = (text("server"), text("difference"));
    format!("AT {server} {difference} {key} {} {}", text("coordinates"), text("time"))
}

fn riley() -> Plan {
    Plan::single().herd("journal = true")
}

#[test]
fn a_dump_beside_a_busy_server_has_all_that_was_acknowledged_before() {
    let herd = riley().start();
    let acknowledged: Mutex<BTreeMap<String, String>> = Mutex::default();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..2 {
            let (herd, acknowledged, is_over) = (&herd, &acknowledged, &is_over);
            scope.spawn(move || {
                let mut client = herd.client("Riley");
                for step in 0.. {
                    if is_over.load(Relaxed) {
                        return;
                    }
                    // Every other report moves the same client.
                    let id = if step % 2 == 0 {
                        format!("new-{thread}-{step}")
                    } else {
                        format!("moves-{thread}")
                    };
                    let at = client.ask(&format!("IAMAT {id} +1.50-2 {}.5", 1_700_000_000 + step));
                    acknowledged.lock().unwrap().insert(id, at);
                }
            });
        }
        let check = |round: usize| {
            eventually("reports come in", || acknowledged.lock().unwrap().len() > 100 * (round + 1));
            let before = acknowledged.lock().unwrap().clone();
            let out = format!("riley-{round}.dump");
            let said = done(herd.dir(), &format!("data dump --name Riley --out {out}"));
            assert!(said.out.is_empty() && said.err.starts_with("Dumped "), "{said:?}");
            let path = herd.dir().join(out);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let dumped = records(&fs::read_to_string(&path).unwrap());
            for (id, at) in before {
                let record = dumped.get(&id).unwrap_or_else(|| panic!("{at} is missing in {}", dumped.len()));
                // A client that moves may have moved on.
                let is_newer = id.starts_with("moves") && record["time"].as_str() > at.rsplit(' ').next();
                assert!(is_newer || at_line(&id, record) == at, "{at}: {record}");
            }
            let said = done(herd.dir(), "data check --name Riley");
            assert!(said.out.contains("/journal: sound\n"), "{said:?}");
        };
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..5).for_each(check)));
        is_over.store(true, Relaxed);
        checked.unwrap();
    });
}

#[test]
fn a_store_that_is_restored_on_another_machine_tells_the_same_of_every_client_and_token() {
    let plan = riley().with_tokens();
    let herd = plan.start();
    let http = herd.at("Riley").http;
    let bearer = bearer(OPERATOR_TOKEN);
    let ask = |head: &str, body: &str| {
        let len = body.len();
        let head = format!("{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}");
        request(
            http,
            format!("{head}Content-Length: {len}\r\nContent-Type: application/json\r\n\r\n{body}").as_bytes(),
        )
    };
    let report = r#"{"lat":34.06893,"lon":-118.4450,"time":"2021-05-19T22:53:47.50Z","speed":1.50,"note":"80","ttl_s":4000000000}"#;
    assert_eq!(ask("PUT /v1/clients/%FFk/location", report).code, 200);
    assert_eq!(ask("PUT /v1/clients/gone/location", report).code, 200);
    assert_eq!(ask("DELETE /v1/clients/gone", "").code, 204);
    let made = ask("POST /v1/tokens", r#"{"scopes":["read:*"]}"#);
    assert_eq!(made.code, 201, "{made:?}");
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let mut client = herd.client("Riley");
    client.ask(&format!("AUTH {OPERATOR_TOKEN}"));
    let at = client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let seen = |herd: &Herd, token: &str, id: &str| {
        let reply =
            fetch(herd.at("Riley").http, &format!("/v1/clients/{id}"), &crate::harness::bearer(token));
        (reply.code, reply.body)
    };
    let before = ["kiwi", "%FFk", "gone"].map(|id| seen(&herd, &token, id).0);
    assert_eq!(before, [200, 200, 404]);

    let dump = done(herd.dir(), "data dump --name Riley").out;
    assert_eq!(at_line("kiwi", &records(&dump)["kiwi"]), at);
    assert_eq!(records(&dump)["gone"]["gone"], true);
    let mut moved = plan.prepare();
    fs::write(moved.dir().join("riley.dump"), &dump).unwrap();
    let said = done(moved.dir(), "data restore riley.dump --name Riley");
    assert!(said.out.starts_with("Restored 4 records into ") && said.out.contains("1 token"), "{said:?}");
    moved.start("Riley");
    for id in ["kiwi", "%FFk", "gone"] {
        let (status, body) = seen(&herd, &token, id);
        let (moved_status, moved_body) = seen(&moved, &token, id);
        assert_eq!(moved_status, status, "{id}");
        let members = |body: &str| {
            let mut members: Value = serde_json::from_str(body).unwrap();
            // What is counted from now on, and what names the request.
            for member in ["age_s", "request_id", "instance", "expires_in_s"] {
                members.as_object_mut().unwrap().remove(member);
            }
            members
        };
        assert_eq!(members(&moved_body), members(&body), "{id}");
    }
    let mut client = moved.client("Riley");
    client.ask(&format!("AUTH {OPERATOR_TOKEN}"));
    assert_eq!(client.nearby("WHATSAT kiwi 10 0").at, at);
    let again = done(moved.dir(), "data dump --name Riley").out;
    assert_eq!(records(&again), records(&dump), "nothing was lost and nothing was added");
}

#[test]
fn another_herd_takes_the_records_of_servers_that_it_does_not_have_in_its_own_name() {
    let herd = Plan::pair().herd("journal = true").start();
    let of_riley = herd.client("Riley").ask("IAMAT of-riley +1-1 1700000000.5");
    let of_jaquez = herd.client("Jaquez").ask("IAMAT of-jaquez +2-2 1700000000.5");
    herd.agreed(&["Riley", "Jaquez"], "of-jaquez");
    let dump = eventually("Riley's store has both", || {
        let dump = done(herd.dir(), "data dump --name Riley").out;
        if records(&dump).len() == 2 { Ok(dump) } else { Err(dump) }
    });
    let mut other = riley().herd("id = \"other\"").prepare();
    fs::write(other.dir().join("riley.dump"), &dump).unwrap();
    let said = done(other.dir(), "data restore riley.dump --name Riley --without-tokens");
    assert!(
        said.out.contains("from another herd, herd; taken in the name of this server: 1 record\n"),
        "{said:?}"
    );
    other.start("Riley");
    assert_eq!(other.located("Riley", &["of-riley"]), [of_riley]);
    assert_eq!(other.located("Riley", &["of-jaquez"]), [of_jaquez.replacen("Jaquez", "Riley", 1)]);
}

#[test]
fn a_flipped_byte_is_found_with_its_file_and_offset_and_the_rest_is_dumped() {
    let mut herd = riley().start();
    let mut client = herd.client("Riley");
    for step in 0..50 {
        client.ask(&format!("IAMAT client-{step} {WHERE_AND_WHEN}"));
    }
    herd.stop("Riley", "TERM");
    let said = done(herd.dir(), "data check --name Riley");
    assert!(said.out.contains("  50 clients, 0 tombstones, 0 tokens"), "{said:?}");
    let file = herd.store_of("Riley").join("journal-1");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(7).position(|bytes| bytes == b"client-").unwrap();
    bytes[at] ^= 0x20;
    fs::write(&file, &bytes).unwrap();
    for line in ["data check --name Riley --json", "data check --dir data/Riley/journal --json"] {
        let said = run(herd.dir(), line);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("has 1 damaged place"), "{said:?}");
        let checked: Value = serde_json::from_str(&said.out).unwrap();
        let damage = &checked["damage"][0];
        let (offset, length) = (damage["offset"].as_u64().unwrap(), damage["length"].as_u64().unwrap());
        assert_eq!((&checked["sound"], &damage["file"]), (&false.into(), &"journal-1".into()));
        assert!((offset..offset + length).contains(&(at as u64)), "{damage}, not {at}");
        assert_eq!(checked["records"]["clients"], 49);
    }
    let said = run(herd.dir(), "data check --name Riley");
    assert!(said.code == 1 && said.out.contains("  damaged: journal-1 at byte "), "{said:?}");
    let said = run(herd.dir(), "data dump --name Riley");
    assert!(said.code == 1 && said.err.contains("The dump has what could be read"), "{said:?}");
    let dumped = records(&said.out);
    assert!(dumped.len() == 49 && !dumped.contains_key("client-0"), "{dumped:?}");
}

#[test]
fn a_wrong_file_a_cut_one_and_a_newer_one_restore_nothing() {
    let herd = riley().start();
    herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let dump = done(herd.dir(), "data dump --name Riley").out;
    let new = riley().prepare();
    let put = |name: &str, text: &str| fs::write(new.dir().join(name), text).unwrap();
    put("cut", &dump[..dump.len() - 20]);
    put("newer", &dump.replacen("\"version\":1", "\"version\":2", 1));
    put("wrong", &dump.replacen("+34.068930", "+94.068930", 1));
    put("changed", &dump.replacen("+34.068930", "+35.068930", 1));
    for (name, reason) in [
        ("missing", "cannot read missing"),
        ("herd.toml", "herd.toml: this is no dump of proxyherd"),
        ("cut", "cut: the dump is cut: it ends after line 2"),
        ("newer", "newer: the dump has version 2 of the format, and this program reads versions up to 1"),
        ("wrong", "wrong: line 2: coordinates: \"+94.068930-118.445127\" are no coordinates"),
        ("changed", "changed: the dump was changed after it was made"),
    ] {
        fails(new.dir(), &format!("data restore {name} --name Riley"), 1, reason);
        assert!(!new.dir().join("data").exists(), "{name} made something");
    }
}

#[test]
fn a_store_that_is_used_or_holds_something_is_not_replaced() {
    let mut herd = riley().start();
    let at = herd.client("Riley").ask("IAMAT kiwi +1-1 1700000000.5");
    let dump = done(herd.dir(), "data dump --name Riley --out riley.dump");
    assert_eq!(dump.out, "");
    herd.client("Riley").ask("IAMAT kiwi +2-2 1700000001.5");
    let pid = format!("(pid {})", herd.process("Riley").id());
    fails(herd.dir(), "data restore riley.dump --name Riley --force", 1, &pid);
    herd.stop("Riley", "TERM");
    fails(herd.dir(), "data restore riley.dump --name Riley", 1, "holds a store already");
    done(herd.dir(), "data restore riley.dump --name Riley --force");
    herd.start("Riley");
    assert_eq!(herd.located("Riley", &["kiwi"]), [at], "the store is the one of the dump");
}

/// A user who is not root. The number need not be in /etc/passwd.
const SOMEBODY: u32 = 65_533;

#[test]
fn root_makes_no_store_that_the_user_of_the_server_could_not_read() {
    let herd = riley().start();
    herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let dump = done(herd.dir(), "data dump --name Riley").out;
    let new = riley().prepare();
    fs::write(new.dir().join("riley.dump"), dump).unwrap();
    let data = new.dir().join("data");
    fs::create_dir(&data).unwrap();
    if fs::metadata(&data).unwrap().uid() != 0 {
        done(new.dir(), "data restore riley.dump --name Riley");
        return; // The test does not run as root, and only root can give a directory away.
    }
    chown(&data, Some(SOMEBODY), None).unwrap();
    fails(new.dir(), "data restore riley.dump --name Riley", 1, "belongs to user 65533, who could not read");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing was made");
    chown(&data, Some(0), None).unwrap();
    done(new.dir(), "data restore riley.dump --name Riley");
}

#[test]
fn a_mistake_on_the_command_line_is_told_with_what_to_do() {
    let herd = riley().prepare();
    for (line, code, reason) in [
        ("data check", 2, "name the server whose store is read (--name SERVER)"),
        ("data dump --name riley", 2, "did you mean Riley?"),
        ("data check --name Riley", 1, "there is no store"),
        ("data check --dir .", 1, "holds no store"),
        ("data dump --name Riley --config no.toml", 78, "no.toml"),
        ("data restore", 2, "FILE"),
    ] {
        fails(herd.dir(), line, code, reason);
    }
}
