//! The client in a pipe: sends the lines of an input, writes exactly their replies to an output, and ends after the
//! last reply.
//!
//! The client sends lines while it reads replies, so client and server never wait for each other for ever. The client
//! reads no more input than the conversation has room for. So memory is bounded for inputs of any length and outputs of
//! any speed.

use std::{
    io::{self, Read, Write},
    thread,
};

use anyhow::Context as _;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{
    conversation::Conversation,
    script::{Script, ScriptLine},
};

/// Maximum length of a chunk of the input that one read takes, bytes.
const CHUNK_LEN: usize = 64 * 1024;
/// Maximum number of chunks that are read ahead.
const CHUNKS_MAX: usize = 2;

/// A piece of the input, or the error of reading it. An empty piece is the end of the input.
type Chunk = io::Result<Vec<u8>>;

/// Sends the lines of `input` and writes the replies to `output`.
pub(super) async fn run(
    mut conversation: Conversation,
    input: impl Read + Send + 'static,
    mut output: impl Write,
) -> anyhow::Result<()> {
    let mut chunks = read_ahead(input)?;
    let mut script = Script::default();
    loop {
        say(&mut script, &mut conversation);
        if conversation.is_answered() {
            if script.is_over() {
                return Ok(());
            }
        } else {
            // The client connects only when it has a line to send: if the input is empty, a herd that does not run is
            // no error.
            conversation.connect().await?;
        }
        tokio::select! {
            chunk = chunks.recv(), if conversation.has_room() && script.is_open() => {
                feed(&mut script, chunk)?;
            }
            replies = conversation.exchange(), if !conversation.is_answered() => {
                output.write_all(replies)?;
                output.flush()?;
            }
        }
    }
}

/// Sends the lines that have arrived, as far as the conversation has room for them.
fn say(script: &mut Script, conversation: &mut Conversation) {
    while conversation.has_room() {
        match script.next() {
            Some(ScriptLine::Line(line)) => conversation.say(line),
            Some(ScriptLine::Overlong(start)) => conversation.say_overlong(start),
            None => break,
        }
    }
}

fn feed(script: &mut Script, chunk: Option<Chunk>) -> anyhow::Result<()> {
    let chunk = chunk.unwrap_or_else(|| Ok(Vec::new())).context("cannot read the input")?;
    if chunk.is_empty() {
        script.end();
    }
    script.feed(&chunk);
    Ok(())
}

/// Reads `input` on a thread of its own, which ends with the input. A read of a terminal or a pipe cannot be canceled,
/// so nothing may wait for this thread.
fn read_ahead(mut input: impl Read + Send + 'static) -> anyhow::Result<Receiver<Chunk>> {
    let (sender, receiver) = channel(CHUNKS_MAX);
    let reading = move || while read_chunk(&mut input, &sender) {};
    let thread = thread::Builder::new().name("input".to_owned());
    thread.spawn(reading).context("the operating system gave no thread")?;
    Ok(receiver)
}

/// Reads once. Returns whether more input may come.
fn read_chunk(input: &mut impl Read, chunks: &Sender<Chunk>) -> bool {
    let mut chunk = vec![0; CHUNK_LEN];
    let read = loop {
        match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    let is_last = matches!(read, Ok(0) | Err(_));
    let sent = chunks.blocking_send(read.map(|len| {
        chunk.truncate(len);
        chunk
    }));
    sent.is_ok() && !is_last
}

#[cfg(test)]
mod tests;
