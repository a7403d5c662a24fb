//! The answers of a herd's servers to the question for their status: how they are asked, and which troubles the answers
//! show. The commands `status` and `top` share this.
//!
//! [`HerdSnapshot::ask`] asks all servers once. An [`Asker`] asks one [`Target`] at a time, and keeps its connections.
//! Requests are ordinary HTTP requests, and there is no other information about the servers.
//!
//! Floors, lowest first: `ask`; `troubles`.

mod ask;
pub(crate) mod troubles;

use proxyherd_config::{
    config::{Config, Door},
    server_status::Status,
};

pub use self::ask::{Asker, Target};
use crate::command_token::CommandToken;

/// The answers of a herd's servers at about the same moment.
#[derive(Debug)]
pub struct HerdSnapshot {
    pub(crate) herd: String,
    pub(crate) servers: Vec<AskedServer>,
}

/// One server of the configuration, and its answer.
#[derive(Debug)]
pub(crate) struct AskedServer {
    pub(crate) name: String,
    pub(crate) http: Option<Door>,
    pub(crate) answer: StatusAnswer,
}

/// What a server has answered.
#[derive(Clone, Debug)]
pub enum StatusAnswer {
    /// The server answered.
    Up(Box<Status>),
    /// The server did not answer, or another server answered at its address. The text says why.
    Silent(String),
    /// The server does not show its status to this token. The text says why.
    Refused(String),
    /// The server has no HTTP door, so it cannot be asked.
    NoDoor,
}

impl HerdSnapshot {
    /// Asks all servers of `config` at once, and shows them the token. Returns when each server has answered or has
    /// timed out.
    pub fn ask(config: &Config, token: Option<&CommandToken>) -> HerdSnapshot {
        HerdSnapshot { herd: config.herd.id.clone(), servers: ask::all(config, token) }
    }

    /// Number of servers that have an HTTP door and did not answer.
    pub fn silent_count(&self) -> usize {
        self.servers.iter().filter(|server| matches!(server.answer, StatusAnswer::Silent(_))).count()
    }

    /// Number of servers that did not show their status to this token.
    pub fn refused_count(&self) -> usize {
        self.servers.iter().filter(|server| matches!(server.answer, StatusAnswer::Refused(_))).count()
    }

    /// Number of servers that have an HTTP door.
    pub fn door_count(&self) -> usize {
        self.servers.iter().filter(|server| server.http.is_some()).count()
    }

    /// The servers that answered.
    pub(crate) fn up(&self) -> impl Iterator<Item = (&AskedServer, &Status)> {
        self.servers.iter().filter_map(|server| match &server.answer {
            StatusAnswer::Up(status) => Some((server, &**status)),
            StatusAnswer::Silent(_) | StatusAnswer::Refused(_) | StatusAnswer::NoDoor => None,
        })
    }
}
