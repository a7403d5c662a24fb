//! `proxyherd status`: asks every server of a herd how it is, and shows the herd as a whole.
//!
//! It asks over HTTP, as anyone could, and knows nothing else of the servers. One that cannot be asked is a row
//! that says why.
//!
//! Floors, lowest first: `ask`, `table`, `window`; `troubles`; `show`.

mod ask;
mod show;
pub(crate) mod table;
mod troubles;
pub(crate) mod window;

use serde::Serialize;

use crate::{
    config::{Config, Door},
    escape,
    herd::Status,
};

/// A herd as its servers told it at about one moment.
#[derive(Debug)]
pub(crate) struct HerdSnapshot {
    herd: String,
    servers: Vec<AskedServer>,
}

/// A server and what it said.
#[derive(Debug)]
struct AskedServer {
    name: String,
    http: Option<Door>,
    answer: StatusAnswer,
}

#[derive(Clone, Debug)]
enum StatusAnswer {
    /// It answered.
    Up(Box<Status>),
    /// It did not, or somebody else did, for this reason.
    Silent(String),
    /// It has no HTTP door, so it cannot be asked.
    NoDoor,
}

/// One server in JSON: with `status` if it answered, with `error` if it did not, with neither if it has no door.
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
    /// Asks all servers of `config` at once, and returns when each has answered or has had its time.
    pub(crate) fn ask(config: &Config) -> HerdSnapshot {
        HerdSnapshot { herd: config.herd.id.clone(), servers: ask::all(config) }
    }

    /// How many servers should have answered and did not.
    pub(crate) fn silent_count(&self) -> usize {
        self.servers.iter().filter(|server| matches!(server.answer, StatusAnswer::Silent(_))).count()
    }

    /// How many servers have a door to ask at.
    pub(crate) fn door_count(&self) -> usize {
        self.servers.iter().filter(|server| server.http.is_some()).count()
    }

    /// A JSON array of the servers, in the order of the configuration.
    pub(crate) fn json(&self) -> String {
        let told: Vec<ServerJson<'_>> = self.servers.iter().map(AskedServer::told).collect();
        let text = serde_json::to_string_pretty(&told).expect("a status is made of strings and numbers");
        escape::json(&text)
    }

    /// The herd as a person reads it, with colors. `columns` is the width of the window. Without a window no line is
    /// broken, so that programs can search the lines.
    pub(crate) fn text(&self, columns: Option<usize>) -> String {
        show::text(self, columns)
    }

    /// The servers that answered.
    fn up(&self) -> impl Iterator<Item = (&AskedServer, &Status)> {
        self.servers.iter().filter_map(|server| match &server.answer {
            StatusAnswer::Up(status) => Some((server, &**status)),
            StatusAnswer::Silent(_) | StatusAnswer::NoDoor => None,
        })
    }
}

impl AskedServer {
    fn told(&self) -> ServerJson<'_> {
        let (status, error) = match &self.answer {
            StatusAnswer::Up(status) => (Some(&**status), None),
            StatusAnswer::Silent(why) => (None, Some(why.as_str())),
            StatusAnswer::NoDoor => (None, None),
        };
        ServerJson { server: &self.name, http: self.http.as_ref().map(ToString::to_string), status, error }
    }
}

#[cfg(test)]
mod tests;
