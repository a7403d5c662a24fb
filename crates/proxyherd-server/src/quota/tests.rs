//! Servers with real sockets and files, whose reserves the tests empty as providers of places would.

use std::collections::BTreeMap;

use proxyherd_config::config::{Address, Overrides};
use tempfile::TempDir;

use super::*;
use crate::{
    places::{Quota as _, ReservedQuota},
    server::{Server, Sockets},
    wait::eventually,
};

const NAMES: [&str; 3] = ["Jaquez", "Juzang", "Riley"];

/// Three servers in a row, Juzang in the middle.
struct Row {
    config: Config,
    running: BTreeMap<&'static str, Server>,
    _dir: TempDir,
}

impl Row {
    async fn start(budgets: &str) -> Row {
        let dir = tempfile::tempdir().unwrap();
        let mut text = format!("[herd]\ntls = \"off\"\n[places]\n{budgets}\n");
        for (port, name) in (1..).zip(NAMES) {
            let neighbors = if name == "Juzang" { "\"Jaquez\", \"Riley\"" } else { "" };
            // Ports that can be dialed are found below.
            text += &format!(
                "[[server]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\npeer = \"127.0.0.1:{port}\"\n\
                 neighbors = [{neighbors}]\n"
            );
        }
        let mut config = Config::read(&text, &dir.path().join("herd.toml"), &Overrides::none()).unwrap();
        let mut all = Vec::new();
        for server in &mut config.servers {
            server.peer = Some("127.0.0.1:0".parse().unwrap());
            let sockets = Sockets::bind(server).await.unwrap();
            let peer = sockets.addresses().peer.unwrap();
            server.peer = Some(Address::new(peer.ip(), peer.port()));
            all.push(sockets);
        }
        let mut row = Row { config, running: BTreeMap::new(), _dir: dir };
        for (name, sockets) in NAMES.into_iter().zip(all) {
            row.start_on(name, sockets);
        }
        row
    }

    fn start_on(&mut self, name: &'static str, sockets: Sockets) {
        let name_of = ServerName::new(name).unwrap();
        let server = Server::start_on(&self.config, &name_of, sockets).unwrap();
        self.running.insert(name, server);
    }

    async fn start_again(&mut self, name: &'static str) {
        let sockets = Sockets::bind(self.config.server(name).unwrap()).await.unwrap();
        self.start_on(name, sockets);
    }

    async fn stop(&mut self, name: &str) {
        self.running.remove(name).unwrap().stop().await;
    }

    fn reserved(&self, name: &str) -> &ReservedQuota {
        self.running[name].herd().quota().unwrap()
    }

    /// For each budget, the number of requests that the server may still make on its own.
    fn own(&self, name: &str) -> Vec<u64> {
        self.reserved(name).standings().iter().map(|standing| standing.own).collect()
    }

    fn wait_until_all_have_shares(&self) {
        eventually("all have shares", || self.running.keys().all(|name| !self.own(name).is_empty()));
    }

    /// Makes requests at `names` until they have made this many together. Fails if they cannot.
    fn spend(&self, names: &[&str], requests: u64) {
        let mut made = 0;
        eventually("the requests are made", || {
            for name in names {
                made += u64::from(made < requests && self.reserved(name).take(clock::now_ns()));
            }
            made == requests
        });
    }

    /// Waits until each of `names` knows that it has nothing left; it must have none to give either.
    fn wait_until_spent(&self, names: &[&str]) {
        eventually("all is spent", || names.iter().all(|name| self.own(name) == [0]));
        assert!(names.iter().all(|name| !self.reserved(name).take(clock::now_ns())), "nothing is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_that_is_asked_spends_what_all_have() {
    let row = Row::start("per_day = 60\nper_month = 100").await;
    row.wait_until_all_have_shares();
    assert_eq!(NAMES.map(|name| row.own(name)), [[20, 34], [20, 33], [20, 33]]);
    row.spend(&["Riley"], 60);
    let known = |name: &str| row.reserved(name).standings().iter().map(|it| it.spent).collect::<Vec<_>>();
    eventually("all know of all", || NAMES.iter().all(|name| known(name) == [60, 60]));
    assert!(NAMES.iter().all(|name| !row.reserved(name).take(clock::now_ns())), "nobody has any left");
    let log = row.config.log.dir.join("Riley.log");
    let told = |what| std::fs::read_to_string(&log).unwrap_or_default().matches(what).count();
    eventually("the log says so", || told("all 60 requests of the places budget of ") > 0);
    assert_eq!(told("requests of the places budget of "), 1, "the month has more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_cut_in_two_spends_no_more_than_the_whole() {
    let mut row = Row::start("per_month = 60").await;
    row.wait_until_all_have_shares();
    // Without the server in the middle the other servers do not hear of each other.
    row.stop("Juzang").await;
    row.spend(&["Riley"], 20);
    row.spend(&["Jaquez"], 20);
    row.wait_until_spent(&["Riley", "Jaquez"]);
    row.start_again("Juzang").await;
    row.spend(&["Riley", "Jaquez"], 20);
    row.wait_until_spent(&NAMES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_before_a_restart_is_spent() {
    let mut row = Row::start("per_month = 60").await;
    row.wait_until_all_have_shares();
    row.spend(&["Riley"], 7);
    for name in NAMES {
        row.stop(name).await;
    }
    for name in NAMES {
        row.start_again(name).await;
    }
    row.spend(&["Riley"], 53);
    row.wait_until_spent(&NAMES);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_that_is_put_back_again_and_again_does_not_make_more_of_the_whole() {
    let mut row = Row::start("per_month = 60").await;
    row.wait_until_all_have_shares();
    let file = row.config.herd.data.join("Riley").join("budget");
    let older = std::fs::read(&file).unwrap();
    for round in 0..4 {
        // A stop gives back the rest of the reserve. So the spent requests are exactly the requests that were made.
        row.spend(&["Riley"], 10);
        row.stop("Riley").await;
        std::fs::write(&file, &older).unwrap();
        row.start_again("Riley").await;
        let spent = || row.reserved("Riley").standings().first().map(|standing| standing.spent);
        eventually("Riley knows what it has spent", || {
            spent().is_some_and(|spent| spent >= 10 * (round + 1))
        });
    }
    let mut made = 40;
    eventually("nothing is left", || {
        made += NAMES.iter().map(|name| u64::from(row.reserved(name).take(clock::now_ns()))).sum::<u64>();
        NAMES.iter().all(|name| row.own(name) == [0])
    });
    assert!(made <= 60, "{made}");
}
