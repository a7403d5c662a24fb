//! The echo server of `floor`: it writes back what it reads, with as many worker threads of tokio as proxyherd has.
//!
//! For each burst, the echo server makes one read and one write with one buffer. A server on this runtime cannot do
//! less. This matters because a slow echo server would make proxyherd look fast.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Target, own_server};
use crate::load::Dialect;

/// Length of a connection's buffer, bytes.
const BUFFER_LEN: usize = 64 * 1024;

/// Starts this program again as an echo server.
pub(crate) fn start(workers: Option<usize>) -> Result<Target> {
    let (process, address) = own_server::start("echo-server", workers)?;
    Ok(Target { name: "echo server", address, dialect: Dialect::Echo, process })
}

/// Serves until standard input ends.
pub(crate) fn serve() -> Result<()> {
    own_server::serve(accept)
}

async fn accept(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(echo(stream, peer));
            }
            Err(error) => eprintln!("echo server: cannot accept: {error}"),
        }
    }
}

/// Serves one connection until it is closed. `read` and `write_all` call the socket directly. After a read that does
/// not fill the buffer, tokio knows that the socket is empty, and makes no second call.
async fn echo(mut stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("echo server: {peer}: {error}");
    }
    let mut buffer = vec![0; BUFFER_LEN];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
}
