//! Tells the service manager of the system (systemd) about a server: that it is ready, that it reads its files again,
//! that it stops, and, as long as nothing in it is stuck, that it lives. `systemctl status` shows a short text.
//!
//! [`ServiceManager::connect`] looks for the variable NOTIFY_SOCKET, which systemd sets for a service of `Type=notify`.
//! Without the variable nothing is told. One thread sends the messages, because a service manager that takes none
//! blocks whoever sends: the server never waits for it. The protocol is described in sd_notify(3).
//!
//! Invariant: `WATCHDOG=1` is sent only if the server's own watchdog has completed a check since the last one and found
//! nothing stuck. So systemd restarts a server (`WatchdogSec=`) in which a part is stuck or in which the watchdog
//! itself does not run.
//!
//! This module does not know what can be stuck, and it starts, stops and changes nothing.

use std::{
    io,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use proxyherd_core::journal::ReadProgress;
use proxyherd_server::herd::{Herd, Internals as _};
use sd_notify::NotifyState;

/// The variable that names the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";
/// Maximum number of messages that wait for the thread. If the service manager takes none for so long that there are
/// more, further ones are dropped: it has then long given up on this service.
const MESSAGES_MAX: usize = 64;
/// Time between two looks at the server, if the service manager's watchdog does not ask for a shorter time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks at the server in one interval of the service manager's watchdog.
const LOOKS_PER_INTERVAL: u32 = 4;
/// The time that the service manager is asked to allow for the rest of the start, each time that the server has read
/// more of its store.
const START_EXTENSION: Duration = Duration::from_secs(30);

/// What the server tells about itself.
enum Message {
    Starting(ReadProgress),
    Ready(Weak<Herd>),
    Reloading,
    Reloaded,
    Stopping,
}

/// The connection of a server with the service manager. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct ServiceManager {
    /// `None`: there is no service manager that wants to be told.
    thread: Option<SyncSender<Message>>,
}

impl ServiceManager {
    /// Connects with the service manager of which the environment of this process tells, if there is one.
    pub(crate) fn connect() -> ServiceManager {
        if std::env::var_os(SOCKET).is_none() {
            return ServiceManager { thread: None };
        }
        let (sender, receiver) = sync_channel(MESSAGES_MAX);
        let told = Told::new(sd_notify::watchdog_enabled(), sd_notify::notify);
        let spawned =
            thread::Builder::new().name("service-manager".to_owned()).spawn(move || told.run(&receiver));
        // Without the thread the service manager learns nothing, and ends this service after its own limit.
        ServiceManager { thread: spawned.is_ok().then_some(sender) }
    }

    /// The server reads its store, and has come this far. A start of which the service manager hears no more ends after
    /// its limit for starts.
    pub(crate) fn starting(&self, progress: ReadProgress) {
        self.tell(Message::Starting(progress));
    }

    /// Every listener of the server is open. From now on the service manager is told that the server lives.
    pub(crate) fn ready(&self, herd: &Arc<Herd>) {
        self.tell(Message::Ready(Arc::downgrade(herd)));
    }

    /// The server begins to read its files again.
    pub(crate) fn reloading(&self) {
        self.tell(Message::Reloading);
    }

    /// The server has read its files again.
    pub(crate) fn reloaded(&self) {
        self.tell(Message::Reloaded);
    }

    /// The server begins to stop.
    pub(crate) fn stopping(&self) {
        self.tell(Message::Stopping);
    }

    fn tell(&self, message: Message) {
        if let Some(thread) = &self.thread {
            let _ = thread.try_send(message);
        }
    }
}

/// A server as the service manager is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Vitals {
    /// Number of completed checks of the server's watchdog.
    checks: u64,
    stuck: Vec<String>,
    records: u64,
    links: usize,
    links_up: usize,
}

impl Vitals {
    fn of(herd: &Herd) -> Vitals {
        let links = herd.links().all();
        Vitals {
            checks: herd.watchdog_checks(),
            stuck: herd.stuck(),
            records: herd.replica().len(),
            links: links.len(),
            links_up: links.iter().filter(|link| link.state().up_since.is_some()).count(),
        }
    }

    fn text(&self) -> String {
        if !self.stuck.is_empty() {
            return format!("stuck: {}", self.stuck.join(", "));
        }
        let records = if self.records == 1 { "record" } else { "records" };
        match self.links {
            0 => format!("{} {records}", self.records),
            links => format!("{} {records}; {} of {links} links up", self.records, self.links_up),
        }
    }
}

/// What the service manager was told.
struct Told<S> {
    send: S,
    /// Whether the service manager has a watchdog.
    is_watched: bool,
    look_every: Duration,
    /// The ready server.
    herd: Option<Weak<Herd>>,
    /// The number of checks of the server's watchdog when the service manager was last told that the server lives.
    checks: u64,
    /// The bytes of the store that the server had read when more time was last asked for.
    read: Option<u64>,
    status: String,
    is_stopping: bool,
}

impl<S: Fn(&[NotifyState<'_>]) -> io::Result<()>> Told<S> {
    fn new(watchdog: Option<Duration>, send: S) -> Told<S> {
        let look_every =
            watchdog.map_or(LOOK_EVERY, |interval| LOOK_EVERY.min(interval / LOOKS_PER_INTERVAL));
        let (is_watched, status) = (watchdog.is_some(), String::new());
        Told { send, is_watched, look_every, herd: None, checks: 0, read: None, status, is_stopping: false }
    }

    /// Tells everything until nobody can send messages any more.
    fn run(mut self, messages: &Receiver<Message>) {
        let mut next = Instant::now() + self.look_every;
        loop {
            match messages.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + self.look_every;
                    self.look();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Starting(progress) => self.starting(progress),
            Message::Ready(herd) => {
                self.herd = Some(herd);
                self.send(&[NotifyState::Ready]);
                self.look();
            }
            // A server that stops does not leave that state again.
            Message::Reloading | Message::Reloaded if self.is_stopping => {}
            Message::Reloading => match NotifyState::monotonic_usec_now() {
                Ok(now) => self.send(&[NotifyState::Reloading, now]),
                Err(_) => self.send(&[NotifyState::Reloading]),
            },
            Message::Reloaded => self.send(&[NotifyState::Ready]),
            Message::Stopping => {
                self.is_stopping = true;
                self.send(&[NotifyState::Stopping, NotifyState::Status("sends its last reports and stops")]);
            }
        }
    }

    /// Asks for more time only if the server has read more since the last time: a disk that hangs must not prolong a
    /// start for ever.
    fn starting(&mut self, progress: ReadProgress) {
        if self.read.is_some_and(|read| progress.read <= read) {
            return;
        }
        self.read = Some(progress.read);
        let percent = (progress.read * 100).checked_div(progress.total).unwrap_or(0);
        let text = format!("reads its store: {percent} %, {} records", progress.records);
        let extension = NotifyState::ExtendTimeoutUsec(START_EXTENSION.as_micros() as u32);
        self.send(&[extension, NotifyState::Status(&text)]);
    }

    /// Looks at the server, and tells what is new.
    fn look(&mut self) {
        if let Some(herd) = self.herd.as_ref().and_then(Weak::upgrade) {
            self.vitals(&Vitals::of(&herd));
        }
    }

    fn vitals(&mut self, vitals: &Vitals) {
        if self.is_watched && vitals.stuck.is_empty() && vitals.checks != self.checks {
            self.checks = vitals.checks;
            self.send(&[NotifyState::Watchdog]);
        }
        let text = vitals.text();
        if !self.is_stopping && text != self.status {
            self.send(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    /// A failure is ignored: the server works without a service manager, too.
    fn send(&self, states: &[NotifyState<'_>]) {
        let _ = (self.send)(states);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What was sent by `act`, with one line for each variable.
    fn sent(watchdog: Option<Duration>, act: impl FnOnce(&mut dyn Tell)) -> Vec<String> {
        let lines = RefCell::new(Vec::new());
        let send = |states: &[NotifyState<'_>]| {
            lines.borrow_mut().extend(states.iter().map(ToString::to_string));
            Ok(())
        };
        act(&mut Told::new(watchdog, send));
        lines.into_inner()
    }

    /// [`Told`] without its parameter.
    trait Tell {
        fn vitals(&mut self, vitals: &Vitals);
        fn take(&mut self, message: Message);
    }

    impl<S: Fn(&[NotifyState<'_>]) -> io::Result<()>> Tell for Told<S> {
        fn vitals(&mut self, vitals: &Vitals) {
            Told::vitals(self, vitals);
        }

        fn take(&mut self, message: Message) {
            Told::take(self, message);
        }
    }

    const WATCHDOG: Option<Duration> = Some(Duration::from_secs(30));

    fn vitals(checks: u64, stuck: &[&str]) -> Vitals {
        let stuck = stuck.iter().map(|&name| name.to_owned()).collect();
        Vitals { checks, stuck, records: 7, links: 2, links_up: 1 }
    }

    #[test]
    fn a_server_lives_only_while_its_watchdog_runs_and_finds_nothing_stuck() {
        let lines = sent(WATCHDOG, |told| {
            told.vitals(&vitals(1, &[]));
            told.vitals(&vitals(1, &[]));
            told.vitals(&vitals(2, &["thread line-0", "shard 3"]));
            told.vitals(&vitals(3, &["thread line-0", "shard 3"]));
            told.vitals(&vitals(4, &[]));
        });
        let (text, stuck) = ("STATUS=7 records; 1 of 2 links up", "STATUS=stuck: thread line-0, shard 3");
        assert_eq!(lines, ["WATCHDOG=1", text, stuck, "WATCHDOG=1", text]);
    }

    #[test]
    fn a_service_manager_without_a_watchdog_is_told_no_life() {
        let lines = sent(None, |told| told.vitals(&vitals(1, &[])));
        assert_eq!(lines, ["STATUS=7 records; 1 of 2 links up"]);
        assert_eq!(Vitals { records: 1, ..Vitals::default() }.text(), "1 record");
    }

    #[test]
    fn a_long_start_gets_more_time_only_while_it_gets_on() {
        let progress = |read| Message::Starting(ReadProgress { read, total: 200, records: 3 });
        let lines = sent(WATCHDOG, |told| {
            for read in [0, 0, 50, 50, 100] {
                told.take(progress(read));
            }
        });
        let mut expected = Vec::new();
        for percent in [0, 25, 50] {
            expected.push("EXTEND_TIMEOUT_USEC=30000000".to_owned());
            expected.push(format!("STATUS=reads its store: {percent} %, 3 records"));
        }
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_server_that_stops_reads_no_files_again_and_is_never_ready_again() {
        let lines = sent(WATCHDOG, |told| {
            told.take(Message::Reloading);
            told.take(Message::Stopping);
            told.take(Message::Reloading);
            told.take(Message::Reloaded);
            told.vitals(&vitals(1, &[]));
        });
        assert!(lines[1].starts_with("MONOTONIC_USEC="), "{lines:?}");
        let rest = ["STOPPING=1", "STATUS=sends its last reports and stops", "WATCHDOG=1"];
        assert_eq!((lines[0].as_str(), &lines[2..]), ("RELOADING=1", &rest.map(str::to_owned)[..]));
    }

    #[test]
    fn looks_are_more_frequent_than_the_watchdog_asks_for() {
        let looks = |watchdog| Told::new(watchdog, |_: &[NotifyState<'_>]| Ok(())).look_every;
        assert_eq!(looks(None), LOOK_EVERY);
        assert_eq!(looks(WATCHDOG), LOOK_EVERY);
        assert_eq!(looks(Some(Duration::from_secs(2))), Duration::from_millis(500));
    }
}
