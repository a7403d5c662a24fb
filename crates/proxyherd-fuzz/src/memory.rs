//! Measures how much memory a codec holds at once, by counting allocations.

/// Does `work` on an input of `len` bytes. Panics if `work` ever holds more than `per_byte` bytes of memory for each
/// byte of input, plus `besides` bytes. A vector that grows by doubling holds three times its content while the content
/// is moved.
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
    fn memory_within_the_bound_is_allowed() {
        let made = bounded(10, 10, 0, || (0..5).map(|_| vec![0_u8; 100].len()).sum::<usize>());
        assert_eq!(made, 500, "memory that is freed in between does not add up");
    }

    #[test]
    #[should_panic(expected = "made it hold 101 bytes, and 100 are allowed")]
    fn one_byte_too_many_is_found() {
        bounded(10, 10, 0, || vec![0_u8; 101]);
    }
}
