//! What the generator drives: servers that are started for a race, each in a process of its own, and ended with it.
//!
//! A server says on standard output when it is up, with a line that begins with `ready`. A new peer is a new module
//! here that returns a [`Target`].

pub(crate) mod echo;
pub(crate) mod group;
pub(crate) mod herd;
pub(crate) mod relay;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::load::Dialect;

/// Longest time that a server may take to come up.
const START_MAX: Duration = Duration::from_secs(30);

/// A running server and how to talk to it. Dropping it ends the server.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    pub(crate) process: Process,
}

/// A server's process, killed when this is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` and waits for its line that begins with `ready`, which is returned with it. The process's
    /// standard input stays open for as long as this lives; its messages of trouble go where ours go.
    pub(crate) fn start(mut command: Command) -> Result<(Process, String)> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut process = Process { child };
        let output = process.child.stdout.take().context("the server's standard output is not a pipe")?;
        match ready_line(output).recv_timeout(START_MAX) {
            Ok(line) => Ok((process, line)),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("{program} was not ready within {START_MAX:?}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("{program} ended before it was ready"),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a server's standard output to its end, lest it block on a full pipe, and hands on the line that says ready.
fn ready_line(output: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.starts_with("ready") {
                // A second such line finds nobody waiting, which is fine.
                let _ = sender.send(line);
            }
        }
    });
    receiver
}

/// Gives a server the number of worker threads that the race asks for; tokio reads this variable.
pub(crate) fn with_workers(command: &mut Command, workers: Option<usize>) {
    if let Some(workers) = workers {
        command.env("TOKIO_WORKER_THREADS", workers.to_string());
    }
}

/// Cores that this process may use.
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
    fn a_server_is_ready_when_it_says_so() {
        let (_process, line) = Process::start(shell("echo starting; echo ready at last; cat")).unwrap();
        assert_eq!(line, "ready at last");
    }

    #[test]
    fn a_server_that_ends_early_is_an_error() {
        let error = Process::start(shell("echo not yet")).err().unwrap();
        assert_eq!(error.to_string(), "sh ended before it was ready");
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let (process, _) = Process::start(shell("echo ready; exec cat")).unwrap();
        let id = process.id();
        drop(process);
        assert!(crate::process_time::used_by(id).is_none());
    }
}
