//! Tests of commands that end quickly, and of servers that do not start: their exit codes, and their messages with
//! advice.

use std::{fs, net::TcpListener, path::Path};

use crate::harness::{Addresses, Client, Finished, NAMES, Plan, Process, at_of, eventually};

const CLASSIC_PLACES: &str = "of 5 servers and 6 links";

fn run(dir: &Path, line: &str) -> Finished {
    Process::run(dir, &line.split(' ').collect::<Vec<_>>())
}

#[test]
fn init_names_the_file_that_lacks_a_server() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), "init next").code, 0);
    let wrote = run(dir.path(), "init next --server Hart");
    assert!(wrote.out.contains("\nnext/herd.toml has no server of this name yet"), "{wrote:?}");
}

#[test]
fn init_writes_a_configuration_that_check_finds_fine() {
    let dir = tempfile::tempdir().unwrap();
    let wrote = run(dir.path(), "init here");
    assert_eq!((wrote.code, wrote.err.as_str()), (0, ""), "{wrote:?}");
    assert!(wrote.out.contains("here/herd.toml") && wrote.out.contains("proxyherd serve"), "{}", wrote.out);
    let checked = run(dir.path(), "check --config here/herd.toml");
    assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{checked:?}");
    assert!(
        checked.out.contains("here/herd.toml: fine") && checked.out.contains(CLASSIC_PLACES),
        "{checked:?}"
    );
    assert!(!checked.out.contains('\x1b'), "no colors into a pipe");

    let text = fs::read_to_string(dir.path().join("here/herd.toml")).unwrap();
    let again = run(dir.path(), "init here");
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("is there already; --force replaces it"), "{}", again.err);
    assert_eq!(fs::read_to_string(dir.path().join("here/herd.toml")).unwrap(), text);
    assert_eq!(run(dir.path(), "init here --force").code, 0);
    assert_ne!(fs::read_to_string(dir.path().join("here/herd.toml")).unwrap(), text, "a herd has its own id");
}

#[test]
fn what_init_writes_runs_when_its_ports_are_changed() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "init");
    let path = dir.path().join("herd.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    let mut addresses = Vec::new();
    for index in 0..5 {
        let Addresses { line, peer, http, .. } = Addresses::free();
        for (classic, free) in [(12000, line), (13000, peer), (8000, http)] {
            text = text.replace(&format!("127.0.0.1:{}", classic + index), &free.to_string());
        }
        addresses.push(line);
    }
    fs::write(&path, text).unwrap();
    let servers = NAMES.map(|name| Process::proxyherd(dir.path(), &["serve", "--name", name]));
    for server in &servers {
        eventually("the server is ready", || {
            if server.out().starts_with("ready") {
                Ok(())
            } else {
                Err(format!("{}{}", server.out(), server.err()))
            }
        });
    }
    let at = Client::connect(addresses[0]).ask("IAMAT kiwi +34.068930-118.445127 1621464827");
    for address in addresses {
        eventually("each server knows kiwi", || {
            let told = at_of(&mut Client::connect(address), "kiwi");
            if told == at { Ok(()) } else { Err(told) }
        });
    }
}

#[test]
fn a_configuration_that_is_wrong_is_refused_by_key_and_line() {
    let herd = Plan::pair().prepare();
    let path = herd.dir().join("herd.toml");
    let right = fs::read_to_string(&path).unwrap();
    assert_eq!(run(herd.dir(), "check").code, 0);
    for (wrong, said) in [
        (
            right.replace("[limits]", "[limits]\nidle_seconds = 5"),
            &["limits.idle_seconds", "idle_s", "herd.toml:5"][..],
        ),
        (right.replace("[limits]", "[limits]\nidle_s = 0"), &["limits.idle_s", "herd.toml:5"]),
        (right.replace("[\"Jaquez\"]", "[\"Jaques\"]"), &["neighbors", "Jaques", "Jaquez"]),
        (right.replace("name = \"Jaquez\"", "name = \"Riley\""), &["name", "Riley"]),
        (
            right.replace("tls = \"off\"", "tls = \"of\""),
            &["herd.tls", "did you mean \\\"off\\\"?", "herd.toml:2"],
        ),
        (right.replace("tls = \"off\"", ""), &["there is no", "certs/ca.pem", "proxyherd init"]),
        (right.replace("tls = \"off\"", "tls = \"off\"\njournal = 9"), &["herd.journal", "herd.toml:3"]),
        (right.replace("[log]", "[log"), &["herd.toml:"]),
        (String::new(), &["server"]),
    ] {
        fs::write(&path, &wrong).unwrap();
        for command in ["check", "serve --name Riley"] {
            let refused = run(herd.dir(), command);
            assert_eq!((refused.code, refused.out.as_str()), (78, ""), "{command}: {refused:?}\n{wrong}");
            for word in said {
                let word = word.replace("\\\"", "\"");
                assert!(refused.err.contains(&word), "{word} is not in {}", refused.err);
            }
        }
    }
    let missing = run(herd.dir(), "check --config nowhere.toml");
    assert_eq!(missing.code, 78, "{missing:?}");
    assert!(
        missing.err.contains("nowhere.toml") && missing.err.contains("proxyherd init"),
        "{}",
        missing.err
    );
    fs::write(&path, right).unwrap();
    let set = run(herd.dir(), "check --set log.level=loud");
    assert_eq!(set.code, 78, "{set:?}");
    assert!(set.err.contains("log.level") && set.err.contains("--set"), "{}", set.err);
}

#[test]
fn a_command_line_that_makes_no_sense_is_told_so() {
    let herd = Plan::pair().prepare();
    for (line, said) in [
        ("serve --name Rily", "did you mean Riley?"),
        ("serve --name Bernard", "it has Riley, Jaquez"),
        ("serve", "--name"),
        ("sevre", "serve"),
        ("check --cofnig herd.toml", "--config"),
    ] {
        let refused = run(herd.dir(), line);
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{line}: {refused:?}");
        assert!(refused.err.contains(said), "{line}: {}", refused.err);
    }
    let help = run(herd.dir(), "--help");
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("proxyherd demo"), "{}", help.out);
    assert_eq!(run(herd.dir(), "--version").out, format!("proxyherd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_address_that_is_taken_is_named_with_its_key() {
    let herd = Plan::pair().prepare();
    let Addresses { line, peer, http, .. } = herd.at("Riley");
    for (key, address) in [("listen", line), ("peer", peer), ("http", http)] {
        let taken = TcpListener::bind(address).unwrap();
        let refused = run(herd.dir(), "serve --name Riley");
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
        let said = format!("can't listen at {address} (`{key}` of server Riley)");
        assert!(refused.err.contains(&said) && refused.err.contains("in use"), "{}", refused.err);
        assert_eq!(refused.err.matches("in use").count(), 1, "the cause is told once: {}", refused.err);
        let checked = run(herd.dir(), "check --name Riley");
        assert_eq!(checked.code, 0, "the server itself may be running: {checked:?}");
        assert!(checked.err.contains("warning") && checked.err.contains(&said), "{}", checked.err);
        drop(taken);
    }
}

#[test]
fn check_finds_what_serve_would_refuse() {
    let herd = Plan::single().access("exposed = true\nopen = true").prepare();
    let path = herd.dir().join("herd.toml");
    let right = fs::read_to_string(&path).unwrap();
    fs::write(herd.dir().join("file"), "").unwrap();
    let line = herd.at("Riley").line.to_string();
    let listen = format!("listen = \"{line}\"");
    assert!(right.contains(&listen), "{right}");
    let elsewhere = |address: &str| right.replace(&listen, &format!("listen = \"{address}\""));
    for (wrong, said) in [
        (right.clone(), None),
        (elsewhere("192.0.2.1:12000"), Some("it is not an address of this machine")),
        (elsewhere("riley.invalid:12000"), Some("the name does not resolve on this machine")),
        (
            right.clone() + "\n[log]\ndir = \"file\"\n",
            Some("file is not a directory: move it away, or set `dir`"),
        ),
        (
            right.clone() + "\n[log]\ndir = \"/proc/log\"\n",
            Some("cannot create the log's directory /proc/log"),
        ),
    ] {
        let wrong = if wrong.matches("[log]").count() > 1 { wrong.replacen("[log]\n", "", 1) } else { wrong };
        fs::write(&path, &wrong).unwrap();
        let checked = run(herd.dir(), "check --name Riley");
        let Some(said) = said else {
            assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{checked:?}");
            assert!(!herd.dir().join("log").exists(), "nothing is left behind");
            continue;
        };
        assert_eq!(checked.code, 78, "{checked:?}");
        let served = run(herd.dir(), "serve --name Riley");
        assert_ne!(served.code, 0, "{served:?}");
        for err in [&checked.err, &served.err] {
            assert_eq!(err.matches(said).count(), 1, "{said} is not in {err}");
        }
    }
}

#[test]
fn check_finds_a_journal_without_a_directory() {
    let herd = Plan::single().herd("journal = true\ndata = \"file\"").prepare();
    assert_eq!(run(herd.dir(), "check --name Riley").code, 0);
    fs::write(herd.dir().join("file"), "").unwrap();
    let checked = run(herd.dir(), "check --name Riley");
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.err.contains("cannot write into file/Riley"), "{checked:?}");
    let without = run(herd.dir(), "check --name Riley --set herd.journal=false");
    assert_eq!(without.code, 0, "{without:?}");
}

#[test]
fn hints_fit_what_is_the_matter() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    for (line, said, not) in [
        ("check --config folder", "--config folder/herd.toml", "init"),
        ("check --config file/herd.toml", "file is not a directory", "init"),
        ("init file", "file is not a directory: move it away", "writable"),
        ("status --config nowhere.toml", "`proxyherd init` writes one", "belongs"),
    ] {
        let refused = run(dir.path(), line);
        assert_ne!(refused.code, 0, "{line}: {refused:?}");
        assert!(refused.err.contains(said) && !refused.err.contains(not), "{line}: {}", refused.err);
    }
}

#[test]
fn status_without_a_file_asks_the_demo() {
    let dir = tempfile::tempdir().unwrap();
    let asked = run(dir.path(), "status --json");
    // A demo may run on this machine or not. The test only checks which servers were asked.
    let json: serde_json::Value = serde_json::from_str(&asked.out).unwrap();
    let asked: Vec<_> = json.as_array().unwrap().iter().map(|server| server["http"].clone()).collect();
    assert_eq!(asked, (8000..8005).map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>());
}
