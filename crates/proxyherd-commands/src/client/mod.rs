//! `proxyherd client`: sends lines to a herd and shows the replies, at a prompt or in a pipe.
//!
//! The client speaks the line protocol with one server at a time, and moves to the next server when that one fails. The
//! client knows only the addresses of the herd's servers, and the token that it shows to each of them.
//!
//! Floors, lowest first: `replies`, `script`, `stream`; `auth`; `servers`; `unanswered`; `conversation`; `pipe`,
//! `prompt`.

mod auth;
mod conversation;
mod pipe;
mod prompt;
pub(crate) mod replies;
mod script;
mod servers;
mod stream;
mod unanswered;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anstyle::Style;
use anyhow::Context as _;
use proxyherd_config::config::Door;

use self::{conversation::Conversation, servers::Patience};
use crate::{command_token::CommandToken, door_trust};

/// The style of text that a person can skip.
const FAINT: Style = Style::new().dimmed();

/// Talks to the first of these servers that answers. If standard input and output are a terminal, the client shows a
/// prompt. Otherwise the client works as a pipe. A server that has lines to answer and is silent for `silence_max`
/// counts as failed. `certificate` is the file that the servers' configuration names for doors with TLS. Each
/// connection begins with the token.
pub fn run(
    doors: Vec<Door>,
    certificate: Option<&Path>,
    token: Option<CommandToken>,
    silence_max: Duration,
) -> anyhow::Result<()> {
    // One conversation needs only one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the operating system gave no event queue")?;
    let has_tls = doors.iter().any(|door| door.tls);
    let tls = has_tls.then(|| Arc::new(door_trust::client_config(certificate)));
    let patience = Patience { silence_max, ..Patience::USUAL };
    let mut conversation = Conversation::with(doors, tls, patience, Box::new(tell));
    conversation.set_token(token);
    let talked = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        runtime.block_on(prompt::run(conversation))
    } else {
        runtime.block_on(pipe::run(conversation, io::stdin(), io::stdout().lock()))
    };
    // The process ends without waiting for names that are still being resolved.
    runtime.shutdown_background();
    talked
}

/// Shows the user a message that is not a reply. The message goes to standard error, so that it does not mix with
/// replies.
fn tell(message: &str) {
    // A failure is ignored: if standard error is closed, nobody reads the message.
    let _ = writeln!(anstream::stderr(), "{FAINT}{message}{FAINT:#}");
}
