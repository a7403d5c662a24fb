//! A hash over all events, so that two runs of a seed can be compared without keeping either run's events.

/// The hash so far: FNV-1a over words, mixed at the end.
#[derive(Clone, Debug)]
pub(crate) struct Trace(u64);

impl Default for Trace {
    fn default() -> Trace {
        Trace(0xCBF2_9CE4_8422_2325)
    }
}

impl Trace {
    /// Adds a number.
    pub(crate) fn note(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(29);
    }

    /// Adds bytes.
    pub(crate) fn note_bytes(&mut self, bytes: &[u8]) {
        self.note(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.note(u64::from_le_bytes(*word)));
        rest.iter().for_each(|&byte| self.note(u64::from(byte)));
    }

    /// The hash.
    pub(crate) fn hash(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mixed ^ (mixed >> 32)
    }
}
