//! The lines that a connection sends. The lines are written once, at the start. For each burst only the timestamps
//! change.
//!
//! All lines have the same length, so the position of the timestamp in each line is known. The invariant: a client's
//! timestamps increase from burst to burst, and no client is in a burst twice. So every report is new to a server.

use std::ops::Range;

/// Length of each line with its LF, bytes.
pub(crate) const LINE_LEN: usize = 81;
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
}

/// The bursts of one connection, which are sent in turn, again and again.
pub(crate) struct BurstRing {
    kind: LineKind,
    text: Vec<u8>,
    burst_len: usize,
    /// The end of the burst that the last call of `renew` returned.
    next: usize,
}

impl BurstRing {
    /// Bursts of `depth` lines each, in which `clients` clients take turns, numbered from `first` on.
    pub(crate) fn new(kind: LineKind, around: (f64, f64), first: u32, clients: u32, depth: u32) -> BurstRing {
        assert!(depth <= clients, "a client would report twice in one burst");
        assert!(first + clients <= CLIENTS_MAX, "names would differ in length");
        let lines = clients.next_multiple_of(depth);
        let mut text = Vec::with_capacity(lines as usize * LINE_LEN);
        for index in 0..lines {
            text.extend_from_slice(line(kind, around, first + index % clients).as_bytes());
        }
        assert_eq!(text.len(), lines as usize * LINE_LEN);
        BurstRing { kind, text, burst_len: depth as usize * LINE_LEN, next: 0 }
    }

    /// Writes the timestamp `unix_ns`, nanoseconds of POSIX time, into the next burst, and returns the burst's range.
    pub(crate) fn renew(&mut self, unix_ns: u64) -> Range<usize> {
        let start = if self.next == self.text.len() { 0 } else { self.next };
        self.next = start + self.burst_len;
        if self.kind == LineKind::Question {
            return start..self.next;
        }
        let stamp = stamp_of(unix_ns);
        for line in self.text[start..self.next].chunks_exact_mut(LINE_LEN) {
            line[LINE_LEN - 1 - STAMP_LEN..LINE_LEN - 1].copy_from_slice(&stamp);
        }
        start..self.next
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
    let line = match kind {
        LineKind::Question => format!("WHATSAT {name} 10 5"),
        LineKind::Report => {
            let (row, column) = (client / 1000, client % 1000);
            let (north, east) =
                (around.0 + f64::from(row) * 15e-5, around.1 + 0.1 - f64::from(column) * 2e-4);
            let head = format!("IAMAT {name} {north:+.6}{east:+.6} ");
            format!("{head:0$}{1}", LINE_LEN - 1 - STAMP_LEN, "0".repeat(STAMP_LEN))
        }
    };
    format!("{line:width$}\n", width = LINE_LEN - 1)
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
    fn one_clients_report_is_the_line_of_its_burst() {
        let text =
            burst(&mut BurstRing::new(LineKind::Report, LOS_ANGELES, 4711, 1, 1), 1_621_464_827_000_000_007);
        assert_eq!(report_of(LOS_ANGELES, 4711, 1_621_464_827_000_000_007), text);
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
