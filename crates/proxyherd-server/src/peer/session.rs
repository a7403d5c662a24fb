//! One connection of a link, in both directions. It begins when both ends have agreed on the link.

use std::{fmt::Arguments, pin::pin, sync::Arc, time::Duration};

use proxyherd_config::clock;
use proxyherd_core::{
    codec::{line::without_tokens, link::Encoder},
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
    herd::{Herd, Internals, Link},
    liveness::Pulse,
};

/// Number of consecutive missing heartbeats after which a neighbor counts as silent.
const SILENT_HEARTBEATS_MAX: u128 = LINK_SILENCE_MAX.as_millis() / HEARTBEAT_INTERVAL.as_millis();

/// Maximum time in which a removed link may send its queue.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// The first version of the protocol in which a REFUSAL may end a link that is up.
const REFUSAL_VERSION: u16 = 2;

/// Runs `link` over a connection until the connection ends, and returns why it ended. After `stop` or `link.leaving` is
/// canceled, the connection ends within the sum of [`LEAVE_MAX`] and [`LINK_SILENCE_MAX`].
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
    // This happens before the first frame is read, because the neighbor's requests change what this end sends.
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
            () = link.until_cut(true) => Trouble::Cut,
            () = stop.cancelled() => Trouble::Stopping,
        };
        if matches!(trouble, Trouble::RefusedThere(_)) {
            // A neighbor that has sent REFUSAL continues to read until this end closes. Perhaps no other neighbor can
            // receive some of this server's reports, so everything in the neighbor's queue is sent first.
            refused.cancel();
            let _ = timeout(LEAVE_MAX, sending).await;
        }
        trouble
    };
    if matches!(trouble, Trouble::Removed | Trouble::Stopping) {
        // A server that is killed takes no leave.
        herd.killed().run_until_cancelled(take_leave(writer, receiving)).await;
    }
    // Both ends of a cut link may find at the same time that it is cut, and that the other end has gone.
    let trouble = if link.is_cut() { Trouble::Cut } else { trouble };
    herd.wake(herd.replica().link_down(link.id));
    trouble
}

/// Waits until the time of a removed link to send its queue is over.
async fn overdue(link: &Link) {
    link.leaving.cancelled().await;
    sleep(LEAVE_MAX).await;
}

/// Shuts down the sending side, and reads until the neighbor has read everything and closes too. If this end closed at
/// once, the neighbor's next bytes would reset the connection, and bytes on their way to the neighbor would be lost.
async fn take_leave(mut writer: impl AsyncWrite + Unpin, receiving: impl Future<Output = Trouble>) {
    let left = async {
        // TLS sends its close_notify here. The neighbor may not read it.
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
        // Frames before a frame that breaks the link have taken effect, and are news for other links.
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

/// Appends the next bytes to `bytes`. Silence is counted in missing heartbeats. After a long pause of the process, the
/// timers expire before the process sees the bytes that have arrived meanwhile. This counts as only one missing
/// heartbeat. A part of a TLS record does not count as silence either.
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

/// [`send`], but a connection that accepts no more bytes does not end the link. The neighbor may have sent the only
/// copy of some reports before it left. So these bytes are read first. Reading then finds the end of the connection
/// too.
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

/// Sends the bytes that `encoder` already holds, and then the replica's news for this link. After the neighbor has
/// `refused` the link, this ends when the queue is empty.
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
            // Writing takes time, so news may have arrived since the flush.
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

/// Tells the neighbor why the link ends, after the queue is empty.
async fn say_goodbye(
    herd: &Herd,
    link: &Link,
    writer: &mut (impl AsyncWrite + Unpin),
    meter: &Meter,
) -> Trouble {
    if link.state().version >= Some(REFUSAL_VERSION) {
        let mut encoder = Encoder::default();
        encoder.refusal(&super::stranger(herd, link).to_string());
        // A neighbor that does not read the REFUSAL sees the end of the connection.
        let _ = write(writer, meter, encoder.bytes()).await;
    }
    Trouble::Removed
}

/// Writes all of `bytes`, as long as the network accepts some bytes from time to time. TLS holds back a part of the
/// bytes, so this flushes TLS.
async fn write(writer: &mut (impl AsyncWrite + Unpin), meter: &Meter, bytes: &[u8]) -> Result<(), Trouble> {
    let written = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    meter.while_taken(written).await
}

/// Warnings whose cause is in a neighbor's heartbeats. The log gets one line each time that a cause begins.
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
                "the neighbor's records differ from this server's, and no records are on their way: the servers repair \
                 the difference now"
            ));
        }
        let offset_ns = incoming.clocks().offset_ns();
        let are_apart = offset_ns.unsigned_abs() > CLOCK_OFFSET_WARN_NS;
        if are_apart && !self.are_clocks_apart {
            let offset = told(offset_ns);
            warn(format_args!(
                "the neighbor's clock is {offset} this server's: check the clocks of both machines"
            ));
        }
        self.are_clocks_apart = are_apart;
        let other_ttl_ns = herd.replica().other_client_ttl_ns(link.id);
        if let Some(ttl_ns) = other_ttl_ns.filter(|_| !self.is_ttl_told) {
            let ttl_s = ttl_ns / 1_000_000_000;
            warn(format_args!(
                "the neighbor's `client_ttl_s` is {ttl_s}, not this server's: start both with the same configuration; \
                 until then their records may differ and are not compared"
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
            // Somebody may have typed a token in place of an ID.
            transcript.read(frames, |line| log.link_traffic(self.direction, neighbor, &without_tokens(line)));
        }
    }
}
