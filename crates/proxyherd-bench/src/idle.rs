//! Measures how much memory an idle connection takes. Opens many connections to one server and reads the server's
//! resident memory before and after.

use std::net::TcpStream;

use anyhow::{Context, Result};

use crate::procfs::resident;
use crate::target::herd::LoneServer;

/// Connections that are opened before the first reading, so that one-time allocations of the server do not count.
const WARM_UP: usize = 100;

/// Opens `connections` connections to `herd` and prints how much memory each connection takes in the server's process.
/// The kernel's memory for a socket, which is the same for any server, is not included.
pub(crate) fn measure(herd: &LoneServer, connections: usize) -> Result<()> {
    let mut open = connect(herd, WARM_UP)?;
    let before = resident(herd.target.process.id())?;
    open.extend(connect(herd, connections)?);
    let grown = resident(herd.target.process.id())?.saturating_sub(before);
    println!(
        "{connections} idle connections: {:.1} MB resident, {} bytes each",
        grown as f64 / 1e6,
        grown / connections as u64
    );
    Ok(())
}

/// Opens connections and waits for a reply on each, so that the server has accepted them all.
fn connect(herd: &LoneServer, count: usize) -> Result<Vec<TcpStream>> {
    let connect = |number| {
        let context = || format!("cannot open connection {number}; see `ulimit -n`");
        let mut stream = TcpStream::connect(herd.target.address).with_context(context)?;
        std::io::Write::write_all(&mut stream, b"A\n").with_context(context)?;
        std::io::Read::read_exact(&mut stream, &mut [0; 4]).with_context(context)?;
        Ok(stream)
    };
    (0..count).map(connect).collect()
}
