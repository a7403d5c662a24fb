//! Ports for servers that can be stopped and started again.
//!
//! A port that the system hands out (port 0) can be handed to somebody else as soon as it is free, to any outgoing
//! connection even, and then a server that comes back would not find its own. So ports are taken from below the
//! range that Linux hands out (32768 and up), each by one test of this process alone. Another process may still
//! have taken one: whoever starts a server tries again with others.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// So many ports that nobody listens at.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    // Two runs at a time begin at different places.
    let begin = std::process::id().wrapping_mul(617);
    let candidates = (0..COUNT).map(|_| FIRST + (begin.wrapping_add(TAKEN.fetch_add(1, Relaxed))) % COUNT);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = candidates.map(|port| port as u16).filter(is_free).take(count).collect();
    assert_eq!(ports.len(), count, "there are not enough free ports from {FIRST} on");
    ports
}
