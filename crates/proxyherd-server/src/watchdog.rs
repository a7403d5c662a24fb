//! Finds stuck parts of a server: a shard whose lock is held, a thread or a link's task in the middle of a turn, a
//! runtime that runs no tasks. The log and `/health/livez` name the stuck parts.
//!
//! The watchdog also finds links that flap: they come up repeatedly and do not stay up. The log, `status` and metrics
//! name these links. `livez` does not name them, because a restart of this server cannot repair a fault of a neighbor.
//!
//! The watchdog checks at intervals, and counts consecutive checks in which a part has not moved. The watchdog does not
//! measure time, so a process that was paused as a whole does not count as stuck. The watchdog's thread depends on no
//! part that it checks. The watchdog repairs nothing.

use std::{
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use proxyherd_core::limits::SHARDS;
use proxyherd_log::{LogLevel, Subject};

use crate::{
    herd::{FlapChange, Herd, Internals},
    liveness::{Pulse, STUCK_AFTER},
};

/// Time between two checks. A part that has not moved for five seconds is stuck.
pub const INTERVAL: Duration = Duration::from_millis(500);
/// The part of the interval for which one check waits for a shard's lock. Every visit of a shard is much shorter.
const LOCK_WAIT_PART: u32 = 10;

/// The running watchdog. It ends when this value is dropped.
#[derive(Debug)]
pub struct Watchdog {
    _stop: Sender<()>,
}

impl Watchdog {
    /// Starts to check `herd` every `interval`. The caller must be on the runtime that the watchdog will check too.
    pub fn start(herd: &Arc<Herd>, interval: Duration) -> std::io::Result<Watchdog> {
        let (stop, stopped) = channel();
        let runtime = herd.liveness().pulse("the runtime");
        let alive = Arc::downgrade(&runtime);
        tokio::spawn(beat(alive, interval));
        let mut round = Round { herd: Arc::downgrade(herd), runtime, shards: [0; SHARDS] };
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || round.run(&stopped, interval))?;
        Ok(Watchdog { _stop: stop })
    }
}

/// Moves the runtime's pulse. The runtime's pulse is always at work. Each beat shows that the runtime still runs tasks.
async fn beat(pulse: Weak<Pulse>, interval: Duration) {
    while let Some(pulse) = pulse.upgrade() {
        // The work of the runtime never ends, so each beat ends one part of it.
        pulse.again();
        drop(pulse);
        tokio::time::sleep(interval).await;
    }
}

/// What the watchdog remembers from one check to the next.
struct Round {
    herd: Weak<Herd>,
    runtime: Arc<Pulse>,
    /// For each shard, consecutive checks that could not take its lock.
    shards: [u32; SHARDS],
}

impl Round {
    fn run(&mut self, stopped: &Receiver<()>, interval: Duration) {
        let runtime = Arc::clone(&self.runtime);
        let _works = runtime.work();
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let Some(herd) = self.herd.upgrade() else { return };
            let stuck = self.check(&herd, interval);
            report(&herd, &stuck);
            check_links(&herd);
        }
    }

    fn check(&mut self, herd: &Herd, interval: Duration) -> Vec<String> {
        let mut stuck = herd.liveness().check();
        for (index, failed) in self.shards.iter_mut().enumerate() {
            let is_free = herd.replica().is_free_within(index, interval / LOCK_WAIT_PART);
            *failed = if is_free { 0 } else { *failed + 1 };
            if *failed >= STUCK_AFTER {
                stuck.push(format!("shard {index}"));
            }
        }
        stuck
    }
}

/// Logs what has become stuck and what moves again, and sets what `livez` answers.
fn report(herd: &Herd, now: &[String]) {
    let before = herd.liveness().set_stuck(now.to_vec());
    for name in now.iter().filter(|name| !before.contains(name)) {
        let message = format_args!(
            "stuck: {name} has not moved for several seconds; if it stays stuck, kill this server"
        );
        herd.log().event(LogLevel::Error, Subject::Server, message);
    }
    for name in before.iter().filter(|name| !now.contains(name)) {
        herd.log().event(LogLevel::Warn, Subject::Server, format_args!("no longer stuck: {name}"));
    }
}

fn check_links(herd: &Herd) {
    for link in herd.links().all().iter() {
        let subject = Subject::Link(&link.neighbor);
        match link.look_for_flapping() {
            Some(FlapChange::Began) => {
                let message = format_args!(
                    "this link comes up again and again and does not stay up: see above why it went down, and check \
                     the neighbor's log too"
                );
                herd.log().event(LogLevel::Error, subject, message);
            }
            Some(FlapChange::Ended) => {
                herd.log().event(
                    LogLevel::Info,
                    subject,
                    format_args!("this link has stayed up for a while"),
                );
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, path::Path};

    use proxyherd_config::config::{Address, Config, Overrides};
    use proxyherd_core::{replica::shard_index, types::ServerName};
    use proxyherd_places::http_client;
    use tokio::{runtime::Handle, task::block_in_place};

    use super::*;
    use crate::{
        server::{Server, Sockets},
        wait::eventually,
    };

    const CHECK: Duration = Duration::from_millis(10);

    /// A server without neighbors, on ports that the system chooses.
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
        let client = http_client::builder(http_client::plain()).build().unwrap();
        let answer = client.get(format!("http://{http}/health/livez")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn wait_for(http: SocketAddr, expected: (u16, &str)) {
        eventually(&format!("it says {expected:?}"), || {
            let (code, text) = block_in_place(|| Handle::current().block_on(livez(http)));
            if (code, text.as_str()) == expected { Ok(()) } else { Err(format!("{code} {text}")) }
        });
    }

    /// Reports the client kiwi to a server. Then a thread visits that record, and holds its shard until the sender is
    /// dropped.
    fn hold_a_shard(server: &Server) -> (std::net::TcpStream, Sender<()>, thread::JoinHandle<()>) {
        let mut stream = std::net::TcpStream::connect(server.addresses().line()).unwrap();
        std::io::Write::write_all(&mut stream, b"IAMAT kiwi +1+1 1000\n").unwrap();
        std::io::Read::read_exact(&mut stream, &mut [0; 8]).unwrap();
        let (release, released) = channel();
        let looker = Arc::clone(server.herd());
        let looking = thread::spawn(move || looker.replica().for_each(|_| assert!(released.recv().is_err())));
        (stream, release, looking)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_stuck_is_named_until_it_moves_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut server = server(dir.path()).await;
        server.watch_every(CHECK);
        let (herd, http) = (Arc::clone(server.herd()), server.addresses().http().unwrap());
        wait_for(http, (200, "ok\n"));

        let pulse = herd.liveness().pulse("the test's own");
        let working = pulse.work();
        wait_for(http, (503, "stuck: the test's own\n"));
        drop(working);
        wait_for(http, (200, "ok\n"));

        let (mut stream, release, looking) = hold_a_shard(&server);
        let shard = shard_index(b"kiwi");
        wait_for(http, (503, &format!("stuck: shard {shard}\n")));
        // A client's report needs that shard, so the thread that takes the report is stuck too.
        std::io::Write::write_all(&mut stream, b"IAMAT kiwi +1+1 1001\n").unwrap();
        wait_for(http, (503, &format!("stuck: thread line-0, shard {shard}\n")));
        drop(release);
        looking.join().unwrap();
        wait_for(http, (200, "ok\n"));

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
            // The sockets below choose ports that can be dialed.
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
    async fn a_link_that_is_stuck_is_named_until_it_moves_again() {
        let dir = tempfile::tempdir().unwrap();
        let [mut riley, jaquez] = pair(dir.path()).await;
        eventually("the link is up", || {
            riley.herd().links().all().iter().all(|link| link.state().up_since.is_some())
        });
        riley.watch_every(CHECK);
        let http = riley.addresses().http().unwrap();
        wait_for(http, (200, "ok\n"));
        let (_stream, release, looking) = hold_a_shard(&riley);
        let shard = shard_index(b"kiwi");
        wait_for(http, (503, &format!("stuck: the link with Jaquez, shard {shard}\n")));
        drop(release);
        looking.join().unwrap();
        wait_for(http, (200, "ok\n"));
        riley.stop().await;
        jaquez.stop().await;
    }
}
