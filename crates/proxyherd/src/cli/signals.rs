//! Being asked to end: Ctrl-C or SIGTERM, once for a clean end, twice for one at once. And SIGHUP, which does not end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a process ends that was told twice: as one that SIGTERM has killed.
const KILLED_BY_SIGTERM: i32 = 128 + 15;

/// Resolves when the process is asked to end. From when this returns, signals no longer end it by themselves.
pub(super) fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    Ok(async move { signals.next().await })
}

/// From here on, being asked to end does so without further ado.
pub(super) fn end_at_once_when_asked_again() -> io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(KILLED_BY_SIGTERM);
    });
    Ok(())
}

/// SIGHUP, which asks to read again what was read. From when this returns, it no longer ends the process.
pub(super) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
