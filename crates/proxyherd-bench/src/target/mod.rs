//! The servers that are measured, each in its own process: a single proxyherd server, a group of linked proxyherd
//! servers, an echo server, an HTTP server whose handler does nothing, and Redis.
//!
//! This module starts each server, and kills it when its handle is dropped. A server prints a line that begins with
//! `ready` on standard output once it listens. To measure another program, add a module here that returns a [`Target`].

pub(crate) mod echo;
pub(crate) mod group;
pub(crate) mod handler;
pub(crate) mod herd;
mod own_server;
pub(crate) mod redis;
pub(crate) mod relay;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::Dialect;

/// Maximum time that a server may take to print `ready`. A server with a large store reads the store first.
const START_MAX: Duration = Duration::from_secs(120);
/// Interval between two attempts to connect to a server that says nothing when it is ready.
const CONNECT_INTERVAL: Duration = Duration::from_millis(1);

/// A running server, its address, and the form of its replies. The server is killed when this is dropped.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    pub(crate) process: ServerProcess,
}

/// A server's process, which is killed when this is dropped.
pub(crate) struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts `command`, waits for its line that begins with `ready`, and returns the process and that line. The
    /// process's standard input stays open as long as this value exists. The process shares this program's standard
    /// error.
    pub(crate) fn start(mut command: Command) -> Result<(ServerProcess, String)> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut process = ServerProcess { child };
        let output = process.child.stdout.take().context("the server's standard output is not a pipe")?;
        match ready_line(output).recv_timeout(START_MAX) {
            Ok(line) => Ok((process, line)),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("{program} was not ready within {START_MAX:?}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("{program} ended before it was ready"),
        }
    }

    /// Starts `command`, which prints no line that begins with `ready`, and waits until it accepts connections at
    /// `address`.
    pub(crate) fn start_at(mut command: Command, address: SocketAddr) -> Result<ServerProcess> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut process = ServerProcess { child: child.with_context(|| format!("cannot start {program}"))? };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{program} ended before it was ready ({status})");
            }
            if began.elapsed() > START_MAX {
                bail!("{program} was not ready within {START_MAX:?}");
            }
            thread::sleep(CONNECT_INTERVAL);
        }
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both calls fail if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a server's standard output to its end, so that the server never blocks on a full pipe, and sends the line that
/// begins with `ready` to the returned receiver.
fn ready_line(output: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.starts_with("ready") {
                // This fails for a second `ready` line, because nobody waits for a second line.
                let _ = sender.send(line);
            }
        }
    });
    receiver
}

/// Sets the number of a server's worker threads, in a variable that tokio reads.
pub(crate) fn with_workers(command: &mut Command, workers: Option<usize>) {
    if let Some(workers) = workers {
        command.env("TOKIO_WORKER_THREADS", workers.to_string());
    }
}

/// Number of cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_is_started_once_it_prints_ready() {
        let (_process, line) = ServerProcess::start(shell("echo starting; echo ready at last; cat")).unwrap();
        assert_eq!(line, "ready at last");
    }

    #[test]
    fn a_server_that_ends_early_is_an_error() {
        let error = ServerProcess::start(shell("echo not yet")).err().unwrap();
        assert_eq!(error.to_string(), "sh ended before it was ready");
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let (process, _) = ServerProcess::start(shell("echo ready; exec cat")).unwrap();
        let id = process.id();
        drop(process);
        assert!(crate::procfs::cpu_time(id).is_none());
    }
}
