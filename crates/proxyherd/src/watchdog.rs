//! Notices what is stuck: a shard whose lock is not let go, a thread or a link's task in the middle of a turn, a runtime
//! that runs no tasks. Says so in the log, by name, and to `/health/livez`.
//!
//! It looks at intervals and counts how often in a row nothing has moved, instead of measuring time: a process that
//! was paused as a whole is not stuck. It has a thread of its own, which depends on nothing that it watches; it does
//! not mend anything.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use proxyherd_core::limits::SHARDS;

use crate::{
    herd::Herd,
    log::{LogLevel, Subject},
};

/// How often it looks.
pub const INTERVAL: Duration = Duration::from_millis(500);
/// Looks in a row without a movement before something counts as stuck: five seconds.
const STUCK_AFTER: u32 = 10;
/// How long a shard's lock may be waited for at one look: no visit takes nearly so long.
const LOCK_WAIT_PART: u32 = 10;

/// What a server's watchdog knows.
#[derive(Debug, Default)]
pub struct Health {
    pulses: Mutex<Vec<Watched>>,
    stuck: Mutex<Vec<String>>,
}

impl Health {
    /// A pulse under this name, watched for as long as the caller holds it.
    pub fn pulse(&self, name: impl Into<String>) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse { name: name.into(), beats: AtomicU64::new(0) });
        self.pulses.lock().push(Watched { pulse: Arc::downgrade(&pulse), beats: 0, unmoved: 0 });
        pulse
    }

    /// The names of what is stuck now.
    pub fn stuck(&self) -> Vec<String> {
        self.stuck.lock().clone()
    }
}

/// The pulse of a thread or a task: it beats when work begins and again when it ends.
#[derive(Debug)]
pub struct Pulse {
    name: String,
    /// Odd while there is work.
    beats: AtomicU64,
}

impl Pulse {
    /// Work begins, until what is returned is dropped. It must not wait for anything but the processor and a shard.
    #[must_use]
    pub fn work(&self) -> Working<'_> {
        self.beats.fetch_add(1, Relaxed);
        Working(self)
    }
}

/// Work that has begun.
#[derive(Debug)]
pub struct Working<'a>(&'a Pulse);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.beats.fetch_add(1, Relaxed);
    }
}

/// The running watchdog; it ends when this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    _stop: Sender<()>,
}

impl Watchdog {
    /// Watches `herd`, a look every `interval`. Must be called on the runtime that is to be watched with it.
    pub fn start(herd: &Arc<Herd>, interval: Duration) -> std::io::Result<Watchdog> {
        let (stop, stopped) = channel();
        let runtime = herd.health.pulse("the runtime");
        let alive = Arc::downgrade(&runtime);
        tokio::spawn(beat(alive, interval));
        let mut round = Round { herd: Arc::downgrade(herd), runtime, shards: [0; SHARDS] };
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || round.run(&stopped, interval))?;
        Ok(Watchdog { _stop: stop })
    }
}

/// The runtime's pulse: always at work, and every beat shows that it still runs tasks.
async fn beat(pulse: Weak<Pulse>, interval: Duration) {
    while let Some(pulse) = pulse.upgrade() {
        pulse.beats.fetch_add(2, Relaxed);
        drop(pulse);
        tokio::time::sleep(interval).await;
    }
}

/// What the watchdog remembers from look to look.
struct Round {
    herd: Weak<Herd>,
    runtime: Arc<Pulse>,
    /// For each shard, looks in a row at which its lock was not to be had.
    shards: [u32; SHARDS],
}

/// A pulse as it was last seen.
#[derive(Debug)]
struct Watched {
    pulse: Weak<Pulse>,
    beats: u64,
    unmoved: u32,
}

impl Round {
    fn run(&mut self, stopped: &Receiver<()>, interval: Duration) {
        self.runtime.beats.fetch_add(1, Relaxed);
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let Some(herd) = self.herd.upgrade() else { return };
            let stuck = self.look(&herd, interval);
            tell(&herd, stuck);
        }
    }

    fn look(&mut self, herd: &Herd, interval: Duration) -> Vec<String> {
        let mut stuck = Vec::new();
        herd.health.pulses.lock().retain_mut(|watched| {
            let Some(pulse) = watched.pulse.upgrade() else { return false };
            if watched.is_stuck(&pulse) {
                stuck.push(pulse.name.clone());
            }
            true
        });
        for (index, failed) in self.shards.iter_mut().enumerate() {
            let is_free = herd.map().is_free_within(index, interval / LOCK_WAIT_PART);
            *failed = if is_free { 0 } else { *failed + 1 };
            if *failed >= STUCK_AFTER {
                stuck.push(format!("shard {index}"));
            }
        }
        stuck
    }
}

impl Watched {
    fn is_stuck(&mut self, pulse: &Pulse) -> bool {
        let beats = pulse.beats.load(Relaxed);
        let is_at_work = beats % 2 == 1;
        self.unmoved = if is_at_work && beats == self.beats { self.unmoved + 1 } else { 0 };
        self.beats = beats;
        self.unmoved >= STUCK_AFTER
    }
}

/// Tells the log what has changed, and everybody how it is.
fn tell(herd: &Herd, now: Vec<String>) {
    let mut before = herd.health.stuck.lock();
    for name in now.iter().filter(|name| !before.contains(name)) {
        let message =
            format_args!("stuck: {name} has not moved for several seconds; if it stays so, end this server");
        herd.log.event(LogLevel::Error, Subject::Server, message);
    }
    for name in before.iter().filter(|name| !now.contains(name)) {
        herd.log.event(LogLevel::Warn, Subject::Server, format_args!("no longer stuck: {name}"));
    }
    *before = now;
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, path::Path, time::Instant};

    use proxyherd_core::{map::shard_index, types::ServerName};

    use super::*;
    use crate::{
        config::{Address, Config, Overrides},
        server::{Server, Sockets},
    };

    const LOOK: Duration = Duration::from_millis(10);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server by itself, on ports of the system's choice, without its own watchdog in the way.
    async fn server(dir: &Path) -> Server {
        let text = format!(
            "[herd]\ntls = \"off\"\n[log]\ndir = {:?}\n[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:0\"\n\
             http = \"127.0.0.1:0\"",
            dir.join("log")
        );
        let config = Config::read(&text, &dir.join("herd.toml"), &Overrides::none()).unwrap();
        Server::start(&config, "Riley").await.unwrap()
    }

    async fn livez(http: SocketAddr) -> (u16, String) {
        let asked = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut answer = agent.get(format!("http://{http}/health/livez")).call().unwrap();
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        });
        asked.await.unwrap()
    }

    async fn wait_for(http: SocketAddr, expected: (u16, &str)) {
        let began = Instant::now();
        loop {
            let (code, text) = livez(http).await;
            if (code, text.as_str()) == expected {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{code} {text}");
            tokio::task::yield_now().await;
        }
    }

    /// Tells a server of kiwi; then somebody looks at that record, and does not let its shard go until the sender is
    /// dropped.
    fn hold_a_shard(server: &Server) -> (std::net::TcpStream, Sender<()>, thread::JoinHandle<()>) {
        let mut stream = std::net::TcpStream::connect(server.addresses().line).unwrap();
        std::io::Write::write_all(&mut stream, b"IAMAT kiwi +1+1 1000\n").unwrap();
        std::io::Read::read_exact(&mut stream, &mut [0; 8]).unwrap();
        let (release, released) = channel();
        let looker = Arc::clone(server.herd());
        let looking = thread::spawn(move || looker.map().for_each(|_| assert!(released.recv().is_err())));
        (stream, release, looking)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_stuck_is_named_until_it_moves_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut server = server(dir.path()).await;
        server.watch_every(LOOK);
        let (herd, http) = (Arc::clone(server.herd()), server.addresses().http.unwrap());
        wait_for(http, (200, "ok\n")).await;

        let pulse = herd.health.pulse("the test's own");
        let working = pulse.work();
        wait_for(http, (503, "stuck: the test's own\n")).await;
        drop(working);
        wait_for(http, (200, "ok\n")).await;

        let (mut stream, release, looking) = hold_a_shard(&server);
        let shard = shard_index(b"kiwi");
        wait_for(http, (503, &format!("stuck: shard {shard}\n"))).await;
        // Nor does the thread get on that a client's report needs.
        std::io::Write::write_all(&mut stream, b"IAMAT kiwi +1+1 1001\n").unwrap();
        wait_for(http, (503, &format!("stuck: thread line-0, shard {shard}\n"))).await;
        drop(release);
        looking.join().unwrap();
        wait_for(http, (200, "ok\n")).await;

        server.stop().await;
        let log = std::fs::read_to_string(dir.path().join("log/Riley.log")).unwrap();
        for said in ["stuck: the test's own has not moved", "no longer stuck: thread line-0"] {
            assert!(log.contains(said), "{said}: {log}");
        }
    }

    /// Riley, and Jaquez, its neighbor.
    async fn pair(dir: &Path) -> [Server; 2] {
        let mut text = format!("[herd]\ntls = \"off\"\n[log]\ndir = {:?}\n", dir.join("log"));
        for (port, name) in [(1, "Riley"), (2, "Jaquez")] {
            // Ports that can be dialled are found below.
            text += &format!(
                "[[server]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\npeer = \"127.0.0.1:{port}\"\n\
                 http = \"127.0.0.1:0\"\nneighbors = [{}]\n",
                if name == "Riley" { "\"Jaquez\"" } else { "" }
            );
        }
        let mut config = Config::read(&text, &dir.join("herd.toml"), &Overrides::none()).unwrap();
        let mut sockets = Vec::new();
        for server in &mut config.servers {
            server.peer = Some("127.0.0.1:0".parse().unwrap());
            sockets.push(Sockets::bind(server).await.unwrap());
            let peer = sockets.last().unwrap().addresses().peer.unwrap();
            server.peer = Some(Address::new(peer.ip(), peer.port()));
        }
        let mut start = |name| {
            let name = ServerName::new(name).unwrap();
            Server::start_on(&config, &name, sockets.remove(0)).unwrap()
        };
        [start("Riley"), start("Jaquez")]
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 6)]
    async fn a_link_that_does_not_get_on_is_named_until_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let [mut riley, jaquez] = pair(dir.path()).await;
        let began = Instant::now();
        while riley.herd().links.all().iter().any(|link| link.state().up_since.is_none()) {
            assert!(began.elapsed() < PATIENCE, "there is no link");
            tokio::task::yield_now().await;
        }
        riley.watch_every(LOOK);
        let http = riley.addresses().http.unwrap();
        wait_for(http, (200, "ok\n")).await;
        let (_stream, release, looking) = hold_a_shard(&riley);
        let shard = shard_index(b"kiwi");
        wait_for(http, (503, &format!("stuck: the link with Jaquez, shard {shard}\n"))).await;
        drop(release);
        looking.join().unwrap();
        wait_for(http, (200, "ok\n")).await;
        riley.stop().await;
        jaquez.stop().await;
    }
}
