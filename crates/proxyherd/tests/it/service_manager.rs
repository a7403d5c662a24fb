//! Tests of a server as a service of systemd: what it tells the service manager, on a real socket.

use std::{io::ErrorKind, os::unix::net::UnixDatagram, time::Duration};

use crate::harness::{Herd, Plan, WHERE_AND_WHEN, eventually};

/// The service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    /// Everything that was told so far, one variable each.
    told: Vec<String>,
}

impl Manager {
    fn listen(herd: &Herd) -> Manager {
        let socket = UnixDatagram::bind(herd.dir().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Manager { socket, told: Vec::new() }
    }

    /// Waits until a message with a line that begins so has come after the first `after` lines, and returns its place
    /// among all lines.
    fn wait_for(&mut self, after: usize, begin: &str) -> usize {
        eventually(&format!("the service manager is told {begin:?}"), || {
            self.take();
            let is_it = |line: &String| line.starts_with(begin);
            let at = self.told.iter().skip(after).position(is_it).map(|at| after + at);
            at.ok_or_else(|| self.told.join("\n"))
        })
    }

    /// Takes the messages that have come. Each message is one datagram.
    fn take(&mut self) {
        let mut message = [0; 4096];
        loop {
            match self.socket.recv(&mut message) {
                Ok(len) => {
                    let text = std::str::from_utf8(&message[..len]).unwrap();
                    self.told.extend(text.lines().map(str::to_owned));
                }
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Starts Riley as systemd does, with a watchdog that wants a sign of life every `watchdog_ms`.
fn serve(herd: &mut Herd, watchdog_ms: u32) {
    let variables = format!("export NOTIFY_SOCKET=$PWD/notify WATCHDOG_USEC={watchdog_ms}000");
    herd.launch_after(&variables, "Riley", "");
}

#[test]
fn systemd_is_told_that_a_server_is_ready_lives_reloads_and_stops() {
    let mut herd = Plan::pair().prepare();
    let mut manager = Manager::listen(&herd);
    serve(&mut herd, 2000);
    let ready = manager.wait_for(0, "READY=1");
    manager.wait_for(ready, "STATUS=0 records; 0 of 1 links up");
    // The socket is there before READY=1 is sent.
    let reply = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert!(reply.starts_with("AT Riley "), "{reply}");
    let first = manager.wait_for(ready, "WATCHDOG=1");
    let second = manager.wait_for(first + 1, "WATCHDOG=1");
    manager.wait_for(second + 1, "WATCHDOG=1");
    herd.start("Jaquez");
    manager.wait_for(ready, "STATUS=1 record; 1 of 1 links up");

    let before = manager.told.len();
    herd.process("Riley").signal("HUP");
    let reloading = manager.wait_for(before, "RELOADING=1");
    assert!(manager.wait_for(reloading, "MONOTONIC_USEC=") == reloading + 1);
    let reloaded = manager.wait_for(reloading, "READY=1");
    herd.wait_for_log("Riley", "herd.toml read anew");

    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    let stopping = manager.wait_for(reloaded, "STOPPING=1");
    manager.take();
    assert!(!manager.told[stopping..].iter().any(|line| line == "READY=1"), "{:?}", manager.told);
    assert_eq!(manager.told.iter().filter(|line| *line == "READY=1").count(), 2, "{:?}", manager.told);
}

#[test]
fn a_file_that_is_wrong_ends_a_reload_too() {
    let mut herd = Plan::single().prepare();
    let mut manager = Manager::listen(&herd);
    serve(&mut herd, 30_000);
    let ready = manager.wait_for(0, "READY=1");
    herd.write_file("herd.toml", "[herd]\nno = 1\n");
    herd.process("Riley").signal("HUP");
    let reloading = manager.wait_for(ready + 1, "RELOADING=1");
    manager.wait_for(reloading, "READY=1");
    herd.wait_for_log("Riley", "and nothing changes");
}

#[test]
fn a_server_that_does_not_start_was_never_ready() {
    let herd = Plan::single().prepare();
    let mut manager = Manager::listen(&herd);
    let wrong = format!("{}\n[herd", herd.text());
    herd.write_file("herd.toml", &wrong);
    let mut herd = herd;
    serve(&mut herd, 30_000);
    assert_eq!(herd.wait_for_end("Riley").code, 78);
    manager.take();
    assert_eq!(manager.told, Vec::<String>::new());
}

#[test]
fn a_service_manager_that_takes_nothing_does_not_hold_up_the_server() {
    let mut herd = Plan::single().prepare();
    // Nobody reads this socket. When its queue is full, whoever sends waits.
    let manager = Manager::listen(&herd);
    serve(&mut herd, 40);
    eventually("the queue of the socket is full", || {
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        match filler.send_to(b"STATUS=x", herd.dir().join("notify")) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    eventually("it serves", || match std::net::TcpStream::connect(herd.line("Riley")) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    });
    let reply = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert!(reply.starts_with("AT Riley "), "{reply}");
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    drop(manager);
}
