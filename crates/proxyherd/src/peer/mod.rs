//! The sockets between servers: dialling, accepting, the handshake, and who speaks on a link.
//!
//! One end of each link dials and dials again, the other accepts. Who is at the other end is `wire`'s to find out,
//! what is said then is `session`'s. Nothing here knows what frames do to the map.

mod handshakes;
mod session;
mod wire;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use proxyherd_core::{
    limits::{HANDSHAKE_MAX, HANDSHAKES_MAX, LINK_SILENCE_MAX},
    link::{Backoff, LinkError, Refused},
    types::ServerName,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    handshakes::{Handshakes, Telling, Tellings},
    wire::Caller,
};
use crate::{
    clock,
    credentials::HandshakeError,
    herd::{Herd, Link},
    listen,
    log::{LogLevel, Subject},
};

/// Why a link is not up. Each says what to look at.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("can't reach it: {0}")]
    Unreachable(io::Error),
    #[error("no answer within {} s", HANDSHAKE_MAX.as_secs())]
    NoAnswer,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("it sent nothing for {} s", LINK_SILENCE_MAX.as_secs())]
    Silent,
    #[error("it took no bytes for {} s", LINK_SILENCE_MAX.as_secs())]
    Stuck,
    #[error("it does not keep to the protocol: {0}")]
    Protocol(#[from] LinkError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("{shown} answers where {expected} should be: look at the addresses in the configuration")]
    OtherServer { shown: ServerName, expected: ServerName },
    #[error("it says that it is {said} and shows the certificate of {shown}: each server has its own")]
    Misnamed { shown: ServerName, said: ServerName },
    #[error("it gave way to newer ones: there were more than {HANDSHAKES_MAX} handshakes at once")]
    Crowded,
    #[error("it was refused: {0}")]
    Refused(#[from] Refused),
    #[error("it refuses this server: {0}")]
    RefusedThere(String),
    #[error("the neighbor connected anew")]
    Replaced,
    #[error("this server is stopping")]
    Stopping,
    #[error("the link has named too many lives of servers, and starts afresh")]
    Exhausted,
}

impl Trouble {
    /// Who is killed says nothing before the end, encrypted or not.
    fn of_read(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Trouble::Closed,
            _ => HandshakeError::in_tls(error).map_or_else(Trouble::Broken, Trouble::Handshake),
        }
    }
}

/// Keeps every link of `herd` alive until `stop`: dials those that this end dials, and accepts the others.
pub(crate) fn run(
    herd: &Arc<Herd>,
    listener: Option<TcpListener>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    for (index, link) in herd.links.iter().enumerate() {
        if link.neighbor.dial {
            tasks.spawn(keep_dialling(Arc::clone(herd), index, stop.clone()));
        }
    }
    if let Some(listener) = listener {
        tasks.spawn(accept_all(Arc::clone(herd), listener, tasks.clone(), stop.clone()));
    }
}

async fn keep_dialling(herd: Arc<Herd>, index: usize, stop: CancellationToken) {
    let link = herd.links.at(index);
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let trouble = dial_and_speak(&herd, link, &stop).await;
        // A neighbour that agrees and then breaks the link every time is no better than one that is not there.
        let lasted = link.state().up_since.map(|since| since.elapsed());
        if lasted.is_some_and(|lasted| lasted > LINK_SILENCE_MAX) {
            backoff.reset();
        }
        tell_down(&herd, link, &trouble);
        let delay = backoff.next_delay(clock::random());
        let _ = stop.run_until_cancelled(tokio::time::sleep(delay)).await;
    }
}

/// Dials once and speaks until the link ends, which it always does for some reason.
async fn dial_and_speak(herd: &Arc<Herd>, link: &Link, stop: &CancellationToken) -> Trouble {
    let dialled = stop.run_until_cancelled(timeout(HANDSHAKE_MAX, wire::dial(herd, link)));
    let (wire, received, agreed) = match dialled.await {
        Some(Ok(Ok(dialled))) => dialled,
        Some(Ok(Err(trouble))) => return trouble,
        Some(Err(_)) => return Trouble::NoAnswer,
        None => return Trouble::Stopping,
    };
    let _speaking = link.speaking.lock().await;
    let how = format!("dialled {}", link.neighbor.address);
    session::speak(herd, link, wire, received, agreed, &how, stop).await
}

async fn accept_all(herd: Arc<Herd>, listener: TcpListener, tasks: TaskTracker, stop: CancellationToken) {
    let port = Arc::new(Port::default());
    while let Some((stream, address)) = listen::accept(&listener, &herd.log, &stop).await {
        let (herd, port, stop) = (Arc::clone(&herd), Arc::clone(&port), stop.clone());
        tasks.spawn(async move {
            if let Err(trouble) = welcome(&herd, &port, stream, &stop).await {
                tell_refused(&herd, &port, address, &trouble);
            }
        });
    }
}

/// What is remembered of those who come to the peer port.
#[derive(Debug, Default)]
struct Port {
    handshakes: Handshakes,
    tellings: Tellings,
}

/// Answers a connection; if a neighbour dialled it, speaks until the link ends.
async fn welcome(
    herd: &Arc<Herd>,
    port: &Port,
    stream: TcpStream,
    stop: &CancellationToken,
) -> Result<(), Trouble> {
    let handshake = port.handshakes.begin();
    let answered = handshake.run(timeout(HANDSHAKE_MAX, wire::answer(herd, stream)));
    let Some(answered) = stop.run_until_cancelled(answered).await else { return Ok(()) };
    let Caller { mut wire, hello, received } =
        answered.ok_or(Trouble::Crowded)?.map_err(|_| Trouble::NoAnswer)??;
    drop(handshake);
    let (place, answer) = match herd.identity.answer(clock::now_ns(), &hello, &herd.links.neighbors()) {
        Ok(agreed) => agreed,
        Err(refused) => {
            let _ = wire::say(&mut wire, |encoder| encoder.refusal(&refused.to_string())).await;
            return Err(refused.into());
        }
    };
    let link = herd.links.at(place);
    // The other end dials only one connection at a time: a new one means that the old one is dead.
    link.stop();
    let speaking = link.speaking.lock().await;
    let trouble = match wire::say(&mut wire, |encoder| encoder.hello(&answer)).await {
        Ok(()) => {
            let agreed = herd.identity.agreed(&hello);
            session::speak(herd, link, wire, received, agreed, "it dialled", stop).await
        }
        Err(trouble) => trouble,
    };
    tell_down(herd, link, &trouble);
    drop(speaking);
    Ok(())
}

/// Counts and logs that somebody at the peer port got no link.
fn tell_refused(herd: &Herd, port: &Port, address: SocketAddr, trouble: &Trouble) {
    herd.counts.peers_refused.fetch_add(1, Relaxed);
    let more = match port.tellings.allow(address.ip(), Instant::now()) {
        Telling::Yes => "",
        Telling::Last => "; more like this from there is counted for a minute and not logged",
        Telling::No => return,
    };
    let message = format_args!("no link with {address}, which dialled the peer port: {trouble}{more}");
    herd.log.event(LogLevel::Warn, Subject::Server, message);
}

/// Notes and logs that a link is down; the same trouble again and again is told once.
fn tell_down(herd: &Herd, link: &Link, trouble: &Trouble) {
    let was_up = link.state().up_since;
    let subject = Subject::Link(&link.neighbor.name);
    let is_new = link.went_down(trouble.to_string());
    if let Some(since) = was_up {
        let lasted = since.elapsed().as_secs_f64();
        herd.log.event(LogLevel::Info, subject, format_args!("down after {lasted:.1} s: {trouble}"));
    } else if is_new {
        let address = &link.neighbor.address;
        herd.log.event(LogLevel::Info, subject, format_args!("not up ({address}): {trouble}; still trying"));
    }
}
