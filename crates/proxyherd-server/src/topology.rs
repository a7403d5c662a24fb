//! Follows herd.toml while the server runs. When the file changes, or at SIGHUP, the [`Watcher`] reads the file again,
//! with the same flags and environment variables as at the start, and adds and removes servers and links. Clients keep
//! their connections.
//!
//! - A file with a mistake changes nothing. A file with another `herd.id` or `herd.tls` also changes nothing.
//! - Changes of settings that a server reads only at its start take effect at its next start. The log names these
//!   settings.
//! - If the file no longer names this server, the server stops after a grace period. It does not stop if the file says
//!   `removed = "stay"` or names the server again in time. Its links stay up until the stop.
//!
//! This module decides which links must exist. `peer` makes and closes them.

use std::{sync::Arc, time::Duration};

use proxyherd_config::{
    config::{Config, HerdChange, LinkChange, LoadError, Overrides, Removed},
    credentials,
    settled::{FileWatch, Look},
};
use proxyherd_log::{LogLevel, Subject};
use tokio::{sync::Notify, task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    door::entrance::DoorTls,
    herd::{Herd, Internals},
    peer::Peers,
};

/// Time for which a server keeps running after the file no longer names the server. In this time load balancers and
/// operators can notice the change, and an operator can correct a mistake.
const REMOVED_GRACE: Duration = Duration::from_secs(5);
/// Maximum number of mistakes of one file that the log names. `check` shows all mistakes.
const MISTAKES_LOGGED_MAX: usize = 20;

/// Requests to read the file again, as at SIGHUP, and what tells that it was read. Requests that come while one waits
/// are one with it.
#[derive(Clone, Debug, Default)]
pub struct Rereads {
    asked: Arc<Notify>,
    done: Arc<Notify>,
}

impl Rereads {
    /// Asks the server to read its file again.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Resolves when a request was carried out: the server has taken what is new in the file, or has logged why it
    /// cannot.
    pub async fn done(&self) {
        self.done.notified().await;
    }
}

/// Follows one server's file.
pub(crate) struct Watcher {
    herd: Arc<Herd>,
    peers: Peers,
    /// The certificate of the doors with TLS.
    tls: Option<Arc<DoorTls>>,
    overrides: Overrides,
    /// The configuration at the server's start.
    started: Config,
    /// The last configuration that the server could follow.
    current: Config,
    /// The text of the file at the last reading, or why the file could not be read.
    content: Option<Result<String, String>>,
    /// The keys that wait for the next start. The log has already named them.
    waiting: Vec<&'static str>,
    /// What the server must do while the file does not name it. `None`: the file names this server.
    removed: Option<Removed>,
    /// The time at which the server stops because the file does not name it.
    ends_at: Option<Instant>,
    /// Canceled when the server must stop because the file does not name it.
    leave: CancellationToken,
}

/// Why the watcher checks the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckCause {
    /// The time of the next check has come.
    Tick,
    /// SIGHUP: an operator expects that the server reads the file and logs the result.
    Hangup,
}

impl Watcher {
    /// A watcher for a server that was started with `config`. `config` was read with `overrides`. The watcher cancels
    /// `leave` when the server must stop because the file no longer names it.
    pub(crate) fn new(
        herd: Arc<Herd>,
        peers: Peers,
        tls: Option<Arc<DoorTls>>,
        config: Config,
        overrides: Overrides,
        leave: CancellationToken,
    ) -> Watcher {
        Watcher {
            herd,
            peers,
            tls,
            overrides,
            started: config.clone(),
            current: config,
            content: None,
            waiting: Vec::new(),
            removed: None,
            ends_at: None,
            leave,
        }
    }

    /// Follows the file, and the requests of `rereads`, until `stop`.
    pub(crate) async fn run(mut self, rereads: Rereads, stop: CancellationToken) {
        let _pulse = self.herd.liveness().pulse("following the configuration");
        let mut watch = FileWatch::new(vec![self.started.path.clone()], None);
        let mut read = None;
        loop {
            let cause = tokio::select! {
                () = stop.cancelled() => return,
                () = rereads.asked.notified() => CheckCause::Hangup,
                () = watch.tick() => CheckCause::Tick,
            };
            let looked = stop.run_until_cancelled(watch.look(read.as_ref()));
            let Some(look) = looked.await else { return };
            if cause == CheckCause::Hangup || look == Look::Settled {
                read = watch.seen().cloned();
                if stop.run_until_cancelled(self.follow(cause)).await.is_none() {
                    return;
                }
                if cause == CheckCause::Hangup {
                    rereads.done.notify_one();
                }
            // A file that is changing may name this server again, so the watcher does nothing before it has read the
            // file.
            } else if look == Look::AsRead && self.is_time_to_leave() {
                return self.leave.cancel();
            }
        }
    }

    /// Whether this server must stop now because the file no longer names it. This is so if the grace period is over or
    /// if all its links are down. Without links no other server receives the reports of its clients.
    fn is_time_to_leave(&self) -> bool {
        let links = self.herd.links().all();
        let is_unheard = || !links.is_empty() && links.iter().all(|link| link.state().up_since.is_none());
        self.ends_at.is_some_and(|ends_at| Instant::now() >= ends_at || is_unheard())
    }

    /// Reads the file and follows its changes. After SIGHUP, the log always states the result.
    async fn follow(&mut self, cause: CheckCause) {
        if cause == CheckCause::Hangup
            && let Some(credentials) = self.herd.credentials()
        {
            credentials::reload(credentials, self.herd.log()).await;
        }
        if cause == CheckCause::Hangup
            && let Some(tls) = &self.tls
        {
            credentials::reload(tls, self.herd.log()).await;
        }
        let path = self.started.path.clone();
        // The task fails only if the runtime is about to end.
        let Ok(text) = spawn_blocking(move || Config::load_text(&path)).await else { return };
        let content = text.as_ref().map(String::clone).map_err(reason);
        let is_news = self.content.as_ref() != Some(&content);
        self.content = Some(content);
        if !is_news && cause == CheckCause::Tick {
            return;
        }
        let path = &self.started.path;
        let config =
            text.and_then(|text| Config::read(&text, path, &self.overrides).map_err(LoadError::Wrong));
        match config {
            Ok(config) => self.apply(config, cause).await,
            Err(error) => self.log_mistakes(&error),
        }
    }

    async fn apply(&mut self, config: Config, cause: CheckCause) {
        let name = self.herd.name().clone();
        // Running links keep the herd's name and the encryption with which they were made.
        if (&config.herd.id, &config.herd.tls) != (&self.started.herd.id, &self.started.herd.tls) {
            self.refuse(
                &config,
                "herd.id or herd.tls has changed since this server's start: restart this server",
            );
            return;
        }
        if config.server(name.as_str()).is_none() {
            return self.note_removed(&config, cause);
        }
        let was_removed = self.removed.take().is_some();
        if was_removed {
            self.ends_at = None;
            self.herd.set_removed(false);
            let path = config.path.display();
            self.log(LogLevel::Info, &format!("{path} names this server again: it keeps running"));
        }
        if config.warnings != self.current.warnings {
            config.warnings.iter().for_each(|warning| self.log(LogLevel::Warn, &warning.told()));
        }
        self.herd.doors_of_herd().follow(&config);
        let has_changed = self.change_operator_token(&config).await | self.change_topology(&config).await;
        let has_logged = self.log_waiting(self.started.waiting(&config, name.as_str()));
        if cause == CheckCause::Hangup && !has_changed && !has_logged && !was_removed {
            self.log_unchanged(&config);
        }
        self.current = config;
    }

    /// Handles that the file no longer names this server. The server's links stay up, because its neighbors keep them
    /// until the server has stopped.
    fn note_removed(&mut self, config: &Config, cause: CheckCause) {
        let wish = config.herd.removed;
        if self.removed == Some(wish) {
            if cause == CheckCause::Hangup {
                self.log_unchanged(config);
            }
            return;
        }
        self.removed = Some(wish);
        self.herd.set_removed(true);
        self.ends_at = (wish == Removed::Stop).then(|| Instant::now() + REMOVED_GRACE);
        let next = match wish {
            Removed::Stop => format!(
                "this server ends in {} s, or sooner if all its links are down, as at SIGTERM, unless the file names it again",
                REMOVED_GRACE.as_secs()
            ),
            Removed::Stay => {
                "it keeps running, as `removed` in [herd] says; its neighbors end their links with it and no longer hear \
                 what its clients report"
                    .to_owned()
            }
        };
        let (path, name) = (config.path.display(), self.herd.name());
        self.log(LogLevel::Warn, &format!("{path} no longer names {name}: {next}"));
    }

    fn log_unchanged(&self, config: &Config) {
        self.log(LogLevel::Info, &format!("{} read anew: nothing has changed", config.path.display()));
    }

    fn refuse(&self, config: &Config, why: &str) {
        let path = config.path.display();
        self.log(LogLevel::Error, &format!("{path} changes nothing here: {why}"));
    }

    /// Takes a new hash of the operator's token. Returns whether it has changed.
    async fn change_operator_token(&self, config: &Config) -> bool {
        let [before, after] = [&self.current, config].map(|config| config.access.operator_token_sha256);
        if before == after {
            return false;
        }
        let herd = Arc::clone(&self.herd);
        // The task fails only if the runtime is about to end.
        let _ = spawn_blocking(move || herd.set_operator_token(after)).await;
        self.log(LogLevel::Info, "the operator's token has changed: the old token is no longer accepted");
        true
    }

    /// Adds and removes servers and links. Returns whether anything has changed.
    async fn change_topology(&self, config: &Config) -> bool {
        let change = HerdChange::between(&self.current, config);
        if change.is_empty() {
            return false;
        }
        self.log(LogLevel::Info, &format!("topology: {change}"));
        self.herd.set_members(config.names());
        // A server without a listener for other servers can have no links before its next start.
        let has_peer = self.started.server(self.herd.name().as_str()).is_some_and(|own| own.peer.is_some());
        if has_peer {
            let [before, after] = [&self.current, config].map(|config| config.links_of(self.herd.name()));
            self.peers.change(&LinkChange::between(&before, &after)).await;
            self.herd.links().arrange(&after);
            self.herd.make_room_for_links();
        }
        true
    }

    /// If the settings that wait for the next start have changed, logs them. Returns whether they have changed.
    fn log_waiting(&mut self, waiting: Vec<&'static str>) -> bool {
        if waiting == self.waiting {
            return false;
        }
        if waiting.is_empty() {
            self.log(LogLevel::Info, "no change of the configuration waits for the next start any more");
        } else {
            let keys = waiting.join(", ");
            self.log(LogLevel::Warn, &format!("takes effect when this server is started again: {keys}"));
        }
        self.waiting = waiting;
        true
    }

    fn log_mistakes(&self, error: &LoadError) {
        let path = self.started.path.display();
        let LoadError::Wrong(diagnostics) = error else {
            let reason = reason(error);
            return self.log(LogLevel::Error, &format!("{reason}; nothing changes"));
        };
        let count = diagnostics.error_count();
        let errors = if count == 1 { "1 error" } else { &format!("{count} errors") };
        self.log(LogLevel::Error, &format!("{path} has {errors}, and nothing changes"));
        diagnostics
            .iter()
            .take(MISTAKES_LOGGED_MAX)
            .for_each(|mistake| self.log(LogLevel::Error, &mistake.told()));
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.herd.log().event(level, Subject::Server, format_args!("{message}"));
    }
}

/// The text of an error and of its cause.
fn reason(error: &LoadError) -> String {
    match error {
        LoadError::Unreadable { source, .. } => format!("{error}: {source}"),
        LoadError::Wrong(_) => error.to_string(),
    }
}
