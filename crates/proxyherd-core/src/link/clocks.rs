//! How far apart two servers' clocks are, as far as heartbeats can show.
//!
//! A heartbeat carries its sender's clock. The heartbeat takes time to arrive, so the sender's clock can only look
//! slower than it is. Therefore the largest lead among the last heartbeats is a certain lower bound of how far the
//! neighbor's clock is ahead. How far the neighbor's clock is behind, only the neighbor can measure; the neighbor sends
//! that number as OFFSET.

/// The number of recent heartbeats that count.
const HEARD: usize = 8;

/// What one link's heartbeats have shown about both clocks, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The lead of the neighbor's clock over this server's clock at each of the last heartbeats.
    ahead: [i64; HEARD],
    next: usize,
    /// The least lead of this server's clock over the neighbor's clock, as the neighbor sent it.
    told: i64,
}

impl Default for Clocks {
    fn default() -> Clocks {
        Clocks { ahead: [i64::MIN; HEARD], next: 0, told: i64::MIN }
    }
}

impl Clocks {
    /// Handles a heartbeat.
    pub fn hear(&mut self, now_ns: u64, theirs_ns: u64) {
        let ahead = i128::from(theirs_ns) - i128::from(now_ns);
        self.ahead[self.next] = ahead.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        self.next = (self.next + 1) % HEARD;
    }

    /// Handles an OFFSET: this server's clock is at least `ahead_ns` ahead of the neighbor's clock.
    pub fn be_told(&mut self, ahead_ns: i64) {
        self.told = ahead_ns;
    }

    /// The least lead of the neighbor's clock. If the number is negative, the neighbor's clock may not be ahead at all.
    pub fn ahead_ns(&self) -> i64 {
        self.ahead.into_iter().max().unwrap_or(i64::MIN)
    }

    /// The certain offset of the neighbor's clock: positive if it is ahead, negative if it is behind, 0 if neither is
    /// certain.
    pub fn offset_ns(&self) -> i64 {
        match self.ahead_ns() {
            ahead @ 1.. => ahead,
            _ => -self.told.max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_sure_of_two_clocks_is_told() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.offset_ns(), 0);
        // Slow transit makes a clock look slow.
        clocks.hear(1000, 400);
        assert_eq!((clocks.ahead_ns(), clocks.offset_ns()), (-600, 0));
        clocks.hear(2000, 2300);
        clocks.hear(3000, 3100);
        assert_eq!((clocks.ahead_ns(), clocks.offset_ns()), (300, 300));
        // The clock is right again, and the earlier heartbeats are forgotten.
        (0..HEARD).for_each(|_| clocks.hear(4000, 3990));
        assert_eq!((clocks.ahead_ns(), clocks.offset_ns()), (-10, 0));
        clocks.be_told(70);
        assert_eq!(clocks.offset_ns(), -70);
        clocks.be_told(-5);
        assert_eq!(clocks.offset_ns(), 0);
    }
}
