//! A herd of one proxyherd server, with its log, as `proxyherd init` would configure it.
//!
//! The server runs in its own directory, which is removed when the measurement is over.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{ServerProcess, Target, with_workers};
use crate::load::Dialect;

const SERVER: &str = "Riley";

/// A running server and its directory. The fields are dropped in this order, so the server ends first.
pub(crate) struct LoneServer {
    pub(crate) target: Target,
    pub(crate) http: SocketAddr,
    home: TempDir,
}

impl LoneServer {
    /// Starts one server of `program`.
    pub(crate) fn start(program: &Path, workers: Option<usize>) -> Result<LoneServer> {
        LoneServer::start_with(program, workers, &[])
    }

    /// Starts one server of `program` with these settings, each as `section.key=value`.
    pub(crate) fn start_with(
        program: &Path,
        workers: Option<usize>,
        settings: &[&str],
    ) -> Result<LoneServer> {
        let home = tempfile::Builder::new().prefix("proxyherd-bench-").tempdir()?;
        let [listen, peer, http] = free_addresses(1)?[0];
        let config = home.path().join("herd.toml");
        fs::write(&config, config_text(listen, peer, http)).context("cannot write the configuration")?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&config).args(["--name", SERVER]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        with_workers(&mut command, workers);
        let (process, _) = ServerProcess::start(command)?;
        Ok(LoneServer {
            target: Target { name: "proxyherd", address: listen, dialect: Dialect::Herd, process },
            http,
            home,
        })
    }

    /// Length of the server's log files, bytes. It shows that the server logged while it was measured.
    pub(crate) fn log_len(&self) -> Result<u64> {
        let mut len = 0;
        let dir = self.home.path().join("log");
        for entry in
            fs::read_dir(&dir).with_context(|| format!("the server wrote no log in {}", dir.display()))?
        {
            len += entry?.metadata()?.len();
        }
        Ok(len)
    }
}

fn config_text(listen: SocketAddr, peer: SocketAddr, http: SocketAddr) -> String {
    format!(
        "[herd]\ntls = \"off\"\n\n\
         [log]\ndir = \"log\"\n\n\
         [[server]]\nname = \"{SERVER}\"\nlisten = \"{listen}\"\npeer = \"{peer}\"\nhttp = \"{http}\"\n"
    )
}

/// Three free addresses on loopback for each of `servers` servers: for clients, for neighbors, and for HTTP.
pub(crate) fn free_addresses(servers: usize) -> Result<Vec<[SocketAddr; 3]>> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1");
    // All ports are bound before the first port is released, so that all ports differ.
    let bind_three = |_| Ok([bind()?, bind()?, bind()?]);
    let listeners: Vec<[TcpListener; 3]> = (0..servers).map(bind_three).collect::<Result<_>>()?;
    let addresses = |[listen, peer, http]: &[TcpListener; 3]| {
        Ok([listen.local_addr()?, peer.local_addr()?, http.local_addr()?])
    };
    listeners.iter().map(addresses).collect()
}

/// The path of the proxyherd program: `named`, or else the one in the directory of this program. If cargo runs this
/// program, cargo has built only this program, so proxyherd may be old or missing. In this case cargo builds proxyherd
/// first.
pub(crate) fn program(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        // As a full path, because a bare name would be looked up in PATH.
        return path.canonicalize().with_context(|| format!("there is no program at {}", path.display()));
    }
    let beside = std::env::current_exe()
        .context("cannot find this program's file")?
        .with_file_name(format!("proxyherd{}", std::env::consts::EXE_SUFFIX));
    if let (Some(cargo), Some(here)) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR")) {
        build(&cargo, &here, &beside)?;
    }
    if !beside.is_file() {
        bail!(
            "there is no program at {}: build it with `cargo build --profile dist -p proxyherd`, or name one with --server-bin",
            beside.display()
        );
    }
    Ok(beside)
}

/// Builds the program at `beside` with the profile that built this program. Cargo names the folder of both programs
/// after that profile. `here` is this package's folder.
fn build(cargo: &OsStr, here: &OsStr, beside: &Path) -> Result<()> {
    let folder = beside.parent().and_then(Path::file_name).context("this program's file is in no folder")?;
    let profile = if folder == "debug" { OsStr::new("dev") } else { folder };
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "proxyherd", "--profile"]).arg(profile).current_dir(here);
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo could not build proxyherd");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_addresses_differ() {
        let addresses = free_addresses(5).unwrap();
        let different: HashSet<_> = addresses.iter().flatten().collect();
        assert_eq!(different.len(), 15);
    }

    #[test]
    fn a_named_program_must_exist() {
        let error = program(Some(Path::new("/nowhere/proxyherd"))).unwrap_err();
        assert_eq!(error.to_string(), "there is no program at /nowhere/proxyherd");
    }
}
