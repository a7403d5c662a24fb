//! The servers and links of the demo: which servers run, which links are cut, and the commands that change this.
//!
//! The console and the pages of any server give commands at the same time. Each server carries out one command at a
//! time: while a server starts or stops, other commands for it are refused. A command goes on even if nobody waits for
//! it any more. What was done, and by whom, is told by events. This module prints nothing.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use proxyherd_config::config::Config;
use proxyherd_core::types::ServerName;
use proxyherd_server::{
    herd::{
        DemoCommand, DemoControls, DemoOutcome, DemoRefusal, DemoServerState, DemoState, Herd, Internals as _,
    },
    server::{Server, Sockets},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::task::TaskTracker;

use super::clients::RunningHerds;

/// Maximum number of events that wait to be shown. Further events are not shown.
const EVENTS_MAX: usize = 64;

/// Who has given a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DemoActor {
    Console,
    Page,
}

/// What has been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DemoEvent {
    /// A server, by index, has stopped.
    Stopped(usize, DemoActor),
    Killed(usize, DemoActor),
    Started(usize, DemoActor),
    NotStarted(DemoRefusal, DemoActor),
    Cut([ServerName; 2], DemoActor),
    Healed([ServerName; 2], DemoActor),
}

/// All servers and links of the demo.
pub(super) struct DemoServers {
    /// The configuration, with the servers' actual addresses: a server that is started again gets its former addresses.
    config: Config,
    state: Mutex<HerdState>,
    running: Arc<RunningHerds>,
    events: mpsc::Sender<DemoEvent>,
    /// The commands that are being carried out.
    tasks: TaskTracker,
}

struct HerdState {
    /// In the order of the configuration.
    servers: Vec<Phase>,
    links: Vec<CutLink>,
    is_ending: bool,
}

/// A link by the indices of its servers.
#[derive(Clone, Copy, Debug)]
struct CutLink {
    ends: [usize; 2],
    is_cut: bool,
}

/// Whether a server runs.
enum Phase {
    Running(Server),
    Stopped,
    /// A command is at work on the server.
    Busy(Work),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Starting,
    Stopping,
    Killing,
}

impl Work {
    fn told(self) -> &'static str {
        match self {
            Work::Starting => "starting",
            Work::Stopping => "stopping",
            Work::Killing => "being killed",
        }
    }
}

/// How a command that takes time ends.
type Ended = JoinHandle<Result<(), DemoRefusal>>;

/// The events of the demo.
pub(super) type DemoEvents = mpsc::Receiver<DemoEvent>;

impl DemoServers {
    /// Starts all servers of `config` on these sockets, which are in the order of the configuration.
    pub(super) fn start(
        config: Config,
        sockets: Vec<Sockets>,
    ) -> anyhow::Result<(Arc<DemoServers>, DemoEvents)> {
        let (events, told) = mpsc::channel(EVENTS_MAX);
        let count = config.servers.len();
        let links = links_of(&config);
        let servers = (0..count).map(|_| Phase::Stopped).collect();
        let all = Arc::new(DemoServers {
            config,
            state: Mutex::new(HerdState { servers, links, is_ending: false }),
            running: Arc::new(RunningHerds::new(vec![None; count])),
            events,
            tasks: TaskTracker::new(),
        });
        for (index, sockets) in sockets.into_iter().enumerate() {
            let server = all.make(index, sockets)?;
            all.put(index, server);
        }
        Ok((all, told))
    }

    /// The configuration of the herd.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The handles of the servers that run.
    pub(super) fn running(&self) -> &Arc<RunningHerds> {
        &self.running
    }

    /// The name of a server.
    pub(super) fn name(&self, index: usize) -> &ServerName {
        &self.config.servers[index].name
    }

    /// The names of the servers that run.
    pub(super) fn names_running(&self) -> Vec<&str> {
        let state = self.state.lock();
        let all = self.config.servers.iter().zip(&state.servers);
        all.filter(|(_, phase)| matches!(phase, Phase::Running(_)))
            .map(|(server, _)| server.name.as_str())
            .collect()
    }

    /// Begins to carry out a command. The result is the end of a command that takes time.
    pub(super) fn begin(
        self: &Arc<DemoServers>,
        command: &DemoCommand,
        by: DemoActor,
    ) -> Result<Option<Ended>, DemoRefusal> {
        match command {
            DemoCommand::Kill(name) => self.end(self.index_of(name)?, Work::Killing, by).map(Some),
            DemoCommand::Start(name) => self.start_again(self.index_of(name)?, by).map(Some),
            DemoCommand::Cut(one, other) => self.set_cut(one, other, true, by).map(|()| None),
            DemoCommand::Heal(one, other) => self.set_cut(one, other, false, by).map(|()| None),
        }
    }

    /// Begins to stop a server, which first tells the others everything.
    pub(super) fn stop(self: &Arc<DemoServers>, name: &str, by: DemoActor) -> Result<Ended, DemoRefusal> {
        self.end(self.index_of(name)?, Work::Stopping, by)
    }

    /// Stops every server, after the commands that are at work. No command is carried out any more.
    pub(super) async fn stop_all(self: &Arc<DemoServers>) {
        self.state.lock().is_ending = true;
        self.tasks.close();
        self.tasks.wait().await;
        let servers = std::mem::take(&mut self.state.lock().servers);
        let stopping = TaskTracker::new();
        for phase in servers {
            if let Phase::Running(server) = phase {
                stopping.spawn(server.stop());
            }
        }
        stopping.close();
        stopping.wait().await;
    }

    fn state(&self) -> DemoState {
        let state = self.state.lock();
        let shown = |phase: &Phase| match phase {
            Phase::Running(_) => DemoServerState::Running,
            Phase::Stopped | Phase::Busy(Work::Starting) => DemoServerState::Stopped,
            Phase::Busy(Work::Stopping | Work::Killing) => DemoServerState::Stopping,
        };
        let servers = self.config.servers.iter().zip(&state.servers);
        DemoState {
            servers: servers.map(|(server, phase)| (server.name.clone(), shown(phase))).collect(),
            links: state.links.iter().map(|link| (self.names_of(link.ends), link.is_cut)).collect(),
        }
    }

    fn names_of(&self, ends: [usize; 2]) -> [ServerName; 2] {
        ends.map(|end| self.name(end).clone())
    }

    /// The index of the server with that name, in capitals or not.
    fn index_of(&self, name: &str) -> Result<usize, DemoRefusal> {
        let servers = &self.config.servers;
        let found = servers.iter().position(|server| server.name.as_str().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
            DemoRefusal::NoServer(names.join(", "))
        })
    }

    /// Begins to end a server that runs.
    fn end(self: &Arc<DemoServers>, index: usize, work: Work, by: DemoActor) -> Result<Ended, DemoRefusal> {
        let mut state = self.state.lock();
        if state.is_ending {
            return Err(DemoRefusal::Ending);
        }
        let server = match std::mem::replace(&mut state.servers[index], Phase::Busy(work)) {
            Phase::Running(server) => server,
            other => {
                let name = self.name(index).clone();
                let refusal = match &other {
                    Phase::Busy(work) => DemoRefusal::Busy(name, work.told()),
                    Phase::Stopped | Phase::Running(_) => DemoRefusal::NotRunning(name),
                };
                state.servers[index] = other;
                return Err(refusal);
            }
        };
        self.running.set(index, None);
        let all = Arc::clone(self);
        Ok(self.tasks.spawn(async move {
            let event = match work {
                Work::Killing => {
                    server.kill().await;
                    DemoEvent::Killed(index, by)
                }
                Work::Starting | Work::Stopping => {
                    server.stop().await;
                    DemoEvent::Stopped(index, by)
                }
            };
            all.state.lock().servers[index] = Phase::Stopped;
            all.tell(event);
            Ok(())
        }))
    }

    /// Begins to start a stopped server again, empty and at its former addresses.
    fn start_again(self: &Arc<DemoServers>, index: usize, by: DemoActor) -> Result<Ended, DemoRefusal> {
        let mut state = self.state.lock();
        let name = self.name(index).clone();
        match &state.servers[index] {
            _ if state.is_ending => return Err(DemoRefusal::Ending),
            Phase::Running(_) => return Err(DemoRefusal::RunsAlready(name)),
            Phase::Busy(work) => return Err(DemoRefusal::Busy(name, work.told())),
            Phase::Stopped => {}
        }
        state.servers[index] = Phase::Busy(Work::Starting);
        let all = Arc::clone(self);
        Ok(self.tasks.spawn(async move {
            let started = match Sockets::bind(&all.config.servers[index]).await {
                Ok(sockets) => all.make(index, sockets),
                Err(error) => Err(error.into()),
            };
            match started {
                Ok(server) => {
                    all.put(index, server);
                    all.tell(DemoEvent::Started(index, by));
                    Ok(())
                }
                Err(error) => {
                    all.state.lock().servers[index] = Phase::Stopped;
                    let refusal = DemoRefusal::NotStarted(name, format!("{error:#}"));
                    all.tell(DemoEvent::NotStarted(refusal.clone(), by));
                    Err(refusal)
                }
            }
        }))
    }

    fn make(self: &Arc<DemoServers>, index: usize, sockets: Sockets) -> anyhow::Result<Server> {
        let controls = Arc::new(PageControls(Arc::downgrade(self)));
        let cut = self.cut_neighbors(&self.state.lock(), index);
        Ok(Server::start_in_demo(&self.config, self.name(index), sockets, controls, &cut)?)
    }

    /// Notes that a server runs. Its links may have been cut or healed while it was starting.
    fn put(&self, index: usize, server: Server) {
        let mut state = self.state.lock();
        let cut = self.cut_neighbors(&state, index);
        for link in server.herd().links().all().iter() {
            link.set_cut(cut.contains(&link.neighbor));
        }
        self.running.set(index, Some(Arc::clone(server.herd())));
        state.servers[index] = Phase::Running(server);
    }

    /// The neighbors with which a server's links are cut.
    fn cut_neighbors(&self, state: &HerdState, index: usize) -> Vec<ServerName> {
        let cut = state.links.iter().filter(|link| link.is_cut);
        cut.filter_map(|link| match link.ends {
            [one, other] if one == index => Some(self.name(other).clone()),
            [one, other] if other == index => Some(self.name(one).clone()),
            _ => None,
        })
        .collect()
    }

    /// Cuts or heals a link at both ends. Nothing happens if the link is as wanted already.
    fn set_cut(&self, one: &str, other: &str, is_cut: bool, by: DemoActor) -> Result<(), DemoRefusal> {
        let wanted = [self.index_of(one)?, self.index_of(other)?];
        let mut state = self.state.lock();
        if state.is_ending {
            return Err(DemoRefusal::Ending);
        }
        let is_wanted = |link: &CutLink| link.ends == wanted || link.ends == [wanted[1], wanted[0]];
        let Some(link) = state.links.iter_mut().find(|link| is_wanted(link)) else {
            let [one, other] = self.names_of(wanted);
            let links: Vec<String> = state
                .links
                .iter()
                .map(|link| self.names_of(link.ends).each_ref().map(ServerName::as_str).join(" "))
                .collect();
            return Err(DemoRefusal::NoLink(one, other, links.join(", ")));
        };
        if std::mem::replace(&mut link.is_cut, is_cut) == is_cut {
            return Ok(());
        }
        let ends = link.ends;
        for [end, neighbor] in [ends, [ends[1], ends[0]]] {
            if let Phase::Running(server) = &state.servers[end] {
                set_end(server.herd(), self.name(neighbor), is_cut);
            }
        }
        drop(state);
        let names = self.names_of(ends);
        self.tell(if is_cut { DemoEvent::Cut(names, by) } else { DemoEvent::Healed(names, by) });
        Ok(())
    }

    fn tell(&self, event: DemoEvent) {
        // Nobody reads many events at once, and the demo does not wait for its reader.
        let _ = self.events.try_send(event);
    }
}

fn set_end(herd: &Herd, neighbor: &ServerName, is_cut: bool) {
    let links = herd.links().all();
    links.iter().filter(|link| link.neighbor == *neighbor).for_each(|link| link.set_cut(is_cut));
}

/// The links of a configuration, each once.
fn links_of(config: &Config) -> Vec<CutLink> {
    let index_of = |name: &ServerName| config.servers.iter().position(|server| server.name == *name);
    let mut links = Vec::new();
    for (one, server) in config.servers.iter().enumerate() {
        for neighbor in config.links_of(&server.name) {
            if let Some(other) = index_of(&neighbor.name).filter(|other| *other > one) {
                links.push(CutLink { ends: [one, other], is_cut: false });
            }
        }
    }
    links
}

/// The controls that the servers give to pages. The servers are in the demo, so they must not hold it.
#[derive(Debug)]
struct PageControls(Weak<DemoServers>);

impl DemoControls for PageControls {
    fn state(&self) -> DemoState {
        let none = || DemoState { servers: Vec::new(), links: Vec::new() };
        self.0.upgrade().map_or_else(none, |all| all.state())
    }

    fn carry_out(&self, command: DemoCommand) -> DemoOutcome {
        let begun = self.0.upgrade().ok_or(DemoRefusal::Ending);
        let begun = begun.and_then(|all| all.begin(&command, DemoActor::Page).map(|ended| (all, ended)));
        Box::pin(async move {
            let (all, ended) = begun?;
            if let Some(ended) = ended {
                // The task does not panic. If it did, the server would stay busy.
                ended.await.map_err(|_| DemoRefusal::Ending)??;
            }
            Ok(all.state())
        })
    }
}

#[cfg(test)]
mod tests;
