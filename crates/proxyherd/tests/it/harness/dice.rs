//! Random numbers that a seed makes repeatable: SplitMix64 (Steele, Lea and Flood, 2014). Numbers that a person sets in
//! the environment, such as the seed.

use std::{collections::hash_map::RandomState, env, hash::BuildHasher};

/// A stream of random numbers. The same seed makes the same stream.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// Dice with the seed that `PROXYHERD_TEST_SEED` sets, or with any seed. Returns the seed, too.
    pub(crate) fn seeded() -> (Dice, u64) {
        let any = || RandomState::new().hash_one(0) % 1_000_000;
        let seed = number_from("PROXYHERD_TEST_SEED").unwrap_or_else(any);
        (Dice::new(seed), seed)
    }

    /// New dice for another user, with a stream of their own.
    pub(crate) fn more(&mut self) -> Dice {
        Dice::new(self.bits())
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to `high`, excluding `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.bits() % (high - low)
    }

    /// True with a probability of this many percent.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.between(0, 100) < percent
    }

    /// A random element of the slice, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() as u64) as usize]
    }

    /// The same elements in random order.
    pub(crate) fn shuffled<T: Copy>(&mut self, from: &[T]) -> Vec<T> {
        let mut all = from.to_vec();
        for end in (1..all.len()).rev() {
            all.swap(end, self.between(0, end as u64 + 1) as usize);
        }
        all
    }
}

/// The number that a variable of the environment sets, if it does.
pub(crate) fn number_from(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value:?} is no number")))
}
