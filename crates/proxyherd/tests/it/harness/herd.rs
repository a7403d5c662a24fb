//! A running herd: its processes, its files, and functions that ask all its servers.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::{Addresses, Client, Finished, Network, PATIENCE, Plan, Process, ats_of, eventually, status};

/// A herd. Some of its servers run, each in its own process, and the other servers can be started.
#[derive(Debug)]
pub(crate) struct Herd {
    plan: Plan,
    dir: TempDir,
    addresses: BTreeMap<&'static str, Addresses>,
    running: BTreeMap<String, Process>,
    /// The network, if each server has its own host. The network is dropped after the processes.
    network: Option<Arc<Network>>,
}

impl Herd {
    pub(crate) fn prepare(plan: &Plan) -> Herd {
        Herd::prepare_at(plan, plan.names.iter().map(|_| Addresses::free()).collect(), None)
    }

    /// [`Herd::prepare`], with each server on a host of its own.
    pub(crate) fn prepare_on(plan: &Plan, network: &Arc<Network>) -> Herd {
        let addresses = plan.names.iter().map(|name| network.addresses(name)).collect();
        // The addresses of the hosts are not on loopback.
        let plan = &plan.clone().access("open = true").access("exposed = true");
        Herd::prepare_at(plan, addresses, Some(Arc::clone(network)))
    }

    fn prepare_at(plan: &Plan, addresses: Vec<Addresses>, network: Option<Arc<Network>>) -> Herd {
        let dir = tempfile::tempdir().unwrap();
        if plan.is_encrypted() {
            let made = Process::run(dir.path(), &["init"]);
            assert_eq!((made.code, made.err.as_str()), (0, ""), "{made:?}");
        }
        fs::write(dir.path().join("herd.toml"), plan.text(&addresses)).unwrap();
        let addresses = plan.names.iter().copied().zip(addresses).collect();
        Herd { plan: plan.clone(), dir, addresses, running: BTreeMap::new(), network }
    }

    /// The plan of the herd.
    pub(crate) fn plan(&self) -> Plan {
        self.plan.clone()
    }

    /// Changes the file to this plan. New servers must be started separately.
    pub(crate) fn change(&mut self, plan: Plan) {
        for name in &plan.names {
            self.addresses.entry(name).or_insert_with(Addresses::free);
        }
        self.plan = plan;
        self.write_file("herd.toml", &self.text());
    }

    /// Gives a server another address for links in the file. The server listens there after it is started again.
    pub(crate) fn move_peer(&mut self, name: &str) {
        self.addresses.get_mut(name).unwrap().peer = Addresses::free().peer;
        self.write_file("herd.toml", &self.text());
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        self.text_of(&self.plan)
    }

    /// The file's text for another plan of these servers.
    pub(crate) fn text_of(&self, plan: &Plan) -> String {
        let addresses: Vec<_> = plan.names.iter().map(|name| self.at(name)).collect();
        plan.text(&addresses)
    }

    /// Writes a file so that it is complete at any time: a new file is renamed over the old one.
    pub(crate) fn write_file(&self, name: &str, text: &str) {
        let (path, new) = (self.dir.path().join(name), self.dir.path().join("new.toml"));
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub(crate) fn at(&self, name: &str) -> Addresses {
        self.addresses[name]
    }

    /// The server's address for clients.
    pub(crate) fn line(&self, name: &str) -> SocketAddr {
        self.at(name).line
    }

    pub(crate) fn client(&self, name: &str) -> Client {
        self.beside(name, || Client::connect(self.line(name)))
    }

    /// Runs `act` on the server's host.
    pub(crate) fn beside<T: Send>(&self, name: &str, act: impl FnOnce() -> T + Send) -> T {
        match &self.network {
            Some(network) => network.enter(name, act),
            None => act(),
        }
    }

    pub(crate) fn process(&self, name: &str) -> &Process {
        &self.running[name]
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory of a server's store.
    pub(crate) fn store_of(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name).join("journal")
    }

    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.dir.path().join("log").join(format!("{name}.log"))
    }

    /// The server's log as it is now.
    pub(crate) fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path(name)).unwrap_or_default()).into_owned()
    }

    /// Waits until a line of the server's log contains `text`.
    pub(crate) fn wait_for_log(&self, name: &str, text: &str) -> String {
        eventually(&format!("the log of {name} says {text:?}"), || {
            let log = self.log(name);
            log.lines().find(|line| line.contains(text)).map(str::to_owned).ok_or(log)
        })
    }

    /// Starts one server, or starts it again.
    pub(crate) fn start(&mut self, name: &str) {
        self.start_all(&[name]);
    }

    /// Starts several servers at the same time. When this returns, all these servers are ready.
    pub(crate) fn start_all(&mut self, names: &[&str]) {
        self.start_with(names, &[]);
    }

    /// Starts one server that may have at most `most` files and sockets open.
    pub(crate) fn start_with_descriptors(&mut self, name: &str, most: u32) {
        self.start_after(&format!("ulimit -n {most}"), name);
    }

    /// Starts one server whose clock is `ahead_s` seconds ahead.
    pub(crate) fn start_with_clock(&mut self, name: &str, ahead_s: i32, library: &Path) {
        let library = library.display();
        self.start_after(
            &format!("export LD_PRELOAD={library} FAKETIME={ahead_s:+}s FAKETIME_DONT_FAKE_MONOTONIC=1"),
            name,
        );
    }

    /// Starts one server whose clock starts at a date such as `1969-07-20 20:17:40`.
    pub(crate) fn start_at_date(&mut self, name: &str, date: &str, library: &Path) {
        let library = library.display();
        self.start_after(
            &format!("export LD_PRELOAD={library} FAKETIME='@{date}' FAKETIME_DONT_FAKE_MONOTONIC=1"),
            name,
        );
    }

    /// Starts one server from a shell that runs `preparation` first.
    fn start_after(&mut self, preparation: &str, name: &str) {
        eventually("the server starts", || {
            self.launch_after(preparation, name, "");
            self.wait_until_ready(name)
        });
    }

    /// Launches one server from a shell that runs `preparation` first and redirects the server's output. This does not
    /// wait until the server is ready.
    pub(crate) fn launch_after(&mut self, preparation: &str, name: &str, redirection: &str) {
        let program = env!("CARGO_BIN_EXE_proxyherd");
        let line =
            format!("{preparation} && exec {program} serve --config herd.toml --name {name} {redirection}");
        self.running.insert(name.to_owned(), Process::bash(self.dir.path(), &line));
    }

    /// Starts several servers with these additional arguments.
    pub(crate) fn start_with(&mut self, names: &[&str], arguments: &[&str]) {
        eventually("the servers start", || self.try_start(names, arguments));
    }

    /// Starts one server that reads a file of its own.
    pub(crate) fn start_from(&mut self, file: &str, name: &str) {
        eventually("the server starts", || {
            self.launch(file, name, &[]);
            self.wait_until_ready(name)
        });
    }

    fn launch(&mut self, file: &str, name: &str, arguments: &[&str]) {
        let serve = [&["serve", "--config", file, "--name", name], arguments].concat();
        let server = self.beside(name, || Process::proxyherd(self.dir.path(), &serve));
        self.running.insert(name.to_owned(), server);
    }

    pub(crate) fn try_start(&mut self, names: &[&str], arguments: &[&str]) -> Result<(), String> {
        names.iter().for_each(|name| self.launch("herd.toml", name, arguments));
        for name in names {
            self.wait_until_ready(name)?;
        }
        Ok(())
    }

    /// An error means that an address was in use. Another attempt to start the server may succeed.
    fn wait_until_ready(&mut self, name: &str) -> Result<(), String> {
        let server = self.running.get_mut(name).unwrap();
        let is_up = eventually(&format!("{name} is ready"), || {
            let said = server.out();
            match server.ended() {
                None if said.lines().any(|line| line.starts_with("ready")) => Ok(true),
                None => Err(said),
                Some(_) => Ok(false),
            }
        });
        if is_up {
            return Ok(());
        }
        let finished = self.running.remove(name).unwrap().wait(PATIENCE);
        assert!(finished.err.contains("in use"), "{name} did not start: {finished:?}");
        Err(finished.err)
    }

    /// Kills some servers (SIGKILL), all at the same time.
    pub(crate) fn kill_all(&mut self, names: &[&str]) {
        let killed: Vec<Process> = names.iter().map(|name| self.running.remove(*name).unwrap()).collect();
        thread::scope(|scope| {
            for server in killed {
                scope.spawn(|| server.kill());
            }
        });
    }

    /// Asks a server to end, and waits until it has ended.
    pub(crate) fn stop(&mut self, name: &str, signal: &str) -> Finished {
        let server = self.running.remove(name).unwrap();
        server.signal(signal);
        server.wait(Duration::from_secs(10))
    }

    /// Waits until a server has ended by itself.
    pub(crate) fn wait_for_end(&mut self, name: &str) -> Finished {
        self.running.remove(name).unwrap().wait(PATIENCE)
    }

    /// Waits until every link among these servers is up at both ends.
    pub(crate) fn wait_for_links(&self, names: &[&str]) {
        for name in names {
            let expected = self.plan.neighbors(name).filter(|neighbor| names.contains(neighbor)).count();
            eventually(&format!("the links of {name} are up"), || {
                let links = self.beside(name, || status(self.at(name).http))["links"].clone();
                let up = links.as_array().unwrap().iter().filter(|link| link["up"] == true).count();
                if up == expected { Ok(()) } else { Err(links) }
            });
        }
    }

    /// For each of these clients, the AT line that a server returns, or the server's other answer.
    pub(crate) fn located(&self, name: &str, clients: &[&str]) -> Vec<String> {
        ats_of(&mut self.client(name), clients)
    }

    /// Waits until each of these servers answers with these AT lines for their clients.
    pub(crate) fn agree(&self, names: &[&str], lines: &BTreeMap<String, String>) {
        let clients: Vec<&str> = lines.keys().map(String::as_str).collect();
        let expected: Vec<&String> = lines.values().collect();
        for name in names {
            eventually(&format!("{name} knows what it should"), || {
                let told = self.located(name, &clients);
                let differs = |(told, expected): &(&String, &&String)| told != *expected;
                match told.iter().zip(&expected).find(differs) {
                    None => Ok(()),
                    Some((told, expected)) => Err(format!("it says {told:?} and not {expected:?}")),
                }
            });
        }
    }

    /// Waits until all these servers return the same AT line for `client`, and returns this line.
    pub(crate) fn agreed(&self, names: &[&str], client: &str) -> String {
        eventually(&format!("all tell the same of {client}"), || {
            let told: Vec<_> = names.iter().map(|name| self.located(name, &[client]).remove(0)).collect();
            let is_agreed = told[0].starts_with("AT ") && told.iter().all(|line| *line == told[0]);
            if is_agreed { Ok(told[0].clone()) } else { Err(format!("{told:#?}")) }
        })
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        if thread::panicking() {
            for name in &self.plan.names {
                show(&format!("the log of {name}"), &self.log(name));
                if let Some(server) = self.running.get(*name) {
                    show(&format!("standard error of {name}"), &server.err());
                }
            }
        }
    }
}

/// Prints the end of a server's output and log, for the reader of a failed test.
fn show(what: &str, text: &str) {
    const LINES: usize = 40;
    let left_out = text.lines().count().saturating_sub(LINES);
    eprintln!("---- {what}, without its first {left_out} lines ----");
    text.lines().skip(left_out).for_each(|line| eprintln!("{line}"));
}
