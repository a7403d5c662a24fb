//! Tests of `proxyherd client` and `proxyherd status`, as shells and people use them.

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use crate::harness::{Finished, Herd, NAMES, PATIENCE, Plan, Process, WHERE_AND_WHEN, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_proxyherd");

/// Runs a line of bash in the directory of the herd's configuration. A pipe fails if any command in it fails.
fn bash(herd: &Herd, line: &str) -> Finished {
    Process::bash(herd.dir(), &format!("set -o pipefail; {line}")).wait(PATIENCE)
}

#[test]
fn a_pipe_gets_exactly_the_replies() {
    let herd = Plan::single().start();
    let riley = herd.line("Riley");
    let lines = format!("IAMAT kiwi {WHERE_AND_WHEN}\\n\\nWHATSAT kiwi 10 5\\nHELLO");
    let finished = bash(&herd, &format!("printf '{lines}' | {PROGRAM} client {riley}"));
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{finished:?}");
    let (at, rest) = finished.out.split_once('\n').unwrap();
    assert!(at.starts_with("AT Riley +") && at.ends_with(&format!(" kiwi {WHERE_AND_WHEN}")), "{at}");
    let (places, last) = rest.split_once("\n\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(places.strip_prefix(at).unwrap()).unwrap();
    assert_eq!((json["status"].as_str(), last), (Some("OK"), "? HELLO\n"));
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let herd = Plan::single().start();
    let client = format!("{PROGRAM} client {}", herd.line("Riley"));
    let finished = bash(
        &herd,
        &format!("yes 'IAMAT kiwi {WHERE_AND_WHEN}' | head -n 200000 > in; {client} < in | head -n 1"),
    );
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{finished:?}");
    assert_eq!(finished.out.lines().count(), 1);
}

#[test]
fn no_reply_is_lost_or_repeated_when_a_server_is_killed() {
    const LINES: usize = 50_000;
    let mut herd = Plan::pair().start();
    let (riley, jaquez) = (herd.line("Riley"), herd.line("Jaquez"));
    let lines =
        |from: usize| format!("seq -f 'IAMAT client-%.0f {WHERE_AND_WHEN}' {from} {}", from + LINES - 1);
    let input = format!("{}; until [ -e go ]; do sleep 0.01; done; {}", lines(0), lines(LINES));
    let client = Process::bash(herd.dir(), &format!("{{ {input}; }} | {PROGRAM} client {riley} {jaquez}"));
    eventually(
        "the first server answers",
        || if client.out().is_empty() { Err(client.err()) } else { Ok(()) },
    );
    herd.kill_all(&["Riley"]);
    fs::write(herd.dir().join("go"), "").unwrap();
    let finished = client.wait(PATIENCE);
    assert_eq!(finished.code, 0, "{}", finished.err);
    let clients = finished.out.lines().map(|line| line.split(' ').nth(3).unwrap_or(line));
    assert!(clients.eq((0..2 * LINES).map(|client| format!("client-{client}"))));
    assert!(finished.out.starts_with("AT Riley ") && finished.out.contains("\nAT Jaquez "));
    assert!(finished.err.contains(&format!("{riley}: ")), "{}", finished.err);
    assert!(finished.err.ends_with(&format!("talking to {jaquez}\n")), "{}", finished.err);
}

#[test]
fn a_herd_that_is_not_there_is_said_so() {
    let mut herd = Plan::pair().start();
    let (riley, jaquez) = (herd.line("Riley"), herd.line("Jaquez"));
    herd.kill_all(&["Riley", "Jaquez"]);
    let finished = bash(&herd, &format!("echo HELLO | {PROGRAM} client {riley} {jaquez}"));
    assert_eq!((finished.code, finished.out.as_str()), (1, ""));
    let refused = format!("{riley}: connection refused\n{jaquez}: connection refused\n");
    assert!(finished.err.starts_with(&refused), "{}", finished.err);
    assert!(finished.err.contains("error: none of the 2 servers answers"), "{}", finished.err);
}

#[test]
fn a_person_gets_a_prompt_that_names_the_server_and_keeps_the_lines_to_themselves() {
    let herd = Plan::single().start();
    let riley = herd.line("Riley");
    // `script` gives the program a terminal, and types its own input into this terminal.
    let client = format!("env XDG_STATE_HOME=$PWD/state NO_COLOR=1 TERM=xterm {PROGRAM} client {riley}");
    let typed = "IAMAT kiwi +34.068930-118.445127\\nHELLO\\nquit\\n";
    let finished = bash(&herd, &format!("printf '{typed}' | script -qec \"{client}\" /dev/null"));
    assert_eq!(finished.code, 0, "{finished:?}");
    let out = &finished.out;
    assert!(out.contains(&format!("{riley}> ")), "{out}");
    assert!(out.contains("\nAT Riley +") && out.contains(" kiwi +34.068930-118.445127 "), "{out}");
    assert!(out.contains("\n? HELLO\r\n") && !out.contains("\x1b[1m"), "{out}");
    let history = herd.dir().join("state/proxyherd/history");
    let kept = fs::read_to_string(&history).unwrap();
    assert_eq!(
        kept.lines().skip(1).collect::<Vec<_>>(),
        ["IAMAT kiwi +34.068930-118.445127", "HELLO", "quit"]
    );
    assert_eq!(fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A prompt on a terminal of its own, and the pipe that types into the terminal.
struct Typist {
    process: Process,
    keys: fs::File,
}

impl Typist {
    /// Starts a prompt that talks to `name`, and waits until the prompt is ready.
    fn at_prompt(herd: &Herd, name: &str) -> Typist {
        let address = herd.line(name);
        let client =
            format!("env XDG_STATE_HOME=$PWD/state NO_COLOR=1 TERM=xterm {PROGRAM} client {address}");
        let line = format!("mkfifo keys && exec script -qec \"{client}\" /dev/null < keys");
        let process = Process::bash(herd.dir(), &line);
        let keys = eventually("the pipe of keys is there", || {
            fs::OpenOptions::new().write(true).open(herd.dir().join("keys"))
        });
        let typist = Typist { process, keys };
        typist.sees(&format!("{address}> "));
        typist
    }

    fn types(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// Types Ctrl-D. It ends the input only when a prompt reads it. Before that, the terminal itself takes it.
    fn sees_prompt_after(&self, text: &str) {
        eventually(&format!("the terminal shows {text:?} and then a prompt"), || {
            let shown = self.process.out();
            let has_prompt = shown.rsplit_once(text).is_some_and(|(_, rest)| rest.contains("> \r"));
            if has_prompt { Ok(()) } else { Err(shown) }
        });
    }

    fn sees(&self, text: &str) {
        eventually(&format!("the terminal shows {text:?}"), || {
            let shown = self.process.out();
            if shown.contains(text) { Ok(()) } else { Err(shown) }
        });
    }
}

#[test]
fn a_byte_that_is_no_utf8_costs_its_line_and_not_the_prompt() {
    let herd = Plan::single().start();
    let mut typist = Typist::at_prompt(&herd, "Riley");
    typist.types(b"IAMAT caf\xe9\n");
    typist.sees("the line was not UTF-8 and is dropped");
    typist.types(b"HELLO\n");
    typist.sees_prompt_after("\n? HELLO\r\n");
    typist.types(b"\x04");
    assert_eq!(typist.process.wait(PATIENCE).code, 0);
}

#[test]
fn the_end_of_the_input_is_heard_while_no_server_answers() {
    let mut herd = Plan::single().start();
    let mut typist = Typist::at_prompt(&herd, "Riley");
    herd.kill_all(&["Riley"]);
    typist.types(b"HELLO\n");
    typist.sees("connection refused");
    typist.types(b"\x04");
    let finished = typist.process.wait(PATIENCE);
    assert_eq!(finished.code, 0, "giving up would have been a failure: {finished:?}");
}

#[test]
fn what_is_typed_while_no_server_answers_is_said_when_one_does() {
    let mut herd = Plan::single().start();
    let mut typist = Typist::at_prompt(&herd, "Riley");
    herd.kill_all(&["Riley"]);
    typist.types(b"HELLO\n");
    typist.sees("connection refused");
    typist.types(b"AGAIN\n");
    herd.start("Riley");
    typist.sees("\n? AGAIN\r\n");
}

#[test]
fn a_clients_name_cannot_turn_a_terminals_text_around() {
    let herd = Plan::single().start();
    let mut typist = Typist::at_prompt(&herd, "Riley");
    typist.types("IAMAT ki\u{202e}wi +1+1 1\n".as_bytes());
    typist.sees(r"AT Riley +");
    typist.sees(r"ki\xe2\x80\xaewi +1+1 1");
}

#[test]
fn status_shows_the_herd_and_fails_when_a_server_does_not_answer() {
    let mut herd = Plan::classic().start();
    let fine = bash(&herd, &format!("{PROGRAM} status"));
    assert_eq!((fine.code, fine.err.as_str()), (0, ""), "{fine:?}");
    assert!(
        fine.out.contains("All 5 servers that answer hold 0 records each.") && !fine.out.contains('\x1b')
    );
    for (name, links) in NAMES.into_iter().zip(["2/2", "2/2", "3/3", "2/2", "3/3"]) {
        let row: Vec<&str> = row(&fine.out, name);
        assert_eq!((row[1], row.last()), ("up", Some(&links)), "{row:?}");
    }

    herd.kill_all(&["Jaquez"]);
    let failed = eventually("the neighbors notice", || {
        let status = bash(&herd, &format!("{PROGRAM} status"));
        if status.out.contains("Riley's link with Jaquez is down: ") { Ok(status) } else { Err(status.out) }
    });
    assert_eq!(failed.code, 1);
    assert_eq!(row(&failed.out, "Jaquez")[1], "unreachable", "{}", failed.out);
    assert_eq!(row(&failed.out, "Riley").last(), Some(&"1/2"), "{}", failed.out);
    assert!(failed.err.contains("1 of 5 servers does not answer"), "{}", failed.err);
}

/// The cells of a server's row.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let row = table.lines().find(|line| line.starts_with(name));
    row.unwrap_or_else(|| panic!("no {name} in {table}")).split_whitespace().collect()
}

#[test]
fn status_for_programs_is_one_document_and_is_not_redrawn() {
    let mut herd = Plan::pair().start();
    herd.kill_all(&["Jaquez"]);
    let told = bash(&herd, &format!("{PROGRAM} status --json"));
    assert_eq!(told.code, 1, "{told:?}");
    let json: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&json[0]["server"], &json[0]["status"]["server"]), (&"Riley".into(), &"Riley".into()));
    let http = herd.at("Jaquez").http.to_string();
    assert_eq!(json[1], serde_json::json!({"server": "Jaquez", "http": http, "error": "connection refused"}));
    for (arguments, why) in [("--watch", "redraws a terminal"), ("--watch --json", "cannot be used with")] {
        let refused = bash(&herd, &format!("{PROGRAM} status {arguments}"));
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{arguments}");
        assert!(refused.err.contains(why), "{}", refused.err);
    }
}
