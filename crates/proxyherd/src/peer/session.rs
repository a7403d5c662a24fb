//! One connection between two servers that have agreed: both directions until it ends.

use std::{fmt::Arguments, pin::pin, sync::Arc, time::Duration};

use proxyherd_core::{
    codec::link::Encoder,
    flood::Wake,
    limits::{CLOCK_OFFSET_WARN_NS, HEARTBEAT_INTERVAL, LINK_BATCH_LEN, LINK_SILENCE_MAX},
    link::{Incoming, Transcript, told},
};
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
    health::Pulse,
    herd::{Herd, Inside, Link},
    log::{Direction, LogLevel, Subject},
};

/// So many heartbeats in a row that do not come are silence.
const SILENT_HEARTBEATS_MAX: u128 = LINK_SILENCE_MAX.as_millis() / HEARTBEAT_INTERVAL.as_millis();

/// How long a link that is to go may still be told what is queued for it.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// From this version of the protocol on, a link may be ended in words.
const REFUSAL_VERSION: u16 = 2;

/// Speaks on `link` until the connection ends, and says why it did. Once `stop` or `link.leaving` is cancelled it ends
/// within [`LEAVE_MAX`] and [`LINK_SILENCE_MAX`].
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
    // Before the first frame is heard: what a neighbor wants it says on top of this.
    let mut encoder = Encoder::default();
    herd.wake(herd.map().trust_clock(link.id, clock::now_ns()));
    herd.wake(herd.map().agree(link.id, &link.neighbor, agreed, &mut encoder));
    let pulse = herd.health().pulse(format!("the link with {}", link.neighbor));
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
            // A neighbor that sends REFUSAL reads on until this end closes. It may be the last one that can be told of
            // some reports, so it still gets what is queued for it.
            refused.cancel();
            let _ = timeout(LEAVE_MAX, sending).await;
        }
        trouble
    };
    if matches!(trouble, Trouble::Removed | Trouble::Stopping) {
        take_leave(writer, receiving).await;
    }
    herd.wake(herd.map().link_down(link.id));
    trouble
}

/// A link that is to go has had its time for what was queued.
async fn overdue(link: &Link) {
    link.leaving.cancelled().await;
    sleep(LEAVE_MAX).await;
}

/// Says that there is nothing more to come, and listens until the neighbor has read all of it and closes too. To
/// close at once would be to lose what is still on its way: the neighbor's next word would reset the connection.
async fn take_leave(mut writer: impl AsyncWrite + Unpin, receiving: impl Future<Output = Trouble>) {
    let left = async {
        // An encrypted connection has something to say even for that, and the neighbor may not take it.
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
            incoming.receive(herd.map(), clock::now_ns(), &bytes, &mut wake)
        };
        // What came before a frame that breaks the link has been taken in, and is news for other links.
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

/// Appends what comes next. Silence is counted in heartbeats that are missed: a process that was paused for long
/// finds its timers over before it learns what has come meanwhile, and that is one heartbeat, not silence. Nor is it
/// silence when part of what is encrypted as a whole has come.
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

/// [`send`], where a connection that takes no more does not end the link. What the neighbor said before it left may
/// be all that is left of some reports: it is read first, and reading finds the same end.
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

/// `encoder` holds what is said first. Once the neighbor has `refused` the link, this ends when everything is told.
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
        let is_drained = herd.map().flush(link.id, &mut encoder);
        if Instant::now() >= beat_at {
            beat_at = Instant::now() + HEARTBEAT_INTERVAL;
            herd.map().write_heartbeat(link.id, clock::now_ns(), &mut encoder);
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
            // There may be more to tell since the flush: writing takes time.
            let has_told_all = !herd.map().is_ready(link.id);
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

/// All is told: the neighbor hears why there will be nothing more.
async fn say_goodbye(
    herd: &Herd,
    link: &Link,
    writer: &mut (impl AsyncWrite + Unpin),
    meter: &Meter,
) -> Trouble {
    if link.state().version >= Some(REFUSAL_VERSION) {
        let mut encoder = Encoder::default();
        encoder.refusal(&super::stranger(herd, link).to_string());
        // A neighbor that does not take it sees the end all the same.
        let _ = write(writer, meter, encoder.bytes()).await;
    }
    Trouble::Removed
}

/// Writes all of `bytes`, as long as the network takes some now and then. An encrypted connection holds back some of
/// what it has taken, so it is told that this was all for now.
async fn write(writer: &mut (impl AsyncWrite + Unpin), meter: &Meter, bytes: &[u8]) -> Result<(), Trouble> {
    let written = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    meter.while_taken(written).await
}

/// What of a neighbor's heartbeats is worth a line in the log, each time that it begins.
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
                "what it holds differs, with nothing on its way; the difference is being repaired"
            ));
        }
        let offset_ns = incoming.clocks().offset_ns();
        let are_apart = offset_ns.unsigned_abs() > CLOCK_OFFSET_WARN_NS;
        if are_apart && !self.are_clocks_apart {
            let offset = told(offset_ns);
            warn(format_args!("its clock is {offset} this server's: look at the clocks of both"));
        }
        self.are_clocks_apart = are_apart;
        let other_ttl_ns = herd.map().other_client_ttl_ns(link.id);
        if let Some(ttl_ns) = other_ttl_ns.filter(|_| !self.is_ttl_told) {
            let ttl_s = ttl_ns / 1_000_000_000;
            warn(format_args!(
                "its `client_ttl_s` is {ttl_s} and not this server's: start both with the same configuration; until \
                 then what they hold may differ, and is not compared"
            ));
        }
        self.is_ttl_told = other_ttl_ns.is_some();
    }
}

/// One direction of a link as AT lines in the log, where the log is that detailed.
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
