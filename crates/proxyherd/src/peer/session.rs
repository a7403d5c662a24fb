//! One connection of a link, in both directions, from the point where both ends have agreed until it ends.

use std::{fmt::Arguments, pin::pin, sync::Arc, time::Duration};

use proxyherd_core::{
    codec::link::Encoder,
    flood::Wake,
    limits::{CLOCK_OFFSET_WARN_NS, HEARTBEAT_INTERVAL, LINK_BATCH_LEN, LINK_SILENCE_MAX},
    link::{Incoming, Transcript, told},
};
use proxyherd_log::{Direction, LogLevel, Subject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Trouble,
    meter::Meter,
    wire::{Joined, Wire},
};
use crate::{
    clock,
    herd::{Herd, Internals, Link},
    liveness::Pulse,
};

/// Heartbeats in a row that must be missing before a neighbor counts as silent.
const SILENT_HEARTBEATS_MAX: u128 = LINK_SILENCE_MAX.as_millis() / HEARTBEAT_INTERVAL.as_millis();

/// How long a removed link may take to send what is queued for it.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// From this version of the protocol on, a REFUSAL may end a link that is up.
const REFUSAL_VERSION: u16 = 2;

/// Runs `link` over a connection until that ends, and returns why it ended. Once `stop` or `link.leaving` is canceled
/// it ends within [`LEAVE_MAX`] and [`LINK_SILENCE_MAX`].
///
/// The caller holds `link.speaking`.
pub(super) async fn speak(
    herd: &Arc<Herd>,
    link: &Link,
    joined: Joined,
    how: &str,
    stop: &CancellationToken,
) -> Trouble {
    let Joined { wire: Wire { stream, meter }, received, agreed } = joined;
    let replaced = link.came_up(agreed.version);
    let subject = Subject::Link(&link.neighbor);
    herd.log().event(LogLevel::Info, subject, format_args!("up: {how}"));
    let (reader, mut writer) = split(stream);
    // Before the first frame is read, since what the neighbor asks for changes what is said here.
    let mut encoder = Encoder::default();
    herd.wake(herd.replica().trust_clock(link.id, clock::now_ns()));
    herd.wake(herd.replica().agree(link.id, &link.neighbor, agreed, &mut encoder));
    let pulse = herd.liveness().pulse(format!("the link with {}", link.neighbor));
    let incoming = Incoming::new(link.id)
        .with_version(agreed.version)
        .with_clock_offset_max(herd.identity().clock_offset_max_ns);
    let mut receiving = pin!(receive(herd, link, &pulse, (reader, &meter), (incoming, received)));
    let refused = CancellationToken::new();
    let trouble = {
        let writer = (&mut writer, &meter);
        let mut sending = pin!(send_while_heard(herd, link, &pulse, writer, encoder, &refused));
        let trouble = tokio::select! {
            trouble = &mut receiving => trouble,
            trouble = &mut sending => trouble,
            () = replaced.cancelled() => Trouble::Replaced,
            () = overdue(link) => Trouble::Removed,
            () = stop.cancelled() => Trouble::Stopping,
        };
        if matches!(trouble, Trouble::RefusedThere(_)) {
            // A neighbor that has sent REFUSAL reads on until this end closes. It may be the only one that this server
            // can still tell some reports, so everything in its queue is sent first.
            refused.cancel();
            let _ = timeout(LEAVE_MAX, sending).await;
        }
        trouble
    };
    if matches!(trouble, Trouble::Removed | Trouble::Stopping) {
        take_leave(writer, receiving).await;
    }
    herd.wake(herd.replica().link_down(link.id));
    trouble
}

/// Waits until a removed link has had its time to send what is queued.
async fn overdue(link: &Link) {
    link.leaving.cancelled().await;
    sleep(LEAVE_MAX).await;
}

/// Ends this direction, and reads until the neighbor has read everything and closes too. If this end closed at once,
/// the neighbor's next bytes would reset the connection, and what is still on its way would be lost.
async fn take_leave(mut writer: impl AsyncWrite + Unpin, receiving: impl Future<Output = Trouble>) {
    let left = async {
        // TLS sends a farewell of its own here, which the neighbor may not take.
        if writer.shutdown().await.is_ok() {
            receiving.await;
        }
    };
    let _ = timeout(LINK_SILENCE_MAX, left).await;
}

async fn receive(
    herd: &Herd,
    link: &Link,
    pulse: &Pulse,
    (mut reader, meter): (impl AsyncRead + Unpin, &Meter),
    (mut incoming, mut bytes): (Incoming, Vec<u8>),
) -> Trouble {
    let mut alarms = Alarms::default();
    let mut log = LinkLog::new(herd, link, Direction::In);
    bytes.reserve(2 * LINK_BATCH_LEN);
    loop {
        let (mut wake, counted) = (Wake::default(), incoming.records());
        let received = {
            let _working = pulse.work();
            incoming.receive(herd.replica(), clock::now_ns(), &bytes, &mut wake)
        };
        // Frames before one that breaks the link have taken effect, and are news for other links.
        herd.wake(wake);
        let consumed = match received {
            Ok(consumed) => consumed,
            Err(error) => return error.into(),
        };
        link.add_received(incoming.records() - counted);
        alarms.tell(herd, link, &incoming);
        log.tell(&bytes[..consumed]);
        bytes.drain(..consumed);
        if let Err(trouble) = read(&mut reader, meter, &mut bytes).await {
            return trouble;
        }
    }
}

/// Appends the next bytes to `bytes`. Silence is counted in missing heartbeats: in a process that was paused for long
/// the timers run out before it sees what has come meanwhile, and this counts as one missing heartbeat only. A part of
/// a TLS record is no silence either.
async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    meter: &Meter,
    bytes: &mut Vec<u8>,
) -> Result<(), Trouble> {
    let (mut missed, mut brought) = (0, meter.brought());
    while missed < SILENT_HEARTBEATS_MAX {
        match timeout(HEARTBEAT_INTERVAL, reader.read_buf(bytes)).await {
            Ok(Ok(0)) => return Err(Trouble::Closed),
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => return Err(Trouble::of_read(error)),
            Err(_) => {
                let before = std::mem::replace(&mut brought, meter.brought());
                missed = if brought > before { 0 } else { missed + 1 };
            }
        }
    }
    Err(Trouble::Silent)
}

/// [`send`], but a connection that takes no more bytes does not end the link. What the neighbor sent before it left may
/// be the only copy of some reports, so it is read first; reading then finds the end of the connection too.
async fn send_while_heard(
    herd: &Herd,
    link: &Link,
    pulse: &Pulse,
    writer: (&mut (impl AsyncWrite + Unpin), &Meter),
    encoder: Encoder,
    refused: &CancellationToken,
) -> Trouble {
    match send(herd, link, pulse, writer, encoder, refused).await {
        Trouble::Broken(error) => {
            refused.cancelled().await;
            Trouble::Broken(error)
        }
        trouble => trouble,
    }
}

/// Sends what the replica has for this link, after what `encoder` holds already. Once the neighbor has `refused` the link,
/// this ends when the queue is empty.
async fn send(
    herd: &Herd,
    link: &Link,
    pulse: &Pulse,
    (writer, meter): (&mut (impl AsyncWrite + Unpin), &Meter),
    mut encoder: Encoder,
    refused: &CancellationToken,
) -> Trouble {
    let mut log = LinkLog::new(herd, link, Direction::Out);
    let (mut sent, mut beat_at) = (0, Instant::now());
    loop {
        link.set_behind(true);
        let working = pulse.work();
        let is_drained = herd.replica().flush(link.id, &mut encoder);
        if Instant::now() >= beat_at {
            beat_at = Instant::now() + HEARTBEAT_INTERVAL;
            herd.replica().write_heartbeat(link.id, clock::now_ns(), &mut encoder);
            if let Some(rival) = link.take_rival() {
                encoder.namesake(rival);
            }
        }
        drop(working);
        if encoder.is_exhausted() {
            return Trouble::Exhausted;
        }
        if !encoder.is_empty() {
            if let Err(trouble) = write(writer, meter, encoder.bytes()).await {
                return trouble;
            }
            log.tell(encoder.bytes());
            link.add_sent(encoder.records() - sent);
            sent = encoder.records();
            encoder.clear();
        }
        if is_drained {
            link.set_behind(false);
            // Writing takes time, so there may be news since the flush.
            let has_told_all = !herd.replica().is_ready(link.id);
            if has_told_all && link.leaving.is_cancelled() {
                return say_goodbye(herd, link, writer, meter).await;
            }
            if has_told_all && refused.is_cancelled() {
                return Trouble::Closed;
            }
            tokio::select! {
                _ = timeout_at(beat_at, link.ready.notified()) => {}
                () = link.leaving.cancelled() => {}
                () = refused.cancelled() => {}
            }
        }
    }
}

/// Tells the neighbor why the link ends, once the queue is empty.
async fn say_goodbye(
    herd: &Herd,
    link: &Link,
    writer: &mut (impl AsyncWrite + Unpin),
    meter: &Meter,
) -> Trouble {
    if link.state().version >= Some(REFUSAL_VERSION) {
        let mut encoder = Encoder::default();
        encoder.refusal(&super::stranger(herd, link).to_string());
        // A neighbor that does not take the REFUSAL sees the end of the connection.
        let _ = write(writer, meter, encoder.bytes()).await;
    }
    Trouble::Removed
}

/// Writes all of `bytes`, as long as the network takes some now and then. TLS holds back a part of what it was given,
/// so it is flushed.
async fn write(writer: &mut (impl AsyncWrite + Unpin), meter: &Meter, bytes: &[u8]) -> Result<(), Trouble> {
    let written = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    meter.while_taken(written).await
}

/// Warnings that a neighbor's heartbeats give rise to. The log has one line each time that the cause begins.
#[derive(Default)]
struct Alarms {
    mismatches: u64,
    are_clocks_apart: bool,
    is_ttl_told: bool,
}

impl Alarms {
    fn tell(&mut self, herd: &Herd, link: &Link, incoming: &Incoming) {
        let warn =
            |message: Arguments<'_>| herd.log().event(LogLevel::Warn, Subject::Link(&link.neighbor), message);
        if incoming.mismatches() > self.mismatches {
            self.mismatches = incoming.mismatches();
            warn(format_args!(
                "its records differ from this server's, and none are on their way: the difference is being repaired"
            ));
        }
        let offset_ns = incoming.clocks().offset_ns();
        let are_apart = offset_ns.unsigned_abs() > CLOCK_OFFSET_WARN_NS;
        if are_apart && !self.are_clocks_apart {
            let offset = told(offset_ns);
            warn(format_args!("its clock is {offset} this server's: look at the clocks of both"));
        }
        self.are_clocks_apart = are_apart;
        let other_ttl_ns = herd.replica().other_client_ttl_ns(link.id);
        if let Some(ttl_ns) = other_ttl_ns.filter(|_| !self.is_ttl_told) {
            let ttl_s = ttl_ns / 1_000_000_000;
            warn(format_args!(
                "its `client_ttl_s` is {ttl_s} and not this server's: start both with the same configuration; until \
                 then their records may differ and are not compared"
            ));
        }
        self.is_ttl_told = other_ttl_ns.is_some();
    }
}

/// Writes one direction of a link as AT lines into the log, if the log's level is `debug`.
struct LinkLog<'a> {
    herd: &'a Herd,
    link: &'a Link,
    direction: Direction,
    transcript: Option<Transcript>,
}

impl<'a> LinkLog<'a> {
    fn new(herd: &'a Herd, link: &'a Link, direction: Direction) -> LinkLog<'a> {
        let transcript = herd.log().enabled(LogLevel::Debug).then(Transcript::default);
        LinkLog { herd, link, direction, transcript }
    }

    fn tell(&mut self, frames: &[u8]) {
        if let Some(transcript) = &mut self.transcript {
            let (log, neighbor) = (self.herd.log(), &self.link.neighbor);
            transcript.read(frames, |line| log.link_traffic(self.direction, neighbor, line));
        }
    }
}
