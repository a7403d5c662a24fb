//! The cache of answers. It is only in memory, and is limited by the size of the answers.
//!
//! Answers are kept under the [`CacheKey`] of their question. The age of an answer decides how the answer may be used
//! (see [`Freshness`]). When the cache is full, the least used answers are dropped. The library divides the cache into
//! parts with locks of their own, and an answer that does not fit into one part is not kept.
//!
//! Invariant: the answers together weigh no more than `max_bytes`. The cache does not know where an answer comes from,
//! or how it is renewed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proxyherd_core::places::{Ages, Answer, AnswerStatus, CacheKey, Freshness};
use quick_cache::{Weighter, sync};
use tokio::time::Instant;

use crate::CacheSettings;

/// Interval between two searches for answers that are too old for any use.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The usual length of an answer, bytes: twenty places with their texts. The cache allocates its tables for this
/// length. Longer and shorter answers fit as well.
const ANSWER_LEN_USUAL: u64 = 16 * 1024;
/// Maximum number of answers for which the cache allocates its tables in advance.
const ANSWERS_USUAL_MAX: u64 = 1 << 20;
/// The cache's own memory for an answer, bytes: its slot, its place in the order, and its reference counts.
const ANSWER_OVERHEAD: u64 = 128;

/// An answer and the time at which it was received.
#[derive(Clone, Debug)]
pub(super) struct CachedAnswer {
    pub(super) answer: Arc<Answer>,
    received: Instant,
}

impl CachedAnswer {
    pub(super) fn now(answer: Answer) -> CachedAnswer {
        CachedAnswer { answer: Arc::new(answer), received: Instant::now() }
    }

    pub(super) fn age(&self) -> Duration {
        self.received.elapsed()
    }

    fn is_empty(&self) -> bool {
        self.answer.status == AnswerStatus::ZeroResults
    }
}

/// Answers by their questions.
pub(super) struct Cache {
    ages: Ages,
    /// `None` if the settings leave no room or no time for any answer.
    answers: Option<sync::Cache<CacheKey, CachedAnswer, AnswerWeight>>,
    swept: Mutex<Instant>,
    /// The number of look-ups.
    #[cfg(test)]
    pub(super) looks: std::sync::atomic::AtomicU64,
}

impl Cache {
    pub(super) fn new(settings: &CacheSettings) -> Cache {
        let &CacheSettings { max_bytes, fresh, stale, stale_if_error, zero_results, .. } = settings;
        let ages = Ages { fresh, stale, stale_if_error, zero_results };
        let usual = (max_bytes / ANSWER_LEN_USUAL).clamp(1, ANSWERS_USUAL_MAX) as usize;
        let has_room = max_bytes > 0 && ages.keep_any();
        let answers = has_room.then(|| sync::Cache::with_weighter(usual, max_bytes, AnswerWeight));
        Cache {
            ages,
            answers,
            swept: Mutex::new(Instant::now()),
            #[cfg(test)]
            looks: Default::default(),
        }
    }

    /// The answer to this question, and how it may be used. `None` if there is no answer, or if the answer is too old
    /// for any use.
    pub(super) fn find(&self, key: &CacheKey) -> Option<(CachedAnswer, Freshness)> {
        #[cfg(test)]
        self.looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let answer = self.answers.as_ref()?.get(key)?;
        let freshness = self.judge(&answer);
        (freshness != Freshness::Gone).then_some((answer, freshness))
    }

    pub(super) fn put(&self, key: &CacheKey, answer: &CachedAnswer) {
        if let Some(answers) = self.answers.as_ref().filter(|_| self.lifetime(answer).is_some()) {
            answers.insert(key.clone(), answer.clone());
        }
    }

    /// The time for which the answer counts as new. `None` if the answer is not kept.
    pub(super) fn lifetime(&self, answer: &CachedAnswer) -> Option<Duration> {
        let lifetime = self.ages.lifetime(answer.is_empty());
        (self.answers.is_some() && !lifetime.is_zero()).then_some(lifetime)
    }

    /// Forgets answers that are too old for any use, so that they take no memory even if nobody asks for them again.
    /// Does nothing if the last time is less than a [`SWEEP_INTERVAL`] ago.
    pub(super) fn sweep(&self) {
        let Some(answers) = &self.answers else { return };
        let mut swept = self.swept.lock();
        if swept.elapsed() >= SWEEP_INTERVAL {
            *swept = Instant::now();
            answers.retain(|_, answer| self.judge(answer) != Freshness::Gone);
        }
    }

    /// The number of answers, and their total size, bytes.
    pub(super) fn len(&self) -> (u64, u64) {
        self.answers.as_ref().map_or((0, 0), |answers| (answers.len() as u64, answers.weight()))
    }

    /// How the answer may be used now.
    pub(super) fn judge(&self, answer: &CachedAnswer) -> Freshness {
        self.ages.judge(answer.age(), answer.is_empty())
    }
}

/// Weighs an answer by the bytes that it takes in the cache.
#[derive(Clone, Copy)]
struct AnswerWeight;

impl Weighter<CacheKey, CachedAnswer> for AnswerWeight {
    fn weight(&self, key: &CacheKey, answer: &CachedAnswer) -> u64 {
        (key.weight() + size_of::<CachedAnswer>() + answer.answer.weight()) as u64 + ANSWER_OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::places::{AnswerSource, Point, Query};

    use super::*;
    use crate::facade::tests::answer_of;

    fn config(max_bytes: u64) -> CacheSettings {
        CacheSettings { max_bytes, ..CacheSettings::default() }
    }

    fn key(number: u32) -> CacheKey {
        let source = AnswerSource { provider: "scripted", mask: "" };
        CacheKey::new(source, &Query::within(Point::new(1.0, 2.0).unwrap(), f64::from(number + 1)).unwrap())
    }

    fn put(cache: &Cache, number: u32, places: usize) {
        cache.put(&key(number), &CachedAnswer::now(answer_of(places)));
    }

    fn found(cache: &Cache, number: u32) -> Option<Freshness> {
        cache.find(&key(number)).map(|(_, freshness)| freshness)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_never_weighs_more_than_it_may() {
        let cache = Cache::new(&config(1_000_000));
        for number in 0..2_000 {
            put(&cache, number, 20);
            assert!(cache.len().1 <= 1_000_000, "{:?}", cache.len());
        }
        let (answers, bytes) = cache.len();
        assert!(bytes > 800_000 && answers > 50, "{answers} {bytes}");
        assert_eq!(found(&cache, 1_999), Some(Freshness::Fresh));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_grow_old_and_are_forgotten_unasked() {
        let cache = Cache::new(&config(1_000_000));
        put(&cache, 0, 3);
        put(&cache, 1, 0);
        for (seconds, with_places, empty) in [
            (0, Some(Freshness::Fresh), Some(Freshness::Fresh)),
            (60, Some(Freshness::Fresh), None),
            (240, Some(Freshness::Stale), None),
            (600, Some(Freshness::LastResort), None),
            (3000, None, None),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!((found(&cache, 0), found(&cache, 1)), (with_places, empty), "{seconds}");
        }
        assert_eq!(cache.len().0, 2);
        cache.sweep();
        assert_eq!(cache.len(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_without_room_or_without_time() {
        for config in [config(0), CacheSettings { fresh: Duration::ZERO, ..config(1_000_000) }] {
            let cache = Cache::new(&config);
            put(&cache, 0, 3);
            assert_eq!(found(&cache, 0), None);
            assert_eq!(cache.lifetime(&CachedAnswer::now(answer_of(3))), None);
        }
    }
}
