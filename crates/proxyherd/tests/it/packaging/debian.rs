//! Tests of what the Debian package is made of. The stage `package` of `./soak` installs the package itself.

use std::fs;

use super::{file, text};
use crate::harness::{Plan, Process};

#[test]
fn the_configuration_of_the_package_passes_check_and_its_server_starts() {
    let dir = tempfile::tempdir().unwrap();
    // The package makes these directories.
    let here = text("packaging/debian/herd.toml")
        .replace("/var/lib/proxyherd", &dir.path().join("lib").display().to_string())
        .replace("/var/log/proxyherd", &dir.path().join("log").display().to_string());
    fs::write(dir.path().join("herd.toml"), here).unwrap();
    let check = Process::run(dir.path(), &["check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
}

#[test]
fn every_file_that_the_package_takes_from_the_sources_is_there() {
    let manifest = text("crates/proxyherd/Cargo.toml");
    let sources: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\"../../"))
        .filter_map(|line| line.split('"').next())
        .collect();
    let (made, committed): (Vec<&str>, Vec<&str>) =
        sources.iter().partition(|source| source.starts_with("target/ship/"));
    assert!(made.len() >= 5 && committed.len() >= 5, "{sources:?}");
    committed.iter().for_each(|source| assert!(file(source).is_file(), "{source}"));
    let script = text("packaging/build.sh");
    for source in made {
        let folder_or_file = source.trim_start_matches("target/ship/").split(['/', '*']).next().unwrap();
        assert!(script.contains(&format!("$ship/{folder_or_file}")), "{source} is made by build.sh");
    }
}

#[test]
fn health_says_whether_a_server_is_ready_and_whether_it_lives() {
    let mut herd = Plan::pair().prepare();
    let ask = |more: &[&str]| {
        let line = [&["health", "--name", "Riley"], more].concat();
        let asked = Process::run(herd.dir(), &line);
        (asked.code, asked.out, asked.err)
    };
    let (code, _, err) = ask(&[]);
    assert!(code == 1 && err.contains("Riley is not ready: "), "{code} {err}");
    assert_eq!(ask(&["--live"]).0, 1);
    herd.start_all(&["Riley", "Jaquez"]);
    let ask = |more: &[&str]| {
        let line = [&["health", "--name", "Riley"], more].concat();
        let asked = Process::run(herd.dir(), &line);
        (asked.code, asked.out, asked.err)
    };
    assert_eq!(ask(&["--live"]), (0, "live\n".to_owned(), String::new()));
    assert_eq!(ask(&["--wait-s", "30"]), (0, "ready\n".to_owned(), String::new()));
    let other = Process::run(herd.dir(), &["health", "--name", "Rily"]);
    assert!(other.code == 2 && other.err.contains("did you mean Riley?"), "{other:?}");
}
