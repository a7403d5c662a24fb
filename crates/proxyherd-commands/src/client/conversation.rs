//! A conversation with a herd: the client sends lines, and gets one reply for each line, in order, from any server.
//!
//! A conversation outlives its connections: when a connection breaks, the lines without a complete reply go to the next
//! server. Each reply is handed out once, and only when the whole reply has arrived.

use std::{io, sync::Arc, time::Duration};

use proxyherd_config::config::Door;
use proxyherd_core::codec::line::{self, Line};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, split},
    time::{Instant, sleep_until},
};

use super::{
    replies::{AUTH_ACCEPTED, NotAReply, Replies, ReplyForm, begins_like_a_reply},
    servers::{NoneAnswers, Patience, ServerTrouble, Servers, TellUser, in_words},
    stream::DoorStream,
    unanswered::UnansweredLines,
};
use crate::command_token::CommandToken;

/// Maximum number of bytes that one read takes.
const READ_LEN: usize = 64 * 1024;

/// A conversation with a herd.
pub(super) struct Conversation {
    servers: Servers,
    connection: Option<DoorConnection>,
    silence_max: Duration,
    unanswered: UnansweredLines,
    /// The bytes that this connection has received. The caller already has the bytes before `handed_out`, which are
    /// complete replies.
    received: Vec<u8>,
    handed_out: usize,
    replies: Replies,
}

struct DoorConnection {
    stream: Box<dyn DoorStream>,
    /// Whether the stream may hold back written bytes.
    is_held_back: bool,
    /// The time at which the server's silence began: when its last bytes arrived, or when the first line was sent after
    /// all earlier lines had their replies.
    heard: Instant,
    /// Why the connection takes no more bytes. `None` if no write has failed. Replies may still arrive after a failed
    /// write.
    closed: Option<String>,
}

/// What has happened at a connection.
enum ConnectionEvent {
    Received(io::Result<usize>),
    Sent(io::Result<usize>),
    Silent,
}

impl Conversation {
    /// A conversation with the servers at these doors, without a connection. Doors with TLS are verified by `tls`.
    /// `tell` shows the user messages that are not replies.
    pub(super) fn with(
        doors: Vec<Door>,
        tls: Option<Arc<ClientConfig>>,
        patience: Patience,
        tell: TellUser,
    ) -> Conversation {
        Conversation {
            servers: Servers::new(doors, tls, patience.outage_max, tell),
            connection: None,
            silence_max: patience.silence_max,
            unanswered: UnansweredLines::default(),
            received: Vec::new(),
            handed_out: 0,
            replies: Replies::default(),
        }
    }

    /// Sets the token that each connection begins with. A token in a line replaces it.
    pub(super) fn set_token(&mut self, token: Option<CommandToken>) {
        self.servers.set_token(token);
    }

    /// Whether the conversation takes another line now. If not, call [`Conversation::exchange`] first.
    pub(super) fn has_room(&self) -> bool {
        self.unanswered.has_room()
    }

    /// Whether every line has its reply.
    pub(super) fn is_answered(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// The server of the connection. Without a connection, the next server to try.
    pub(super) fn server(&self) -> &Door {
        self.servers.current()
    }

    /// Sends a line, given without its end. A blank line is not sent, because it gets no reply.
    pub(super) fn say(&mut self, line: &[u8]) {
        if let Some(form) = ReplyForm::of(line) {
            self.begin_silence();
            self.unanswered.push(line, form);
        }
    }

    /// Sends the start of a line that is too long.
    pub(super) fn say_overlong(&mut self, start: &[u8]) {
        self.begin_silence();
        self.unanswered.push_overlong(start);
    }

    /// Starts to measure the server's silence, if this is the first line without a reply.
    fn begin_silence(&mut self) {
        if let Some(connection) = self.connection.as_mut().filter(|_| self.unanswered.is_empty()) {
            connection.heard = Instant::now();
        }
    }

    /// Connects to the first server that accepts. Does nothing if there already is a connection.
    pub(super) async fn connect(&mut self) -> Result<(), NoneAnswers> {
        if self.connection.is_some() {
            return Ok(());
        }
        let stream = self.servers.connect().await?;
        self.connection =
            Some(DoorConnection { stream, is_held_back: false, heard: Instant::now(), closed: None });
        if self.unanswered.is_empty() {
            self.servers.recovered();
        }
        Ok(())
    }

    /// Sends or receives once, and then returns the replies that are complete.
    ///
    /// The future can be dropped while it waits, and nothing is lost. Without a connection, this returns at once.
    pub(super) async fn exchange(&mut self) -> &[u8] {
        let Some(connection) = &mut self.connection else {
            self.received.clear();
            self.handed_out = 0;
            return &[];
        };
        if self.handed_out > 0 {
            self.received.drain(..self.handed_out);
            self.handed_out = 0;
            // The time that the caller has spent on the replies does not count as the server's silence.
            connection.heard = Instant::now();
        }
        self.received.reserve(READ_LEN);
        let event = connection.wait(&mut self.received, self.unanswered.unsent(), self.silence_max).await;
        if let Err(trouble) = self.take(event) {
            self.hang_up();
            self.servers.try_next(trouble);
        }
        &self.received[..self.handed_out]
    }

    fn take(&mut self, event: ConnectionEvent) -> Result<(), ServerTrouble> {
        match event {
            ConnectionEvent::Received(Ok(0)) => Err(ServerTrouble::Passing(self.why_closed())),
            ConnectionEvent::Received(Ok(_)) => self.find_replies(),
            ConnectionEvent::Sent(Ok(len)) => {
                self.unanswered.mark_sent(len);
                Ok(())
            }
            ConnectionEvent::Sent(Err(error)) => {
                self.connection.as_mut().expect("it has just failed").closed = Some(in_words(&error));
                Ok(())
            }
            ConnectionEvent::Received(Err(error)) => Err(ServerTrouble::Passing(in_words(&error))),
            ConnectionEvent::Silent => {
                Err(ServerTrouble::Passing(format!("no reply for {} s", self.silence_max.as_secs())))
            }
        }
    }

    fn why_closed(&mut self) -> String {
        let why = self.connection.as_mut().and_then(|connection| connection.closed.take());
        why.unwrap_or_else(|| "it closed the connection".to_owned())
    }

    fn find_replies(&mut self) -> Result<(), ServerTrouble> {
        if let Some(connection) = &mut self.connection {
            connection.heard = Instant::now();
        }
        while self.handed_out < self.received.len() {
            let received = &self.received[self.handed_out..];
            let next = match self.unanswered.awaited() {
                Some(form) => self.replies.next(received, form),
                None if begins_like_a_reply(received) => Err(NotAReply::Unasked),
                None => Err(NotAReply::Foreign),
            };
            let Some(len) = next? else { break };
            self.keep_token(&self.received[self.handed_out..][..len] == AUTH_ACCEPTED);
            self.handed_out += len;
            self.servers.answered();
            if self.unanswered.answer() {
                // The protocol demands that the server closes the connection now. So the server is not at fault, and
                // the next line may go to it again.
                self.hang_up();
            }
        }
        Ok(())
    }

    /// If the reply is about a token, the next connection begins with this token. A refused token takes the rights of
    /// the earlier one away, so the next connection then begins without a token.
    fn keep_token(&mut self, is_accepted: bool) {
        match line::parse(self.unanswered.first()) {
            Line::Auth(token) if is_accepted => {
                let token = String::from_utf8(token.to_vec()).ok().map(CommandToken::of_line);
                self.servers.set_token(token);
            }
            Line::Auth(_) | Line::InvalidAuth => self.servers.set_token(None),
            _ => {}
        }
    }

    /// Drops the connection and the incomplete reply.
    fn hang_up(&mut self) {
        self.connection = None;
        self.received.truncate(self.handed_out);
        self.replies = Replies::default();
        self.unanswered.rewind();
    }
}

impl DoorConnection {
    /// Waits until something can be read or written, or until the server has been silent for too long. Reading has
    /// priority. A read makes room for the server to write, and shows that the server is not silent.
    async fn wait(
        &mut self,
        received: &mut Vec<u8>,
        unsent: &[u8],
        silence_max: Duration,
    ) -> ConnectionEvent {
        let (mut reader, mut writer) = split(&mut self.stream);
        let is_held_back = &mut self.is_held_back;
        let may_send = self.closed.is_none() && (*is_held_back || !unsent.is_empty());
        let send = async {
            if *is_held_back {
                writer.flush().await?;
            }
            let len = if unsent.is_empty() { 0 } else { writer.write(unsent).await? };
            *is_held_back = len > 0;
            Ok(len)
        };
        tokio::select! {
            biased;
            read = reader.read_buf(received) => ConnectionEvent::Received(read),
            sent = send, if may_send => ConnectionEvent::Sent(sent),
            () = sleep_until(self.heard + silence_max) => ConnectionEvent::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_config::door_kind::DoorKind;
    use tokio::io::{AsyncBufReadExt as _, BufReader, BufWriter, duplex};

    use super::*;

    #[tokio::test]
    async fn what_the_stream_holds_back_goes_out_although_nothing_follows() {
        let door = Door::plain(DoorKind::Line, "127.0.0.1:1".parse().expect("this is an address"));
        let tell = Box::new(|said: &str| panic!("{said}"));
        let mut conversation = Conversation::with(vec![door], None, Patience::USUAL, tell);
        let (here, there) = duplex(1024);
        // Without a flush, this stream would write nothing until many lines have come.
        let stream = Box::new(BufWriter::new(here));
        conversation.connection =
            Some(DoorConnection { stream, is_held_back: false, heard: Instant::now(), closed: None });
        let server = tokio::spawn(async move {
            let (mut there, mut line) = (BufReader::new(there), String::new());
            there.read_line(&mut line).await.unwrap();
            there.write_all(format!("? {line}").as_bytes()).await.unwrap();
            there
        });
        conversation.say(b"HELLO");
        let mut replies = Vec::new();
        while !conversation.is_answered() {
            replies.extend_from_slice(conversation.exchange().await);
        }
        assert_eq!(replies, b"? HELLO\n");
        drop(server.await.unwrap());
    }
}
