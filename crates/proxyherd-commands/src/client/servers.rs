//! Chooses the server to talk to, and the next one when that server fails.
//!
//! An outage begins when a connection breaks, and ends with the next complete reply. So a server that accepts
//! connections but never answers does not end an outage. During an outage the servers are tried in turn, until one
//! answers or [`Patience::outage_max`] is over. If no server has ever accepted a connection, each server is tried once.
//! A server that does not speak the line protocol is never tried again.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use proxyherd_config::config::Door;
use rustls::ClientConfig;
use tokio::time::{sleep, timeout};

use super::{
    auth::{self, AuthError, NOT_ACCEPTED},
    replies::NotAReply,
    stream::{self, DoorStream},
};
use crate::{command_token::CommandToken, door_trust};

/// Maximum time that a server may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// The pause between two rounds in which all servers are tried.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// The times that the client waits for servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Maximum time that a server with lines to answer may be silent.
    pub(super) silence_max: Duration,
    /// Time for which the servers are tried again after a connection has broken.
    pub(super) outage_max: Duration,
}

impl Patience {
    /// Values that suit most herds: the deadline for places is usually well below 15 seconds, and a server restarts
    /// within 5 seconds.
    pub(super) const USUAL: Patience =
        Patience { silence_max: Duration::from_secs(15), outage_max: Duration::from_secs(5) };
}

/// Shows the user a message that is not a reply.
pub(super) type TellUser = Box<dyn FnMut(&str)>;

/// The servers, and the state of the current outage.
pub(super) struct Servers {
    /// The servers, of which there is at least one.
    doors: Vec<Door>,
    /// Verifies the certificates of doors with TLS.
    tls: Option<Arc<ClientConfig>>,
    /// The token that each connection begins with.
    token: Option<CommandToken>,
    at: usize,
    outage_max: Duration,
    /// Whether a server has ever accepted a connection.
    has_been_there: bool,
    /// Whether a server has ever answered.
    has_answered: bool,
    /// For each server, whether it is known not to speak the line protocol.
    are_foreign: Vec<bool>,
    outage: Option<ServerOutage>,
    tell: TellUser,
}

/// Why a server cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerTrouble {
    /// The server may work again in a moment. The text says what failed.
    Passing(String),
    /// The server does not speak the line protocol, and is never tried again.
    Foreign,
}

impl From<NotAReply> for ServerTrouble {
    fn from(error: NotAReply) -> ServerTrouble {
        match error {
            NotAReply::Foreign => ServerTrouble::Foreign,
            NotAReply::TooLong | NotAReply::Unasked => ServerTrouble::Passing(error.to_string()),
        }
    }
}

#[derive(Debug)]
struct ServerOutage {
    began: Instant,
    /// Number of connections that were tried.
    attempts: usize,
    /// The last message to the user about each server.
    troubles: Vec<Option<String>>,
    /// The server that the last `talking to` message named.
    told_talking_to: Option<usize>,
}

/// No server answers. The user has already seen the trouble with each server.
#[derive(Debug, thiserror::Error)]
pub(super) struct NoneAnswers {
    doors: Vec<Door>,
    why: NoAnswerReason,
    /// The source of the token that the servers were shown.
    token: String,
}

/// The common reason why no server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoAnswerReason {
    /// The servers accept no connection, or do not answer any more.
    Away,
    /// At least one server accepts connections, but no server has ever answered.
    Mute,
    /// None of them speaks the line protocol.
    Foreign,
    /// All servers present a certificate that is not trusted.
    Untrusted,
    /// None of them speaks TLS.
    Unencrypted,
    /// None of them accepts the token.
    Unauthorized,
}

impl fmt::Display for NoneAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.doors.len();
        match (self.why, self.doors.as_slice()) {
            (NoAnswerReason::Foreign, [address]) => write!(f, "{address}: {}", NotAReply::Foreign)?,
            (NoAnswerReason::Foreign, _) => write!(f, "none of the {count} speaks the herd's line protocol")?,
            (NoAnswerReason::Mute, [address]) => {
                write!(f, "{address} takes connections and answers nothing")?;
            }
            (NoAnswerReason::Away, [address]) => write!(f, "{address} does not answer")?,
            (NoAnswerReason::Untrusted, [address]) => write!(f, "{address} is not trusted")?,
            (NoAnswerReason::Untrusted, _) => write!(f, "none of the {count} servers is trusted")?,
            (NoAnswerReason::Unencrypted, [address]) => write!(f, "{address} does not speak TLS")?,
            (NoAnswerReason::Unencrypted, _) => write!(f, "none of the {count} servers speaks TLS")?,
            (NoAnswerReason::Unauthorized, [address]) => write!(f, "{address} does not accept the token")?,
            (NoAnswerReason::Unauthorized, _) => write!(f, "none of the {count} servers accepts the token")?,
            (NoAnswerReason::Mute | NoAnswerReason::Away, _) => {
                write!(f, "none of the {count} servers answers")?;
            }
        }
        if self.why == NoAnswerReason::Unauthorized {
            return write!(f, " of {}: the token is wrong, revoked or past its end", self.token);
        }
        f.write_str(match self.why {
            NoAnswerReason::Foreign => {
                "; give the `listen` address of a server; if the server has TLS there, write tls:// before it"
            }
            NoAnswerReason::Mute => "; is that a server's `listen` address?",
            NoAnswerReason::Away => "; is the herd running? `proxyherd demo` runs one to try",
            NoAnswerReason::Untrusted => {
                "; name the herd.toml whose [tls] has the server's certificate, with --config FILE"
            }
            NoAnswerReason::Unauthorized => "",
            NoAnswerReason::Unencrypted => {
                "; leave out tls:// if the server's `listen` in herd.toml has none"
            }
        })
    }
}

impl Servers {
    /// Servers at these doors, tried in this order. There must be at least one.
    pub(super) fn new(
        doors: Vec<Door>,
        tls: Option<Arc<ClientConfig>>,
        outage_max: Duration,
        tell: TellUser,
    ) -> Servers {
        assert!(!doors.is_empty(), "the command line has addresses by default");
        let are_foreign = vec![false; doors.len()];
        Servers {
            doors,
            tls,
            token: None,
            at: 0,
            outage_max,
            has_been_there: false,
            has_answered: false,
            are_foreign,
            outage: None,
            tell,
        }
    }

    /// Sets the token that each further connection begins with.
    pub(super) fn set_token(&mut self, token: Option<CommandToken>) {
        self.token = token;
    }

    /// The server of the connection, or the next one to try.
    pub(super) fn current(&self) -> &Door {
        &self.doors[self.at]
    }

    /// Connects to the current server, or to the first one after it that accepts.
    pub(super) async fn connect(&mut self) -> Result<Box<dyn DoorStream>, NoneAnswers> {
        loop {
            self.pause_after_a_round().await?;
            self.outage().attempts += 1;
            match dial(self.current(), self.tls.as_ref(), self.token.as_ref()).await {
                Ok(stream) => {
                    self.has_been_there = true;
                    self.tell_talking_to();
                    return Ok(stream);
                }
                Err(trouble) => self.try_next(trouble),
            }
        }
    }

    /// Tells the user why the current server cannot be used, and makes the next one current.
    pub(super) fn try_next(&mut self, trouble: ServerTrouble) {
        let at = self.at;
        self.are_foreign[at] |= trouble == ServerTrouble::Foreign;
        let trouble = match trouble {
            ServerTrouble::Passing(trouble) => trouble,
            ServerTrouble::Foreign => NotAReply::Foreign.to_string(),
        };
        // If this is the only server, the error that follows says the same.
        let is_told = self.doors.len() == 1 && self.are_foreign[at];
        if !is_told && self.outage().troubles[at].as_ref() != Some(&trouble) {
            (self.tell)(&format!("{}: {trouble}", self.doors[at]));
        }
        self.outage().troubles[at] = Some(trouble);
        let count = self.doors.len();
        let next = (1..=count).map(|step| (at + step) % count).find(|&next| !self.are_foreign[next]);
        self.at = next.unwrap_or(at);
    }

    /// Notes that a server has answered.
    pub(super) fn answered(&mut self) {
        self.has_answered = true;
        self.recovered();
    }

    /// Ends the outage. A new connection also ends the outage if no line waits for a reply.
    pub(super) fn recovered(&mut self) {
        self.outage = None;
    }

    fn outage(&mut self) -> &mut ServerOutage {
        let count = self.doors.len();
        let begin = || ServerOutage {
            began: Instant::now(),
            attempts: 0,
            troubles: vec![None; count],
            told_talking_to: None,
        };
        self.outage.get_or_insert_with(begin)
    }

    async fn pause_after_a_round(&mut self) -> Result<(), NoneAnswers> {
        let count = self.are_foreign.iter().filter(|&&is_foreign| !is_foreign).count();
        if count == 0 {
            return Err(self.none_answers());
        }
        let patience = if self.has_been_there { self.outage_max } else { Duration::ZERO };
        let outage = self.outage();
        if outage.attempts == 0 || !outage.attempts.is_multiple_of(count) {
            return Ok(());
        }
        if outage.began.elapsed() >= patience {
            return Err(self.none_answers());
        }
        sleep(ROUND_PAUSE).await;
        Ok(())
    }

    fn none_answers(&self) -> NoneAnswers {
        let why = if self.are_foreign.iter().all(|&is_foreign| is_foreign) {
            NoAnswerReason::Foreign
        } else if self.is_all_trouble(&[NOT_ACCEPTED]) {
            NoAnswerReason::Unauthorized
        } else if self.has_been_there && !self.has_answered {
            NoAnswerReason::Mute
        } else if self.is_all_trouble(&door_trust::UNTRUSTED) {
            NoAnswerReason::Untrusted
        } else if self.is_all_trouble(&[door_trust::UNENCRYPTED]) {
            NoAnswerReason::Unencrypted
        } else {
            NoAnswerReason::Away
        };
        let token = self.token.as_ref().map(ToString::to_string).unwrap_or_default();
        NoneAnswers { doors: self.doors.clone(), why, token }
    }

    /// Whether each server has a trouble that is in `what`.
    fn is_all_trouble(&self, what: &[&str]) -> bool {
        let troubles = self.outage.as_ref().map_or(&[][..], |outage| &outage.troubles);
        !troubles.is_empty()
            && troubles
                .iter()
                .all(|trouble| trouble.as_deref().is_some_and(|trouble| what.contains(&trouble)))
    }

    /// Tells the user which server gets the lines now. A server is not named twice in a row, because a server that
    /// accepts and closes connections would otherwise be named again and again.
    fn tell_talking_to(&mut self) {
        let at = self.at;
        let outage = self.outage();
        let has_trouble = outage.troubles.iter().any(Option::is_some);
        if has_trouble && outage.told_talking_to.replace(at) != Some(at) {
            (self.tell)(&format!("talking to {}", self.doors[at]));
        }
    }
}

/// Connects, and shows the token if there is one.
async fn dial(
    door: &Door,
    tls: Option<&Arc<ClientConfig>>,
    token: Option<&CommandToken>,
) -> Result<Box<dyn DoorStream>, ServerTrouble> {
    let passing = ServerTrouble::Passing;
    let connected = timeout(CONNECT_MAX, stream::connect(door, tls)).await;
    let connected =
        connected.map_err(|_| passing(format!("no connection within {} s", CONNECT_MAX.as_secs())))?;
    let mut stream = connected.map_err(|error| passing(in_words(&error)))?;
    if let Some(token) = token {
        auth::authenticate(&mut *stream, token).await.map_err(|error| match error {
            AuthError::Foreign => ServerTrouble::Foreign,
            AuthError::Connection(error) => passing(in_words(&error)),
            AuthError::Refused | AuthError::Silent => passing(error.to_string()),
        })?;
    }
    Ok(stream)
}

/// A network error in words, without the system's error number.
pub(super) fn in_words(error: &io::Error) -> String {
    if let Some(trouble) = door_trust::trouble(error) {
        return trouble.to_owned();
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "the connection was cut".to_owned()
        }
        _ => error.to_string(),
    }
}
