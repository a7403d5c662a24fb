//! `proxyherd status`: asks every server of a herd for its status, and shows the herd as a whole.
//!
//! [`HerdSnapshot::ask`] sends ordinary HTTP requests, and has no other information about the servers. A server that
//! cannot be asked still has a row in the table, and the reason is below the table.
//!
//! Floors, lowest first: `ask`, `table`, `window`; `troubles`; `show`.

mod ask;
mod show;
pub mod table;
mod troubles;
pub mod window;

use proxyherd_config::{
    config::{Config, Door},
    server_status::Status,
};
use proxyherd_log::escape;
use serde::Serialize;

use crate::command_token::CommandToken;

/// The answers of a herd's servers at about the same moment.
#[derive(Debug)]
pub struct HerdSnapshot {
    herd: String,
    servers: Vec<AskedServer>,
}

/// One server of the configuration, and its answer.
#[derive(Debug)]
struct AskedServer {
    name: String,
    http: Option<Door>,
    answer: StatusAnswer,
}

#[derive(Clone, Debug)]
enum StatusAnswer {
    /// The server answered.
    Up(Box<Status>),
    /// The server did not answer, or another server answered at its address. The text says why.
    Silent(String),
    /// The server does not show its status to this token. The text says why.
    Refused(String),
    /// The server has no HTTP door, so it cannot be asked.
    NoDoor,
}

/// One server in the JSON output. It has `status` if the server answered, `error` if the server did not answer, and
/// neither if the server has no HTTP door.
#[derive(Serialize)]
struct ServerJson<'a> {
    server: &'a str,
    http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
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

    /// A JSON array of the servers, in the order of the configuration.
    pub fn json(&self) -> String {
        let servers: Vec<ServerJson<'_>> = self.servers.iter().map(AskedServer::json).collect();
        let text = serde_json::to_string_pretty(&servers).expect("a status is made of strings and numbers");
        escape::json(&text)
    }

    /// The herd as text for people, with colors. `columns` is the width of the window. Without a window no line is
    /// wrapped, so that programs can search the lines.
    pub fn text(&self, columns: Option<usize>) -> String {
        show::text(self, columns)
    }

    /// The servers that answered.
    fn up(&self) -> impl Iterator<Item = (&AskedServer, &Status)> {
        self.servers.iter().filter_map(|server| match &server.answer {
            StatusAnswer::Up(status) => Some((server, &**status)),
            StatusAnswer::Silent(_) | StatusAnswer::Refused(_) | StatusAnswer::NoDoor => None,
        })
    }
}

impl AskedServer {
    fn json(&self) -> ServerJson<'_> {
        let (status, error) = match &self.answer {
            StatusAnswer::Up(status) => (Some(&**status), None),
            StatusAnswer::Silent(why) | StatusAnswer::Refused(why) => (None, Some(why.as_str())),
            StatusAnswer::NoDoor => (None, None),
        };
        ServerJson { server: &self.name, http: self.http.as_ref().map(ToString::to_string), status, error }
    }
}

#[cfg(test)]
mod tests;
