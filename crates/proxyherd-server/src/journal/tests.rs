//! The threads of a journal on a disk that is slow, full or broken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use parking_lot::{Condvar, Mutex};
use proxyherd_core::{
    command::{Position, Positions},
    flood::Rules,
    journal::{DiskError, DiskFile, MemoryDisk, MemoryFile, Part, ReplicaRestore, recover},
    limits::{FOLLOWERS_MAX, STORE_SLACK_LEN},
    replica::{Offer, ReplicaSettings},
    types::{Attributes, ClientId, Coordinates, Origin, Report, ServerName, Stamp, Timestamp},
};
use proxyherd_log::{LogFormat, LogLevel, LogSettings};

use super::*;
use crate::wait::eventually;

/// What the disk does next.
#[derive(Debug, Default)]
struct Faults {
    fails_syncs: AtomicBool,
    panics: AtomicBool,
    syncs: AtomicUsize,
    /// Whether syncs wait, and how many are waiting.
    held: Mutex<(bool, usize)>,
    released: Condvar,
}

/// A disk in memory with faults.
#[derive(Clone, Debug, Default)]
struct FaultyDisk {
    memory: MemoryDisk,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyFile(MemoryFile, Arc<Faults>);

impl Faults {
    fn hold_syncs(&self, held: bool) {
        self.held.lock().0 = held;
        self.released.notify_all();
    }

    fn is_sync_held(&self) -> bool {
        self.held.lock().1 > 0
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        self.memory.list()
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.memory.read_at(name, offset, into)
    }

    fn create(&self, name: &str) -> Result<FaultyFile, DiskError> {
        Ok(FaultyFile(self.memory.create(name)?, Arc::clone(&self.faults)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.memory.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.memory.remove(name)
    }

    fn sync_file(&self, name: &str) -> Result<(), DiskError> {
        self.memory.sync_file(name)
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        self.memory.sync_names()
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        assert!(!self.1.panics.load(SeqCst), "a test says so");
        self.0.write_at(offset, bytes)
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        let mut held = self.1.held.lock();
        held.1 += 1;
        while held.0 {
            self.1.released.wait(&mut held);
        }
        held.1 -= 1;
        self.1.syncs.fetch_add(1, SeqCst);
        if self.1.fails_syncs.load(SeqCst) {
            return Err(DiskError::Failed("the disk broke".to_owned()));
        }
        self.0.sync()
    }
}

/// What the journal has said.
#[derive(Debug, Default)]
struct Heard {
    covered: Mutex<Positions>,
    has_failed: AtomicBool,
}

impl Listener for Heard {
    fn journal_covers(&self, covered: &Positions) {
        self.covered.lock().note_all(covered);
    }

    fn journal_failed(&self) {
        self.has_failed.store(true, SeqCst);
    }
}

/// A replica with a running journal.
struct Kept {
    replica: Arc<Replica>,
    disk: FaultyDisk,
    heard: Arc<Heard>,
    monitor: Arc<JournalMonitor>,
    liveness: Liveness,
    journal: ServerJournal,
    log: ServerLog,
    dir: tempfile::TempDir,
}

fn identity() -> StoreIdentity {
    StoreIdentity { herd: "herd".to_owned(), server: ServerName::new("Riley").unwrap() }
}

fn replica(incarnation: u64) -> Replica {
    let me = Origin { server: identity().server, incarnation };
    Replica::new(ReplicaSettings {
        me,
        seed: 1,
        max_clients: 1_000_000,
        client_ttl_ns: None,
        client_interval_ns: 0,
        clock_offset_max_ns: 0,
        report_rules: Default::default(),
        client_index: true,
        rules: Rules::default(),
    })
}

impl Kept {
    fn new() -> Kept {
        Kept::on(FaultyDisk::default())
    }

    fn on(disk: FaultyDisk) -> Kept {
        let (dir, replica, heard) =
            (tempfile::tempdir().unwrap(), Arc::new(replica(1)), Arc::<Heard>::default());
        let (monitor, liveness) = (Arc::<JournalMonitor>::default(), Liveness::default());
        let settings = LogSettings {
            dir: dir.path().to_owned(),
            level: LogLevel::Info,
            format: LogFormat::Text,
            max_bytes: 1 << 20,
            keep: 1,
            lines_per_s: 1000,
            positions: true,
        };
        let log = ServerLog::open(&settings, &identity().server).unwrap();
        let parts = JournalParts {
            replica: Arc::clone(&replica),
            monitor: Arc::clone(&monitor),
            log: log.clone(),
            listener: Arc::clone(&heard) as _,
        };
        let recovered = Recovered::default();
        let (journal, _) =
            ServerJournal::start(disk.clone(), &identity(), &recovered, parts, &liveness).unwrap();
        Kept { replica, disk, heard, monitor, liveness, journal, dir, log }
    }

    /// Reports a client, and returns what has to be durable before the report is acknowledged.
    fn report(&self, client: &str, seconds: u64) -> Positions {
        let mut needed = Positions::default();
        needed.note(report(&self.replica, client, seconds));
        needed
    }

    fn covers(&self, needed: &Positions) -> bool {
        needed.is_within(&self.heard.covered.lock())
    }

    fn wait_until_covered(&self, needed: &Positions) {
        eventually("it is covered", || self.covers(needed));
    }

    /// Holds the next sync, and waits until the journal is in it.
    fn hold_sync_of(&self, client: &str, seconds: u64) -> Positions {
        self.disk.faults.hold_syncs(true);
        let needed = self.report(client, seconds);
        eventually("a sync is held", || self.disk.faults.is_sync_held());
        needed
    }

    fn logged(&self, what: &str) -> usize {
        self.log.flush(Instant::now() + crate::wait::PATIENCE);
        let text = std::fs::read_to_string(self.dir.path().join("Riley.log")).unwrap();
        text.lines().filter(|line| line.contains(what)).count()
    }

    /// What a server finds that starts after this one.
    fn restarted(&self) -> Replica {
        let restarted = replica(2);
        let into = ReplicaRestore::new(&restarted, |_| ());
        recover(&self.disk.memory, &identity(), &into, clock::now_ns(), Part::ALL, &mut |_| ()).unwrap();
        restarted
    }
}

impl Drop for Kept {
    /// Waits for the threads, which write into the directory of the log.
    fn drop(&mut self) {
        self.disk.faults.hold_syncs(false);
        self.journal.stop(Instant::now() + crate::wait::PATIENCE);
    }
}

fn report(replica: &Replica, client: &str, seconds: u64) -> Position {
    let stamp = Stamp::Client(Timestamp::parse(seconds.to_string().as_bytes()).unwrap());
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
    let client = ClientId::new(client.as_bytes()).unwrap();
    let mut offers = [Offer::new(Report { client, coordinates, stamp, attributes: Attributes::NONE })];
    let _ = replica.report_all(clock::now_ns(), &mut offers);
    offers[0].position().expect("the report was taken")
}

fn knows(replica: &Replica, client: &str) -> bool {
    replica.locate(clock::now_ns(), ClientId::new(client.as_bytes()).unwrap(), |_| ()).is_some()
}

#[test]
fn nothing_is_covered_before_its_sync_has_returned() {
    let kept = Kept::new();
    let first = kept.report("kiwi", 1);
    kept.wait_until_covered(&first);
    let second = kept.hold_sync_of("mango", 1);
    assert!(!kept.covers(&second), "the sync has not returned");
    assert_eq!(kept.monitor.status(0).state, "running", "a slow sync is no failure");
    kept.disk.faults.hold_syncs(false);
    kept.wait_until_covered(&second);
}

#[test]
fn what_comes_during_a_sync_is_one_group() {
    let kept = Kept::new();
    let first = kept.hold_sync_of("kiwi", 1);
    let mut needed = first;
    for client in 0..1000 {
        needed.note_all(&kept.report(&format!("client-{client}"), 1));
    }
    let before = kept.disk.faults.syncs.load(SeqCst);
    kept.disk.faults.hold_syncs(false);
    kept.wait_until_covered(&needed);
    let syncs = kept.disk.faults.syncs.load(SeqCst) - before;
    // The one that was held, and at most one for the vectors and one for the rest.
    assert!((2..=3).contains(&syncs), "{syncs} syncs");
}

#[test]
fn a_watchdog_does_not_take_a_slow_disk_for_a_stuck_thread() {
    let kept = Kept::new();
    kept.hold_sync_of("kiwi", 1);
    for _ in 0..2 * crate::liveness::STUCK_AFTER {
        assert_eq!(kept.liveness.check(), Vec::<String>::new());
    }
    kept.disk.faults.hold_syncs(false);
}

#[test]
fn a_full_disk_covers_nothing_and_goes_on_when_there_is_room() {
    let kept = Kept::new();
    let first = kept.report("kiwi", 1);
    kept.wait_until_covered(&first);
    kept.disk.memory.set_room(Some(kept.disk.memory.used()));
    let second = kept.report("mango", 1);
    eventually("it is full", || kept.monitor.state() == JournalState::Full);
    // A second failure on the full disk says nothing new.
    let third = kept.report("kiwi", 2);
    assert!(!kept.covers(&second) && knows(&kept.replica, "mango"), "it is held and not acknowledged");
    kept.disk.memory.set_room(None);
    kept.wait_until_covered(&second);
    kept.wait_until_covered(&third);
    eventually("it runs", || kept.monitor.state() == JournalState::Running);
    assert_eq!((kept.logged("journal is full"), kept.logged("space is back")), (1, 1));
    assert!(kept.journal.stop(Instant::now() + crate::wait::PATIENCE));
    assert!(knows(&kept.restarted(), "mango"));
}

#[test]
fn a_server_starts_on_a_full_disk_and_covers_what_came_when_there_is_room() {
    let disk = FaultyDisk::default();
    disk.memory.set_room(Some(0));
    let kept = Kept::on(disk);
    eventually("it is full", || kept.monitor.state() == JournalState::Full);
    let first = kept.report("kiwi", 1);
    assert!(!kept.covers(&first));
    kept.disk.memory.set_room(None);
    kept.wait_until_covered(&first);
    assert_eq!((kept.logged("journal is full"), kept.logged("space is back")), (1, 1));
    assert!(knows(&kept.restarted(), "kiwi"));
}

#[test]
fn a_compaction_gives_its_bytes_back_if_the_journal_finds_the_disk_full() {
    let (replica, disk, now_ns) = (Arc::new(replica(1)), MemoryDisk::default(), clock::now_ns());
    let mut journal = Journal::start(disk.clone(), &identity(), &Recovered::default(), 7, now_ns).unwrap();
    let (to_begin, compactions) = sync_channel(1);
    to_begin.send(journal.begin_compaction(now_ns).unwrap()).unwrap();
    // The journal never has this, because the disk is full.
    report(&replica, "kiwi", 1);
    let monitor = Arc::<JournalMonitor>::default();
    monitor.set_state(JournalState::Full);
    let (ends, ended) = sync_channel(1);
    let pulse = Liveness::default().pulse("a test");
    let compactor = Compactor { replica, signal: Arc::default(), monitor, pulse, compactions, ends };
    thread::spawn(move || compactor.run());
    let end = ended.recv_timeout(crate::wait::PATIENCE);
    assert!(matches!(end, Ok(compactor::CompactionEnd::Full(_))), "{end:?}");
    let names: Vec<_> = disk.list().unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
}

#[test]
fn a_stop_on_a_full_disk_says_that_changes_are_missing() {
    let kept = Kept::new();
    let first = kept.report("kiwi", 1);
    kept.wait_until_covered(&first);
    kept.disk.memory.set_room(Some(kept.disk.memory.used()));
    kept.report("mango", 1);
    eventually("it is full", || kept.monitor.state() == JournalState::Full);
    assert!(!kept.journal.stop(Instant::now() + crate::wait::PATIENCE));
    assert_eq!(kept.logged("the last changes are not in the journal"), 1);
    assert!(knows(&kept.restarted(), "kiwi"), "what was acknowledged is there");
}

#[test]
fn a_failed_sync_is_final() {
    let kept = Kept::new();
    let first = kept.report("kiwi", 1);
    kept.wait_until_covered(&first);
    kept.disk.faults.fails_syncs.store(true, SeqCst);
    let second = kept.report("mango", 1);
    eventually("everybody is told", || kept.heard.has_failed.load(SeqCst));
    kept.disk.faults.fails_syncs.store(false, SeqCst);
    assert_eq!(kept.monitor.state(), JournalState::Failed("the disk broke".to_owned()));
    assert_eq!(kept.logged("the journal has failed: the disk broke"), 1);
    kept.report("kiwi", 2);
    assert!(!kept.journal.stop(Instant::now() + crate::wait::PATIENCE), "the threads have ended");
    assert!(!kept.covers(&second), "a later sync covers nothing");
    // The journal has given its place back, so its queue does not grow.
    let following = Following { begins: Begin::Now, wants_removed: false };
    let places = (0..FOLLOWERS_MAX).filter_map(|_| kept.replica.follow(following, || ())).count();
    assert_eq!(places, FOLLOWERS_MAX);
}

#[test]
fn a_panic_is_a_failure_that_the_watchdog_reports() {
    let kept = Kept::new();
    kept.disk.faults.panics.store(true, SeqCst);
    kept.report("kiwi", 1);
    eventually("everybody is told", || kept.heard.has_failed.load(SeqCst));
    assert!(matches!(kept.monitor.state(), JournalState::Failed(why) if why.contains("panicked")));
    assert_eq!(kept.liveness.check(), ["the journal, which has failed,"]);
}

#[test]
fn a_stop_writes_and_syncs_what_came_last() {
    let kept = Kept::new();
    for client in 0..100 {
        kept.report(&format!("client-{client}"), 1);
    }
    assert!(kept.journal.stop(Instant::now() + crate::wait::PATIENCE));
    let restarted = kept.restarted();
    assert!((0..100).all(|client| knows(&restarted, &format!("client-{client}"))));
}

#[test]
fn a_stop_does_not_wait_for_a_disk_that_hangs() {
    let kept = Kept::new();
    kept.hold_sync_of("kiwi", 1);
    assert!(!kept.journal.stop(Instant::now()));
    kept.disk.faults.hold_syncs(false);
}

#[test]
fn old_versions_are_compacted_away() {
    let kept = Kept::new();
    let mut needed = Positions::default();
    let mut seconds = 0;
    let compacted = || kept.monitor.figures().compactions > 0;
    eventually("the store is compacted", || {
        for client in 0..1000 {
            seconds += 1;
            needed.note_all(&kept.report(&format!("client-{client}"), seconds));
        }
        kept.wait_until_covered(&needed);
        compacted()
    });
    // What came during the compaction may make another one necessary.
    eventually("the store is small", || {
        let (used, figures) = (kept.disk.memory.used(), kept.monitor.figures());
        let most = 3 * figures.live_bytes + STORE_SLACK_LEN;
        if figures.live_bytes > 0 && used <= most { Ok(()) } else { Err(format!("{used} bytes of {most}")) }
    });
    assert!(kept.monitor.figures().records > 1000);
    assert!(kept.journal.stop(Instant::now() + crate::wait::PATIENCE));
    assert_eq!(kept.restarted().len(), 1000);
}
