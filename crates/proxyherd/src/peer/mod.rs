//! The sockets between servers: dialling, accepting, the handshake, and who speaks on a link.
//!
//! One end of each link dials and dials again, the other accepts; what is said then is `session`'s. Nothing
//! here knows what frames do to the map.

mod session;

use std::{io, sync::Arc, time::Duration};

use proxyherd_core::{
    codec::link::{Encoder, Frame, FrameError, Hello, decode, may_be_hello},
    limits::{HANDSHAKE_MAX, LINK_SILENCE_MAX},
    link::{Backoff, LinkError, Refused},
    types::ServerName,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock,
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
    let (stream, received) = match stop.run_until_cancelled(dial(herd, link)).await {
        Some(Ok(dialled)) => dialled,
        Some(Err(trouble)) => return trouble,
        None => return Trouble::Stopping,
    };
    let _speaking = link.speaking.lock().await;
    let how = format!("dialled {}", link.neighbor.address);
    session::speak(herd, link, stream, received, &how, stop).await
}

/// A connection on which both have said HELLO, and what came behind the neighbour's.
async fn dial(herd: &Herd, link: &Link) -> Result<(TcpStream, Vec<u8>), Trouble> {
    let address = &link.neighbor.address;
    let dialled = timeout(HANDSHAKE_MAX, async {
        let target = (address.host(), address.port());
        let mut stream = TcpStream::connect(target).await.map_err(Trouble::Unreachable)?;
        stream.set_nodelay(true)?;
        let received = greet(herd, &mut stream, &link.neighbor.name).await?;
        Ok((stream, received))
    });
    dialled.await.map_err(|_| Trouble::NoAnswer)?
}

/// Says HELLO and waits for the answer; returns what came behind it.
async fn greet(herd: &Herd, stream: &mut TcpStream, expected: &ServerName) -> Result<Vec<u8>, Trouble> {
    send(stream, |encoder| encoder.hello(&herd.identity.hello())).await?;
    let (hello, rest) = hear_hello(stream).await?;
    herd.identity.confirm(&hello, expected)?;
    Ok(rest)
}

async fn accept_all(herd: Arc<Herd>, listener: TcpListener, tasks: TaskTracker, stop: CancellationToken) {
    while let Some((stream, address)) = listen::accept(&listener, &herd.log, &stop).await {
        let (herd, stop) = (Arc::clone(&herd), stop.clone());
        tasks.spawn(async move {
            if let Err(trouble) = welcome(&herd, stream, &stop).await {
                let message = format_args!("no link with {address}, which dialled the peer port: {trouble}");
                herd.log.event(LogLevel::Warn, Subject::Server, message);
            }
        });
    }
}

/// Answers a connection; if a neighbour dialled it, speaks until the link ends.
async fn welcome(herd: &Arc<Herd>, mut stream: TcpStream, stop: &CancellationToken) -> Result<(), Trouble> {
    stream.set_nodelay(true)?;
    let heard = stop.run_until_cancelled(timeout(HANDSHAKE_MAX, hear_hello(&mut stream))).await;
    let Some(heard) = heard else { return Ok(()) };
    let (hello, received) = heard.map_err(|_| Trouble::NoAnswer)??;
    let (place, answer) = match herd.identity.answer(&hello, &herd.links.neighbors()) {
        Ok(agreed) => agreed,
        Err(refused) => {
            let _ = send(&mut stream, |encoder| encoder.refusal(&refused.to_string())).await;
            return Err(refused.into());
        }
    };
    let link = herd.links.at(place);
    // The other end dials only one connection at a time: a new one means that the old one is dead.
    link.stop();
    let speaking = link.speaking.lock().await;
    let trouble = match send(&mut stream, |encoder| encoder.hello(&answer)).await {
        Ok(()) => session::speak(herd, link, stream, received, "it dialled", stop).await,
        Err(trouble) => trouble,
    };
    tell_down(herd, link, &trouble);
    drop(speaking);
    Ok(())
}

/// Reads until one whole HELLO is there; returns it and what came behind it.
async fn hear_hello(stream: &mut TcpStream) -> Result<(Hello, Vec<u8>), Trouble> {
    let mut received = Vec::with_capacity(512);
    loop {
        if !may_be_hello(&received) {
            return Err(LinkError::from(FrameError::NoHerd).into());
        }
        match decode(&received).map_err(LinkError::from)? {
            Some((Frame::Hello(hello), len)) => return Ok((hello, received.split_off(len))),
            Some((Frame::Refusal(reason), _)) => return Err(Trouble::RefusedThere(reason.to_owned())),
            Some(_) => return Err(LinkError::LateHandshake.into()),
            None => {}
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(Trouble::Closed);
        }
    }
}

async fn send(stream: &mut TcpStream, encode: impl FnOnce(&mut Encoder)) -> Result<(), Trouble> {
    let mut encoder = Encoder::default();
    encode(&mut encoder);
    let written = timeout(Duration::from_secs(1), stream.write_all(encoder.bytes())).await;
    Ok(written.map_err(|_| Trouble::Stuck)??)
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
