//! Frames that a link sends with each heartbeat, or from time to time in addition to heartbeats: HEARTBEAT, OFFSET,
//! NAMESAKE, HORIZON. `link::clocks` compares the clocks; the spanning tree knows what a namesake is.

use super::frame::{Encoder, OPTIONAL, put_u64};

pub(super) const HEARTBEAT: u8 = 7;
/// The type of OFFSET, which exists from version 2 of the protocol on.
pub(super) const OFFSET: u8 = 8;
/// The type of NAMESAKE, which is optional in every version.
pub(super) const NAMESAKE: u8 = 32;
/// The type of HORIZON, which is optional in every version.
pub(super) const HORIZON: u8 = 33;

impl Encoder {
    /// Encodes a heartbeat with the sender's clock, POSIX time in nanoseconds.
    pub fn heartbeat(&mut self, now_ns: u64) {
        self.frame(HEARTBEAT, 0, |out| put_u64(out, now_ns));
    }

    /// Encodes the least lead of the neighbor's clock, nanoseconds.
    pub fn offset(&mut self, offset_ns: i64) {
        self.frame(OFFSET, 0, |out| put_u64(out, offset_ns.cast_unsigned()));
    }

    /// Encodes that another process runs under the neighbor's name, with that process's incarnation.
    pub fn namesake(&mut self, incarnation: u64) {
        self.frame(NAMESAKE, OPTIONAL, |out| put_u64(out, incarnation));
    }

    /// Encodes the sender's horizon, POSIX time in nanoseconds: a store that was last in use before that time may bring
    /// back what was forgotten. 0: the sender objects to no store.
    pub fn horizon(&mut self, horizon_ns: u64) {
        self.frame(HORIZON, OPTIONAL, |out| put_u64(out, horizon_ns));
    }
}
