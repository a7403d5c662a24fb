//! Ports for servers that can be stopped and started again.
//!
//! Linux gives a port that it has chosen (port 0) to another socket as soon as it is free, also to an outgoing
//! connection. A server that is started again would not get its port back. So ports are taken from below the range from
//! which Linux chooses (32768 and up), each by one test of this process. Another process may use such a port all the
//! same: then the server is started again with other ports.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// `count` ports at which nobody listens.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    // Two runs at a time begin at different places.
    let begin = std::process::id().wrapping_mul(617);
    let candidates = (0..COUNT).map(|_| FIRST + (begin.wrapping_add(TAKEN.fetch_add(1, Relaxed))) % COUNT);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = candidates.map(|port| port as u16).filter(is_free).take(count).collect();
    assert_eq!(ports.len(), count, "there are not enough free ports from {FIRST} on");
    ports
}
