//! Stores from before a long absence: read when no neighbor objects, and discarded when one does.
//!
//! A neighbor objects if it has run for so long that it may have forgotten what it once forgot. Then the neighbor sends
//! everything that the herd still holds, and the old store has nothing to add. If the whole herd was switched off, no
//! neighbor objects, and the old store is all there is.
//!
//! A store that was read late goes into the new store like every other change. Its files are removed when the new store
//! has all of that on the disk. A crash in between only means that it is read again.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use proxyherd_config::clock;
use proxyherd_core::{
    journal::{ReplicaRestore, StoreIdentity},
    limits::SHARDS,
    replica::Objection,
};
use proxyherd_log::{LogLevel, ServerLog, Subject};

use super::{
    Alive, reading,
    signal::Signal,
    spawn,
    store::{JournalError, LateStore, name_of},
};
use crate::herd::{Herd, Internals as _};

/// Maximum time for which a server waits for its neighbors before it reads an old store.
const HEARD_AFTER: Duration = Duration::from_secs(10);
/// Time between two looks at what the neighbors say, and at what is on the disk.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Starts the thread that decides about these stores, if there are any.
pub(super) fn start(
    stores: Vec<LateStore>,
    identity: StoreIdentity,
    herd: &Arc<Herd>,
    signal: &Arc<Signal>,
    alive: Alive,
) -> Result<(), JournalError> {
    if stores.is_empty() {
        return Ok(());
    }
    let (herd, signal) = (Arc::downgrade(herd), Arc::clone(signal));
    spawn("late-store", alive, move || decide(stores, &identity, &herd, &signal))
}

fn decide(mut stores: Vec<LateStore>, identity: &StoreIdentity, herd: &Weak<Herd>, signal: &Signal) {
    let began = Instant::now();
    loop {
        signal.rest(LOOK_EVERY);
        let Some(herd) = herd.upgrade().filter(|_| !signal.is_stopping()) else { return };
        let objection = herd.replica().objection();
        for objected in stores.extract_if(.., |store| objection.is_to(store.alive_until_ns)) {
            let why =
                "a neighbor may have forgotten since then what is in it, and sends what the herd still holds";
            discard(objected, herd.log(), why);
        }
        if stores.is_empty() {
            return;
        }
        if began.elapsed() >= HEARD_AFTER || have_all_told(&herd, objection) {
            let _pulse = herd.liveness().pulse("reading an old store");
            stores.into_iter().for_each(|store| read(store, identity, &herd, signal));
            return;
        }
    }
}

/// Whether every neighbor in the configuration has said whether it objects. A herd of one server has no neighbor.
fn have_all_told(herd: &Herd, objection: Objection) -> bool {
    let links = herd.links().all().len();
    links == 0 || objection.is_complete() && objection.told.count_ones() as usize == links
}

fn read(store: LateStore, identity: &StoreIdentity, herd: &Herd, signal: &Signal) {
    let what = name_of(store.disk.path());
    let figures = match reading::read(
        &store.disk,
        identity,
        &ReplicaRestore::new(herd.replica(), |wake| herd.wake(wake)),
        herd.log(),
        &what,
        &|_| (),
    ) {
        Ok((_, figures)) => figures,
        Err(error) => {
            let message = format_args!("{what} was not read: {error}. It stays where it is");
            return herd.log().event(LogLevel::Error, Subject::Server, message);
        }
    };
    if let Some(journal) = herd.journal() {
        journal.add_recovered(figures);
    }
    herd.wake(herd.replica().restore_end(clock::now_ns(), store.alive_until_ns));
    let needed: Vec<u64> = (0..SHARDS).map(|shard| herd.replica().changes(shard)).collect();
    let is_on_disk = || {
        let durable = signal.durable();
        needed.iter().enumerate().all(|(shard, needed)| durable.of(shard) >= *needed)
    };
    while !is_on_disk() {
        if signal.is_stopping() {
            return;
        }
        signal.rest(LOOK_EVERY);
    }
    discard(store, herd.log(), "all that it held is in the new store");
}

fn discard(store: LateStore, log: &ServerLog, why: &str) {
    let what = name_of(store.disk.path());
    match store.disk.discard() {
        Ok(()) => log.event(LogLevel::Info, Subject::Server, format_args!("removed {what}: {why}")),
        Err(error) => {
            log.event(LogLevel::Error, Subject::Server, format_args!("{error}; remove it yourself"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proxyherd_config::config::{Address, Config, Overrides};
    use proxyherd_core::{
        flood::{Begin, Following, Rules},
        journal::{Journal, Recovered},
        limits::TOMBSTONE_TTL_NS,
        replica::{Offer, Replica, ReplicaSettings},
        types::{Attributes, ClientId, Coordinates, Origin, Report, ServerName, Stamp, Timestamp},
    };
    use proxyherd_journal::{FileDisk, directory};

    use super::*;
    use crate::{
        server::{Server, Sockets},
        wait::eventually,
    };

    const KIWI: &[u8] = b"kiwi";

    fn riley() -> ServerName {
        ServerName::new("Riley").unwrap()
    }

    fn replica() -> Replica {
        Replica::new(ReplicaSettings {
            me: Origin { server: riley(), incarnation: 1 },
            seed: 1,
            max_clients: 10,
            client_ttl_ns: None,
            client_interval_ns: 0,
            clock_offset_max_ns: 0,
            report_rules: Default::default(),
            client_index: true,
            rules: Rules::default(),
        })
    }

    /// Makes a store of Riley that was last written at `then_ns`, and has the client kiwi.
    fn write_store(data: &Path, then_ns: u64) {
        let disk = FileDisk::open(data, &riley()).unwrap();
        let identity = StoreIdentity { herd: "herd".to_owned(), server: riley() };
        let replica = replica();
        let following = Following { begins: Begin::Now, wants_removed: true };
        let follower = replica.follow(following, || ()).unwrap();
        let mut journal = Journal::start(disk, &identity, &Recovered::default(), 7, then_ns).unwrap();
        let report = Report {
            client: ClientId::new(KIWI).unwrap(),
            coordinates: Coordinates::parse(b"+34.068930-118.445127").unwrap(),
            stamp: Stamp::Client(Timestamp::parse(b"1621464827").unwrap()),
            attributes: Attributes::NONE,
        };
        let _ = replica.report_all(then_ns, &mut [Offer::new(report)]);
        while !journal.take(&replica, &follower, then_ns) {}
        journal.write().unwrap();
        journal.sync().unwrap();
    }

    fn config(dir: &Path, servers: &[&str]) -> Config {
        let mut text = format!(
            "[herd]\ntls = \"off\"\ndata = {:?}\n[log]\ndir = {:?}\n",
            dir.join("data"),
            dir.join("log")
        );
        for (port, name) in (1..).zip(servers) {
            let neighbors = if port == 1 { "" } else { "\"Riley\"" };
            text += &format!(
                "[[server]]\nname = {name:?}\nlisten = \"127.0.0.1:0\"\npeer = \"127.0.0.1:{port}\"\n\
                 neighbors = [{neighbors}]\njournal = {}\n",
                port == 1
            );
        }
        Config::read(&text, &dir.join("herd.toml"), &Overrides::none()).unwrap()
    }

    /// Starts these servers, on ports that the system chooses. Each is prepared by `prepare` before the next starts.
    async fn start(dir: &Path, servers: &[&str], prepare: impl Fn(&Server)) -> Vec<Server> {
        let mut config = config(dir, servers);
        let mut sockets = Vec::new();
        for server in &mut config.servers {
            server.peer = Some("127.0.0.1:0".parse().unwrap());
            let bound = Sockets::bind(server).await.unwrap();
            let at = bound.addresses().peer.unwrap();
            server.peer = Some(Address::new(at.ip(), at.port()));
            sockets.push((server.name.clone(), bound));
        }
        // The neighbor starts first, so that Riley hears it.
        let mut running = Vec::new();
        for (name, sockets) in sockets.into_iter().rev() {
            let server = Server::start_on(&config, &name, sockets).unwrap();
            prepare(&server);
            running.push(server);
        }
        running.reverse();
        running
    }

    fn knows_kiwi(server: &Server) -> bool {
        let kiwi = ClientId::new(KIWI).unwrap();
        server.herd().replica().locate(clock::now_ns(), kiwi, |_| ()).is_some()
    }

    fn asides(dir: &Path) -> usize {
        let above = directory(&dir.join("data"), &riley());
        let names = std::fs::read_dir(above.parent().unwrap()).unwrap();
        names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().contains("aside")).count()
    }

    fn logged(dir: &Path, what: &str) -> bool {
        std::fs::read_to_string(dir.join("log/Riley.log")).unwrap().contains(what)
    }

    const AGE_NS: u64 = TOMBSTONE_TTL_NS + TOMBSTONE_TTL_NS / 4;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_old_store_is_read_if_nobody_can_object() {
        let dir = tempfile::tempdir().unwrap();
        write_store(&dir.path().join("data"), clock::now_ns() - AGE_NS);
        let mut servers = start(dir.path(), &["Riley"], |_| ()).await;
        eventually("kiwi is known", || knows_kiwi(&servers[0]));
        eventually("the old store is gone", || asides(dir.path()) == 0);
        servers.remove(0).stop().await;
        assert!(logged(dir.path(), "was last written 30 h ago"));
        assert!(logged(dir.path(), "all that it held is in the new store"));
        let mut servers = start(dir.path(), &["Riley"], |_| ()).await;
        assert!(knows_kiwi(&servers[0]), "it is in the new store");
        servers.remove(0).stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn an_old_store_is_discarded_if_a_neighbor_may_have_forgotten_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        write_store(&dir.path().join("data"), clock::now_ns() - AGE_NS);
        // Jaquez seems to have run for longer than tombstones are kept.
        let remember = |server: &Server| {
            if server.herd().name().as_str() == "Jaquez" {
                server.herd().replica().set_horizon(clock::now_ns(), clock::now_ns());
            }
        };
        let servers = start(dir.path(), &["Riley", "Jaquez"], remember).await;
        eventually("the old store is gone", || asides(dir.path()) == 0);
        assert!(!servers.iter().any(knows_kiwi));
        for server in servers {
            server.stop().await;
        }
        assert!(logged(dir.path(), "a neighbor may have forgotten since then what is in it"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_young_store_is_read_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        write_store(&dir.path().join("data"), clock::now_ns() - TOMBSTONE_TTL_NS / 2);
        let mut servers = start(dir.path(), &["Riley"], |_| ()).await;
        assert!(knows_kiwi(&servers[0]));
        servers.remove(0).stop().await;
        assert!(logged(dir.path(), "1 records, "));
    }
}
