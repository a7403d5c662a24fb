//! Servers that are this program started again: the measurements compare proxyherd with them.
//!
//! Such a server listens on a free port of loopback, says its address on standard output, and serves until its standard
//! input ends. Standard input ends when the parent process ends. This module knows no protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use super::{ServerProcess, with_workers};

/// Starts this program again with `subcommand`, with as many worker threads of tokio. Returns the process and its
/// address.
pub(super) fn start(subcommand: &str, workers: Option<usize>) -> Result<(ServerProcess, SocketAddr)> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut command = Command::new(program);
    command.arg(subcommand);
    with_workers(&mut command, workers);
    let (process, line) = ServerProcess::start(command)?;
    let address = line.trim_start_matches("ready ").parse();
    Ok((process, address.with_context(|| format!("{subcommand} named no address"))?))
}

/// Serves with `accept` until standard input ends.
pub(super) fn serve<F>(accept: impl FnOnce(TcpListener) -> F) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        println!("ready {}", listener.local_addr()?);
        tokio::spawn(accept(listener));
        wait_for_end_of_input().await
    })
}

async fn wait_for_end_of_input() -> Result<()> {
    let drained = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    drained.await?.context("cannot read standard input")?;
    Ok(())
}
