//! The streams that are kept for readers that may resume them, the longest kept first.

use std::collections::{BTreeMap, VecDeque};

use super::opening::StreamKey;

/// The number of void entries that the list always may have.
const VOID_MAX: usize = 64;

/// The kept streams. An entry is void if another connection has resumed its stream since.
#[derive(Debug, Default)]
pub(super) struct KeptStreams {
    fifo: VecDeque<StreamKey>,
    len: usize,
    /// The number of kept streams of each caller that has any.
    of_callers: BTreeMap<u64, usize>,
}

impl KeptStreams {
    /// The number of kept streams.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A stream of this caller is kept from now on. `key`: the key of its last connection.
    pub(super) fn add(&mut self, key: StreamKey, caller: u64, is_kept: impl FnMut(&StreamKey) -> bool) {
        self.len += 1;
        *self.of_callers.entry(caller).or_default() += 1;
        self.fifo.push_back(key);
        if self.fifo.len() > 2 * self.len + VOID_MAX {
            self.fifo.retain(is_kept);
        }
    }

    /// A stream of this caller is not kept any more.
    pub(super) fn remove(&mut self, caller: u64) {
        self.len -= 1;
        let of_caller = self.of_callers.get_mut(&caller).expect("the stream was kept");
        *of_caller -= 1;
        if *of_caller == 0 {
            self.of_callers.remove(&caller);
        }
    }

    /// The number of kept streams of this caller.
    pub(super) fn len_of(&self, caller: u64) -> usize {
        self.of_callers.get(&caller).copied().unwrap_or(0)
    }

    /// The number of kept streams of the caller that has the most.
    pub(super) fn most(&self) -> usize {
        self.of_callers.values().copied().max().unwrap_or(0)
    }

    /// The stream that has been kept longest.
    pub(super) fn first(&mut self, mut is_kept: impl FnMut(&StreamKey) -> bool) -> Option<StreamKey> {
        while let Some(key) = self.fifo.front() {
            if is_kept(key) {
                return Some(*key);
            }
            self.fifo.pop_front();
        }
        None
    }

    /// The longest kept of the streams for which `is_it` returns true.
    pub(super) fn find(&self, mut is_it: impl FnMut(&StreamKey) -> bool) -> Option<StreamKey> {
        self.fifo.iter().copied().find(|key| is_it(key))
    }
}
