//! Frames that a link sends with each heartbeat or now and then beside them: HEARTBEAT, OFFSET, NAMESAKE. Clocks are
//! compared in `link::clocks`; the spanning tree knows what a namesake is.

use super::frame::{Encoder, OPTIONAL, put_u64};

pub(super) const HEARTBEAT: u8 = 7;
/// Version 2 of the protocol begins here, with OFFSET.
pub(super) const OFFSET: u8 = 8;
/// Optional in every version.
pub(super) const NAMESAKE: u8 = 32;

impl Encoder {
    /// Encodes a heartbeat with the sender's clock, POSIX time in nanoseconds.
    pub fn heartbeat(&mut self, now_ns: u64) {
        self.frame(HEARTBEAT, 0, |out| put_u64(out, now_ns));
    }

    /// Encodes by how much at least the neighbor's clock is ahead, nanoseconds.
    pub fn offset(&mut self, offset_ns: i64) {
        self.frame(OFFSET, 0, |out| put_u64(out, offset_ns.cast_unsigned()));
    }

    /// Encodes that another process runs under the neighbor's name, with that process's incarnation.
    pub fn namesake(&mut self, incarnation: u64) {
        self.frame(NAMESAKE, OPTIONAL, |out| put_u64(out, incarnation));
    }
}
