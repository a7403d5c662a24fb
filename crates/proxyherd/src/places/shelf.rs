//! Where answers are kept: in memory alone, bounded by what they weigh.
//!
//! It knows for how long an answer is good for something, and neither where it came from nor how it is renewed. When
//! it is full, what is asked for least goes. An answer that weighs more than one part of the shelf is not kept.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proxyherd_core::places::{Ages, Answer, CacheKey, Freshness, Status};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::limits::{ANSWER_LEN_USUAL, ANSWER_OVERHEAD, ANSWERS_USUAL_MAX, SWEEP_INTERVAL};
use crate::config;

/// An answer and when it was received.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) answer: Arc<Answer>,
    received: Instant,
}

impl Kept {
    pub(super) fn now(answer: Answer) -> Kept {
        Kept { answer: Arc::new(answer), received: Instant::now() }
    }

    pub(super) fn age(&self) -> Duration {
        self.received.elapsed()
    }

    fn is_empty(&self) -> bool {
        self.answer.status == Status::ZeroResults
    }
}

/// Answers by their questions.
pub(super) struct Shelf {
    ages: Ages,
    kept: Option<Cache<CacheKey, Kept, Weight>>,
    swept: Mutex<Instant>,
    /// How often somebody has looked.
    #[cfg(test)]
    pub(super) looks: std::sync::atomic::AtomicU64,
}

impl Shelf {
    pub(super) fn new(config: &config::Cache) -> Shelf {
        let &config::Cache { max_bytes, fresh, stale, stale_if_error, zero_results, .. } = config;
        let ages = Ages { fresh, stale, stale_if_error, zero_results };
        let usual = (max_bytes / ANSWER_LEN_USUAL).clamp(1, ANSWERS_USUAL_MAX) as usize;
        let has_room = max_bytes > 0 && ages.keep_any();
        let kept = has_room.then(|| Cache::with_weighter(usual, max_bytes, Weight));
        Shelf {
            ages,
            kept,
            swept: Mutex::new(Instant::now()),
            #[cfg(test)]
            looks: Default::default(),
        }
    }

    /// What is kept for this question and good for something, and for what.
    pub(super) fn find(&self, key: &CacheKey) -> Option<(Kept, Freshness)> {
        #[cfg(test)]
        self.looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let kept = self.kept.as_ref()?.get(key)?;
        let freshness = self.judge(&kept);
        (freshness != Freshness::Gone).then_some((kept, freshness))
    }

    pub(super) fn put(&self, key: &CacheKey, answer: &Kept) {
        if let Some(kept) = self.kept.as_ref().filter(|_| self.lifetime(answer).is_some()) {
            kept.insert(key.clone(), answer.clone());
        }
    }

    /// For how long it counts as new; none if it is not kept.
    pub(super) fn lifetime(&self, answer: &Kept) -> Option<Duration> {
        let lifetime = self.ages.lifetime(answer.is_empty());
        (self.kept.is_some() && !lifetime.is_zero()).then_some(lifetime)
    }

    /// Forgets what is good for nothing, also if nobody asks for it again; at most once a [`SWEEP_INTERVAL`].
    pub(super) fn sweep(&self) {
        let Some(kept) = &self.kept else { return };
        let mut swept = self.swept.lock();
        if swept.elapsed() >= SWEEP_INTERVAL {
            *swept = Instant::now();
            kept.retain(|_, answer| self.judge(answer) != Freshness::Gone);
        }
    }

    /// How many answers are kept, and what they weigh, bytes.
    pub(super) fn len(&self) -> (u64, u64) {
        self.kept.as_ref().map_or((0, 0), |kept| (kept.len() as u64, kept.weight()))
    }

    /// What an answer is good for now.
    pub(super) fn judge(&self, answer: &Kept) -> Freshness {
        self.ages.judge(answer.age(), answer.is_empty())
    }
}

/// Weighs an answer by the bytes that keeping it takes.
#[derive(Clone, Copy)]
struct Weight;

impl Weighter<CacheKey, Kept> for Weight {
    fn weight(&self, key: &CacheKey, kept: &Kept) -> u64 {
        (key.weight() + size_of::<Kept>() + kept.answer.weight()) as u64 + ANSWER_OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::places::{AnswerSource, Point, Query};

    use super::*;
    use crate::places::tests::answer_of;

    fn config(max_bytes: u64) -> config::Cache {
        config::Cache { max_bytes, ..config::Cache::default() }
    }

    fn key(number: u32) -> CacheKey {
        let source = AnswerSource { provider: "scripted", mask: "" };
        CacheKey::new(source, &Query::within(Point::new(1.0, 2.0).unwrap(), f64::from(number + 1)).unwrap())
    }

    fn put(shelf: &Shelf, number: u32, places: usize) {
        shelf.put(&key(number), &Kept::now(answer_of(places)));
    }

    fn found(shelf: &Shelf, number: u32) -> Option<Freshness> {
        shelf.find(&key(number)).map(|(_, freshness)| freshness)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_never_weighs_more_than_it_may() {
        let shelf = Shelf::new(&config(1_000_000));
        for number in 0..2_000 {
            put(&shelf, number, 20);
            assert!(shelf.len().1 <= 1_000_000, "{:?}", shelf.len());
        }
        let (answers, bytes) = shelf.len();
        assert!(bytes > 800_000 && answers > 50, "{answers} {bytes}");
        assert_eq!(found(&shelf, 1_999), Some(Freshness::Fresh));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_grow_old_and_are_forgotten_unasked() {
        let shelf = Shelf::new(&config(1_000_000));
        put(&shelf, 0, 3);
        put(&shelf, 1, 0);
        for (seconds, with_places, empty) in [
            (0, Some(Freshness::Fresh), Some(Freshness::Fresh)),
            (60, Some(Freshness::Fresh), None),
            (240, Some(Freshness::Stale), None),
            (600, Some(Freshness::LastResort), None),
            (3000, None, None),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!((found(&shelf, 0), found(&shelf, 1)), (with_places, empty), "{seconds}");
        }
        assert_eq!(shelf.len().0, 2);
        shelf.sweep();
        assert_eq!(shelf.len(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_without_room_or_without_time() {
        for config in [config(0), config::Cache { fresh: Duration::ZERO, ..config(1_000_000) }] {
            let shelf = Shelf::new(&config);
            put(&shelf, 0, 3);
            assert_eq!(found(&shelf, 0), None);
            assert_eq!(shelf.lifetime(&Kept::now(answer_of(3))), None);
        }
    }
}
