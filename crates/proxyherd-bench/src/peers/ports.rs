//! Ports for servers that can be stopped and started again.
//!
//! Linux reuses a port that it has chosen (port 0) as soon as the port is free, also for an outgoing connection. So a
//! server might find its port taken. Therefore these ports are below the range from which Linux chooses (32768 and up),
//! and this process gives each of them away once.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Result, bail};

const FIRST: u32 = 16_000;
const COUNT: u32 = 4_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// An address of loopback on which no program listens.
pub(super) fn free_address() -> Result<SocketAddr> {
    // Two of these processes that run at the same time begin at different ports.
    let begin = std::process::id().wrapping_mul(617);
    for _ in 0..COUNT {
        let port = FIRST + begin.wrapping_add(TAKEN.fetch_add(1, Relaxed)) % COUNT;
        if let Ok(port) = u16::try_from(port) {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
    }
    bail!("no port of 127.0.0.1 from {FIRST} on is free")
}
