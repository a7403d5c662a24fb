//! Connects while a person sits at the prompt. Even during that time Ctrl-D ends the prompt, and typed lines are kept.
//!
//! Outside the line editor the terminal hands over whole lines. A blocking read could later take a line that is meant
//! for the editor, so this module reads only when the terminal has input.

use std::io;

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::super::conversation::Conversation;

/// Maximum number of bytes that one read takes. A terminal never hands over a longer line.
const READ_LEN: usize = 4096;
/// Maximum size of the kept lines, bytes. Further input stays in the terminal, which keeps a few thousand bytes and
/// drops the rest.
const AHEAD_LEN_MAX: usize = 64 * 1024;
/// Maximum time that one poll of the terminal waits, nanoseconds.
const LOOK_MAX_NS: i64 = 50_000_000;

/// Whether the prompt continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptState {
    Open,
    Quit,
}

/// The lines that were typed while no server answered.
#[derive(Debug, Default)]
pub(super) struct TypedAhead(Vec<u8>);

impl TypedAhead {
    /// Takes the typed lines. `None` if there are no lines.
    pub(super) fn take(&mut self) -> Option<String> {
        let typed = std::mem::take(&mut self.0);
        (!typed.is_empty()).then(|| String::from_utf8_lossy(&typed).into_owned())
    }
}

/// Connects, unless the person quits first.
pub(super) async fn connect(
    conversation: &mut Conversation,
    ahead: &mut TypedAhead,
) -> anyhow::Result<PromptState> {
    loop {
        tokio::select! {
            biased;
            connected = conversation.connect() => {
                connected?;
                return Ok(PromptState::Open);
            }
            typed = typed(), if ahead.0.len() < AHEAD_LEN_MAX => match typed.as_slice() {
                [] => return Ok(PromptState::Quit),
                typed => ahead.0.extend_from_slice(typed),
            },
        }
    }
}

/// The next input. Empty at the end of the input, or if the terminal is gone.
async fn typed() -> Vec<u8> {
    // A poll takes nothing from the terminal, so no input is lost if this future is dropped.
    while !tokio::task::spawn_blocking(has_input).await.unwrap_or(true) {}
    let mut typed = vec![0; READ_LEN];
    let len = rustix::io::read(io::stdin(), &mut typed).unwrap_or(0);
    typed.truncate(len);
    typed
}

/// Whether a read would return at once, with input or with an error. Waits at most [`LOOK_MAX_NS`].
fn has_input() -> bool {
    let input = io::stdin();
    let mut inputs = [PollFd::new(&input, PollFlags::IN)];
    let ready = poll(&mut inputs, Some(&Timespec { tv_sec: 0, tv_nsec: LOOK_MAX_NS }));
    ready != Ok(0) && ready != Err(Errno::INTR)
}
