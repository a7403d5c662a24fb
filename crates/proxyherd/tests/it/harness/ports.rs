//! Ports for servers that can be stopped and started again.
//!
//! Linux reuses a port that it has chosen (port 0) as soon as the port is free, even for an outgoing connection. So a
//! restarted server might not get its port back. Therefore the tests take ports below the range from which Linux
//! chooses (32768 and up), and give each port to only one test of this process. If another process uses such a port
//! anyway, the server is started again with other ports.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// `count` ports on which no program listens.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    // Two test runs at the same time begin at different ports.
    let begin = std::process::id().wrapping_mul(617);
    let candidates = (0..COUNT).map(|_| FIRST + (begin.wrapping_add(TAKEN.fetch_add(1, Relaxed))) % COUNT);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = candidates.map(|port| port as u16).filter(is_free).take(count).collect();
    assert_eq!(ports.len(), count, "there are not enough free ports from {FIRST} on");
    ports
}
