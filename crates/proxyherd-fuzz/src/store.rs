//! The files of a server's store. A file is read with its checksums as they are, and the entries of its blocks also
//! with correct checksums, because a fuzzer cannot guess them.

use std::cell::Cell;

use proxyherd_core::{
    journal::{MemoryDisk, Part, Recovered, Restore, Stored, alive_until, fuzzing, recover},
    types::Origin,
};

use crate::memory::bounded;

/// Memory that a reader needs for any file: the bytes that it reads at once, while they move to a longer vector.
const READER_LEN: usize = 4 * 1024 * 1024;

/// The present time, POSIX time in nanoseconds.
const NOW_NS: u64 = 1_621_464_828_223_371_889;

/// Counts what it receives.
#[derive(Default)]
struct Counting(Cell<u64>);

impl Restore for Counting {
    fn restore(&self, _now_ns: u64, _shard: usize, changes: &[Stored<'_>]) {
        let records = changes.iter().filter(|change| matches!(change, Stored::Update(_)));
        self.0.set(self.0.get() + records.count() as u64);
    }

    fn restore_vector(&self, _now_ns: u64, _shard: usize, _vector: &[(Origin, u64)]) {}
}

/// A store with any bytes is read without a panic, and with memory that the number of its bytes bounds. Every entry
/// that was read is the same after it was written and read again.
pub fn check(input: &[u8]) {
    read(input.to_vec());
    let sealed = read(fuzzing::segment(input));
    let Some(Recovered { damage, torn, .. }) = sealed else { panic!("the header is correct") };
    for run in damage.iter().chain(&torn) {
        assert!(run.len > 0 && run.file == "journal-1", "{run:?}");
    }
    for (once, again) in fuzzing::read_twice(input) {
        assert_eq!(Some(once), again);
    }
    assert_ne!(fuzzing::vector_twice(input), Some(false));
}

/// Reads a store with this segment. `None`: the store was refused.
fn read(segment: Vec<u8>) -> Option<Recovered> {
    let len = segment.len();
    let disk = MemoryDisk::default();
    disk.replace("journal-1", segment);
    let (identity, into) = (fuzzing::identity(), Counting::default());
    // A change takes many times the memory of its bytes, but only the changes of one block are in memory.
    let recovered = bounded(len, 128, READER_LEN, || {
        recover(&disk, &identity, &into, NOW_NS, Part::ALL, &mut |_| ()).ok()
    })?;
    assert_eq!(recovered.records, into.0.get());
    assert!(bounded(len, 128, READER_LEN, || alive_until(&disk, &identity)).is_ok());
    Some(recovered)
}
