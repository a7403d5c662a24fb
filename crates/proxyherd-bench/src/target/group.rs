//! Several proxyherd servers that are linked, each a process of its own, in a directory that is removed with them.
//!
//! It asks them what they count, under `/metrics`; it does not know what is sent to them.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::Process;
use super::herd::free_addresses;

/// Riley and Jaquez. Jaquez dials, because its name sorts first.
pub(crate) const PAIR: [(&str, &[&str]); 2] = [("Riley", &["Jaquez"]), ("Jaquez", &[])];

/// The herd that `proxyherd init` writes.
pub(crate) const CLASSIC: [(&str, &[&str]); 5] = [
    ("Riley", &["Jaquez", "Juzang"]),
    ("Jaquez", &["Bernard"]),
    ("Juzang", &["Campbell", "Bernard"]),
    ("Campbell", &["Bernard"]),
    ("Bernard", &[]),
];

/// Longest time that a herd may take to do what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest time that a server may take to say what it counts.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A herd that has not been started.
pub(crate) struct Draft {
    names: &'static [(&'static str, &'static [&'static str])],
    addresses: Vec<[SocketAddr; 3]>,
    advertised: Vec<Option<SocketAddr>>,
}

impl Draft {
    /// Servers and whom each of them names as neighbors, at addresses of this machine that are free.
    pub(crate) fn of(names: &'static [(&'static str, &'static [&'static str])]) -> Result<Draft> {
        let (addresses, advertised) = (free_addresses(names.len())?, vec![None; names.len()]);
        Ok(Draft { names, addresses, advertised })
    }

    /// Where the others reach a server that advertises nothing else.
    pub(crate) fn peer(&self, server: usize) -> SocketAddr {
        self.addresses[server][1]
    }

    /// Makes the others dial `address` for a server.
    pub(crate) fn advertise(&mut self, server: usize, address: SocketAddr) {
        self.advertised[server] = Some(address);
    }

    /// Starts the servers; when this returns, all of them are ready and all links up.
    pub(crate) fn start(&self, program: &Path, encrypted: bool) -> Result<Group> {
        let home = tempfile::Builder::new().prefix("proxyherd-bench-").tempdir()?;
        let config = home.path().join("herd.toml");
        if encrypted {
            certify(program, home.path())?;
        }
        fs::write(&config, self.config(encrypted)).context("cannot write the configuration")?;
        let mut servers = Vec::new();
        for (index, &(name, _)) in self.names.iter().enumerate() {
            let mut command = Command::new(program);
            command.arg("serve").arg("--config").arg(&config).args(["--name", name]);
            let (process, _) = Process::start(command)?;
            let [line, _, http] = self.addresses[index];
            servers.push(Server { name, line, http, process });
        }
        let group = Group { servers, _home: home };
        group.wait_for_links(2 * self.names.iter().map(|(_, neighbors)| neighbors.len()).sum::<usize>())?;
        Ok(group)
    }

    fn config(&self, encrypted: bool) -> String {
        let tls = if encrypted { "certs" } else { "off" };
        let mut text = format!("[herd]\ntls = \"{tls}\"\n\n[log]\ndir = \"log\"\n");
        for (index, (name, neighbors)) in self.names.iter().enumerate() {
            let [listen, peer, http] = self.addresses[index];
            let _ = write!(
                text,
                "\n[[server]]\nname = \"{name}\"\nlisten = \"{listen}\"\npeer = \"{peer}\"\nhttp = \"{http}\"\n\
                 neighbors = {neighbors:?}\n"
            );
            if let Some(address) = self.advertised[index] {
                let _ = writeln!(text, "advertise = \"{address}\"");
            }
        }
        text
    }
}

/// Has the program make the classic herd's certificates, and a configuration that is to be replaced.
fn certify(program: &Path, home: &Path) -> Result<()> {
    let mut command = Command::new(program);
    let status = command.arg("init").arg(home).stdout(Stdio::null()).status();
    ensure!(
        status.context("cannot run proxyherd init")?.success(),
        "proxyherd init could not make certificates"
    );
    Ok(())
}

/// Servers that are running. The order of the fields is the order in which they end.
pub(crate) struct Group {
    pub(crate) servers: Vec<Server>,
    _home: TempDir,
}

/// One of them.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Where clients connect.
    pub(crate) line: SocketAddr,
    http: SocketAddr,
    pub(crate) process: Process,
}

impl Group {
    /// Waits until the servers together see so many ends of links that are up.
    pub(crate) fn wait_for_links(&self, ends: usize) -> Result<()> {
        self.wait_for(&format!("{ends} ends of links are up"), |group| {
            let up = group.servers.iter().map(|server| Ok(server.counts()?.sum("proxyherd_link_up")));
            Ok(up.sum::<Result<u64>>()? == ends as u64)
        })
    }

    /// Waits until `is_so`, looking often, and fails when it takes too long.
    pub(crate) fn wait_for(&self, what: &str, mut is_so: impl FnMut(&Group) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !is_so(self)? {
            if start.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} it is still not so that {what}");
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Server {
    /// What the server counts at this moment.
    pub(crate) fn counts(&self) -> Result<Counts> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.http)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            let host = self.http;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = ask().with_context(|| format!("{} does not answer at {}", self.name, self.http))?;
        ensure!(text.starts_with("HTTP/1.1 200 "), "{} tells no metrics", self.name);
        Ok(Counts(text))
    }
}

/// What a server counts, as it says it.
pub(crate) struct Counts(String);

impl Counts {
    /// The sum of all that is counted under `name`, whatever the labels; 0 if nothing is.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
            rest.rsplit(' ').next()?.trim().parse::<u64>().ok()
        });
        values.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_their_labels_and_not_over_longer_names() {
        let text = "# HELP up Whether\nup{n=\"a b\"} 1\nup{n=\"c\"} 2\nups_total{n=\"a\"} 7\nrecords 5\n";
        let counts = Counts(text.to_owned());
        for (name, sum) in [("up", 3), ("ups_total", 7), ("records", 5), ("record", 0)] {
            assert_eq!(counts.sum(name), sum, "{name}");
        }
    }

    #[test]
    fn what_is_advertised_stands_in_the_configuration() {
        let mut draft = Draft::of(&PAIR).unwrap();
        draft.advertise(1, "127.0.0.1:9".parse().unwrap());
        let config = draft.config(false);
        let (_, jaquez) = config.split_once("name = \"Jaquez\"").unwrap();
        assert!(jaquez.contains("advertise = \"127.0.0.1:9\""), "{config}");
        assert_eq!(config.matches("advertise").count(), 1, "{config}");
    }
}
