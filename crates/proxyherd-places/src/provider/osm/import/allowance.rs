//! Bounds what an import keeps in memory until it has read the whole extract.
//!
//! Zlib packs a list of equal numbers to a thousandth. So a file of some kilobytes can hold millions of references to
//! nodes and ways, each of which takes memory here. What such a file may take follows from its length.

use super::super::limits::{WAITING_LEN_MIN, WAITING_RATIO_MAX};
use crate::provider::osm::pbf::Damage;

/// Memory that an import may still use, bytes.
#[derive(Debug)]
pub(super) struct Allowance(u64);

const TOO_MUCH: Damage =
    Damage("with it, the file has far more references than a file of its length can hold");

impl Allowance {
    /// The allowance of an extract of this length, bytes.
    pub(super) fn of(file_len: u64) -> Allowance {
        Allowance(file_len.saturating_mul(WAITING_RATIO_MAX).max(WAITING_LEN_MIN))
    }

    /// Takes this many bytes. An extract that needs more than there are is damaged.
    pub(super) fn take(&mut self, len: usize) -> Result<(), Damage> {
        self.0 = self.0.checked_sub(len as u64).ok_or(TOO_MUCH)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_follows_the_files_length_and_is_used_up() {
        for (file_len, expected) in
            [(0, WAITING_LEN_MIN), (1 << 30, WAITING_RATIO_MAX << 30), (u64::MAX, u64::MAX)]
        {
            let mut allowance = Allowance::of(file_len);
            assert_eq!(allowance.take(usize::try_from(expected - 1).unwrap()), Ok(()), "{file_len}");
            assert_eq!(allowance.take(2), Err(TOO_MUCH), "{file_len}");
            assert_eq!(allowance.take(1), Ok(()), "{file_len}");
        }
    }
}
