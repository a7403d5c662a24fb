//! What a connection costs that says nothing: opens many to one server, and looks at the server's memory.

use std::net::TcpStream;

use anyhow::{Context, Result};

use crate::process_memory::resident;
use crate::target::herd::Herd;

/// Connections that are opened before the first look, so that what is set up once is not counted.
const BEFORE: usize = 100;

/// Opens `connections` to `herd` and prints what each costs the server, in user space; what the kernel keeps for a
/// socket comes on top, for any server.
pub(crate) fn measure(herd: &Herd, connections: usize) -> Result<()> {
    let mut open = connect(herd, BEFORE)?;
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

/// Connections that have each had an answer, so that the server has taken them in.
fn connect(herd: &Herd, count: usize) -> Result<Vec<TcpStream>> {
    let connect = |number| {
        let context = || format!("cannot open connection {number}; see `ulimit -n`");
        let mut stream = TcpStream::connect(herd.target.address).with_context(context)?;
        std::io::Write::write_all(&mut stream, b"A\n").with_context(context)?;
        std::io::Read::read_exact(&mut stream, &mut [0; 4]).with_context(context)?;
        Ok(stream)
    };
    (0..count).map(connect).collect()
}
