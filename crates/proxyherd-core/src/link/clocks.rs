//! How far apart two servers' clocks are, as far as heartbeats show it.
//!
//! A heartbeat carries its sender's clock, and it takes time to arrive, so it can only make that clock look slower
//! than it is. The largest lead among the last heartbeats is therefore a sure lower bound of how far the neighbor's
//! clock is ahead. How far it is behind, only the neighbor can tell, and it sends that as OFFSET.

/// How many of the last heartbeats count.
const HEARD: usize = 8;

/// One link's view of both clocks, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// By how much the neighbor's clock was ahead of this one at each of the last heartbeats.
    ahead: [i64; HEARD],
    next: usize,
    /// By how much at least this clock is ahead of the neighbor's, as the neighbor sent it.
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

    /// Handles an OFFSET: by how much at least this clock is ahead of the neighbor's.
    pub fn be_told(&mut self, ahead_ns: i64) {
        self.told = ahead_ns;
    }

    /// By how much at least the neighbor's clock is ahead. If it is negative, the clock may not be ahead at all.
    pub fn ahead_ns(&self) -> i64 {
        self.ahead.into_iter().max().unwrap_or(i64::MIN)
    }

    /// By how much the neighbor's clock is surely ahead, or, if negative, surely behind; 0 if neither is sure.
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
        // Slow ways make a clock look slow.
        clocks.hear(1000, 400);
        assert_eq!((clocks.ahead_ns(), clocks.offset_ns()), (-600, 0));
        clocks.hear(2000, 2300);
        clocks.hear(3000, 3100);
        assert_eq!((clocks.ahead_ns(), clocks.offset_ns()), (300, 300));
        // It is right again, and what was before is forgotten.
        (0..HEARD).for_each(|_| clocks.hear(4000, 3990));
        assert_eq!((clocks.ahead_ns(), clocks.offset_ns()), (-10, 0));
        clocks.be_told(70);
        assert_eq!(clocks.offset_ns(), -70);
        clocks.be_told(-5);
        assert_eq!(clocks.offset_ns(), 0);
    }
}
