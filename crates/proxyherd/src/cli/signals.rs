//! Signals to the commands that keep running. Ctrl-C or SIGTERM ends such a command cleanly. A second signal ends the
//! command at once. `serve` also reads its files again at SIGHUP, and reopens its log file at SIGUSR1.

use std::{io, sync::Arc};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// The exit code after a second request to end: the code of a process that SIGTERM has killed.
const KILLED_BY_SIGTERM: i32 = 128 + 15;

/// A future that resolves when the process is asked to end. From now on signals no longer end the process by
/// themselves.
pub(super) fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut signals = EndSignals::new()?;
    Ok(async move { signals.next().await })
}

/// From now on, a request to end ends the process at once.
pub(super) fn end_at_once_when_asked_again() -> io::Result<()> {
    let mut signals = EndSignals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(KILLED_BY_SIGTERM);
    });
    Ok(())
}

/// The requests that signals have made of a server. Each request is kept until the server has carried it out. Only the
/// second request to end is different: it ends the process at once.
#[derive(Clone)]
pub(super) struct SignalRequests {
    /// Canceled by the first SIGTERM or SIGINT.
    pub(super) to_end: CancellationToken,
    /// Notified by each SIGHUP.
    pub(super) to_read_files: Arc<Notify>,
    /// Notified by each SIGUSR1.
    pub(super) to_reopen_log: Arc<Notify>,
}

impl SignalRequests {
    /// Starts to handle the signals of this process, in a task of `runtime`. SIGUSR2 and SIGALRM, which would kill
    /// the process by default, do nothing.
    pub(super) fn on(runtime: &Runtime) -> io::Result<SignalRequests> {
        let _entered = runtime.enter();
        let ends = EndSignals::new()?;
        let [hangup, reopen] = [signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?];
        for ignored in [SignalKind::user_defined2(), SignalKind::alarm()] {
            // The handler stays installed after its receiver is dropped.
            drop(signal(ignored)?);
        }
        let asked = SignalRequests {
            to_end: CancellationToken::new(),
            to_read_files: Arc::default(),
            to_reopen_log: Arc::default(),
        };
        runtime.spawn(asked.clone().listen(ends, hangup, reopen));
        Ok(asked)
    }

    async fn listen(self, mut ends: EndSignals, mut hangup: Signal, mut reopen: Signal) {
        loop {
            tokio::select! {
                () = ends.next() => {
                    if self.to_end.is_cancelled() {
                        std::process::exit(KILLED_BY_SIGTERM);
                    }
                    self.to_end.cancel();
                }
                _ = hangup.recv() => self.to_read_files.notify_one(),
                _ = reopen.recv() => self.to_reopen_log.notify_one(),
            }
        }
    }
}

/// The signals that ask the process to end.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    fn new() -> io::Result<EndSignals> {
        Ok(EndSignals {
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
