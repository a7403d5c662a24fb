//! Whose turn it is to search for clients, if the search may look at many clients.
//!
//! Such a search runs on a thread that may wait. Only [`SEARCHES_MAX`] searches run at once, and only
//! [`SEARCHES_PER_CALLER_MAX`] of one caller: one token, or one subscriber's address where no token is shown. Further
//! ones wait in line, first in their caller's line and then in the line of all. So a caller with many searches delays
//! the others by a few searches only. A search is refused if too many wait already, and if it is not answered after
//! [`SEARCH_TIMEOUT`].
//!
//! A search keeps its turn for as long as it runs, even if nobody waits for its result any more. But then it ends at
//! its next bite. The result keeps the turn until [`Turn`] is dropped, so the number of results that do not
//! count against the buffers yet is bounded. This module does not know what a search looks for.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use proxyherd_core::access::TokenId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::limits::{
    SEARCH_TIMEOUT, SEARCHES_IN_LINE_MAX, SEARCHES_IN_LINE_PER_CALLER_MAX, SEARCHES_MAX,
    SEARCHES_PER_CALLER_MAX,
};
use crate::{caller::Caller, subscriber::subscriber};

/// The lines of those who wait for a search.
#[derive(Debug)]
pub(super) struct Searches {
    running: Arc<Semaphore>,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    /// The line of each caller who has searches.
    of_callers: HashMap<Searcher, Line>,
    /// The number of places in all lines.
    places: usize,
}

#[derive(Debug)]
struct Line {
    turns: Arc<Semaphore>,
    places: usize,
}

/// Whose searches share a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Searcher {
    /// The operator's token of the configuration.
    Operator,
    Token(TokenId),
    Address(IpAddr),
}

/// The right to run one search, or to keep its result. The last copy gives the turn back.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    _permits: Arc<Permits>,
}

#[derive(Debug)]
struct Permits {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _place: PlaceInLine,
}

/// A place in a caller's line. The line exists as long as somebody has a place in it.
#[derive(Debug)]
struct PlaceInLine {
    searches: Arc<Searches>,
    searcher: Searcher,
    turns: Arc<Semaphore>,
}

/// Why a search has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResult {
    /// Too many searches wait.
    Crowded,
    /// It took too long.
    TimedOut,
    /// It panicked.
    Failed,
}

/// Tells a search that nobody waits for its result any more, when this is dropped.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Searches {
    pub(super) fn new() -> Arc<Searches> {
        let running = Arc::new(Semaphore::new(SEARCHES_MAX));
        Arc::new(Searches { running, lines: Mutex::default() })
    }

    /// Runs a search when it is its turn. The search must look at the flag now and then, and end when it is set.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Searches>,
        caller: &Caller,
        search: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<(T, Turn), NoResult> {
        let is_canceled = Arc::new(AtomicBool::new(false));
        let _cancel = CancelOnDrop(Arc::clone(&is_canceled));
        let place = self.place_for(Searcher::of(caller)).ok_or(NoResult::Crowded)?;
        let searched = async {
            let turn = self.turn(place).await;
            // The closure has the turn, because it may outlive this future.
            tokio::task::spawn_blocking(move || (search(&is_canceled), turn)).await
        };
        let searched = timeout(SEARCH_TIMEOUT, searched).await.map_err(|_| NoResult::TimedOut)?;
        searched.map_err(|_| NoResult::Failed)
    }

    async fn turn(&self, place: PlaceInLine) -> Turn {
        let own = Arc::clone(&place.turns).acquire_owned().await.expect("nobody closes this semaphore");
        let of_all = Arc::clone(&self.running).acquire_owned().await.expect("nobody closes this semaphore");
        Turn { _permits: Arc::new(Permits { _of_all: of_all, _own: own, _place: place }) }
    }

    /// Takes all places in a caller's line.
    #[cfg(test)]
    pub(super) fn fill_line(self: &Arc<Searches>, caller: &Caller) -> impl Sized + use<> {
        let places: Vec<_> = std::iter::from_fn(|| self.place_for(Searcher::of(caller))).collect();
        places
    }

    /// A place in the caller's line. `None`: too many searches run or wait.
    fn place_for(self: &Arc<Searches>, searcher: Searcher) -> Option<PlaceInLine> {
        let mut lines = self.lines.lock();
        let own = lines.of_callers.get(&searcher).map_or(0, |line| line.places);
        if lines.places >= SEARCHES_IN_LINE_MAX || own >= SEARCHES_IN_LINE_PER_CALLER_MAX {
            return None;
        }
        lines.places += 1;
        let new = || Line { turns: Arc::new(Semaphore::new(SEARCHES_PER_CALLER_MAX)), places: 0 };
        let line = lines.of_callers.entry(searcher.clone()).or_insert_with(new);
        line.places += 1;
        Some(PlaceInLine { searches: Arc::clone(self), searcher, turns: Arc::clone(&line.turns) })
    }
}

impl Searcher {
    fn of(caller: &Caller) -> Searcher {
        match caller.rights.grant() {
            Some(grant) => grant.id().map_or(Searcher::Operator, |id| Searcher::Token(id.clone())),
            None => Searcher::Address(subscriber(caller.address.ip())),
        }
    }
}

impl Drop for PlaceInLine {
    fn drop(&mut self) {
        let mut lines = self.searches.lines.lock();
        lines.places -= 1;
        if let Some(line) = lines.of_callers.get_mut(&self.searcher) {
            line.places -= 1;
            if line.places == 0 {
                lines.of_callers.remove(&self.searcher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::mpsc, time::Duration};

    use proxyherd_config::door_kind::DoorKind;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::{caller::Rights, wait::eventually_yielding};

    fn caller(last: u8) -> Caller {
        let address = SocketAddr::from(([192, 0, 2, last], 1));
        Caller { address, door: DoorKind::Http, rights: Rights::ALL }
    }

    /// A search that runs until it is told to end.
    struct Begun {
        ended: JoinHandle<Result<(bool, Turn), NoResult>>,
        has_begun: Arc<AtomicBool>,
        end: mpsc::Sender<()>,
    }

    fn begin(searches: &Arc<Searches>, caller: &Caller) -> Begun {
        let (searches, caller) = (Arc::clone(searches), caller.clone());
        let has_begun = Arc::new(AtomicBool::new(false));
        let (end, told) = mpsc::channel();
        let begun = Arc::clone(&has_begun);
        let ended = tokio::spawn(async move {
            let search = move |is_canceled: &AtomicBool| {
                begun.store(true, Relaxed);
                let _ = told.recv();
                is_canceled.load(Relaxed)
            };
            searches.run(&caller, search).await
        });
        Begun { ended, has_begun, end }
    }

    impl Begun {
        async fn begins(&self) {
            eventually_yielding("the search begins", || self.has_begun.load(Relaxed)).await;
        }

        async fn end(self) -> Result<(bool, Turn), NoResult> {
            let _ = self.end.send(());
            self.ended.await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_caller_with_many_searches_leaves_room_for_the_others() {
        let searches = Searches::new();
        let greedy: Vec<_> = (0..SEARCHES_MAX + 1).map(|_| begin(&searches, &caller(1))).collect();
        for search in &greedy[..SEARCHES_PER_CALLER_MAX] {
            search.begins().await;
        }
        let other = begin(&searches, &caller(2));
        other.begins().await;
        let begun = greedy.iter().filter(|search| search.has_begun.load(Relaxed)).count();
        assert_eq!(begun, SEARCHES_PER_CALLER_MAX);
        let (is_canceled, turn) = other.end().await.unwrap();
        assert!(!is_canceled);
        assert_eq!(
            searches.running.available_permits(),
            SEARCHES_MAX - begun - 1,
            "the result keeps its turn"
        );
        drop(turn);
        for search in greedy {
            let _ = search.end().await.unwrap();
        }
        assert_eq!(searches.running.available_permits(), SEARCHES_MAX);
        assert!(searches.lines.lock().of_callers.is_empty(), "no line is left");
    }

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_is_told_and_keeps_its_turn_until_it_ends() {
        let searches = Searches::new();
        let begun = begin(&searches, &caller(1));
        begun.begins().await;
        begun.ended.abort();
        assert!(begun.ended.await.unwrap_err().is_cancelled());
        assert_eq!(searches.running.available_permits(), SEARCHES_MAX - 1, "it still runs");
        let _ = begun.end.send(());
        let is_over = || searches.running.available_permits() == SEARCHES_MAX;
        eventually_yielding("the search gives its turn back", is_over).await;
        eventually_yielding("its line is gone", || searches.lines.lock().of_callers.is_empty()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_that_is_not_done_in_time_is_refused_and_told() {
        let searches = Searches::new();
        let all: Vec<_> = (0..SEARCHES_PER_CALLER_MAX + 1).map(|_| begin(&searches, &caller(1))).collect();
        all[0].begins().await;
        tokio::time::advance(SEARCH_TIMEOUT + Duration::from_millis(1)).await;
        let mut ends = Vec::new();
        for search in all {
            assert_eq!(search.ended.await.unwrap().unwrap_err(), NoResult::TimedOut);
            ends.push(search.end);
        }
        assert!(searches.running.available_permits() < SEARCHES_MAX, "what has begun still runs");
        drop(ends);
        let is_over = || searches.running.available_permits() == SEARCHES_MAX;
        eventually_yielding("all turns are given back", is_over).await;
    }

    #[tokio::test]
    async fn so_many_searches_of_a_caller_and_of_all_wait() {
        let searches = Searches::new();
        let place = |caller: usize| {
            let address = std::net::Ipv4Addr::from_bits(caller as u32);
            searches.place_for(Searcher::Address(address.into()))
        };
        let mut places: Vec<_> = (0..SEARCHES_IN_LINE_PER_CALLER_MAX).map(|_| place(0).unwrap()).collect();
        assert!(place(0).is_none());
        places.extend((places.len()..SEARCHES_IN_LINE_MAX).map(|caller| place(caller).unwrap()));
        assert!(place(1).is_none());
        let refused = searches.run(&caller(1), |_| ()).await;
        assert_eq!(refused.unwrap_err(), NoResult::Crowded);
        places.pop();
        assert!(place(1).is_some());
        drop(places);
        let lines = searches.lines.lock();
        assert!(lines.places == 0 && lines.of_callers.is_empty());
    }

    #[tokio::test]
    async fn a_search_that_panics_gives_its_turn_back() {
        let searches = Searches::new();
        let failed = searches.run(&caller(1), |_| -> () { panic!("as the test wants") }).await;
        assert_eq!(failed.unwrap_err(), NoResult::Failed);
        assert_eq!(searches.running.available_permits(), SEARCHES_MAX);
    }
}
