//! The command `peers`: lists the peers, or starts a herd of one until standard input ends.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Availability, Peer, Runnable};
use crate::format::{BOLD, DIM};
use crate::target::group::{CLASSIC, LONE};
use crate::target::herd;

/// Lists all peers, or starts `wanted`: the classic herd, or a single server.
pub(crate) fn show(wanted: Option<Peer>, alone: bool, server_bin: Option<&Path>) -> Result<()> {
    let Some(peer) = wanted else { return list() };
    let program = if peer == Peer::Ours { herd::program(server_bin)? } else { Path::new("").to_owned() };
    match peer.prepare(&program)? {
        Availability::Runs(runnable) => serve(&runnable, alone || !peer.is_herd()),
        Availability::Missing(reason) => bail!("{peer} cannot be started: {reason}"),
    }
}

fn list() -> Result<()> {
    for peer in Peer::ALL {
        let about = match peer.prepare(Path::new(""))? {
            Availability::Missing(reason) => format!("cannot run here: {reason}"),
            Availability::Runs(runnable) => match (runnable.version(), runnable.lines_of_code()) {
                (Some(version), Some(lines)) => format!("{version}, {lines} lines of code"),
                _ => "part of this project".to_owned(),
            },
        };
        anstream::println!("{BOLD}{:<8}{BOLD:#} {peer}: {about}", peer.name());
    }
    Ok(())
}

fn serve(runnable: &Runnable, alone: bool) -> Result<()> {
    let herd = runnable.start(if alone { &LONE } else { &CLASSIC })?;
    for ((address, pid), (name, _)) in herd.addresses().iter().zip(herd.process_ids()).zip(CLASSIC) {
        anstream::println!("{BOLD}{name:<8}{BOLD:#} {address} {DIM}process {pid}{DIM:#}");
    }
    let what = format!("{:?}", herd.dialect()).to_lowercase();
    anstream::println!("{DIM}Replies as of: {what}. The herd ends with the end of standard input.{DIM:#}");
    io::copy(&mut io::stdin(), &mut io::sink()).context("cannot read standard input")?;
    Ok(())
}
