//! The controls of a demo, for doors: the demo runs the servers of its herd in one process, so it can kill and start
//! servers, and cut and heal links.
//!
//! The program's demo implements [`DemoControls`] and gives them to each server that it starts
//! (`Server::start_in_demo`). Other servers have none. This module does not know how the demo does it.

use std::{fmt, pin::Pin};

use proxyherd_core::types::ServerName;

use super::{Denied, Herd};
use crate::caller::Caller;

/// What can be done to the herd of a demo. The names are those that a person has written, in capitals or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DemoCommand {
    /// Ends a server at once, as SIGKILL would: what it has not sent yet is lost.
    Kill(String),
    /// Starts a server that does not run, empty and at its former addresses.
    Start(String),
    /// Cuts the link between two servers, as if the network between them were gone.
    Cut(String, String),
    /// Heals a link that was cut.
    Heal(String, String),
}

/// Why a command was not carried out. Unless a variant says otherwise, nothing has changed. The texts name no command
/// of the console, because pages show them, too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemoRefusal {
    /// The herd has no server of that name.
    #[error("no server of that name; there are {0}")]
    NoServer(String),
    /// The herd has no link between these servers.
    #[error("{0} and {1} have no link; the links are {2}")]
    NoLink(ServerName, ServerName, String),
    /// The server does not run.
    #[error("{0} does not run")]
    NotRunning(ServerName),
    /// The server runs already.
    #[error("{0} runs already")]
    RunsAlready(ServerName),
    /// Another command is at work on the server.
    #[error("{0} is {1} just now; try again in a moment")]
    Busy(ServerName, &'static str),
    /// The server could not be started, for this reason. It stays stopped.
    #[error("{0} did not start: {1}")]
    NotStarted(ServerName, String),
    /// The demo itself is ending.
    #[error("the demo is ending")]
    Ending,
}

/// Whether a server of a demo runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoServerState {
    /// The server runs.
    Running,
    /// The server is stopping, or was killed a moment ago.
    Stopping,
    /// The server does not run. A server that is starting counts as stopped until it runs.
    Stopped,
}

/// The servers and links of a demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoState {
    /// Each server, in the order of the configuration.
    pub servers: Vec<(ServerName, DemoServerState)>,
    /// Each link, and whether it is cut.
    pub links: Vec<([ServerName; 2], bool)>,
}

/// The future of what a command has done.
pub type DemoOutcome = Pin<Box<dyn Future<Output = Result<DemoState, DemoRefusal>> + Send>>;

/// The controls of a demo. All methods may be called from any thread, and by several callers at once.
pub trait DemoControls: fmt::Debug + Send + Sync {
    /// The servers and links now.
    fn state(&self) -> DemoState;

    /// Carries out a command for a web page. If the future is dropped, the command is carried out all the same, because
    /// the page's own server may be the one that is killed.
    fn carry_out(&self, command: DemoCommand) -> DemoOutcome;
}

impl Herd {
    /// The controls of the demo. `None`: this server is not in a demo.
    pub fn demo(&self, caller: &Caller, now_ns: u64) -> Result<Option<&dyn DemoControls>, Denied> {
        Denied::unless_operates(caller, now_ns)?;
        Ok(self.demo.get().map(|demo| &**demo))
    }

    /// Whether this server is in a demo. This needs no right.
    pub fn is_in_demo(&self) -> bool {
        self.demo.get().is_some()
    }
}
