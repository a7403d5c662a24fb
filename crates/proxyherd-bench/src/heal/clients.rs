//! The clients of `heal`: chooses the clients that report in a round, and checks whether a server holds their reports.
//!
//! They use the line door. All bytes of every reply are checked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use proxyherd_core::{
    codec::line::{self, Line},
    codec::link::Encoder,
    command::Command,
    types::{Body, Difference, Kind, Record},
};

use crate::load::{Dialect, LOS_ANGELES, ReplyChecker, client_name, report_of};

/// Maximum number of lines that are outstanding at the same time.
const BURST: usize = 500;
/// Maximum time that a server may take to reply.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A client and the timestamp of its report, POSIX time in nanoseconds.
pub(super) type ClientReport = (u32, u64);

/// The clients that change in a round: `changed` different ones of `records`, scattered. The same seed chooses the same
/// ones.
pub(super) fn chosen(records: u32, changed: u32, seed: u64, round: u32) -> impl Iterator<Item = u32> {
    // If the step length and the number of clients have no common divisor, the steps meet each client once.
    let golden = (f64::from(records) * 0.618) as u32;
    let stride = (golden.max(1)..).find(|&stride| greatest_common_divisor(stride, records) == 1).unwrap_or(1);
    let start = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(u64::from(round) * u64::from(changed));
    let (start, records) = (u128::from(start), u128::from(records));
    (0..changed).map(move |index| ((start + u128::from(index)) * u128::from(stride) % records) as u32)
}

fn greatest_common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// Sends these reports to a server and checks its replies. Calls `reported` with the number of each burst's reports.
pub(super) fn report(
    address: SocketAddr,
    reports: &[ClientReport],
    mut reported: impl FnMut(usize),
) -> Result<()> {
    let mut conversation = Conversation::with(address)?;
    for burst in reports.chunks(BURST) {
        let lines: String = burst.iter().map(|&(client, ns)| report_of(LOS_ANGELES, client, ns)).collect();
        let answers = conversation.exchange(&lines, burst.len(), Dialect::Herd)?;
        Dialect::Herd
            .check_burst(lines.as_bytes(), &answers)
            .with_context(|| format!("{address} is wrong"))?;
        reported(burst.len());
    }
    Ok(())
}

/// Asks a server for these clients, and counts those whose record differs from the report.
pub(super) fn count_wrong(address: SocketAddr, reports: &[ClientReport]) -> Result<usize> {
    let mut conversation = Conversation::with(address)?;
    let mut wrong = 0;
    for burst in reports.chunks(BURST) {
        let lines: String =
            burst.iter().map(|&(client, _)| format!("WHATSAT {} 1 0\n", client_name(client))).collect();
        let answers = conversation.exchange(&lines, burst.len(), Dialect::Nearby)?;
        let mut rest = &answers[..];
        for &(client, ns) in burst {
            let end = memmem::find(rest, b"\n\n").context("an answer has no end")? + 2;
            wrong += usize::from(!has_fields_of(&rest[..end], &report_of(LOS_ANGELES, client, ns)));
            rest = &rest[end..];
        }
    }
    Ok(wrong)
}

/// Whether the AT line of a reply has the fields of this report.
fn has_fields_of(answer: &[u8], report: &str) -> bool {
    let at = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let fields = at.split(|&byte| byte == b' ').skip(3);
    fields.eq(report.split_ascii_whitespace().skip(1).map(str::as_bytes))
}

/// Length of these reports' records in a link's encoding, bytes.
pub(super) fn encoded_len(reports: &[ClientReport]) -> u64 {
    let mut encoder = Encoder::default();
    let mut bytes = 0;
    for &(client, ns) in reports {
        let text = report_of(LOS_ANGELES, client, ns);
        let Line::Command(Command::Report { report, .. }, _) = line::parse(text.trim_ascii_end().as_bytes())
        else {
            unreachable!("`report_of` writes valid reports")
        };
        let timestamp = report.stamp.told().expect("a line has its client's time");
        let record = Record {
            kind: Kind::CLIENT,
            key: report.client.as_bytes(),
            body: Body::Location { coordinates: report.coordinates, attributes: report.attributes },
            timestamp,
            difference: Difference::at_receipt(ns, timestamp),
        };
        encoder.record(0, 1, &record);
        bytes += encoder.len() as u64;
        encoder.clear();
    }
    bytes
}

/// A connection to a server with at most one burst outstanding.
struct Conversation {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Conversation {
    fn with(address: SocketAddr) -> Result<Conversation> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(Conversation { address, stream, buffer: vec![0; 256 * 1024] })
    }

    /// Sends a burst of `count` lines and returns the replies.
    fn exchange(&mut self, lines: &str, count: usize, dialect: Dialect) -> Result<Vec<u8>> {
        let context = || format!("in conversation with {}", self.address);
        self.stream.write_all(lines.as_bytes()).with_context(context)?;
        let (mut replies, mut answers, mut ended) = (ReplyChecker::new(dialect), Vec::new(), 0);
        while ended < count {
            let len = self.stream.read(&mut self.buffer).with_context(context)?;
            ensure!(
                len > 0,
                "{} closed a connection with {} replies outstanding",
                self.address,
                count - ended
            );
            ended += replies.take(&self.buffer[..len]).with_context(context)?;
            answers.extend_from_slice(&self.buffer[..len]);
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_round_chooses_different_clients_and_a_seed_chooses_the_same() {
        for (records, changed) in [(1, 1), (7, 7), (1000, 10), (999_999, 9999)] {
            let of = |seed, round| chosen(records, changed, seed, round).collect::<Vec<_>>();
            let clients: HashSet<_> = of(1, 0).into_iter().collect();
            assert_eq!(clients.len(), changed as usize);
            assert!(clients.iter().all(|&client| client < records));
            assert_eq!(of(1, 0), of(1, 0));
            if changed < records {
                assert_ne!(of(1, 0), of(2, 0));
                assert_ne!(of(1, 0), of(1, 1));
            }
        }
    }

    #[test]
    fn a_records_own_bytes_are_those_of_its_frame() {
        // Header, origin, sequence, kind, timestamp with shape, difference, key with length, coordinates.
        let frame = 4 + 2 + 8 + 1 + (8 + 1) + 8 + (2 + client_name(0).len() as u64) + 16;
        let now = 1_621_464_827_000_000_000;
        assert_eq!(encoded_len(&[(0, now)]), frame);
        assert_eq!(encoded_len(&[(0, now), (7, now + 1), (999_999, now)]), 3 * frame);
    }

    #[test]
    fn a_reply_has_the_fields_of_its_report_alone() {
        let report = report_of(LOS_ANGELES, 7, 1_621_464_827_000_000_007);
        let fields: Vec<_> = report.split_ascii_whitespace().skip(1).collect();
        let answer = format!("AT Riley +0.000000001 {}\n{{}}\n\n", fields.join(" "));
        assert!(has_fields_of(answer.as_bytes(), &report));
        assert!(!has_fields_of(answer.as_bytes(), &report_of(LOS_ANGELES, 7, 1_621_464_827_000_000_008)));
        assert!(!has_fields_of(answer.as_bytes(), &report_of(LOS_ANGELES, 8, 1_621_464_827_000_000_007)));
    }
}
