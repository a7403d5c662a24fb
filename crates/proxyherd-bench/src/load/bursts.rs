//! The lines that a connection sends. The lines are written once, at the start. For each burst only the timestamps
//! change.
//!
//! All lines have the same length, so the position of the timestamp in each line is known. The invariant: a client's
//! timestamps increase from burst to burst, and no client is in a burst twice. So every report is new to a server.

use std::collections::BTreeMap;
use std::ops::Range;

/// Length of each line with its LF, bytes.
pub(crate) const LINE_LEN: usize = 81;
/// Length of a GEOADD, bytes.
const GEOADD_LEN: usize = 94;
/// The place of the last three decimals of the longitude in each GEOADD.
const DECIMALS_AT: usize = "*5\r\n$6\r\nGEOADD\r\n$1\r\nk\r\n$11\r\n-118.108".len();
/// The place of a client's number in each report.
const NAME_AT: usize = "IAMAT courier-".len();
/// Length of a timestamp, bytes: ten digits, a point, nine digits.
const STAMP_LEN: usize = 20;
/// Maximum number of clients. Up to this number all client names have the same length.
pub(crate) const CLIENTS_MAX: u32 = 1_000_000;

/// The default position around which clients are, degrees north and east.
pub(crate) const LOS_ANGELES: (f64, f64) = (33.9, -118.2);

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// IAMAT. The timestamp changes from burst to burst.
    Report,
    /// WHATSAT, for five places within ten kilometers.
    Question,
    /// Redis's GEOADD. The position changes from burst to burst, because Redis does less if it does not.
    GeoAdd,
}

impl LineKind {
    /// Length of each line with its end, bytes. A command of Redis has several lines, and counts as one.
    pub(crate) fn len(self) -> usize {
        match self {
            LineKind::Report | LineKind::Question => LINE_LEN,
            LineKind::GeoAdd => GEOADD_LEN,
        }
    }
}

/// A client's number and the timestamp of its report, POSIX time in nanoseconds.
pub(crate) type ClientReport = (u32, u64);

/// The bursts of one connection, which are sent in turn, again and again.
pub(crate) struct BurstRing {
    kind: LineKind,
    text: Vec<u8>,
    burst_len: usize,
    /// The end of the burst that the last call of `renew` returned.
    next: usize,
    /// Number of times that the first burst was sent.
    laps: u64,
}

impl BurstRing {
    /// Bursts of `depth` lines each, in which `clients` clients take turns, numbered from `first` on.
    pub(crate) fn new(kind: LineKind, around: (f64, f64), first: u32, clients: u32, depth: u32) -> BurstRing {
        assert!(depth <= clients, "a client would report twice in one burst");
        assert!(first + clients <= CLIENTS_MAX, "names would differ in length");
        let lines = clients.next_multiple_of(depth);
        let len = kind.len();
        let mut text = Vec::with_capacity(lines as usize * len);
        for index in 0..lines {
            text.extend_from_slice(line(kind, around, first + index % clients).as_bytes());
        }
        assert_eq!(text.len(), lines as usize * len);
        BurstRing { kind, text, burst_len: depth as usize * len, next: 0, laps: 0 }
    }

    /// Writes the timestamp `unix_ns`, nanoseconds of POSIX time, into the next burst, and returns the burst's range.
    pub(crate) fn renew(&mut self, unix_ns: u64) -> Range<usize> {
        let start = if self.next == self.text.len() { 0 } else { self.next };
        self.next = start + self.burst_len;
        self.laps += u64::from(start == 0);
        let burst = &mut self.text[start..self.next];
        match self.kind {
            LineKind::Question => {}
            LineKind::Report => {
                let stamp = stamp_of(unix_ns);
                for line in burst.chunks_exact_mut(LINE_LEN) {
                    line[LINE_LEN - 1 - STAMP_LEN..LINE_LEN - 1].copy_from_slice(&stamp);
                }
            }
            LineKind::GeoAdd => {
                let mut decimals = [0; 3];
                write_digits(&mut decimals, self.laps);
                for command in burst.chunks_exact_mut(GEOADD_LEN) {
                    command[DECIMALS_AT..DECIMALS_AT + 3].copy_from_slice(&decimals);
                }
            }
        }
        start..self.next
    }

    /// The last report of each client, in the order of the clients. A client that has not reported is left out.
    pub(crate) fn last_reports(&self) -> Vec<ClientReport> {
        let mut last = BTreeMap::new();
        for line in self.text.chunks_exact(LINE_LEN).filter(|_| self.kind == LineKind::Report) {
            let client = number_in(&line[NAME_AT..NAME_AT + 6]) as u32;
            let stamp = &line[LINE_LEN - 1 - STAMP_LEN..LINE_LEN - 1];
            let unix_ns = number_in(&stamp[..10]) * 1_000_000_000 + number_in(&stamp[11..]);
            let newest = last.entry(client).or_insert(unix_ns);
            *newest = unix_ns.max(*newest);
        }
        last.into_iter().filter(|(_, unix_ns)| *unix_ns > 0).collect()
    }

    /// Number of lines in a part of the text.
    pub(crate) fn lines_in(&self, range: &Range<usize>) -> usize {
        range.len() / self.kind.len()
    }

    /// The text of a burst or of a part of it.
    pub(crate) fn text(&self, range: Range<usize>) -> &[u8] {
        &self.text[range]
    }
}

/// The ID of the client with this number.
pub(crate) fn client_name(client: u32) -> String {
    format!("courier-{client:06}.herd.example.com")
}

/// One client's report, the same line as in a burst.
pub(crate) fn report_of(around: (f64, f64), client: u32, unix_ns: u64) -> String {
    let mut report = line(LineKind::Report, around, client);
    let stamp = stamp_of(unix_ns).map(char::from);
    report.replace_range(LINE_LEN - 1 - STAMP_LEN..LINE_LEN - 1, &String::from_iter(stamp));
    report
}

/// The line of one client. Clients are on a grid of a thousand columns, about twenty meters apart, with `around` in the
/// middle of its first row. Spaces fill the line up to its length.
fn line(kind: LineKind, around: (f64, f64), client: u32) -> String {
    let name = client_name(client);
    let (row, column) = (client / 1000, client % 1000);
    let (north, east) = (around.0 + f64::from(row) * 15e-5, around.1 + 0.1 - f64::from(column) * 2e-4);
    let line = match kind {
        LineKind::GeoAdd => {
            return format!(
                "*5\r\n$6\r\nGEOADD\r\n$1\r\nk\r\n$11\r\n{east:.6}\r\n$9\r\n{north:.6}\r\n$31\r\n{name}\r\n"
            );
        }
        LineKind::Question => format!("WHATSAT {name} 10 5"),
        LineKind::Report => {
            let head = format!("IAMAT {name} {north:+.6}{east:+.6} ");
            format!("{head:0$}{1}", LINE_LEN - 1 - STAMP_LEN, "0".repeat(STAMP_LEN))
        }
    };
    format!("{line:width$}\n", width = LINE_LEN - 1)
}

/// The number that these digits are.
fn number_in(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| 10 * number + u64::from(digit - b'0'))
}

fn stamp_of(unix_ns: u64) -> [u8; STAMP_LEN] {
    let mut stamp = [b'.'; STAMP_LEN];
    write_digits(&mut stamp[..10], unix_ns / 1_000_000_000);
    write_digits(&mut stamp[11..], unix_ns % 1_000_000_000);
    stamp
}

/// Fills `digits` with the last digits of `number`, with leading zeros.
fn write_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn burst(lines: &mut BurstRing, unix_ns: u64) -> String {
        let range = lines.renew(unix_ns);
        String::from_utf8(lines.text(range).to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_a_whole_report() {
        let text =
            burst(&mut BurstRing::new(LineKind::Report, LOS_ANGELES, 42, 1, 1), 1_621_464_827_000_000_007);
        assert_eq!(
            text,
            "IAMAT courier-000042.herd.example.com +33.900000-118.108400 1621464827.000000007\n"
        );
    }

    #[test]
    fn clients_take_turns_and_none_reports_twice_in_a_burst() {
        let mut lines = BurstRing::new(LineKind::Report, LOS_ANGELES, 100, 5, 3);
        let mut everyone = HashSet::new();
        for lap in 0..4 {
            let text = burst(&mut lines, lap);
            let clients: HashSet<_> = text.lines().map(|line| line[6..37].to_owned()).collect();
            assert_eq!(clients.len(), 3, "{text}");
            everyone.extend(clients);
        }
        assert_eq!(everyone.len(), 5);
    }

    #[test]
    fn a_question_is_the_same_in_every_burst_and_as_long_as_a_report() {
        let mut lines = BurstRing::new(LineKind::Question, LOS_ANGELES, 42, 1, 1);
        let text = burst(&mut lines, 1);
        assert_eq!(text.len(), LINE_LEN);
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            ["WHATSAT", "courier-000042.herd.example.com", "10", "5"]
        );
        assert_eq!(burst(&mut lines, 2), text);
    }

    #[test]
    fn a_command_of_redis_has_its_lengths_and_moves_its_client_in_each_lap() {
        let mut lines = BurstRing::new(LineKind::GeoAdd, LOS_ANGELES, 42, 2, 2);
        let first = burst(&mut lines, 1);
        assert_eq!(first.len(), 2 * GEOADD_LEN);
        assert!(first.starts_with(
            "*5\r\n$6\r\nGEOADD\r\n$1\r\nk\r\n$11\r\n-118.108001\r\n$9\r\n33.900000\r\n$31\r\ncourier-000042."
        ));
        assert!(burst(&mut lines, 2).contains("\r\n-118.108002\r\n"));
        assert_eq!(lines.lines_in(&(0..GEOADD_LEN)), 1);
    }

    #[test]
    fn one_clients_report_is_the_line_of_its_burst() {
        let text =
            burst(&mut BurstRing::new(LineKind::Report, LOS_ANGELES, 4711, 1, 1), 1_621_464_827_000_000_007);
        assert_eq!(report_of(LOS_ANGELES, 4711, 1_621_464_827_000_000_007), text);
    }

    #[test]
    fn the_last_report_of_each_client_is_remembered() {
        let mut lines = BurstRing::new(LineKind::Report, LOS_ANGELES, 100, 5, 3);
        assert_eq!(lines.last_reports(), []);
        lines.renew(1_621_464_827_000_000_007);
        let three = [100, 101, 102].map(|client| (client, 1_621_464_827_000_000_007));
        assert_eq!(lines.last_reports(), three);
        // The sixth line of the ring is the first client's again.
        lines.renew(1_621_464_827_000_000_009);
        let five = [(100, 9), (101, 7), (102, 7), (103, 9), (104, 9)];
        assert_eq!(lines.last_reports(), five.map(|(client, ns)| (client, 1_621_464_827_000_000_000 + ns)));
    }

    #[test]
    fn clients_are_around_the_given_position() {
        let text = burst(&mut BurstRing::new(LineKind::Report, (-8.5, 7.25), 1002, 1, 1), 1);
        assert!(text.contains(" -8.499850+7.349600 "), "{text}");
        assert_eq!(text.len(), LINE_LEN);
    }

    #[test]
    fn the_last_names_still_fit() {
        let text = burst(
            &mut BurstRing::new(LineKind::Report, LOS_ANGELES, CLIENTS_MAX - 1, 1, 1),
            9_999_999_999_999_999_999,
        );
        assert_eq!(text.len(), LINE_LEN);
        assert!(text.ends_with(" 9999999999.999999999\n"), "{text}");
    }
}
