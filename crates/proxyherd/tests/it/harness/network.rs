//! Hosts of their own for the servers of a herd: network namespaces joined by a bridge, and a bridge that can lose what
//! passes.
//!
//! Each host is a namespace with its own loopback and one Ethernet port; the ports meet in a bridge in one namespace
//! more. Nothing is made outside of these, so nothing of the machine's own network is touched. They go when the
//! [`Network`] is dropped; those of a test that was killed are cleared away by the next one.
//!
//! What is lost is lost in the bridge, without a word to either end, as by a broken switch.

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
    /// What the names of this network's namespaces begin with.
    prefix: String,
    hosts: Vec<&'static str>,
}

/// How many of a hundred packets from one host to another get lost. Packets in the other direction are not concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) percent: u32,
}

/// Where iproute2 keeps the namespaces that have names.
const NAMESPACES: &str = "/run/netns";
/// The names of all namespaces that tests make, before the process and a number.
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

    /// Where the server of a host listens. HTTP is for the host itself.
    pub(crate) fn addresses(&self, host: &str) -> Addresses {
        let ip = self.ip(host);
        Addresses {
            line: (ip, 12_000).into(),
            peer: (ip, 13_000).into(),
            http: (Ipv4Addr::LOCALHOST, 8000).into(),
        }
    }

    /// Does something on a host. Sockets that are opened there stay there, and so do processes.
    pub(crate) fn enter<T: Send>(&self, host: &str, act: impl FnOnce() -> T + Send) -> T {
        let namespace = Path::new(NAMESPACES).join(self.namespace(host));
        thread::scope(|scope| {
            // A thread can't come back from a namespace, so it is one that ends.
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

    /// From now on these packets get lost, and no others.
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

    /// From now on everything gets through.
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

/// Removes the namespaces of tests that are no more, and ends what still runs in them.
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

/// Removes a namespace. It may be gone already: another test may have removed it, or it was never made.
fn remove(namespace: &str) {
    let _ = run("ip", &["netns", "delete", namespace], "");
}

/// Runs a program to its end; an error is what it said.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // One that ends without reading says why, and that is what counts.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&ended.stderr);
    if ended.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}
