use std::time::Duration;

use proxyherd_config::config::Tls;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;

/// The classic herd on free ports.
struct House {
    all: Arc<DemoServers>,
    events: DemoEvents,
    _dir: TempDir,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl House {
    async fn start() -> House {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::classic();
        config.log.dir = dir.path().to_owned();
        config.herd.tls = Tls::Off;
        config.servers.iter_mut().for_each(super::super::take_any_ports);
        let sockets = super::super::bind_all(&config).await.unwrap();
        let addresses: Vec<_> = sockets.iter().map(Sockets::addresses).collect();
        super::super::take_addresses(&mut config, &addresses);
        let (all, events) = DemoServers::start(config, sockets).unwrap();
        let house = House { all, events, _dir: dir };
        house
            .until("all links are up", |house| {
                house.ends().iter().all(|(_, _, trouble, is_up)| *is_up && trouble.is_none())
            })
            .await;
        house
    }

    fn controls(&self) -> PageControls {
        PageControls(Arc::downgrade(&self.all))
    }

    /// Each end of each link of the servers that run: the server, the neighbor, why it is down, and whether it is up.
    fn ends(&self) -> Vec<(String, String, Option<String>, bool)> {
        let mut ends = Vec::new();
        for herd in self.all.running().herds() {
            for link in herd.links().all().iter() {
                let state = link.state();
                let is_up = state.up_since.is_some();
                ends.push((herd.name().to_string(), link.neighbor.to_string(), state.trouble, is_up));
            }
        }
        ends
    }

    async fn until(&self, what: &str, holds: impl Fn(&House) -> bool) {
        let waited = async {
            while !holds(self) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what}: {:?}", self.ends()));
    }

    /// Whether a link is cut at each end that there is, and at how many ends.
    fn is_cut_between(&self, one: &str, other: &str) -> (bool, usize) {
        let of = |(server, neighbor, ..): &&(String, String, Option<String>, bool)| {
            (&**server, &**neighbor) == (one, other) || (&**server, &**neighbor) == (other, one)
        };
        let ends = self.ends();
        let ends: Vec<_> = ends.iter().filter(of).collect();
        let is_cut = |(_, _, trouble, is_up): &&&(String, String, Option<String>, bool)| {
            !is_up && trouble.as_deref() == Some("cut by the demo")
        };
        (ends.iter().filter(|end| is_cut(end)).count() == ends.len(), ends.len())
    }

    fn phase(&self, name: &str) -> DemoServerState {
        let state = self.all.state();
        state.servers.into_iter().find(|(server, _)| server.as_str() == name).unwrap().1
    }

    async fn end(self) {
        self.all.stop_all().await;
        let refused = self.controls().carry_out(DemoCommand::Kill("Riley".to_owned())).await;
        assert_eq!(refused, Err(DemoRefusal::Ending));
    }
}

fn kill(name: &str) -> DemoCommand {
    DemoCommand::Kill(name.to_owned())
}

fn start(name: &str) -> DemoCommand {
    DemoCommand::Start(name.to_owned())
}

fn cut(one: &str, other: &str) -> DemoCommand {
    DemoCommand::Cut(one.to_owned(), other.to_owned())
}

fn heal(one: &str, other: &str) -> DemoCommand {
    DemoCommand::Heal(one.to_owned(), other.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_pages_that_kill_a_server_one_does_and_it_starts_again_at_its_addresses() {
    let mut house = House::start().await;
    let controls = house.controls();
    let (one, other) = tokio::join!(controls.carry_out(kill("Riley")), controls.carry_out(kill("riley")));
    let (killed, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(killed.unwrap().servers[0].1, DemoServerState::Stopped);
    let riley = house.all.name(0).clone();
    assert!(
        matches!(&refused, Err(DemoRefusal::Busy(name, "being killed") | DemoRefusal::NotRunning(name)) if *name == riley),
        "{refused:?}"
    );
    assert_eq!(house.events.recv().await, Some(DemoEvent::Killed(0, DemoActor::Page)));
    assert_eq!(house.all.running().herds().len(), 4);
    let again = controls.carry_out(kill("Riley")).await;
    assert_eq!(again, Err(DemoRefusal::NotRunning(riley.clone())));
    // A kill is refused while the server starts: the start has begun as soon as the future is there.
    let starting = controls.carry_out(start("Riley"));
    let during = controls.carry_out(kill("Riley")).await;
    assert!(during.is_ok() || during == Err(DemoRefusal::Busy(riley.clone(), "starting")), "{during:?}");
    let started = starting.await;
    if during.is_err() {
        assert_eq!(started.unwrap().servers[0].1, DemoServerState::Running);
        let twice = controls.carry_out(start("Riley")).await;
        assert_eq!(twice, Err(DemoRefusal::RunsAlready(riley)));
        house.until("its links are up again", |house| house.ends().iter().all(|end| end.3)).await;
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_link_is_down_at_both_ends_until_it_is_healed_even_if_a_server_is_started_meanwhile() {
    let mut house = House::start().await;
    let controls = house.controls();
    let state = controls.carry_out(cut("jaquez", "Riley")).await.unwrap();
    let cut_links: Vec<_> = state.links.iter().filter(|link| link.1).collect();
    assert_eq!(
        (cut_links.len(), cut_links[0].0.each_ref().map(ServerName::as_str)),
        (1, ["Riley", "Jaquez"])
    );
    assert_eq!(state.links.len(), 6);
    controls.carry_out(cut("Riley", "Jaquez")).await.unwrap();
    house.until("both ends are down", |house| house.is_cut_between("Riley", "Jaquez") == (true, 2)).await;
    controls.carry_out(kill("Riley")).await.unwrap();
    controls.carry_out(start("Riley")).await.unwrap();
    let rest_is_up = |house: &House| house.ends().iter().filter(|end| !end.3).count() == 2;
    house.until("the other links are up", rest_is_up).await;
    assert_eq!(house.is_cut_between("Riley", "Jaquez"), (true, 2));
    controls.carry_out(heal("Riley", "Jaquez")).await.unwrap();
    house.until("it is up again", |house| house.ends().iter().all(|end| end.3)).await;
    let names = [house.all.name(0).clone(), house.all.name(1).clone()];
    let mut told = Vec::new();
    while let Ok(event) = house.events.try_recv() {
        told.push(event);
    }
    let page = DemoActor::Page;
    let expected = [
        DemoEvent::Cut(names.clone(), page),
        DemoEvent::Killed(0, page),
        DemoEvent::Started(0, page),
        DemoEvent::Healed(names, page),
    ];
    assert_eq!(told, expected, "a link that is cut already is not cut again");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_for_what_is_not_there_says_what_there_is() {
    let house = House::start().await;
    let controls = house.controls();
    let refused = |command| {
        let done = controls.carry_out(command);
        async move { done.await.unwrap_err().to_string() }
    };
    let no_server = "no server of that name; there are Riley, Jaquez, Juzang, Campbell, Bernard";
    assert_eq!(refused(kill("Reily")).await, no_server);
    assert_eq!(refused(cut("Riley", "kiwi")).await, no_server);
    let no_link = refused(cut("riley", "Bernard")).await;
    assert!(no_link.starts_with("Riley and Bernard have no link; the links are Riley Jaquez, "), "{no_link}");
    assert!(refused(heal("Riley", "Riley")).await.contains("no link"));
    assert_eq!(house.phase("Riley"), DemoServerState::Running);
    house.end().await;
}
