//! `proxyherd client`: says lines to a herd and shows the replies, for a person or for a pipe.
//!
//! It speaks the line protocol of one server at a time, and goes on to the next when that one goes away. It knows
//! nothing of the herd but the addresses it was given.
//!
//! Floors, lowest first: `replies`, `script`, `stream`; `servers`; `unanswered`; `conversation`; `pipe`, `prompt`.

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

use self::{conversation::Conversation, servers::Patience};
use crate::{config::Door, door_trust};

/// What a person need not look at.
const FAINT: Style = Style::new().dimmed();

/// Talks to the first of these servers that answers: at a prompt if a person sits there, else as a pipe. A server may
/// say nothing for `silence_max` when it is asked. `certificate` is the file that the servers' configuration names for
/// doors with TLS.
pub(crate) fn run(doors: Vec<Door>, certificate: Option<&Path>, silence_max: Duration) -> anyhow::Result<()> {
    // Turns of one conversation need no second thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the operating system gave no event queue")?;
    let has_tls = doors.iter().any(|door| door.tls);
    let tls = has_tls.then(|| Arc::new(door_trust::client_config(certificate)));
    let patience = Patience { silence_max, ..Patience::USUAL };
    let conversation = Conversation::with(doors, tls, patience, Box::new(tell));
    let talked = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        runtime.block_on(prompt::run(conversation))
    } else {
        runtime.block_on(pipe::run(conversation, io::stdin(), io::stdout().lock()))
    };
    // A name that is still being looked up is nobody's concern any more.
    runtime.shutdown_background();
    talked
}

/// Tells the user what is no reply, where it does not mix with replies.
fn tell(message: &str) {
    // Where standard error is gone, nobody is left to tell.
    let _ = writeln!(anstream::stderr(), "{FAINT}{message}{FAINT:#}");
}
