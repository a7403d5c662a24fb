//! The sockets between servers: dialing, accepting, the handshake, and the log's lines about links.
//!
//! One end of each link dials repeatedly until the link is up. The other end accepts. The topology adds and removes
//! links ([`Peers::change`]). `wire` finds out which server is at the other end. `session` runs a link that both ends
//! have agreed on. Nothing here knows what frames do to the replica.

mod handshakes;
mod meter;
mod session;
mod wire;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use proxyherd_config::{
    clock,
    config::{Address, LinkChange},
    credentials::HandshakeError,
};
use proxyherd_core::{
    limits::{DIAL_DELAY_MAX, HANDSHAKE_MAX, HANDSHAKES_MAX, LINK_SILENCE_MAX, NAMESAKE_DELAY_MAX},
    link::{Backoff, LinkError, Refused},
    types::ServerName,
};
use proxyherd_log::{LogLevel, Subject};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    handshakes::{Handshakes, Telling, Tellings},
    wire::{Accepted, Joined},
};
use crate::{
    herd::{CUT, Herd, Internals, Link},
    listen,
};

/// Why a link is not up. Each reason says what to check.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("can't reach the neighbor: {0}")]
    Unreachable(io::Error),
    #[error("no answer within {} s", HANDSHAKE_MAX.as_secs())]
    NoAnswer,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the other end closed the connection")]
    Closed,
    #[error("the other end sent nothing for {} s", LINK_SILENCE_MAX.as_secs())]
    Silent,
    #[error("the other end read no bytes for {} s", LINK_SILENCE_MAX.as_secs())]
    Stuck,
    #[error("the other end breaks the link protocol: {0}")]
    Protocol(LinkError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("{shown} answers at the address of {expected}: check the addresses in the configuration")]
    OtherServer { shown: ServerName, expected: ServerName },
    #[error(
        "the other end says that it is {said}, but shows the certificate of {shown}: each server has its own"
    )]
    Misnamed { shown: ServerName, said: ServerName },
    #[error("its handshake was dropped: more than {HANDSHAKES_MAX} handshakes were in progress")]
    Crowded,
    #[error("this server refused the other end: {0}")]
    Refused(#[from] Refused),
    #[error("it refuses this server: {0}")]
    RefusedThere(String),
    #[error("it refuses this server: {0}")]
    NamesakeThere(String),
    #[error("the neighbor opened a new connection")]
    Replaced,
    #[error(
        "the configuration has a new address for the neighbor; this server dials the new address from now on"
    )]
    Moved,
    #[error("the configuration no longer has this link")]
    Removed,
    #[error("this server is stopping")]
    Stopping,
    #[error("{CUT}")]
    Cut,
    #[error("the link has used up its numbers for lives of servers, so it starts again")]
    Exhausted,
}

impl Trouble {
    /// Why reading from a neighbor failed. A process that is killed closes its connection without TLS's `close_notify`.
    /// This counts as a normal end of the connection.
    fn of_read(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Trouble::Closed,
            _ => HandshakeError::in_tls(error).map_or_else(Trouble::Broken, Trouble::Handshake),
        }
    }
}

impl From<LinkError> for Trouble {
    fn from(error: LinkError) -> Trouble {
        match error {
            LinkError::Refused(reason) => Trouble::RefusedThere(reason),
            error => Trouble::Protocol(error),
        }
    }
}

/// A server's links, until the server stops. Each link that this end dials has a task that keeps dialing. One task
/// accepts the other links.
#[derive(Clone)]
pub(crate) struct Peers {
    herd: Arc<Herd>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Maximum time for which a link stays up with a server that the configuration no longer names. That server may read
/// its own copy of the file later. It then stops and closes its links. Until then the herd must receive the reports of
/// its clients. A server that does not stop loses the link after this time.
const DEPARTURE_MAX: Duration = Duration::from_secs(15);

/// Dials and accepts links of `herd` until `stop`.
pub(crate) fn run(
    herd: &Arc<Herd>,
    listener: Option<TcpListener>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Peers {
    let peers = Peers { herd: Arc::clone(herd), tasks: tasks.clone(), stop: stop.clone() };
    herd.links().all().iter().for_each(|link| peers.keep(link));
    if let Some(listener) = listener {
        tasks.spawn(accept_all(Arc::clone(herd), listener, tasks.clone(), stop.clone()));
    }
    peers
}

impl Peers {
    fn keep(&self, link: &Arc<Link>) {
        if link.dials {
            self.tasks.spawn(keep_dialing(Arc::clone(&self.herd), Arc::clone(link), self.stop.clone()));
        }
    }

    /// Changes the links to follow a change of the configuration. A new link begins at once if a link's number is free.
    /// Otherwise it begins when a removed link has ended. Returns when all removed links have ended.
    pub(crate) async fn change(&self, change: &LinkChange) {
        let links = self.herd.links();
        for moved in &change.moved {
            if let Some(link) = links.all().iter().find(|link| link.neighbor == moved.name) {
                link.set_address(moved.address.clone());
            }
        }
        let members = self.herd.members();
        let depart_by = Instant::now() + DEPARTURE_MAX;
        let mut leaving: Vec<_> = change.removed.iter().filter_map(|name| links.remove(name)).collect();
        leaving.iter().filter(|link| members.contains(&link.neighbor)).for_each(|link| link.leaving.cancel());
        for neighbor in &change.added {
            let mut added = links.add(neighbor);
            while added.is_none()
                && let Some(link) = leaving.pop()
            {
                self.see_off(&link, depart_by).await;
                added = links.add(neighbor);
            }
            self.keep(&added.expect("the configuration refuses more neighbors than links"));
        }
        for link in &leaving {
            self.see_off(link, depart_by).await;
        }
    }

    /// Waits until a removed link is no longer in use, and frees its number. This end does not end a link with a server
    /// that has left the herd before `depart_by`.
    async fn see_off(&self, link: &Link, depart_by: Instant) {
        if !link.leaving.is_cancelled() {
            let _ = timeout_at(depart_by.into(), link.speaking.lock()).await;
            link.leaving.cancel();
        }
        drop(link.speaking.lock().await);
        self.herd.replica().free_link(link.id);
        self.herd.links().free(link);
    }
}

async fn keep_dialing(herd: Arc<Herd>, link: Arc<Link>, stop: CancellationToken) {
    let _pulse = herd.liveness().pulse(format!("dialing {}", link.neighbor));
    let mut addresses = link.addresses();
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() && !link.leaving.is_cancelled() {
        if link.is_cut() {
            tokio::select! {
                () = link.until_cut(false) => backoff.reset(),
                () = link.leaving.cancelled() => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        let trouble = dial_and_speak(&herd, &link, &mut addresses, &stop).await;
        // A neighbor that agrees and then breaks the link each time is dialed as rarely as an unreachable neighbor.
        let lasted = link.state().up_since.map(|since| since.elapsed());
        if lasted.is_some_and(|lasted| lasted > LINK_SILENCE_MAX) || matches!(trouble, Trouble::Moved) {
            backoff.reset();
        }
        tell_down(&herd, &link, &trouble);
        let delay_max = match trouble {
            Trouble::NamesakeThere(_) => NAMESAKE_DELAY_MAX,
            _ => DIAL_DELAY_MAX,
        };
        let delay = backoff.next_delay_up_to(delay_max, clock::random());
        tokio::select! {
            () = sleep(delay) => {}
            Ok(()) = addresses.changed() => backoff.reset(),
            () = link.until_cut(true) => {}
            () = link.leaving.cancelled() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Dials once, and speaks until the link ends. Returns why it ended.
async fn dial_and_speak(
    herd: &Arc<Herd>,
    link: &Link,
    addresses: &mut watch::Receiver<Address>,
    stop: &CancellationToken,
) -> Trouble {
    let address = addresses.borrow_and_update().clone();
    let dialed = tokio::select! {
        dialed = timeout(HANDSHAKE_MAX, wire::dial(herd, link, &address)) => dialed,
        Ok(()) = addresses.changed() => return Trouble::Moved,
        () = link.until_cut(true) => return Trouble::Cut,
        () = link.leaving.cancelled() => return Trouble::Removed,
        () = stop.cancelled() => return Trouble::Stopping,
    };
    let joined = match dialed {
        Ok(Ok(joined)) => joined,
        Ok(Err(trouble)) => return trouble,
        Err(_) => return Trouble::NoAnswer,
    };
    let _speaking = link.speaking.lock().await;
    if link.leaving.is_cancelled() {
        return Trouble::Removed;
    }
    if link.is_cut() {
        return Trouble::Cut;
    }
    let how = format!("dialed {address}");
    // A new address in the configuration does not end this connection, because the server may still serve at its old
    // address. This server dials the new address when this connection ends.
    session::speak(herd, link, joined, &how, stop).await
}

async fn accept_all(herd: Arc<Herd>, listener: TcpListener, tasks: TaskTracker, stop: CancellationToken) {
    let (port, _pulse) = (Arc::new(Port::default()), herd.liveness().pulse("the door for servers"));
    while let Some((stream, address)) = listen::accept(&listener, herd.log(), &stop).await {
        let (herd, port, stop) = (Arc::clone(&herd), Arc::clone(&port), stop.clone());
        tasks.spawn(async move {
            if let Err(trouble) = welcome(&herd, &port, stream, &stop).await {
                tell_refused(&herd, &port, address, &trouble);
            }
        });
    }
}

/// What all connections to the peer port share.
#[derive(Debug, Default)]
struct Port {
    handshakes: Handshakes,
    tellings: Tellings,
}

/// Answers a connection at the peer port. If a neighbor dialed, speaks until the link ends.
async fn welcome(
    herd: &Arc<Herd>,
    port: &Port,
    stream: TcpStream,
    stop: &CancellationToken,
) -> Result<(), Trouble> {
    let handshake = port.handshakes.begin();
    let accepted = handshake.run(timeout(HANDSHAKE_MAX, wire::accept(herd, stream)));
    let Some(accepted) = stop.run_until_cancelled(accepted).await else { return Ok(()) };
    let Accepted { mut wire, hello, received } =
        accepted.ok_or(Trouble::Crowded)?.map_err(|_| Trouble::NoAnswer)??;
    drop(handshake);
    let links = herd.links().all();
    let neighbors: Vec<_> = links.iter().map(|link| (link.neighbor.clone(), link.dials)).collect();
    let (link, answer) = match herd.identity().answer(clock::now_ns(), &hello, &neighbors) {
        Ok((place, answer)) => (&links[place], answer),
        Err(refused) => {
            if let Some(link) = links.iter().find(|link| link.neighbor == hello.origin.server) {
                wire::note_clock(herd, link, &refused);
                link.note_trouble(format!("this server refused the neighbor: {refused}"));
            }
            return wire::refuse(wire, refused).await;
        }
    };
    // A network that is gone answers nothing.
    if link.is_cut() {
        return Ok(());
    }
    let life = hello.origin.incarnation;
    if let Some(holder) = link.rival_of(life) {
        return wire::refuse(wire, Refused::Namesake(link.neighbor.clone(), holder)).await;
    }
    // A process dials one connection at a time. So a new connection means that the old connection is dead.
    link.stop();
    let speaking = link.speaking.lock().await;
    if link.leaving.is_cancelled() {
        return wire::refuse(wire, stranger(herd, link)).await;
    }
    if link.is_cut() {
        return Ok(());
    }
    link.taken_by(life);
    let trouble = match wire::say(&mut wire, |encoder| encoder.hello(&answer)).await {
        Ok(()) => {
            let joined = Joined { wire, received, agreed: herd.identity().agreed(&hello) };
            session::speak(herd, link, joined, "it dialed", stop).await
        }
        Err(trouble) => trouble,
    };
    tell_down(herd, link, &trouble);
    drop(speaking);
    Ok(())
}

/// The reason that this server sends to a neighbor when the configuration no longer has a link with this neighbor.
fn stranger(herd: &Herd, link: &Link) -> Refused {
    Refused::Stranger(link.neighbor.clone(), herd.name().clone())
}

/// Counts and logs that a connection to the peer port got no link.
fn tell_refused(herd: &Herd, port: &Port, address: SocketAddr, trouble: &Trouble) {
    herd.count_refused_peer();
    // A refused server keeps dialing and is refused for the same reason, so the log gives this reason once.
    let reason = matches!(trouble, Trouble::Refused(_)).then(|| trouble.to_string());
    let more = match port.tellings.allow(address.ip(), reason.as_deref(), Instant::now()) {
        Telling::Yes => "",
        Telling::Last => "; further connections from this address are counted and not logged for a minute",
        Telling::No => return,
    };
    let message = format_args!("no link with {address}, which dialed the peer port: {trouble}{more}");
    herd.log().event(LogLevel::Warn, Subject::Server, message);
}

/// Records and logs that a link is down. The same trouble is logged once while the link stays down. If this end or an
/// operator intended the end of the link, the log line is not a warning.
fn tell_down(herd: &Herd, link: &Link, trouble: &Trouble) {
    let was_up = link.state().up_since;
    let subject = Subject::Link(&link.neighbor);
    let is_new = link.went_down(trouble.to_string());
    let is_leaving = matches!(trouble, Trouble::Removed | Trouble::Stopping | Trouble::Cut);
    let is_intended = is_leaving || matches!(trouble, Trouble::Moved | Trouble::Replaced);
    let level = if is_intended { LogLevel::Info } else { LogLevel::Warn };
    if let Some(since) = was_up {
        let lasted = since.elapsed().as_secs_f64();
        herd.log().event(level, subject, format_args!("down after {lasted:.1} s: {trouble}"));
    } else if is_new && !is_leaving {
        let address = link.address();
        herd.log().event(level, subject, format_args!("not up ({address}): {trouble}; still trying"));
    }
}
