//! A group of linked proxyherd servers, each in its own process. Their directory is removed when the group ends.
//!
//! A [`GroupConfig`] starts a [`Group`]. Then the `/metrics` of the group's servers can be read. The group does not
//! know what clients send to its servers.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::ServerProcess;
use super::herd::free_addresses;

/// Riley and Jaquez. Jaquez dials, because its name sorts first.
pub(crate) const PAIR: [(&str, &[&str]); 2] = [("Riley", &["Jaquez"]), ("Jaquez", &[])];

/// Riley alone.
pub(crate) const LONE: [(&str, &[&str]); 1] = [("Riley", &[])];

/// The herd that `proxyherd init` writes.
pub(crate) const CLASSIC: [(&str, &[&str]); 5] = [
    ("Riley", &["Jaquez", "Juzang"]),
    ("Jaquez", &["Bernard"]),
    ("Juzang", &["Campbell", "Bernard"]),
    ("Campbell", &["Bernard"]),
    ("Bernard", &[]),
];

/// A chord and a line: Riley in the middle.
const TRIO: [(&str, &[&str]); 3] = [("Riley", &["Jaquez", "Juzang"]), ("Jaquez", &[]), ("Juzang", &[])];

/// The classic herd and four more servers. Each server has two to four neighbors, as in the classic herd.
const NINE: [(&str, &[&str]); 9] = [
    ("Riley", &["Jaquez", "Juzang"]),
    ("Jaquez", &["Bernard"]),
    ("Juzang", &["Campbell", "Bernard"]),
    ("Campbell", &["Bernard"]),
    ("Bernard", &["Hill"]),
    ("Hill", &["Young", "Clark"]),
    ("Young", &["Bailey"]),
    ("Clark", &["Bailey", "Riley"]),
    ("Bailey", &[]),
];

/// The herd with so many servers.
pub(crate) fn herd_of(servers: usize) -> Result<&'static [(&'static str, &'static [&'static str])]> {
    let all: [&'static [_]; 5] = [&LONE, &PAIR, &TRIO, &CLASSIC, &NINE];
    let herd = all.into_iter().find(|herd| herd.len() == servers);
    herd.with_context(|| format!("there is no herd of {servers} servers: take 1, 2, 3, 5 or 9"))
}

/// Maximum time that [`Group::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval between two checks of [`Group::wait_for`].
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum time that a server may take to answer a request for its metrics.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Whether servers encrypt their links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkEncryption {
    /// With certificates that `proxyherd init` makes.
    On,
    Off,
}

/// The configuration of a group that is not started yet.
pub(crate) struct GroupConfig {
    names: &'static [(&'static str, &'static [&'static str])],
    addresses: Vec<[SocketAddr; 3]>,
    advertised: Vec<Option<SocketAddr>>,
    settings: Vec<String>,
    /// The folder in which the group's directory is made. `None`: the folder for temporary files.
    dir: Option<PathBuf>,
}

impl GroupConfig {
    /// Servers with these names, each with the names of its neighbors, at free addresses of this machine.
    pub(crate) fn of(names: &'static [(&'static str, &'static [&'static str])]) -> Result<GroupConfig> {
        let (addresses, advertised) = (free_addresses(names.len())?, vec![None; names.len()]);
        Ok(GroupConfig { names, addresses, advertised, settings: Vec::new(), dir: None })
    }

    /// The configuration with these settings of `[herd]`, each as `key=value`, and with the group's directory in `dir`.
    pub(crate) fn with(mut self, settings: &[&str], dir: Option<&Path>) -> GroupConfig {
        self.settings = settings.iter().map(|setting| format!("herd.{setting}")).collect();
        self.dir = dir.map(Path::to_owned);
        self
    }

    /// The configuration with these settings in addition, each as `section.key=value`.
    pub(crate) fn with_settings(mut self, settings: &[&str]) -> GroupConfig {
        self.settings.extend(settings.iter().map(|setting| (*setting).to_owned()));
        self
    }

    /// A server's own address for neighbors.
    pub(crate) fn peer(&self, server: usize) -> SocketAddr {
        self.addresses[server][1]
    }

    /// Makes the other servers dial `address` to reach a server.
    pub(crate) fn advertise(&mut self, server: usize, address: SocketAddr) {
        self.advertised[server] = Some(address);
    }

    /// Starts the servers. When this returns, all of them are ready and all links are up.
    pub(crate) fn start(&self, program: &Path, encryption: LinkEncryption) -> Result<Group> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("proxyherd-bench-");
        let home = match &self.dir {
            None => builder.tempdir(),
            Some(dir) => builder.tempdir_in(dir),
        };
        let home = home.context("cannot make a directory for the servers")?;
        let config = home.path().join("herd.toml");
        if encryption == LinkEncryption::On {
            certify(program, home.path())?;
        }
        fs::write(&config, self.config(encryption)).context("cannot write the configuration")?;
        if encryption == LinkEncryption::On {
            self.certify_others(program, home.path())?;
        }
        let launch = Launch { program: program.to_owned(), config, settings: self.settings.clone() };
        let mut servers = Vec::new();
        for (index, &(name, _)) in self.names.iter().enumerate() {
            let [line, _, http] = self.addresses[index];
            servers.push(GroupServer { name, line, http, process: launch.start(name)? });
        }
        let group = Group { servers, launch, home };
        group.wait_for_links(2 * self.names.iter().map(|(_, neighbors)| neighbors.len()).sum::<usize>())?;
        Ok(group)
    }

    /// Makes the certificates of servers that are not in the classic herd.
    fn certify_others(&self, program: &Path, home: &Path) -> Result<()> {
        for (name, _) in self.names {
            if !home.join("certs").join(format!("{name}.pem")).exists() {
                init(program, home, &["--server", name])?;
            }
        }
        Ok(())
    }

    fn config(&self, encryption: LinkEncryption) -> String {
        let tls = match encryption {
            LinkEncryption::On => "certs",
            LinkEncryption::Off => "off",
        };
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

/// Calls `proxyherd init` to make the classic herd's certificates. The command also writes a configuration, which is
/// replaced later.
fn certify(program: &Path, home: &Path) -> Result<()> {
    init(program, home, &[])
}

fn init(program: &Path, home: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    let status = command.arg("init").args(options).arg(home).stdout(Stdio::null()).status();
    ensure!(
        status.context("cannot run proxyherd init")?.success(),
        "proxyherd init could not make certificates"
    );
    Ok(())
}

/// Running servers. The fields are dropped in this order, so the servers end first.
pub(crate) struct Group {
    pub(crate) servers: Vec<GroupServer>,
    launch: Launch,
    home: TempDir,
}

/// How a server of a group is started.
struct Launch {
    program: PathBuf,
    config: PathBuf,
    settings: Vec<String>,
}

impl Launch {
    /// Starts a server. When this returns, the server is ready.
    fn start(&self, name: &str) -> Result<ServerProcess> {
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(&self.config).args(["--name", name]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        Ok(ServerProcess::start(command)?.0)
    }
}

/// One server of a group.
pub(crate) struct GroupServer {
    pub(crate) name: &'static str,
    /// The address for clients.
    pub(crate) line: SocketAddr,
    http: SocketAddr,
    pub(crate) process: ServerProcess,
}

impl Group {
    /// The directory of the group, in which the servers have their data.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Kills a server (SIGKILL), starts it again, and returns the time from its start until it was ready.
    pub(crate) fn restart(mut self, server: usize) -> Result<(Group, Duration)> {
        let GroupServer { name, line, http, process } = self.servers.remove(server);
        drop(process);
        let began = Instant::now();
        let process = self.launch.start(name)?;
        let took = began.elapsed();
        self.servers.insert(server, GroupServer { name, line, http, process });
        Ok((self, took))
    }

    /// Waits until `ends` ends of links are up, over all servers together. Each link has two ends.
    pub(crate) fn wait_for_links(&self, ends: usize) -> Result<()> {
        self.wait_for(&format!("{ends} ends of links are up"), |group| {
            let up = group.servers.iter().map(|server| Ok(server.metrics()?.sum("proxyherd_link_up")));
            Ok(up.sum::<Result<u64>>()? == ends as u64)
        })
    }

    /// Waits until `is_so` returns true. Fails if that takes too long. `what` describes the condition for the error
    /// message.
    pub(crate) fn wait_for(&self, what: &str, mut is_so: impl FnMut(&Group) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !is_so(self)? {
            if start.elapsed() > PATIENCE {
                bail!("waited {PATIENCE:?} in vain for this: {what}");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl GroupServer {
    /// The server's present metrics.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
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
        ensure!(text.starts_with("HTTP/1.1 200 "), "{} does not answer with metrics", self.name);
        Ok(Metrics(text))
    }
}

/// The text of a server's `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sum of all samples of this name, whatever their labels. 0 if there is none.
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
        let metrics = Metrics(text.to_owned());
        for (name, sum) in [("up", 3), ("ups_total", 7), ("records", 5), ("record", 0)] {
            assert_eq!(metrics.sum(name), sum, "{name}");
        }
    }

    #[test]
    fn each_herd_is_connected_and_each_neighbor_is_in_it() {
        for servers in [1, 2, 3, 5, 9] {
            let herd = herd_of(servers).unwrap();
            let names: Vec<&str> = herd.iter().map(|(name, _)| *name).collect();
            let mut reached = vec![names[0]];
            for _ in 0..servers {
                for (name, neighbors) in herd {
                    for neighbor in *neighbors {
                        assert!(names.contains(neighbor), "{neighbor}");
                        let ends = [*name, *neighbor];
                        if ends.iter().any(|end| reached.contains(end)) {
                            reached
                                .extend(ends.iter().filter(|end| !reached.contains(end)).collect::<Vec<_>>());
                        }
                    }
                }
            }
            assert_eq!((reached.len(), names.len()), (servers, servers));
        }
        assert!(herd_of(4).is_err());
    }

    #[test]
    fn the_configuration_has_the_advertised_address() {
        let mut config = GroupConfig::of(&PAIR).unwrap();
        config.advertise(1, "127.0.0.1:9".parse().unwrap());
        let config = config.config(LinkEncryption::Off);
        let (_, jaquez) = config.split_once("name = \"Jaquez\"").unwrap();
        assert!(jaquez.contains("advertise = \"127.0.0.1:9\""), "{config}");
        assert_eq!(config.matches("advertise").count(), 1, "{config}");
    }
}
