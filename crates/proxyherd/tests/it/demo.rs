//! The demo as a newcomer meets it: what it prints can be pasted, and Ctrl-C ends it.

use std::{net::SocketAddr, path::Path, process::Command};

use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, eventually, status};

/// Where the demo was started, and the demo.
type Demo = (TempDir, Process);

fn start() -> Demo {
    let dir = tempfile::tempdir().unwrap();
    let demo = Process::proxyherd(dir.path(), &["demo", "--any-ports"]);
    eventually("the demo has introduced itself", || {
        let said = demo.out();
        if said.contains("Ctrl-C ends it all.\n") { Ok(()) } else { Err(format!("{said}{}", demo.err())) }
    });
    (dir, demo)
}

/// The lines to paste that hold `word`.
fn to_paste(demo: &Demo, word: &str) -> Vec<String> {
    let said = demo.1.out();
    let lines =
        said.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(['#', ' ']));
    lines.filter(|line| line.contains(word)).map(str::to_owned).collect()
}

/// Whether this machine has what a pasted line needs. Where the tests must all run, it has to.
fn have(program: &str) -> bool {
    let found = Command::new(program).arg("-h").output().is_ok();
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "{program} is not installed");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Pastes a line into bash until it shows that it has what it should.
fn paste(dir: &Path, line: &str, is_enough: impl Fn(&str) -> bool) -> String {
    let shell = Process::bash(dir, line);
    eventually(&format!("{line:?} shows an answer"), || {
        let shown = shell.out();
        if is_enough(&shown) { Ok(shown) } else { Err(format!("{shown:?} {:?}", shell.err())) }
    })
}

#[test]
fn the_lines_to_paste_show_real_places() {
    let demo = start();
    if !have("nc") {
        return;
    }
    let lines = to_paste(&demo, "| nc ");
    let (questions, reports): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("WHATSAT"));
    assert_eq!((questions.len(), reports.len()), (2, 1), "{}", demo.1.out());
    for line in reports {
        let shown = paste(demo.0.path(), line, |shown| shown.ends_with('\n'));
        assert!(shown.starts_with("AT ") && shown.split(' ').count() == 6, "{shown}");
    }
    for line in questions {
        let shown = paste(demo.0.path(), line, |shown| shown.contains("\n\n"));
        let (at, json) = shown.split_once('\n').unwrap();
        assert!(at.starts_with("AT ") && at.split(' ').count() == 6, "{shown}");
        let places: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(places["status"], "OK", "{shown}");
        assert_eq!(places["results"].as_array().unwrap().len(), 5);
    }
}

#[test]
fn its_logs_are_where_it_says() {
    let demo = start();
    let line = to_paste(&demo, "tail -F").remove(0);
    let shown =
        paste(demo.0.path(), &line, |shown| shown.contains("  <  IAMAT ") && shown.contains("  >  AT "));
    assert!(shown.contains("Riley"), "{shown}");
}

#[test]
fn its_servers_tell_how_they_are_and_its_clients_walk() {
    let demo = start();
    let said = demo.1.out();
    let https: Vec<&str> = said.split_whitespace().filter_map(|word| word.strip_prefix("http://")).collect();
    let https: Vec<SocketAddr> = https.iter().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(https.len(), 5, "{said}");
    for http in https {
        eventually("every server knows every client", || {
            let records = status(http)["records"].clone();
            if records == 36 { Ok(()) } else { Err(records) }
        });
    }
}

#[test]
fn an_interrupt_ends_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let (dir, demo) = start();
        let id = demo.id();
        demo.signal(signal);
        let finished = demo.wait(PATIENCE);
        assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{finished:?}");
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "no process is left");
        let word = finished.out.lines().find_map(|line| line.split_once("its logs stay in ")).unwrap().1;
        let logs = Path::new(word.trim_end_matches('.'));
        assert!(logs.starts_with(dir.path()) && logs.join("Riley.log").exists(), "{}", finished.out);
    }
}
