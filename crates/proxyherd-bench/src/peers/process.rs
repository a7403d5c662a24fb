//! The process of one server of a peer. What the server says on standard output are the events that others wait for:
//! `ready` once the server listens, and `linked NAME` when the link with a neighbor is up.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Maximum time until a server says what is expected.
const SAID_MAX: Duration = Duration::from_secs(60);

/// A running server. The process is killed when this is dropped.
pub(crate) struct PeerProcess {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl PeerProcess {
    /// Starts a server, and waits until it is ready.
    pub(super) fn start(mut command: Command) -> Result<PeerProcess> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot start {program}"))?;
        let output = child.stdout.take().context("the server's standard output is not a pipe")?;
        let mut process = PeerProcess { child, said: lines(output) };
        process.wait_for("ready").with_context(|| format!("{program} did not start"))?;
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server says this line. Earlier lines are skipped.
    pub(super) fn wait_for(&mut self, line: &str) -> Result<()> {
        self.wait_for_all(&mut vec![line.to_owned()])
    }

    /// Waits until the server has said all these lines, in any order. Other lines are skipped.
    pub(super) fn wait_for_all(&mut self, missing: &mut Vec<String>) -> Result<()> {
        let end = Instant::now() + SAID_MAX;
        while !missing.is_empty() {
            match self.said.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(said) => missing.retain(|line| *line != said),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("a server did not say {missing:?} within {SAID_MAX:?}")
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("a server ended ({status}) before it said {missing:?}")
                }
            }
        }
        Ok(())
    }

    /// Waits until the process has ended by itself.
    #[cfg(test)]
    pub(super) fn wait_for_end(&mut self) -> Result<()> {
        // Standard output ends with the process.
        while self.said.recv_timeout(SAID_MAX).is_ok() {}
        anyhow::ensure!(self.child.wait()?.code() != Some(1), "the server failed");
        Ok(())
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        // Both calls fail if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a server's standard output to its end, so that the server never blocks on a full pipe.
fn lines(output: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // This fails if nobody waits for lines any more.
            let _ = sender.send(line);
        }
    });
    receiver
}
