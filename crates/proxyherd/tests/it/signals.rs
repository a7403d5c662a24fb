//! Tests of a server's reactions to signals, and tests that a blocked or closed output does not end a running command.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
};

use crate::harness::{Herd, Plan, Process, WHERE_AND_WHEN, eventually, get};

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn signals_that_come_before_the_configuration_is_read_are_kept() {
    let herd = Plan::single().prepare();
    let pipe = herd.dir().join("pipe.toml");
    make_pipe(&pipe);
    let server = Process::proxyherd(herd.dir(), &["serve", "--config", "pipe.toml", "--name", "Riley"]);
    // The pipe opens as soon as the server opens it for reading. The server then waits until the test writes.
    let mut config = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    for name in ["HUP", "USR1", "USR2", "ALRM", "TERM"] {
        server.signal(name);
    }
    config.write_all(herd.text().as_bytes()).unwrap();
    drop(config);
    let finished = server.wait(crate::harness::PATIENCE);
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{finished:?}");
}

#[test]
fn signals_that_mean_nothing_to_a_server_do_not_end_it() {
    let mut herd = Plan::single().start();
    let mut client = herd.client("Riley");
    for name in ["USR2", "ALRM", "USR1", "HUP"] {
        herd.process("Riley").signal(name);
    }
    herd.wait_for_log("Riley", "herd.toml read anew");
    assert!(client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}")).starts_with("AT Riley "));
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
}

#[test]
fn sigusr1_opens_the_log_anew_where_it_was_put_aside_and_another_made() {
    let herd = Plan::single().start();
    let mut client = herd.client("Riley");
    let first = client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.wait_for_log("Riley", &first);
    // This is what logrotate does with `create 0600`.
    let (log, aside) = (herd.log_path("Riley"), herd.dir().join("log/Riley.log.1"));
    fs::rename(&log, &aside).unwrap();
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
    let made = fs::metadata(&log).unwrap().ino();
    herd.process("Riley").signal("USR1");
    herd.wait_for_log("Riley", "log file reopened (SIGUSR1)");
    let second = client.ask(&format!("IAMAT emu {WHERE_AND_WHEN}"));
    herd.wait_for_log("Riley", &second);
    let (there, before) = (fs::metadata(&log).unwrap(), fs::read_to_string(&aside).unwrap());
    assert_eq!((there.ino(), there.mode() & 0o777), (made, 0o600));
    assert!(before.contains(&first) && !before.contains("SIGUSR1"), "{before}");
}

/// Starts Riley with this standard output. Riley must serve, and must end when it is asked to end.
fn must_serve(preparation: &str, redirection: &str) {
    let mut herd = Plan::single().prepare();
    herd.launch_after(preparation, "Riley", redirection);
    eventually(&format!("it serves with {redirection}"), || {
        TcpStream::connect(herd.at("Riley").http)
            .map(drop)
            .map_err(|error| format!("{error} {}", ended(&mut herd)))
    });
    assert_eq!(get(herd.at("Riley").http, "/health/livez").0, 200);
    assert!(herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}")).starts_with("AT Riley "));
    let finished = herd.stop("Riley", "TERM");
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{redirection}: {finished:?}");
}

/// The messages of a server that did not start.
fn ended(herd: &mut Herd) -> String {
    herd.process("Riley").err()
}

#[test]
fn a_server_whose_output_nobody_takes_serves_all_the_same() {
    must_serve("true", ">/dev/full");
    must_serve("true", ">&-");
    must_serve("true", "> >(exec 0<&-)");
    // The pipe is full, and nobody reads from it.
    must_serve("mkfifo out && exec 3<>out && head -c 65536 /dev/zero >&3", ">&3");
}

#[test]
fn commands_whose_output_nobody_takes_end_without_a_panic() {
    let herd = Plan::pair().start();
    for line in [
        "check",
        "status",
        "status --json",
        "completions bash",
        "man",
        "init made",
        "places near 34.0689,-118.4451 --radius-km 2",
        "--help",
        "client --config herd.toml",
    ] {
        let program = env!("CARGO_BIN_EXE_proxyherd");
        let input = "printf 'WHATSAT kiwi 10 5\\n'";
        let full = Process::bash(herd.dir(), &format!("{input} | {program} {line} >/dev/full"));
        let full = full.wait(crate::harness::PATIENCE);
        assert!(!full.err.contains("panicked"), "{line}: {full:?}");
        assert!(full.code <= 2, "{line}: {full:?}");
        let _ = fs::remove_dir_all(herd.dir().join("made"));
        let closed = onto_a_closed_pipe(&herd, line);
        assert!(!closed.1.contains("panicked"), "{line}: {closed:?}");
        assert!((0..=1).contains(&closed.0), "{line}: {closed:?}");
        let _ = fs::remove_dir_all(herd.dir().join("made"));
    }
}

/// Exit code and standard error of a command whose output is a pipe with a closed reading end.
fn onto_a_closed_pipe(herd: &Herd, line: &str) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxyherd"));
    command.args(line.split(' ')).current_dir(herd.dir());
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().code().unwrap_or(-1), err)
}
