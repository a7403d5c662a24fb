//! The echo server of `floor`: it writes back what it reads, with as many worker threads of tokio as proxyherd has.
//!
//! For each burst, the echo server makes one read and one write with one buffer. A server on this runtime cannot do
//! less. This matters because a slow echo server would make proxyherd look fast.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{ServerProcess, Target, with_workers};
use crate::load::Dialect;

/// Length of a connection's buffer, bytes.
const BUFFER_LEN: usize = 64 * 1024;

/// Starts this program again as an echo server.
pub(crate) fn start(workers: Option<usize>) -> Result<Target> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut command = Command::new(program);
    command.arg("echo-server");
    with_workers(&mut command, workers);
    let (process, line) = ServerProcess::start(command)?;
    let address = line.trim_start_matches("ready ").parse().context("the echo server named no address")?;
    Ok(Target { name: "echo server", address, dialect: Dialect::Echo, process })
}

/// Serves until standard input ends. Standard input ends when the parent process ends.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        println!("ready {}", listener.local_addr()?);
        tokio::spawn(accept(listener));
        wait_for_end_of_input().await
    })
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

pub(super) async fn wait_for_end_of_input() -> Result<()> {
    let drained = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    drained.await?.context("cannot read standard input")?;
    Ok(())
}
