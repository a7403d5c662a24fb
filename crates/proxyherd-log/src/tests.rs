//! Tests of the log as its callers see it: each line is in the file, or is counted as left out.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{limits::BUFFER_LEN_MAX, *};
use crate::wait::within;

struct Fixture {
    dir: tempfile::TempDir,
    settings: LogSettings,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let settings = LogSettings {
            dir: dir.path().to_path_buf(),
            level: LogLevel::Debug,
            format: LogFormat::Text,
            max_bytes: 64 * 1024 * 1024,
            keep: 3,
            lines_per_s: 10_000,
            positions: true,
        };
        Fixture { dir, settings }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("Riley.log")
    }

    fn open(&self) -> ServerLog {
        ServerLog::open(&self.settings, &ServerName::new("Riley").unwrap()).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        lines_of(&self.path())
    }
}

/// The lines of a file below its heading. Empty if the file does not exist.
fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn flush(log: &ServerLog) {
    log.flush(Instant::now() + Duration::from_secs(60));
}

fn peer() -> SocketAddr {
    ([127, 0, 0, 1], 51234).into()
}

#[test]
fn a_session_reads_well() {
    let fixture = Fixture::new();
    let log = fixture.open();
    let jaquez = ServerName::new("Jaquez").unwrap();
    log.event(LogLevel::Info, Subject::Link(&jaquez), format_args!("up: dialed {}", "127.0.0.1:13001"));
    log.traffic(Direction::In, peer(), b"IAMAT kiwi +34.06-118.44 1621464827\nWHATSAT kiwi 10 1\n");
    log.traffic(
        Direction::Out,
        peer(),
        b"AT Riley +0.2 kiwi +34.06-118.44 1621464827\nAT Riley +0.2 kiwi +34.06-118.44 1621464827\n{\n   \"results\" : [ { \"name\" : \"Westwood\" } ],\n   \"status\" : \"OK\"\n}\n\n",
    );
    log.link_traffic(Direction::Out, &jaquez, b"AT Riley +0.2 kiwi +34.06-118.44 1621464827\n");
    log.event(LogLevel::Warn, Subject::Client(peer()), format_args!("closed: a line of more than 8 KiB"));
    flush(&log);
    // The times differ between runs. The rest of each line does not.
    let lines: Vec<_> = fixture.lines().iter().map(|line| line[26..].to_owned()).collect();
    assert_eq!(
        lines,
        [
            "Riley   link   Jaquez                 =  up: dialed 127.0.0.1:13001",
            "Riley   client 127.0.0.1:51234        <  IAMAT kiwi +34.06-118.44 1621464827",
            "Riley   client 127.0.0.1:51234        <  WHATSAT kiwi 10 1",
            "Riley   client 127.0.0.1:51234        >  AT Riley +0.2 kiwi +34.06-118.44 1621464827",
            "Riley   client 127.0.0.1:51234        >  AT Riley +0.2 kiwi +34.06-118.44 1621464827",
            "Riley   client 127.0.0.1:51234        >  (places: OK, 1 result, 66 bytes: Westwood)",
            "Riley   link   Jaquez                 >  AT Riley +0.2 kiwi +34.06-118.44 1621464827",
            "Riley   client 127.0.0.1:51234        !  warning: closed: a line of more than 8 KiB",
        ]
    );
}

#[test]
fn a_line_is_in_the_file_within_a_second() {
    let fixture = Fixture::new();
    let log = fixture.open();
    for line in ["first", "second"] {
        log.traffic(Direction::In, peer(), format!("{line}\n").as_bytes());
        let is_there = || fixture.lines().iter().any(|found| found.ends_with(line));
        within(Duration::from_secs(1), &format!("{line} is in the file"), is_there);
    }
}

#[test]
fn levels_decide_what_is_written_and_what_is_not_is_not_left_out() {
    for (level, expected) in [
        (LogLevel::Error, &["!  error: e"][..]),
        (LogLevel::Warn, &["!  error: e", "!  warning: w"]),
        (LogLevel::Info, &["!  error: e", "!  warning: w", "=  i", "<  in"]),
        (LogLevel::Debug, &["!  error: e", "!  warning: w", "=  i", "<  in", "=  debug: d", ">  link"]),
    ] {
        let mut fixture = Fixture::new();
        fixture.settings.level = level;
        let log = fixture.open();
        assert!(log.enabled(level));
        log.event(LogLevel::Error, Subject::Server, format_args!("e"));
        log.event(LogLevel::Warn, Subject::Server, format_args!("w"));
        log.event(LogLevel::Info, Subject::Places, format_args!("i"));
        log.traffic(Direction::In, peer(), b"in\n");
        log.event(LogLevel::Debug, Subject::Server, format_args!("d"));
        log.link_traffic(Direction::Out, &ServerName::new("Jaquez").unwrap(), b"link");
        flush(&log);
        let lines: Vec<_> = fixture.lines().iter().map(|line| line[64..].to_owned()).collect();
        assert_eq!(lines, expected, "{level}");
        assert_eq!(log.left_out(), 0);
    }
}

#[test]
fn a_log_that_is_discarded_takes_everything_and_keeps_nothing() {
    let log = ServerLog::discard();
    assert!(!log.enabled(LogLevel::Error));
    log.traffic(Direction::In, peer(), b"line\n");
    log.event(LogLevel::Error, Subject::Server, format_args!("event"));
    flush(&log);
    assert_eq!(log.left_out(), 0);
}

#[test]
fn dropping_the_last_handle_writes_what_is_left() {
    let fixture = Fixture::new();
    let log = fixture.open();
    let other = log.clone();
    drop(log);
    other.traffic(Direction::In, peer(), b"one\ntwo\n");
    drop(other);
    assert_eq!(fixture.lines().len(), 2);
}

/// The number of lines that were left out, according to the notes in a log.
fn noted(lines: &[String]) -> u64 {
    let notes = lines.iter().filter_map(|line| line.split_once("=  left out "));
    notes.map(|(_, note)| note.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn a_flood_is_kept_or_counted_line_by_line_and_the_file_says_so() {
    const THREADS: usize = 4;
    const BATCHES: usize = 400;
    const LINES: usize = 128;
    let mut fixture = Fixture::new();
    fixture.settings.lines_per_s = 5_000;
    let log = fixture.open();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = log.clone();
            scope.spawn(move || {
                let batch = format!("IAMAT client-{thread} +34.068930-118.445127 1621464827\n").repeat(LINES);
                for _ in 0..BATCHES {
                    log.traffic(Direction::In, peer(), batch.as_bytes());
                    log.traffic_counted(Direction::Out, peer(), batch.as_bytes(), LINES as u64, unmasked);
                }
            });
        }
    });
    let left_out = log.left_out();
    drop(log);
    let lines = fixture.lines();
    let kept = lines.iter().filter(|line| line.contains("  IAMAT client-")).count() as u64;
    assert!(kept >= 5_000, "{kept}");
    assert_eq!(kept + left_out, (THREADS * BATCHES * 2 * LINES) as u64);
    assert_eq!(noted(&lines), left_out);
    let note = lines.iter().find(|line| line.contains("left out")).unwrap();
    assert!(note.contains("above lines_per_s = 5000"), "{note}");
}

#[test]
fn events_of_the_herd_are_written_when_the_rate_limit_is_used_up() {
    let mut fixture = Fixture::new();
    fixture.settings.lines_per_s = 1;
    let log = fixture.open();
    let jaquez = ServerName::new("Jaquez").unwrap();
    log.traffic(Direction::In, peer(), b"one\ntwo\n");
    for number in 0..50 {
        log.event(LogLevel::Info, Subject::Link(&jaquez), format_args!("event {number}"));
    }
    flush(&log);
    assert_eq!(fixture.lines().iter().filter(|line| line.contains("=  event ")).count(), 50);
    assert_eq!(log.left_out(), 1);
}

#[test]
fn events_that_clients_cause_are_under_the_rate_limit() {
    let mut fixture = Fixture::new();
    fixture.settings.lines_per_s = 1;
    let log = fixture.open();
    for _ in 0..10 {
        log.event(LogLevel::Warn, Subject::Client(peer()), format_args!("closed"));
    }
    flush(&log);
    assert!(log.left_out() >= 8, "{}", log.left_out());
}

#[test]
fn what_was_left_out_is_noted_after_the_flood_too() {
    let mut fixture = Fixture::new();
    fixture.settings.lines_per_s = 0;
    let log = fixture.open();
    log.traffic(Direction::Out, peer(), b"one\ntwo\nthree\n");
    let is_noted = || noted(&fixture.lines()) == 3;
    within(Duration::from_secs(5), "what was left out is noted", is_noted);
}

#[test]
fn every_line_of_the_json_form_parses() {
    let mut fixture = Fixture::new();
    fixture.settings.format = LogFormat::Json;
    fixture.settings.lines_per_s = 3;
    let log = fixture.open();
    log.traffic(Direction::In, peer(), b"\x1b[31m\xff\"\\\nb\nc\nd\n");
    drop(log);
    let records: Vec<serde_json::Value> =
        fixture.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records[0]["message"].as_str().unwrap().starts_with("the log was opened by proxyherd "));
    assert_eq!(records[1]["line"], r#"\x1b[31m\xff"\\"#);
    assert_eq!(records[4]["left_out"]["in"], 1);
}

#[test]
fn rotation_loses_no_line() {
    let mut fixture = Fixture::new();
    fixture.settings.max_bytes = 200_000;
    fixture.settings.keep = 10;
    fixture.settings.lines_per_s = 1_000_000;
    let log = fixture.open();
    for number in 0..10_000 {
        log.traffic(Direction::In, peer(), format!("line-{number}\n").as_bytes());
        if number % 1_000 == 0 {
            flush(&log);
        }
    }
    assert_eq!(log.left_out(), 0);
    drop(log);
    let older = (1..=10).rev().map(|number| fixture.dir.path().join(format!("Riley.log.{number}")));
    let lines: Vec<_> = older.chain([fixture.path()]).flat_map(|path| lines_of(&path)).collect();
    let numbers: Vec<usize> =
        lines.iter().map(|line| line.rsplit_once('-').unwrap().1.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..10_000), "{} lines", numbers.len());
    assert!(fixture.dir.path().join("Riley.log.3").exists());
}

#[test]
fn a_full_disk_blocks_nobody_and_memory_stays_bounded() {
    let mut fixture = Fixture::new();
    fixture.settings.lines_per_s = u32::MAX;
    symlink("/dev/full", fixture.path()).unwrap();
    let log = fixture.open();
    let batch = b"IAMAT kiwi +34.068930-118.445127 1621464827\n".repeat(1_000);
    let begun = Instant::now();
    for _ in 0..1_000 {
        log.traffic(Direction::In, peer(), &batch);
    }
    flush(&log);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Two buffers hold lines: one fills, and the writer is stuck with the other one. All other lines were left out.
    let kept_bytes = batch.len() as u64 / 1_000 * (1_000_000 - log.left_out());
    assert!(kept_bytes <= 2 * BUFFER_LEN_MAX as u64, "{kept_bytes}");
    assert!(kept_bytes > 0);
    drop(log);
}

#[test]
fn what_a_full_disk_refused_is_written_when_it_has_room_again() {
    let fixture = Fixture::new();
    symlink("/dev/full", fixture.path()).unwrap();
    let log = fixture.open();
    log.traffic(Direction::In, peer(), b"one\n");
    flush(&log);
    log.traffic(Direction::In, peer(), b"two\n");
    fs::remove_file(fixture.path()).unwrap();
    let is_told =
        || fixture.lines().iter().any(|line| line.contains("warning: the log could not be written since"));
    within(Duration::from_secs(10), "the outage is noted", is_told);
    let lines = fixture.lines();
    assert!(lines[0].ends_with("<  one") && lines[1].ends_with("<  two"), "{lines:?}");
    assert_eq!(log.left_out(), 0);
}

#[test]
fn a_file_that_is_taken_away_comes_back() {
    let fixture = Fixture::new();
    let log = fixture.open();
    log.traffic(Direction::In, peer(), b"one\n");
    flush(&log);
    fs::remove_file(fixture.path()).unwrap();
    let comes_back = || {
        log.traffic(Direction::In, peer(), b"two\n");
        flush(&log);
        fixture.lines().iter().any(|line| line.ends_with("<  two"))
    };
    within(Duration::from_secs(10), "the file comes back", comes_back);
}

#[test]
fn an_unwritable_place_is_refused_with_its_path() {
    let mut fixture = Fixture::new();
    fixture.settings.dir = PathBuf::from("/dev/null/log");
    let error = ServerLog::open(&fixture.settings, &ServerName::new("Riley").unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot create the log's directory /dev/null/log: "), "{text}");
}
