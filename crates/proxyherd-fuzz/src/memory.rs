//! How much memory a codec holds at once, as the allocator sees it.

/// Does `work` on an input of `len` bytes, and panics if it ever holds more than `per_byte` bytes for each of them and
/// `besides`. A vector that grows by doubling holds three times its content while it moves.
pub fn bounded<T>(len: usize, per_byte: usize, besides: usize, work: impl FnOnce() -> T) -> T {
    let mut outcome = None;
    let held = allocation_counter::measure(|| outcome = Some(work())).bytes_max;
    let most = (len * per_byte + besides) as u64;
    assert!(held <= most, "{len} bytes of input made it hold {held} bytes, and {most} are allowed");
    outcome.expect("the work was done")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_within_the_bound_is_fine() {
        let made = bounded(10, 10, 0, || (0..5).map(|_| vec![0_u8; 100].len()).sum::<usize>());
        assert_eq!(made, 500, "what is held one after the other is not held at once");
    }

    #[test]
    #[should_panic(expected = "made it hold 101 bytes, and 100 are allowed")]
    fn a_byte_more_is_seen() {
        bounded(10, 10, 0, || vec![0_u8; 101]);
    }
}
