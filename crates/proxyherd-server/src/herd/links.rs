//! A server's links while it runs: what wakes their tasks, and what metrics and status show of them.
//!
//! The topology adds and removes links. A removed link leaves the list at once. The link's number stays taken until no
//! connection uses the link any more, so core never confuses two neighbors. This module knows no sockets and no link
//! protocol.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::{Duration, Instant},
};

use arrayvec::ArrayVec;
use parking_lot::{Mutex, RwLock};
use proxyherd_config::config::{Address, Neighbor};
use proxyherd_core::{
    flood::{LinkId, Nonsense},
    limits::LINKS_MAX,
    types::ServerName,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::flapping::{FlapChange, FlapDetector};

/// All links of a server.
#[derive(Debug)]
pub struct Links {
    /// What wakes each link's task, by the link's number. Waking takes no lock.
    ready: Box<[Arc<Notify>]>,
    listed: RwLock<Listed>,
}

#[derive(Debug)]
struct Listed {
    /// In the order of the configuration.
    links: Arc<[Arc<Link>]>,
    /// The numbers that are taken. These include the numbers of removed links that a connection still uses.
    taken: [bool; LINKS_MAX],
}

/// One link, up or down.
#[derive(Debug)]
pub struct Link {
    /// The link's number in core.
    pub id: LinkId,
    /// The server at the other end.
    pub neighbor: ServerName,
    /// Whether this server dials the neighbor. Otherwise the neighbor dials.
    pub dials: bool,
    /// Notified when there is something to flush.
    pub ready: Arc<Notify>,
    /// Locked by the connection that uses the link. A new connection waits until the old one has ended.
    pub speaking: tokio::sync::Mutex<()>,
    /// Canceled when the link is removed. No connection begins to use the link from then on.
    pub leaving: CancellationToken,
    address: watch::Sender<Address>,
    /// Whether the demo has cut the link.
    is_cut: watch::Sender<bool>,
    state: Mutex<LinkConnection>,
    flapping: Mutex<FlapDetector>,
    is_flapping: AtomicBool,
    payloads_sent: AtomicU64,
    payloads_received: AtomicU64,
    /// Since when something waits to be written, nanoseconds after `created`. 0: nothing waits.
    behind_since: AtomicU64,
    created: Instant,
    nonsense_logged: Mutex<NonsenseLogged>,
}

/// Why a link that the demo has cut is down.
pub(crate) const CUT: &str = "cut by the demo";

/// Minimum time between two log lines about one neighbor's nonsense.
const NONSENSE_INTERVAL: Duration = Duration::from_secs(60);

/// The counts of each kind of nonsense at the time of the last log line.
#[derive(Debug, Default)]
struct NonsenseLogged {
    at: Option<Instant>,
    counts: [u64; Nonsense::ALL.len()],
}

/// A link's connection: whether the link is up, and which processes of the neighbor have used it.
#[derive(Clone, Debug, Default)]
pub struct LinkConnection {
    /// The time when the link came up. `None`: the link is down.
    pub up_since: Option<Instant>,
    /// How often the link has come up.
    pub times_up: u64,
    /// The version of the link protocol that both ends speak, while the link is up.
    pub version: Option<u16>,
    /// Why the link is down, if known.
    pub trouble: Option<String>,
    /// Ends the connection that uses the link.
    stop: CancellationToken,
    /// The processes (lives) of the neighbor that dialed last and got the link, the newest last.
    lives: ArrayVec<u64, LIVES_MAX>,
    /// A life that was refused, until the life that has the link has received this news.
    rival: Option<u64>,
}

/// Maximum number of lives of a neighbor that a link remembers. If more processes run under one name, they keep
/// displacing each other.
const LIVES_MAX: usize = 4;

impl Links {
    /// Links to `neighbors`, all down.
    pub fn new(neighbors: Vec<Neighbor>) -> Links {
        let ready = (0..LINKS_MAX).map(|_| Arc::default()).collect();
        let listed = RwLock::new(Listed { links: Arc::new([]), taken: [false; LINKS_MAX] });
        let links = Links { ready, listed };
        for neighbor in neighbors {
            links.add(&neighbor).expect("the configuration refuses more neighbors than links");
        }
        links
    }

    /// The links as they are now, in their order.
    pub fn all(&self) -> Arc<[Arc<Link>]> {
        Arc::clone(&self.listed.read().links)
    }

    /// Adds a link, which is down. `None`: all numbers are taken.
    pub fn add(&self, neighbor: &Neighbor) -> Option<Arc<Link>> {
        let mut listed = self.listed.write();
        let index = listed.taken.iter().position(|taken| !taken)?;
        let id = LinkId::new(index)?;
        listed.taken[index] = true;
        let link = Arc::new(Link::new(id, neighbor, Arc::clone(&self.ready[index])));
        listed.links = listed.links.iter().chain([&link]).cloned().collect();
        Some(link)
    }

    /// Takes the link with `neighbor` off the list, so that no new connection gets it. A connection that uses it
    /// continues until the caller cancels [`Link::leaving`]. The link's number stays taken until it is
    /// [freed](Links::free).
    pub fn remove(&self, neighbor: &ServerName) -> Option<Arc<Link>> {
        let mut listed = self.listed.write();
        let link = Arc::clone(listed.links.iter().find(|link| link.neighbor == *neighbor)?);
        listed.links = listed.links.iter().filter(|other| other.id != link.id).cloned().collect();
        Some(link)
    }

    /// Frees the number of a removed link. No connection may use the link any more, and core must know that.
    pub fn free(&self, link: &Link) {
        self.listed.write().taken[link.id.index()] = false;
    }

    /// Puts the links in the order of `neighbors`.
    pub fn arrange(&self, neighbors: &[Neighbor]) {
        let mut listed = self.listed.write();
        let place = |link: &Arc<Link>| neighbors.iter().position(|neighbor| neighbor.name == link.neighbor);
        let mut links = listed.links.to_vec();
        links.sort_by_key(place);
        listed.links = links.into();
    }

    /// Wakes a link's task, so that it flushes.
    pub fn wake(&self, link: LinkId) {
        self.ready[link.index()].notify_one();
    }
}

impl Link {
    fn new(id: LinkId, neighbor: &Neighbor, ready: Arc<Notify>) -> Link {
        Link {
            id,
            neighbor: neighbor.name.clone(),
            dials: neighbor.dial,
            ready,
            speaking: tokio::sync::Mutex::new(()),
            leaving: CancellationToken::new(),
            address: watch::Sender::new(neighbor.address.clone()),
            is_cut: watch::Sender::new(false),
            state: Mutex::default(),
            flapping: Mutex::default(),
            is_flapping: AtomicBool::new(false),
            payloads_sent: AtomicU64::new(0),
            payloads_received: AtomicU64::new(0),
            behind_since: AtomicU64::new(0),
            created: Instant::now(),
            nonsense_logged: Mutex::default(),
        }
    }

    /// The neighbor's nonsense that must be logged now, which is the nonsense since the last log line. The argument
    /// holds the counts of each kind since the start. `None`: nothing is new, or the last log line is less than
    /// `NONSENSE_INTERVAL` old.
    pub fn nonsense_news(
        &self,
        counts: [u64; Nonsense::ALL.len()],
        now: Instant,
    ) -> Option<Vec<(Nonsense, u64)>> {
        let mut logged = self.nonsense_logged.lock();
        let is_soon = logged.at.is_some_and(|at| now.duration_since(at) < NONSENSE_INTERVAL);
        if is_soon || counts == logged.counts {
            return None;
        }
        let more = counts.iter().zip(&logged.counts).map(|(now, before)| now.saturating_sub(*before));
        let news = Nonsense::ALL.into_iter().zip(more).filter(|(_, more)| *more > 0).collect();
        *logged = NonsenseLogged { at: Some(now), counts };
        Some(news)
    }

    /// The neighbor's address, even if this server does not dial the neighbor.
    pub fn address(&self) -> Address {
        self.address.borrow().clone()
    }

    /// [`Link::address`], and news of its changes.
    pub fn addresses(&self) -> watch::Receiver<Address> {
        self.address.subscribe()
    }

    /// Replaces the neighbor's address.
    pub fn set_address(&self, address: Address) {
        self.address.send_replace(address);
    }

    /// Cuts the link, as if the network between the two servers were gone, or heals it. A connection that uses the link
    /// ends, and until the link is healed this end neither dials nor answers the neighbor. Only a demo cuts links, and
    /// it cuts both ends.
    pub fn set_cut(&self, is_cut: bool) {
        let was_cut = self.is_cut.send_replace(is_cut);
        match (was_cut, is_cut) {
            (false, true) => self.note_trouble(CUT.to_owned()),
            (true, false) => {
                self.note_trouble("the demo has healed the link; it is not up again yet".to_owned());
            }
            _ => {}
        }
    }

    /// Whether the link is cut.
    pub fn is_cut(&self) -> bool {
        *self.is_cut.borrow()
    }

    /// Waits until the link is cut, or until it is not.
    pub async fn until_cut(&self, is_cut: bool) {
        // An error is impossible, because the link itself is the sender.
        let _ = self.is_cut.subscribe().wait_for(|now| *now == is_cut).await;
    }

    /// The state of the link's connection now.
    pub fn state(&self) -> LinkConnection {
        self.state.lock().clone()
    }

    /// Must be called when this life of the neighbor dials. The result is usually `None`. If another life has the link
    /// now and this life had the link before, both processes are running and would displace each other forever. In this
    /// case the result is the life that has the link. [`Link::take_rival`] then tells that life of its rival.
    pub fn rival_of(&self, life: u64) -> Option<u64> {
        let mut state = self.state.lock();
        let holder =
            state.lives.last().copied().filter(|holder| *holder != life && state.up_since.is_some())?;
        if !state.lives.contains(&life) {
            return None;
        }
        state.rival = Some(life);
        Some(holder)
    }

    /// Records that this life of the neighbor dialed and has the link from now on.
    pub fn taken_by(&self, life: u64) {
        let mut state = self.state.lock();
        state.lives.retain(|known| *known != life);
        if state.lives.is_full() {
            state.lives.remove(0);
        }
        state.lives.push(life);
        state.rival = None;
    }

    /// The life of the neighbor that was refused because another life has the link. Each refusal is returned once.
    pub fn take_rival(&self) -> Option<u64> {
        self.state.lock().rival.take()
    }

    /// Records that the link is up and both ends speak `version`. The returned token is canceled when the connection
    /// must end because a newer connection needs the link.
    pub fn came_up(&self, version: u16) -> CancellationToken {
        let mut state = self.state.lock();
        state.up_since = Some(Instant::now());
        state.version = Some(version);
        state.times_up += 1;
        state.trouble = None;
        state.stop = CancellationToken::new();
        state.stop.clone()
    }

    /// Records that the link is down, or still down, and why. Returns whether the reason has changed.
    pub fn went_down(&self, trouble: String) -> bool {
        self.behind_since.store(0, Release);
        let mut state = self.state.lock();
        state.up_since = None;
        state.version = None;
        let is_new = state.trouble.as_ref() != Some(&trouble);
        state.trouble = Some(trouble);
        is_new
    }

    /// Records why the link is down, after this end has refused a connection. If the link is up, this changes nothing.
    pub fn note_trouble(&self, trouble: String) {
        let mut state = self.state.lock();
        if state.up_since.is_none() {
            state.trouble = Some(trouble);
        }
    }

    /// Checks whether the link flaps. Must be called about once a second. Returns the change since the last check, if
    /// any.
    pub(crate) fn look_for_flapping(&self) -> Option<FlapChange> {
        let is_flapping = self.flapping.lock().look(self.state.lock().times_up);
        match (self.is_flapping.swap(is_flapping, Relaxed), is_flapping) {
            (false, true) => Some(FlapChange::Began),
            (true, false) => Some(FlapChange::Ended),
            _ => None,
        }
    }

    /// Whether the link comes up again and again, and does not stay up.
    pub fn is_flapping(&self) -> bool {
        self.is_flapping.load(Relaxed)
    }

    /// Asks the connection that uses the link, if there is one, to end.
    pub fn stop(&self) {
        self.state.lock().stop.cancel();
    }

    /// Counts records that were written to the socket.
    pub fn add_sent(&self, payloads: u64) {
        self.payloads_sent.fetch_add(payloads, Relaxed);
    }

    /// Counts records that came.
    pub fn add_received(&self, payloads: u64) {
        self.payloads_received.fetch_add(payloads, Relaxed);
    }

    /// Records written to the socket since the start.
    pub fn payloads_sent(&self) -> u64 {
        self.payloads_sent.load(Relaxed)
    }

    /// Records that came since the start.
    pub fn payloads_received(&self) -> u64 {
        self.payloads_received.load(Relaxed)
    }

    /// Records whether something waits to be written.
    pub fn set_behind(&self, is_behind: bool) {
        let was_behind = self.behind_since.load(Acquire) != 0;
        if is_behind != was_behind {
            let since = if is_behind { self.created.elapsed().as_nanos() as u64 } else { 0 };
            self.behind_since.store(since, Release);
        }
    }

    /// Time for which something has been waiting to be written. Zero: nothing waits.
    pub fn lag(&self) -> Duration {
        match self.behind_since.load(Acquire) {
            0 => Duration::ZERO,
            since => self.created.elapsed().saturating_sub(Duration::from_nanos(since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbor(name: &str) -> Neighbor {
        let name = ServerName::new(name).unwrap();
        Neighbor { name, address: "127.0.0.1:13000".parse().unwrap(), dial: true }
    }

    fn names(links: &Links) -> Vec<String> {
        links.all().iter().map(|link| link.neighbor.to_string()).collect()
    }

    #[test]
    fn a_number_is_free_again_only_once_nobody_speaks_on_it() {
        let links = Links::new((0..LINKS_MAX).map(|index| neighbor(&format!("s{index}"))).collect());
        assert!(links.add(&neighbor("more")).is_none());
        for round in 0..2 * LINKS_MAX {
            let gone = links.remove(&links.all()[0].neighbor).unwrap();
            assert_eq!(links.all().len(), LINKS_MAX - 1);
            assert!(links.add(&neighbor("more")).is_none(), "somebody may still speak");
            links.free(&gone);
            let next = links.add(&neighbor(&format!("next{round}"))).unwrap();
            assert_eq!(next.id, gone.id);
        }
    }

    #[test]
    fn a_life_that_comes_back_while_another_has_the_link_is_a_rival() {
        let links = Links::new(vec![neighbor("a")]);
        let link = &links.all()[0];
        let dial = |life| {
            let has_rival = link.rival_of(life).is_some();
            if !has_rival {
                link.taken_by(life);
                let _ = link.came_up(2);
            }
            has_rival
        };
        assert!(!dial(1) && !dial(1), "a connection that is dead and not known to be");
        assert!(!dial(2), "a restart looks like this");
        assert_eq!(link.take_rival(), None);
        assert_eq!(link.rival_of(1), Some(2));
        assert_eq!((link.take_rival(), link.take_rival()), (Some(1), None));
        assert!(!dial(2) && !dial(3) && dial(1) && dial(2) && !dial(3), "three of them");
        link.went_down("it closed the connection".to_owned());
        assert!(!dial(1), "the link is free");
        assert!(dial(3));
        (4..4 + 2 * LIVES_MAX as u64).for_each(|life| assert!(!dial(life), "restarts"));
    }

    #[test]
    fn nonsense_is_told_of_once_a_minute_with_all_that_has_come_since() {
        let links = Links::new(vec![neighbor("a")]);
        let (link, start) = (Arc::clone(&links.all()[0]), Instant::now());
        let counts = |receipts: u64, records: u64| {
            let mut counts = [0; Nonsense::ALL.len()];
            counts[Nonsense::Receipt.index()] = receipts;
            counts[Nonsense::OwnRecord.index()] = records;
            counts
        };
        assert_eq!(link.nonsense_news(counts(0, 0), start), None);
        assert_eq!(link.nonsense_news(counts(3, 0), start), Some(vec![(Nonsense::Receipt, 3)]));
        let soon = start + NONSENSE_INTERVAL - Duration::from_nanos(1);
        assert_eq!(link.nonsense_news(counts(5, 1), soon), None);
        let later = Some(vec![(Nonsense::OwnRecord, 2), (Nonsense::Receipt, 2)]);
        assert_eq!(link.nonsense_news(counts(5, 2), start + NONSENSE_INTERVAL), later);
        assert_eq!(link.nonsense_news(counts(5, 2), start + 5 * NONSENSE_INTERVAL), None);
    }

    #[tokio::test]
    async fn a_link_that_is_cut_says_so_until_it_is_healed() {
        let links = Links::new(vec![neighbor("a")]);
        let link = Arc::clone(&links.all()[0]);
        link.until_cut(false).await;
        link.set_cut(true);
        link.set_cut(true);
        link.until_cut(true).await;
        assert!(link.is_cut() && link.state().trouble.as_deref() == Some(CUT));
        link.set_cut(false);
        link.until_cut(false).await;
        assert!(!link.is_cut() && link.state().trouble.unwrap().contains("healed"));
        let _ = link.came_up(3);
        link.set_cut(true);
        assert_eq!(link.state().trouble, None, "its connection has not ended yet");
    }

    #[test]
    fn links_stand_in_the_order_of_the_configuration() {
        let links = Links::new(["a", "b", "c"].map(neighbor).to_vec());
        links.remove(&neighbor("a").name);
        links.add(&neighbor("d"));
        assert_eq!(names(&links), ["b", "c", "d"]);
        links.arrange(&["d", "c", "b"].map(neighbor));
        assert_eq!(names(&links), ["d", "c", "b"]);
    }
}
