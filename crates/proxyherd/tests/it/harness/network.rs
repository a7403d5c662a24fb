//! Separate hosts for the servers of a herd. The hosts are network namespaces that are joined by a bridge, and the
//! bridge can drop packets.
//!
//! Each host is a namespace with its own loopback and one Ethernet port. The ports are joined by a bridge in one
//! additional namespace. Nothing is created outside of these namespaces, so the machine's own network does not change.
//! The namespaces are removed when the [`Network`] is dropped. If a test was killed, the next test removes its
//! namespaces.
//!
//! Packets are dropped in the bridge, and no end is notified, as with a broken switch.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::fd::AsFd,
    panic::resume_unwind,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Addresses;

/// Some hosts and the bridge between them.
#[derive(Debug)]
pub(crate) struct Network {
    /// The prefix of the names of this network's namespaces.
    prefix: String,
    hosts: Vec<&'static str>,
}

/// The percentage of packets from one host to another that are lost. Packets in the other direction are not affected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) percent: u32,
}

/// The directory in which iproute2 keeps named namespaces.
const NAMESPACES: &str = "/run/netns";
/// The prefix of the names of all namespaces that tests make. The process ID and a number follow.
const MARK: &str = "proxyherd-test-";
const BRIDGE: &str = "bridge";

static NETWORKS: AtomicU32 = AtomicU32::new(0);

impl Network {
    /// A network of these hosts. If the machine does not allow that, this prints why and returns `None`. With `CI=true`
    /// it panics if namespaces can be made but not connected.
    pub(crate) fn or_skip(hosts: &[&'static str]) -> Option<Network> {
        clear_leftovers();
        let number = NETWORKS.fetch_add(1, Relaxed);
        let prefix = format!("{MARK}{}-{number}-", std::process::id());
        let network = Network { prefix, hosts: hosts.to_vec() };
        if let Err(reason) = network.add_namespaces() {
            eprintln!("skipped: there are no network namespaces here: {reason}");
            return None;
        }
        if let Err(reason) = network.connect_all() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no network to test on: {reason}");
            eprintln!("skipped: there is no network to test on: {reason}");
            return None;
        }
        Some(network)
    }

    fn add_namespaces(&self) -> Result<(), String> {
        let adding = self.namespaces().map(|name| format!("netns add {name}\n"));
        run("ip", &["-batch", "-"], &adding.collect::<String>())
    }

    fn connect_all(&self) -> Result<(), String> {
        let bridge = self.namespace(BRIDGE);
        let mut ports = String::from("link add hub type bridge\nlink set hub up\n");
        for (index, host) in self.hosts.iter().enumerate() {
            let host = self.namespace(host);
            writeln!(ports, "link add port{index} type veth peer name port netns {host}").unwrap();
            writeln!(ports, "link set port{index} master hub up").unwrap();
        }
        run("ip", &["-n", &bridge, "-batch", "-"], &ports)?;
        for host in &self.hosts {
            let address = self.ip(host);
            let ups = format!("addr add {address}/24 dev port\nlink set port up\nlink set lo up\n");
            run("ip", &["-n", &self.namespace(host), "-batch", "-"], &ups)?;
        }
        let losing = "table bridge loss {\n chain passing {\n type filter hook forward priority 0\n }\n}\n";
        self.filter(losing)
    }

    fn namespaces(&self) -> impl Iterator<Item = String> {
        self.hosts.iter().copied().chain([BRIDGE]).map(|host| self.namespace(host))
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}{host}", self.prefix)
    }

    fn ip(&self, host: &str) -> Ipv4Addr {
        let index = self.hosts.iter().position(|name| *name == host).unwrap();
        Ipv4Addr::new(10, 77, 0, index as u8 + 1)
    }

    /// The addresses of a host's server. The HTTP address can be reached only from the host itself.
    pub(crate) fn addresses(&self, host: &str) -> Addresses {
        let ip = self.ip(host);
        Addresses {
            line: (ip, 12_000).into(),
            peer: (ip, 13_000).into(),
            http: (Ipv4Addr::LOCALHOST, 8000).into(),
            phones: (Ipv4Addr::LOCALHOST, 5055).into(),
        }
    }

    /// Runs `act` on a host. Sockets and processes that `act` opens stay on that host.
    pub(crate) fn enter<T: Send>(&self, host: &str, act: impl FnOnce() -> T + Send) -> T {
        let namespace = Path::new(NAMESPACES).join(self.namespace(host));
        thread::scope(|scope| {
            // A thread cannot leave a namespace again, so a new thread is used, which then ends.
            let entering = scope.spawn(move || {
                let namespace = File::open(namespace).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                act()
            });
            entering.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// A connection that begins and ends on this host.
    pub(crate) fn connect(&self, host: &str, to: SocketAddr, limit: Duration) -> std::io::Result<TcpStream> {
        self.enter(host, || TcpStream::connect_timeout(&to, limit))
    }

    /// Replaces the losses: from now on exactly these packets are lost.
    pub(crate) fn lose(&self, losses: &[Loss]) {
        let mut rules = String::from("flush chain bridge loss passing\n");
        for Loss { from, to, percent } in losses {
            let (from, to) = (self.ip(from), self.ip(to));
            // nft refuses a comparison that is always true.
            let drawn = if *percent == 100 { "" } else { &format!("numgen random mod 100 < {percent}") };
            writeln!(rules, "add rule bridge loss passing ip saddr {from} ip daddr {to} {drawn} drop")
                .unwrap();
        }
        self.filter(&rules).unwrap();
    }

    /// Removes all losses.
    pub(crate) fn heal(&self) {
        self.lose(&[]);
    }

    fn filter(&self, rules: &str) -> Result<(), String> {
        self.enter(BRIDGE, || run("nft", &["-f", "-"], rules))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.namespaces().for_each(|name| remove(&name));
    }
}

/// Removes the namespaces of tests that no longer run, and ends the processes that still run in them.
fn clear_leftovers() {
    let Ok(namespaces) = fs::read_dir(NAMESPACES) else { return };
    for namespace in namespaces.flatten() {
        let name = namespace.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(MARK).and_then(|rest| rest.split_once('-')).map(|(owner, _)| owner);
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = run("sh", &["-c", "kill -s KILL $(ip netns pids \"$0\")", &name], "");
            remove(&name);
        }
    }
}

/// Removes a namespace. The namespace may not exist: another test may have removed it, or it was never made.
fn remove(namespace: &str) {
    let _ = run("ip", &["netns", "delete", namespace], "");
}

/// Runs a program to its end. The error is the program's output.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // This fails if the program ends without reading its input. The program's own message is then more useful.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&ended.stderr);
    if ended.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}
