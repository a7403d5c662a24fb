//! `proxyherd status`: shows a herd as a whole, for people and for programs.
//!
//! [`text`] and [`json`] show a [`HerdSnapshot`]. A server that cannot be asked still has a row in the table, and the
//! reason is below the table.
//!
//! Floors, lowest first: `table`; `show`.

mod show;
pub mod table;

use proxyherd_config::server_status::Status;
use proxyherd_log::escape;
use serde::Serialize;

use crate::herd_snapshot::{AskedServer, HerdSnapshot, StatusAnswer};

/// The herd as text for people, with colors. `columns` is the width of the window. Without a window no line is wrapped,
/// so that programs can search the lines.
pub fn text(snapshot: &HerdSnapshot, columns: Option<usize>) -> String {
    show::text(snapshot, columns)
}

/// A JSON array of the servers, in the order of the configuration.
pub fn json(snapshot: &HerdSnapshot) -> String {
    let servers: Vec<ServerJson<'_>> = snapshot.servers.iter().map(ServerJson::of).collect();
    let text = serde_json::to_string_pretty(&servers).expect("a status is made of strings and numbers");
    escape::json(&text)
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

impl ServerJson<'_> {
    fn of(asked: &AskedServer) -> ServerJson<'_> {
        let (status, error) = match &asked.answer {
            StatusAnswer::Up(status) => (Some(&**status), None),
            StatusAnswer::Silent(why) | StatusAnswer::Refused(why) => (None, Some(why.as_str())),
            StatusAnswer::NoDoor => (None, None),
        };
        ServerJson { server: &asked.name, http: asked.http.as_ref().map(ToString::to_string), status, error }
    }
}

#[cfg(test)]
mod tests;
