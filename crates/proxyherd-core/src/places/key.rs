//! The key of a cached answer: which queries may share the answer.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Query, Wish};

/// Everything that determines an answer: the provider, the requested fields, and the query. Queries with equal keys
/// share one request.
///
/// Coordinates and radius count by their bits, so a nearly identical query has another key. To share answers between
/// such queries, move them by a [`Grid`] first.
///
/// [`Grid`]: super::Grid
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey {
    source: AnswerSource,
    circle: [u64; 3],
    wish: Option<Arc<Wish>>,
}

/// The provider that is queried, and the fields that it is asked for. Answers of different sources are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerSource {
    /// The provider's name in the configuration.
    pub provider: &'static str,
    /// The configuration's name of the requested fields. Empty if there is no choice.
    pub mask: &'static str,
}

impl CacheKey {
    /// The key of a query to `source`.
    pub fn new(source: AnswerSource, query: &Query) -> CacheKey {
        // Adding zero turns negative zero into zero. The two are equal, but their bits differ.
        let circle = [query.latitude, query.longitude, query.radius_m].map(|number| (number + 0.0).to_bits());
        CacheKey { source, circle, wish: query.wish.clone() }
    }

    /// The memory that the key takes, including everything that it points to, bytes.
    pub fn weight(&self) -> usize {
        let wish = self.wish.as_ref().map_or(0, |wish| size_of::<Wish>() + texts_len(wish));
        size_of::<CacheKey>() + wish
    }
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.circle.hash(state);
        self.wish.hash(state);
    }
}

fn texts_len(wish: &Wish) -> usize {
    let texts = [&wish.kind, &wish.keyword, &wish.name, &wish.language, &wish.page_token];
    texts.into_iter().flatten().map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;
    use crate::places::{Point, Rank};

    const SOURCE: AnswerSource = AnswerSource { provider: "google", mask: "pro" };

    fn query(latitude: f64, longitude: f64, radius_m: f64) -> Query {
        Query::within(Point::new(latitude, longitude).unwrap(), radius_m).unwrap()
    }

    fn wishes() -> Vec<Wish> {
        let text = |text: &str| Some(text.to_owned());
        vec![
            Wish { kind: text("a"), ..Wish::default() },
            Wish { kind: text("b"), ..Wish::default() },
            Wish { keyword: text("a"), ..Wish::default() },
            Wish { name: text("a"), ..Wish::default() },
            Wish { language: text("a"), ..Wish::default() },
            Wish { rank: Rank::Distance, ..Wish::default() },
            Wish { is_open: true, ..Wish::default() },
            Wish { price_min: Some(1), ..Wish::default() },
            Wish { price_max: Some(1), ..Wish::default() },
            Wish { page_token: text("a"), ..Wish::default() },
        ]
    }

    #[test]
    fn whatever_shapes_the_answer_shapes_the_key() {
        let plain = query(34.0, -118.0, 1000.0);
        let mut keys = vec![
            CacheKey::new(SOURCE, &plain),
            CacheKey::new(AnswerSource { provider: "google-legacy", ..SOURCE }, &plain),
            CacheKey::new(AnswerSource { mask: "enterprise", ..SOURCE }, &plain),
            CacheKey::new(SOURCE, &query(34.000_000_000_000_01, -118.0, 1000.0)),
            CacheKey::new(SOURCE, &query(34.0, -118.000_000_000_000_1, 1000.0)),
            CacheKey::new(SOURCE, &query(34.0, -118.0, 1000.5)),
        ];
        keys.extend(wishes().into_iter().map(|wish| CacheKey::new(SOURCE, &plain.clone().wishing(wish))));
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(at), "{key:?}");
        }
    }

    #[test]
    fn equal_questions_have_equal_keys_and_hashes() {
        let hashes = BuildHasherDefault::<DefaultHasher>::default();
        for (one, other) in [
            (query(34.0, -118.0, 1000.0), query(34.0, -118.0, 1000.0)),
            (query(0.0, 0.0, 1.0), Query { latitude: -0.0, longitude: -0.0, ..query(0.0, 0.0, 1.0) }),
        ] {
            for wish in [Wish::default()].into_iter().chain(wishes()) {
                let key = |query: &Query| CacheKey::new(SOURCE, &query.clone().wishing(wish.clone()));
                assert_eq!(key(&one), key(&other));
                assert_eq!(hashes.hash_one(key(&one)), hashes.hash_one(key(&other)));
            }
        }
    }

    #[test]
    fn a_key_weighs_its_texts() {
        let plain = query(34.0, -118.0, 1000.0);
        let weight = |keyword: &str| {
            let wish = Wish { keyword: Some(keyword.to_owned()), ..Wish::default() };
            CacheKey::new(SOURCE, &plain.clone().wishing(wish)).weight()
        };
        assert_eq!(weight(&"x".repeat(1000)) - weight("x"), 999);
        assert!(weight("x") > CacheKey::new(SOURCE, &plain).weight());
    }
}
