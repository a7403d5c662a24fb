//! Tests of the demo as a newcomer uses it: its printed lines can be pasted into a shell, and Ctrl-C ends the demo.

use std::{
    collections::BTreeSet,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use serde_json::Value;

use crate::harness::{Client, PATIENCE, Plan, Process, Reply, eventually, fetch, request, status};

/// The directory where the demo was started, and the demo's process.
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

/// The lines to paste that contain `word`.
fn to_paste(demo: &Demo, word: &str) -> Vec<String> {
    let said = demo.1.out();
    let lines =
        said.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(['#', ' ']));
    lines.filter(|line| line.contains(word)).map(str::to_owned).collect()
}

/// Whether this machine has the programs that a pasted line needs. If all tests must run (CI), the programs must be
/// there.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new(program).arg("-h").output().is_ok();
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "{program} is not installed");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Pastes a line into bash again and again, until its output has the expected text.
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
        let difference: f64 = shown.split(' ').nth(2).unwrap().parse().unwrap();
        assert!(difference.abs() < 60.0, "the first difference that a newcomer sees is short: {shown}");
    }
    for line in questions {
        let shown = paste(demo.0.path(), line, |shown| shown.contains("\n\n"));
        let (at, json) = shown.split_once('\n').unwrap();
        assert!(at.starts_with("AT ") && at.split(' ').count() == 6, "{shown}");
        let places: Value = serde_json::from_str(json).unwrap();
        assert_eq!(places["status"], "OK", "{shown}");
        assert_eq!(places["results"].as_array().unwrap().len(), 5);
    }
}

/// Waits until the demo, or the program that shows its output, has printed this text.
fn wait_for(process: &Process, text: &str) -> String {
    eventually(&format!("it says {text:?}"), || {
        let said = process.out();
        if said.contains(text) { Ok(said) } else { Err(format!("{said}{}", process.err())) }
    })
}

#[test]
fn the_lines_to_paste_report_read_and_search_over_http() {
    let demo = start();
    if !have("curl") {
        return;
    }
    let pasted = |word: &str, expected: &str| {
        let line = to_paste(&demo, word).remove(0);
        let line = format!("{line} -s");
        paste(demo.0.path(), &line, |shown| shown.contains(expected));
    };
    pasted("/v1/clients/me/location", "\"result\":\"accepted\"");
    pasted("curl http", "\"id\":\"me\"");
    pasted("near=", "\"distance_m\"");
    pasted("/v1/reports", "\"accepted\":2");
    pasted("/v1/stream", "event: synced");
    pasted("_type", "[{\"_type\":\"location\"");
    let line = to_paste(&demo, "id=my-phone").remove(0);
    paste(demo.0.path(), &format!("{line} -s -w taken"), |shown| shown == "taken");
    let line = to_paste(&demo, "token create").remove(0);
    let shown = paste(demo.0.path(), &line, |shown| shown.ends_with('\n'));
    assert!(shown.starts_with("phd_") && shown.lines().count() == 1, "{}", shown.len());
}

#[test]
fn it_tells_who_moves_where() {
    let demo = start();
    let said = wait_for(&demo.1, " moved ");
    let line = said.lines().find(|line| line.contains(" moved ")).unwrap();
    assert!(
        line.contains(" near ") && line.contains(", told ") && line.contains(" of 5 servers know"),
        "{line}"
    );
    assert!(!said.contains('\x1b'), "plain where nobody looks: {said}");
    // A client that reports for the first time gets the next sentence.
    let report = to_paste(&demo, "IAMAT me").remove(0);
    paste(demo.0.path(), &report, |shown| shown.ends_with('\n'));
    wait_for(&demo.1, "me is near Bel Air, told Riley; 5 of 5 servers know");
}

#[test]
fn one_server_can_be_stopped_and_started_while_the_rest_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("mkfifo said && exec {} demo --any-ports < said", env!("CARGO_BIN_EXE_proxyherd"));
    let process = Process::bash(dir.path(), &line);
    let mut said = eventually("the pipe is there", || {
        std::fs::OpenOptions::new().write(true).open(dir.path().join("said"))
    });
    let out = wait_for(&process, "Ctrl-C ends it all.\n");
    let prose = out.lines().filter(|line| !line.starts_with(' '));
    assert_eq!(prose.map(|line| line.chars().count()).max().filter(|&columns| columns > 80), None, "{out}");
    let line_of = |name: &str| -> SocketAddr {
        let row = out.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        row.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let (riley, jaquez) = (line_of("Riley"), line_of("Jaquez"));
    said.write_all(b"stop riley\n").unwrap();
    wait_for(&process, "Riley has stopped; Jaquez, Juzang, Campbell, Bernard go on.");
    assert!(TcpStream::connect(riley).is_err(), "it is gone");
    assert_eq!(Client::connect(jaquez).ask("HELLO"), "? HELLO", "the rest go on");
    wait_for(&process, "4 of 4 servers know");
    said.write_all(b"start Riley\n").unwrap();
    let mut refusals = 0;
    eventually("Riley runs again", || {
        let out = process.out();
        // Another program may have taken the server's port for an outgoing connection, and will release it soon.
        if out.matches("Riley did not start: can't listen").count() > refusals {
            refusals += 1;
            said.write_all(b"start Riley\n").unwrap();
        }
        if out.contains("Riley runs again") { Ok(()) } else { Err(out) }
    });
    said.write_all(b"start Riley\nstart Reily\nkiwi\n").unwrap();
    wait_for(&process, "Riley runs already");
    wait_for(&process, "no server of that name; there are Riley, Jaquez,");
    wait_for(&process, "no such command; try");
    said.write_all(b"cut Riley jaquez\nheal jaquez riley\n").unwrap();
    wait_for(&process, "the link between Riley and Jaquez is cut;");
    wait_for(&process, "the link between Riley and Jaquez is healed;");
    wait_for(&process, "Riley knows 36 clients again");
    assert_eq!(Client::connect(riley).ask("HELLO"), "? HELLO", "it is back where it was");
    // After the end of its input, the demo continues.
    drop(said);
    let before = process.out().matches("5 servers run").count();
    eventually("it tells more", || {
        let said = process.out();
        if said.matches("5 servers run").count() > before { Ok(()) } else { Err(said) }
    });
    process.signal("TERM");
    assert_eq!(process.wait(PATIENCE).code, 0);
}

/// The addresses of a server's line door and HTTP door, as the demo has printed them.
fn doors_of(out: &str, name: &str) -> (SocketAddr, SocketAddr) {
    let row = out.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    (words[1].parse().unwrap(), words[2].strip_prefix("http://").unwrap().parse().unwrap())
}

/// The answer to a command of a page.
fn post(http: SocketAddr, path: &str, headers: &str) -> Reply {
    let head = format!("POST {path} HTTP/1.0\r\nHost: {http}\r\nContent-Length: 0\r\n");
    request(http, format!("{head}{headers}\r\n").as_bytes())
}

fn records(http: SocketAddr) -> u64 {
    status(http)["records"].as_u64().unwrap()
}

#[test]
fn a_page_kills_a_server_through_another_and_starts_it_and_all_records_come_back() {
    let demo = start();
    let out = demo.1.out();
    assert!(out.starts_with("Open http://127.0.0.1:"), "the first thing to see: {out}");
    let ((riley_line, riley), (_, jaquez)) = (doors_of(&out, "Riley"), doors_of(&out, "Jaquez"));
    eventually("every server knows every client", || {
        let known = [riley, jaquez].map(records);
        if known == [36, 36] { Ok(()) } else { Err(format!("{known:?}")) }
    });
    let mut client = Client::connect(riley_line);
    assert_eq!(client.ask("HELLO"), "? HELLO");
    let killed = post(jaquez, "/v1/demo/servers/riley/kill", "");
    assert_eq!(killed.code, 200, "{killed:?}");
    assert_eq!(killed.json()["servers"][0]["state"], "stopped", "{killed:?}");
    assert_eq!(client.rest(), b"", "its connections have ended without a word");
    assert!(
        TcpStream::connect(riley).is_err() && TcpStream::connect(riley_line).is_err(),
        "its doors are gone"
    );
    wait_for(&demo.1, "Riley was killed (from a web page); Jaquez, Juzang, Campbell, Bernard go on.");
    let again = post(jaquez, "/v1/demo/servers/Riley/kill", "");
    assert_eq!(again.code, 409, "{again:?}");
    assert!(again.json()["detail"].as_str().unwrap().contains("does not run"), "{again:?}");
    eventually("the server has started", || {
        let started = post(jaquez, "/v1/demo/servers/Riley/start", "");
        // Another program may have taken the server's port for an outgoing connection, and will release it soon.
        if started.code == 200 { Ok(()) } else { Err(format!("{started:?}")) }
    });
    wait_for(&demo.1, "Riley runs again (from a web page)");
    eventually("Riley knows every client again", || {
        let known = records(riley);
        if known == 36 { Ok(()) } else { Err(known) }
    });
    let shown = fetch(riley, "/v1/demo", "").json();
    assert_eq!(shown["servers"][0], serde_json::json!({ "name": "Riley", "state": "running" }), "{shown}");
    assert_eq!(fetch(riley, "/v1/demo/servers/Riley", "").code, 404);
    let foreign = "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
    assert_eq!(post(riley, "/v1/demo/servers/Jaquez/kill", foreign).code, 403);
}

#[test]
fn a_cut_link_is_down_at_both_ends_and_reports_take_another_way_until_it_is_healed() {
    let demo = start();
    let out = demo.1.out();
    let doors = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"].map(|name| doors_of(&out, name));
    let [(riley_line, riley), (_, jaquez), ..] = doors;
    let link = |http: SocketAddr, neighbor: &str| -> Value {
        let status = status(http);
        let links = status["links"].as_array().unwrap();
        links.iter().find(|link| link["neighbor"] == neighbor).unwrap().clone()
    };
    eventually("the link is up", || {
        let link = link(riley, "Jaquez");
        if link["up"] == true { Ok(()) } else { Err(link) }
    });
    let cut = post(riley, "/v1/demo/links/Jaquez/Riley/cut", "");
    assert_eq!(cut.code, 200, "{cut:?}");
    let of_pair = serde_json::json!({ "between": ["Riley", "Jaquez"], "cut": true });
    assert!(cut.json()["links"].as_array().unwrap().contains(&of_pair), "{cut:?}");
    for (http, neighbor) in [(riley, "Jaquez"), (jaquez, "Riley")] {
        eventually("the link is down at both ends", || {
            let link = link(http, neighbor);
            let is_cut = link["up"] == false && link["trouble"] == "cut by the demo";
            if is_cut { Ok(()) } else { Err(link) }
        });
    }
    wait_for(&demo.1, "the link between Riley and Jaquez is cut (from a web page)");
    let report = Client::connect(riley_line).ask("IAMAT me +34.068930-118.445127 1621464827.959498503");
    assert!(report.starts_with("AT Riley "), "{report}");
    for (_, http) in doors {
        eventually("the report reaches every server", || {
            let found = fetch(http, "/v1/clients/me", "");
            if found.code == 200 { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }
    assert_eq!(post(jaquez, "/v1/demo/links/Riley/Bernard/cut", "").code, 404, "they have no link");
    let healed = post(jaquez, "/v1/demo/links/riley/jaquez/heal", "");
    assert_eq!(healed.code, 200, "{healed:?}");
    eventually("the link is up again at both ends", || {
        let links = [link(riley, "Jaquez"), link(jaquez, "Riley")];
        if links.iter().all(|link| link["up"] == true) { Ok(()) } else { Err(format!("{links:?}")) }
    });
}

#[test]
fn a_server_that_is_in_no_demo_has_no_controls() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let unknown = fetch(http, "/v1/nothing", "").json();
    for path in ["/v1/demo", "/v1/demo/servers/Riley/kill", "/v1/demo/links/Riley/Jaquez/cut"] {
        for reply in [fetch(http, path, ""), post(http, path, "")] {
            assert_eq!(reply.code, 404, "{path} {reply:?}");
            assert_eq!(reply.json()["detail"], unknown["detail"], "{path}");
        }
    }
    assert!(!unknown["detail"].as_str().unwrap().contains("/v1/demo"), "{unknown}");
}

#[test]
fn on_a_terminal_it_has_a_prompt_and_gives_the_terminal_back() {
    for (end, signal) in [("quit\n", None), ("\x03", None), ("\x04", None), ("sto", Some("TERM"))] {
        let dir = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_proxyherd");
        let shell = format!(
            "stty -a > before; {program} demo --any-ports --clients 3 & echo $! > id; fg > /dev/null; echo code $?; \
             stty -a > after"
        );
        std::fs::write(dir.path().join("shell"), format!("set -m; {shell}")).unwrap();
        let line = "mkfifo keys && TERM=xterm exec script -qec 'bash shell' /dev/null < keys";
        let process = Process::bash(dir.path(), line);
        let mut keys = eventually("the pipe of keys is there", || {
            std::fs::OpenOptions::new().write(true).open(dir.path().join("keys"))
        });
        wait_for(&process, "demo> ");
        keys.write_all(b"stop Riley\n").unwrap();
        wait_for(&process, "Riley has stopped; Jaquez");
        wait_for(&process, " moved ");
        keys.write_all(end.as_bytes()).unwrap();
        if let Some(signal) = signal {
            let id = std::fs::read_to_string(dir.path().join("id")).unwrap();
            wait_for(&process, "demo> sto");
            Process::bash(dir.path(), &format!("kill -{signal} {id}")).wait(PATIENCE);
        }
        let said = wait_for(&process, "code 0");
        assert!(said.contains("The herd has stopped"), "{said}");
        drop(keys);
        process.wait(PATIENCE);
        let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
        assert_eq!(read("before"), read("after"), "after {end:?}");
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
    let https: BTreeSet<SocketAddr> = https.iter().filter_map(|word| word.parse().ok()).collect();
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
