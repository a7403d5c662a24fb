//! Keeps a running server with its file: when herd.toml changes, or SIGHUP asks, it is read again with what was set
//! outside it at the start, and servers and links come and go. No client is dropped for it.
//!
//! A file that is wrong, or is of another herd or another kind of links, changes nothing. Settings that are read once at the
//! start wait for the next start, and the log says so. A file that no longer names this server ends it after a grace period,
//! unless the file says `removed = "stay"` or names the server again in time; its links stay as they are until then. The file
//! decides which links there are; `peer` makes and ends them.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Difference, LinkChange, LoadError, Overrides, Removed},
    credentials,
    door::entrance::DoorTls,
    herd::{Herd, Inside},
    log::{LogLevel, Subject},
    peer::Peers,
    settled::{FileWatch, Look},
};

/// How long a server keeps running after its file stopped naming it. Load balancers and operators can notice in this time,
/// and a mistake can be corrected.
const REMOVED_GRACE: Duration = Duration::from_secs(5);
/// Most mistakes of one file that are told one by one; `check` tells all.
const MISTAKES_TOLD_MAX: usize = 20;

/// Follows one server's file.
pub(crate) struct Watcher {
    herd: Arc<Herd>,
    peers: Peers,
    /// What the doors show where they speak TLS.
    tls: Option<Arc<DoorTls>>,
    overrides: Overrides,
    /// What the server was started with ...
    started: Config,
    /// ... and what it was told last that it could follow.
    current: Config,
    /// What was in the file when it was read last, or why it could not be read.
    content: Option<Result<String, String>>,
    /// Keys of which the log has said that they wait for the next start.
    waiting: Vec<&'static str>,
    /// What the file says to do while it does not name this server; `None` while it does.
    removed: Option<Removed>,
    /// When the server ends because of that.
    ends_at: Option<Instant>,
    /// Cancelled when the server is to end because of that.
    leave: CancellationToken,
}

impl Watcher {
    /// A watcher of a server that was started with `config`, which was read with `overrides`. It cancels `leave` when the
    /// server is to end because the file no longer names it.
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

    /// Follows the file, and `hangups`, until `stop`.
    pub(crate) async fn run(mut self, hangups: Arc<Notify>, stop: CancellationToken) {
        let _pulse = self.herd.health().pulse("following the configuration");
        let mut watch = FileWatch::new(vec![self.started.path.clone()], None);
        let mut read = None;
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = hangups.notified() => true,
                () = watch.tick() => false,
            };
            let looked = stop.run_until_cancelled(watch.look(read.as_ref()));
            let Some(look) = looked.await else { return };
            if is_asked || look == Look::Settled {
                read = watch.seen().cloned();
                if stop.run_until_cancelled(self.follow(is_asked)).await.is_none() {
                    return;
                }
            // A file that is changing may name this server again, so nothing is done before it is read.
            } else if look == Look::AsRead && self.is_time_to_leave() {
                return self.leave.cancel();
            }
        }
    }

    /// Whether this server is to end now because the file no longer names it: the grace period is over, or it has links and
    /// all are down, so no other server hears any more what its clients report.
    fn is_time_to_leave(&self) -> bool {
        let links = self.herd.links().all();
        let is_unheard = || !links.is_empty() && links.iter().all(|link| link.state().up_since.is_none());
        self.ends_at.is_some_and(|ends_at| Instant::now() >= ends_at || is_unheard())
    }

    /// Reads the file and does as it says. Who has asked is told what came of it in any case.
    async fn follow(&mut self, is_asked: bool) {
        if is_asked && let Some(credentials) = self.herd.credentials() {
            credentials::reload(credentials, self.herd.log()).await;
        }
        if is_asked && let Some(tls) = &self.tls {
            credentials::reload(tls, self.herd.log()).await;
        }
        let path = self.started.path.clone();
        // The task fails only where the runtime is about to end.
        let Ok(text) = spawn_blocking(move || Config::load_text(&path)).await else { return };
        let content = text.as_ref().map(String::clone).map_err(reason);
        let is_news = self.content.as_ref() != Some(&content);
        self.content = Some(content);
        if !is_news && !is_asked {
            return;
        }
        let path = &self.started.path;
        let config =
            text.and_then(|text| Config::read(&text, path, &self.overrides).map_err(LoadError::Wrong));
        match config {
            Ok(config) => self.take(config, is_asked).await,
            Err(error) => self.tell_wrong(&error),
        }
    }

    async fn take(&mut self, config: Config, is_asked: bool) {
        let name = self.herd.name().clone();
        // Links can't be made as another herd's, nor in the clear where the file no longer says so.
        if (&config.herd.id, &config.herd.tls) != (&self.started.herd.id, &self.started.herd.tls) {
            self.refuse(
                &config,
                "herd.id or herd.tls is not what this server was started with: start it again",
            );
            return;
        }
        if config.server(name.as_str()).is_none() {
            return self.be_removed(&config, is_asked);
        }
        let was_removed = self.removed.take().is_some();
        if was_removed {
            self.ends_at = None;
            self.herd.set_removed(false);
            let path = config.path.display();
            self.tell(LogLevel::Info, &format!("{path} names this server again: it keeps running"));
        }
        if config.warnings != self.current.warnings {
            config.warnings.iter().for_each(|warning| self.tell(LogLevel::Warn, &warning.told()));
        }
        let has_changed = self.change_topology(&config).await;
        let is_told = self.tell_waiting(self.started.waiting(&config, name.as_str()));
        if is_asked && !has_changed && !is_told && !was_removed {
            self.tell_unchanged(&config);
        }
        self.current = config;
    }

    /// The file no longer names this server. Its links stay up: its neighbors keep them until it has ended.
    fn be_removed(&mut self, config: &Config, is_asked: bool) {
        let wish = config.herd.removed;
        if self.removed == Some(wish) {
            if is_asked {
                self.tell_unchanged(config);
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
        self.tell(LogLevel::Warn, &format!("{path} no longer names {name}: {next}"));
    }

    fn tell_unchanged(&self, config: &Config) {
        self.tell(LogLevel::Info, &format!("{} read anew: nothing has changed", config.path.display()));
    }

    fn refuse(&self, config: &Config, why: &str) {
        let path = config.path.display();
        self.tell(LogLevel::Error, &format!("{path} changes nothing here: {why}"));
    }

    /// Says whether anything had to be done.
    async fn change_topology(&self, config: &Config) -> bool {
        let difference = Difference::between(&self.current, config);
        if difference.is_empty() {
            return false;
        }
        self.tell(LogLevel::Info, &format!("topology: {difference}"));
        self.herd.set_members(config.names());
        // Without a listener, and perhaps without certificates, it can have no links before it starts again.
        let has_peer = self.started.server(self.herd.name().as_str()).is_some_and(|own| own.peer.is_some());
        if has_peer {
            let [before, after] = [&self.current, config].map(|config| config.links_of(self.herd.name()));
            self.peers.change(&LinkChange::between(&before, &after)).await;
            self.herd.links().arrange(&after);
            self.herd.make_room_for_links();
        }
        true
    }

    /// Names what waits for the next start, once; says whether there was something to say.
    fn tell_waiting(&mut self, waiting: Vec<&'static str>) -> bool {
        if waiting == self.waiting {
            return false;
        }
        if waiting.is_empty() {
            self.tell(LogLevel::Info, "no change of the configuration waits for the next start any more");
        } else {
            let keys = waiting.join(", ");
            self.tell(LogLevel::Warn, &format!("takes effect when this server is started again: {keys}"));
        }
        self.waiting = waiting;
        true
    }

    fn tell_wrong(&self, error: &LoadError) {
        let path = self.started.path.display();
        let LoadError::Wrong(diagnostics) = error else {
            let reason = reason(error);
            return self.tell(LogLevel::Error, &format!("{reason}; nothing changes"));
        };
        let count = diagnostics.error_count();
        let errors = if count == 1 { "1 error" } else { &format!("{count} errors") };
        self.tell(LogLevel::Error, &format!("{path} has {errors}, and nothing changes"));
        diagnostics
            .iter()
            .take(MISTAKES_TOLD_MAX)
            .for_each(|mistake| self.tell(LogLevel::Error, &mistake.told()));
    }

    fn tell(&self, level: LogLevel, message: &str) {
        self.herd.log().event(level, Subject::Server, format_args!("{message}"));
    }
}

/// An error with its causes.
fn reason(error: &LoadError) -> String {
    match error {
        LoadError::Unreadable { source, .. } => format!("{error}: {source}"),
        LoadError::Wrong(_) => error.to_string(),
    }
}
