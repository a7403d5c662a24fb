//! The servers to talk to: which one it is now, and which is next when it goes away.
//!
//! An outage begins when a connection breaks and ends with the next complete reply, so a server that takes
//! connections but answers nothing does not end one. During an outage the servers are tried in turn, until one
//! answers or patience ends. A herd that was never there is not waited for: each server is tried once. A server that
//! speaks something else than the line protocol is never tried again.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ClientConfig;
use tokio::time::{sleep, timeout};

use super::{
    replies::NotAReply,
    stream::{self, Stream},
};
use crate::{config::Door, door_trust};

/// How long a server may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long to wait when every server has been tried, before all are tried again.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// How long servers are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long one may say nothing when it is asked.
    pub(super) silence_max: Duration,
    /// How long after a connection broke all are tried again and again.
    pub(super) outage_max: Duration,
}

impl Patience {
    /// A server's places have a deadline of their own, usually well below the silence; in five seconds one starts anew.
    pub(super) const USUAL: Patience =
        Patience { silence_max: Duration::from_secs(15), outage_max: Duration::from_secs(5) };
}

/// Tells the user what is no reply.
pub(super) type Tell = Box<dyn FnMut(&str)>;

/// The servers, and how the current outage goes.
pub(super) struct Servers {
    /// Never empty.
    doors: Vec<Door>,
    /// What those with TLS are judged by.
    tls: Option<Arc<ClientConfig>>,
    at: usize,
    outage_max: Duration,
    /// Whether one has ever taken a connection.
    has_been_there: bool,
    /// Whether one has ever answered.
    has_answered: bool,
    /// Which of them speak something else.
    are_foreign: Vec<bool>,
    outage: Option<Outage>,
    tell: Tell,
}

/// Why a server is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may be of use again in a moment.
    Passing(String),
    /// It does not speak the line protocol, and never will.
    Foreign,
}

impl From<NotAReply> for Trouble {
    fn from(error: NotAReply) -> Trouble {
        match error {
            NotAReply::Foreign => Trouble::Foreign,
            NotAReply::TooLong | NotAReply::Unasked => Trouble::Passing(error.to_string()),
        }
    }
}

#[derive(Debug)]
struct Outage {
    began: Instant,
    /// How often a server was dialled.
    attempts: usize,
    /// What was told of each server.
    troubles: Vec<Option<String>>,
    /// The server that the last `talking to` message named.
    told_going_on: Option<usize>,
}

/// No server answers. What is the matter with each has been told.
#[derive(Debug, thiserror::Error)]
pub(super) struct NoneAnswers {
    doors: Vec<Door>,
    why: Why,
}

/// What none of the servers does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// They take no connection, or have answered before.
    Away,
    /// One takes connections, and has never answered anything.
    Mute,
    /// All speak something else.
    Foreign,
    /// All show a certificate that is not believed.
    Untrusted,
    /// All speak something without TLS.
    Unencrypted,
}

impl fmt::Display for NoneAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.doors.len();
        match (self.why, self.doors.as_slice()) {
            (Why::Foreign, [address]) => write!(f, "{address}: {}", NotAReply::Foreign)?,
            (Why::Foreign, _) => write!(f, "none of the {count} speaks the herd's line protocol")?,
            (Why::Mute, [address]) => write!(f, "{address} takes connections and answers nothing")?,
            (Why::Away, [address]) => write!(f, "{address} does not answer")?,
            (Why::Untrusted, [address]) => write!(f, "{address} is not trusted")?,
            (Why::Untrusted, _) => write!(f, "none of the {count} servers is trusted")?,
            (Why::Unencrypted, [address]) => write!(f, "{address} does not speak TLS")?,
            (Why::Unencrypted, _) => write!(f, "none of the {count} servers speaks TLS")?,
            (Why::Mute | Why::Away, _) => write!(f, "none of the {count} servers answers")?,
        }
        f.write_str(match self.why {
            Why::Foreign => {
                "; a server's `listen` address does, with tls:// before it where herd.toml has that"
            }
            Why::Mute => "; is that a server's `listen` address?",
            Why::Away => "; is the herd running? `proxyherd demo` runs one to try",
            Why::Untrusted => {
                "; --config FILE names the herd.toml whose [tls] has the certificate that is to be believed"
            }
            Why::Unencrypted => "; leave out tls:// where a server's `listen` in herd.toml has none",
        })
    }
}

impl Servers {
    /// Servers at these doors, of which there is at least one, to be tried in this order.
    pub(super) fn new(
        doors: Vec<Door>,
        tls: Option<Arc<ClientConfig>>,
        outage_max: Duration,
        tell: Tell,
    ) -> Servers {
        assert!(!doors.is_empty(), "the command line has addresses by default");
        let are_foreign = vec![false; doors.len()];
        Servers {
            doors,
            tls,
            at: 0,
            outage_max,
            has_been_there: false,
            has_answered: false,
            are_foreign,
            outage: None,
            tell,
        }
    }

    /// The server that is talked to, or tried next.
    pub(super) fn current(&self) -> &Door {
        &self.doors[self.at]
    }

    /// Connects to the current server, or else to the first after it that takes the connection.
    pub(super) async fn connect(&mut self) -> Result<Box<dyn Stream>, NoneAnswers> {
        loop {
            self.pause_after_a_round().await?;
            self.outage().attempts += 1;
            match dial(self.current(), self.tls.as_ref()).await {
                Ok(stream) => {
                    self.has_been_there = true;
                    self.tell_going_on();
                    return Ok(stream);
                }
                Err(trouble) => self.go_on(Trouble::Passing(trouble)),
            }
        }
    }

    /// The current server is of no use, for a reason that is told; the next one is to be tried.
    pub(super) fn go_on(&mut self, trouble: Trouble) {
        let at = self.at;
        self.are_foreign[at] |= trouble == Trouble::Foreign;
        let trouble = match trouble {
            Trouble::Passing(trouble) => trouble,
            Trouble::Foreign => NotAReply::Foreign.to_string(),
        };
        // Of a single server that is foreign the error tells, which is about to come.
        let is_told = self.doors.len() == 1 && self.are_foreign[at];
        if !is_told && self.outage().troubles[at].as_ref() != Some(&trouble) {
            (self.tell)(&format!("{}: {trouble}", self.doors[at]));
        }
        self.outage().troubles[at] = Some(trouble);
        let count = self.doors.len();
        let next = (1..=count).map(|step| (at + step) % count).find(|&next| !self.are_foreign[next]);
        self.at = next.unwrap_or(at);
    }

    /// A server has answered.
    pub(super) fn answered(&mut self) {
        self.has_answered = true;
        self.recovered();
    }

    /// There is nothing that a server could have answered: all is well.
    pub(super) fn recovered(&mut self) {
        self.outage = None;
    }

    fn outage(&mut self) -> &mut Outage {
        let count = self.doors.len();
        let begin = || Outage {
            began: Instant::now(),
            attempts: 0,
            troubles: vec![None; count],
            told_going_on: None,
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
            Why::Foreign
        } else if self.has_been_there && !self.has_answered {
            Why::Mute
        } else if self.is_all_trouble(&door_trust::UNTRUSTED) {
            Why::Untrusted
        } else if self.is_all_trouble(&[door_trust::UNENCRYPTED]) {
            Why::Unencrypted
        } else {
            Why::Away
        };
        NoneAnswers { doors: self.doors.clone(), why }
    }

    /// Whether the trouble with each server is one of these.
    fn is_all_trouble(&self, what: &[&str]) -> bool {
        let troubles = self.outage.as_ref().map_or(&[][..], |outage| &outage.troubles);
        !troubles.is_empty()
            && troubles
                .iter()
                .all(|trouble| trouble.as_deref().is_some_and(|trouble| what.contains(&trouble)))
    }

    /// Says which server gets the lines now, once for each server in a row: a server that takes connections and closes them
    /// would otherwise be named again and again.
    fn tell_going_on(&mut self) {
        let at = self.at;
        let outage = self.outage();
        let has_trouble = outage.troubles.iter().any(Option::is_some);
        if has_trouble && outage.told_going_on.replace(at) != Some(at) {
            (self.tell)(&format!("talking to {}", self.doors[at]));
        }
    }
}

async fn dial(door: &Door, tls: Option<&Arc<ClientConfig>>) -> Result<Box<dyn Stream>, String> {
    match timeout(CONNECT_MAX, stream::connect(door, tls)).await {
        Ok(connected) => connected.map_err(|error| said(&error)),
        Err(_) => Err(format!("no connection within {} s", CONNECT_MAX.as_secs())),
    }
}

/// What an error of the network means, without the system's number for it.
pub(super) fn said(error: &io::Error) -> String {
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
