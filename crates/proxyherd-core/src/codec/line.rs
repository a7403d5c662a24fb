//! The line protocol: `IAMAT`, `WHATSAT`, `AUTH` and their replies.
//!
//! [`Lines`] finds lines in the chunks of a stream, [`parse`] reads one line, and the `write_` functions write replies.
//! A parsed line borrows from the caller's buffer, so nothing is copied.

use std::borrow::Cow;

use memchr::memmem;

use crate::{
    access::TOKEN_PREFIX,
    command::{Around, Command, Condition, Nearby},
    limits::{LINE_ECHO_LEN, LINE_LEN_MAX, PLACES_MAX},
    types::{
        Attributes, ClientId, Coordinates, Difference, Radius, Report, ServerName, Stamp, Timestamp,
        find_white_space, is_white_space,
    },
};

/// Finds the lines of one connection. It remembers how far it has searched, so that it does not search a line that
/// comes byte by byte from its start again.
#[derive(Debug, Default)]
pub struct Lines {
    searched: usize,
}

/// Whether more bytes can come after those that were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// More bytes can come.
    Open,
    /// No more bytes can come.
    Ended,
}

impl StreamState {
    /// The state of the stream, given whether the stream has ended.
    pub fn new(has_ended: bool) -> StreamState {
        if has_ended { StreamState::Ended } else { StreamState::Open }
    }
}

/// The content of the front of a connection's buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum NextLine<'a> {
    /// A line without its end, and the number of bytes of the buffer that the line and its end take.
    Line(&'a [u8], usize),
    /// The line's end has not come yet.
    Incomplete,
    /// More than [`LINE_LEN_MAX`] bytes without an end: answer with [`write_invalid`] and close.
    TooLong(&'a [u8]),
}

impl Lines {
    /// Looks at the front of `buffer`, which holds all bytes received and not yet consumed. At the end of the stream
    /// the rest of the buffer counts as a line.
    pub fn next<'a>(&mut self, buffer: &'a [u8], stream: StreamState) -> NextLine<'a> {
        let Some(end) = memchr::memchr(b'\n', &buffer[self.searched..]).map(|at| at + self.searched) else {
            return self.without_end(buffer, stream);
        };
        self.searched = 0;
        if end > LINE_LEN_MAX { too_long(buffer) } else { NextLine::Line(&buffer[..end], end + 1) }
    }

    fn without_end<'a>(&mut self, buffer: &'a [u8], stream: StreamState) -> NextLine<'a> {
        if buffer.len() > LINE_LEN_MAX {
            return too_long(buffer);
        }
        if stream == StreamState::Ended && !buffer.is_empty() {
            self.searched = 0;
            return NextLine::Line(buffer, buffer.len());
        }
        self.searched = buffer.len();
        NextLine::Incomplete
    }
}

fn too_long(buffer: &[u8]) -> NextLine<'_> {
    NextLine::TooLong(&buffer[..LINE_ECHO_LEN])
}

/// A parsed line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Line<'a> {
    /// Only white space: no reply.
    Blank,
    /// A command: a report with the client's own time, or a query for places. The fields of a report follow as they
    /// were written.
    Command(Command<'a>, ReportEcho<'a>),
    /// The client shows a token, whatever it is: answer with [`write_auth`].
    Auth(&'a [u8]),
    /// A report that cannot be read: answer with [`write_invalid`].
    InvalidReport,
    /// A line that begins with `AUTH` but is no such command: answer with [`write_auth`]. The client may have meant to
    /// show a token, so the line is never repeated.
    InvalidAuth,
    /// The request line of HTTP: answer with [`write_invalid`], close the connection, and read nothing behind the line.
    /// A web page can make a browser send any bytes as the body of a request, and such bytes must not count as reports.
    HttpRequest,
    /// Not a command: answer with [`write_invalid`].
    Invalid,
}

/// The three fields of a report as they came, for the reply that echoes them. Empty for other commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportEcho<'a> {
    /// The fields; or, if there is other white space between them, the line up to the last field.
    span: &'a [u8],
    /// Whether there is exactly one space between the fields, so that the span can be echoed unchanged.
    is_tidy: bool,
}

/// Reads one line, without its end.
pub fn parse(line: &[u8]) -> Line<'_> {
    let mut fields = Fields::of(line);
    let Some(name) = fields.next() else { return Line::Blank };
    match name {
        b"IAMAT" => parse_iamat(&mut fields).unwrap_or_else(|| invalid(line, Line::InvalidReport)),
        b"WHATSAT" => parse_whatsat(&mut fields).unwrap_or_else(|| invalid(line, Line::Invalid)),
        b"AUTH" => parse_auth(&mut fields).unwrap_or(Line::InvalidAuth),
        _ if name.starts_with(AUTH) => Line::InvalidAuth,
        _ => invalid(line, Line::Invalid),
    }
}

/// The beginning of a line that shows a token.
const AUTH: &[u8] = b"AUTH";

fn parse_auth<'a>(fields: &mut Fields<'a>) -> Option<Line<'a>> {
    let token = fields.next()?;
    fields.next().is_none().then_some(Line::Auth(token))
}

/// Classifies a line that is not a valid command: an HTTP request line (the method may have any name), or `otherwise`.
/// Valid commands never reach this check, so it costs them nothing.
#[cold]
fn invalid<'a>(line: &[u8], otherwise: Line<'a>) -> Line<'a> {
    if is_http_request(line) { Line::HttpRequest } else { otherwise }
}

/// Whether the line is `METHOD target HTTP/d.d` (RFC 9112, section 3). Web servers tolerate other white space between
/// the parts, and spaces within the target, so this check tolerates both, too.
fn is_http_request(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let Some((rest, version)) = line.split_last_chunk::<8>() else { return false };
    let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = version else { return false };
    let mut fields = Fields::of(rest);
    let method = fields.next().unwrap_or_default();
    major.is_ascii_digit()
        && minor.is_ascii_digit()
        && rest.last().is_some_and(|&byte| is_white_space(byte))
        && method.iter().all(|&byte| is_token(byte))
        && fields.next().is_some()
}

/// A byte of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn parse_iamat<'a>(fields: &mut Fields<'a>) -> Option<Line<'a>> {
    let client = ClientId::of_field(fields.next()?)?;
    let (start, client_end) = (fields.start, fields.end);
    // Numbers end with their digits, so this code need not search for the white space behind them first.
    let coordinates = fields.read(Coordinates::parse_front)?;
    let (is_spaced, coordinates_end) = (fields.is_spaced_from(client_end), fields.end);
    let timestamp = fields.read(Timestamp::parse_front)?;
    let is_tidy = is_spaced && fields.is_spaced_from(coordinates_end);
    let span = &fields.line[if is_tidy { start } else { 0 }..fields.end];
    if fields.next().is_some() {
        return None;
    }
    let stamp = Stamp::Client(timestamp);
    let report = Report { client, coordinates, stamp, attributes: Attributes::NONE };
    Some(Line::Command(
        Command::Report { report, condition: Condition::Always },
        ReportEcho { span, is_tidy },
    ))
}

fn parse_whatsat<'a>(fields: &mut Fields<'a>) -> Option<Line<'a>> {
    let client = ClientId::of_field(fields.next()?)?;
    let radius = Radius::parse_km(fields.next()?)?;
    let limit = parse_limit(fields.next()?)?;
    if fields.next().is_some() {
        return None;
    }
    let nearby = Nearby { around: Around::Client(client), radius, limit, wish: None };
    Some(Line::Command(Command::Nearby(nearby), ReportEcho::default()))
}

/// `limit = 1*2DIGIT`, 0 to 20.
fn parse_limit(text: &[u8]) -> Option<u8> {
    let limit = match *text {
        [ones] if ones.is_ascii_digit() => ones - b'0',
        [tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => (tens - b'0') * 10 + ones - b'0',
        _ => return None,
    };
    (limit <= PLACES_MAX).then_some(limit)
}

/// The fields of a line: runs of bytes that are not white space.
struct Fields<'a> {
    line: &'a [u8],
    /// Where the last field that was read begins and ends.
    start: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    fn of(line: &'a [u8]) -> Fields<'a> {
        Fields { line, start: 0, end: 0 }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.skip_white_space()?;
        let len = find_white_space(rest).unwrap_or(rest.len());
        self.end = self.start + len;
        Some(&rest[..len])
    }

    /// Reads the next field by `parse`, which returns the bytes behind the field. The field must end there.
    fn read<T>(&mut self, parse: impl FnOnce(&'a [u8]) -> Option<(T, &'a [u8])>) -> Option<T> {
        let rest = self.skip_white_space()?;
        let (value, left) = parse(rest)?;
        self.end = self.line.len() - left.len();
        left.first().is_none_or(|&byte| is_white_space(byte)).then_some(value)
    }

    /// The rest of the line from the next field on. `None` if there is no further field.
    fn skip_white_space(&mut self) -> Option<&'a [u8]> {
        let rest = &self.line[self.end..];
        let skipped = rest.iter().position(|&byte| !is_white_space(byte))?;
        self.start = self.end + skipped;
        Some(&rest[skipped..])
    }

    /// Whether there is exactly one space between the field that ends at `end` and the last field.
    fn is_spaced_from(&self, end: usize) -> bool {
        self.start == end + 1 && self.line[end] == b' '
    }
}

/// Appends the reply to a line that shows a token, without the token.
pub fn write_auth(out: &mut Vec<u8>, is_valid: bool) {
    out.extend_from_slice(if is_valid { b"AUTH ok\n" } else { b"? AUTH\n" });
}

/// Appends the reply to a report: its AT line with the fields as they came, and LF.
pub fn write_at_reply(out: &mut Vec<u8>, server: &ServerName, difference: Difference, told: ReportEcho<'_>) {
    write_at_start(out, server, difference);
    if told.is_tidy {
        out.extend_from_slice(told.span);
    } else {
        let mut fields = Fields::of(told.span);
        let _command = fields.next();
        let mut separator = &b""[..];
        while let Some(field) = fields.next() {
            out.extend_from_slice(separator);
            out.extend_from_slice(field);
            separator = b" ";
        }
    }
    out.push(b'\n');
}

/// Appends the AT line of a held record, and LF.
pub fn write_at(
    out: &mut Vec<u8>,
    server: &ServerName,
    difference: Difference,
    client: &[u8],
    coordinates: Coordinates,
    timestamp: Timestamp,
) {
    write_at_start(out, server, difference);
    out.extend_from_slice(client);
    out.push(b' ');
    coordinates.write(out);
    out.push(b' ');
    timestamp.write(out);
    out.push(b'\n');
}

fn write_at_start(out: &mut Vec<u8>, server: &ServerName, difference: Difference) {
    out.extend_from_slice(b"AT ");
    out.extend_from_slice(server.as_str().as_bytes());
    out.push(b' ');
    difference.write(out);
    out.push(b' ');
}

/// Appends the answer to a line that is not a command: `? `, the line as it came, LF. Of a line that begins with
/// `AUTH`, the answer repeats only this word.
pub fn write_invalid(out: &mut Vec<u8>, line: &[u8]) {
    if begins_with_auth(line) {
        return write_auth(out, false);
    }
    out.extend_from_slice(b"? ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

fn begins_with_auth(line: &[u8]) -> bool {
    trimmed(line).starts_with(AUTH)
}

/// Whether a line, or the answer that repeats it, begins with `AUTH` in capitals or not. Somebody may have meant to
/// show a token.
fn may_show_token(line: &[u8]) -> bool {
    let line = trimmed(line);
    let line = line.strip_prefix(b"?").map_or(line, trimmed);
    line.get(..AUTH.len()).is_some_and(|word| word.eq_ignore_ascii_case(AUTH))
}

/// The line without the white space at its beginning.
fn trimmed(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| !is_white_space(byte)).unwrap_or(line.len());
    &line[start..]
}

/// Lines as a log may show them: without the rest of lines that begin with `AUTH`, in capitals or not, and without
/// secrets of tokens.
pub fn without_tokens(lines: &[u8]) -> Cow<'_, [u8]> {
    let starts = || std::iter::once(0).chain(memchr::memchr_iter(b'\n', lines).map(|end| end + 1));
    let has_auth = || starts().any(|start| may_show_token(&lines[start..]));
    if memmem::find(lines, PREFIX).is_none() && !has_auth() {
        return Cow::Borrowed(lines);
    }
    let mut shown = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let (line, end) = line.strip_suffix(b"\n").map_or((line, &b""[..]), |line| (line, b"\n"));
        if may_show_token(line) {
            let mark: &[u8] = if trimmed(line).starts_with(b"?") { b"? " } else { b"" };
            shown.extend_from_slice(mark);
            shown.extend_from_slice("AUTH \u{2026}".as_bytes());
        } else {
            write_without_secrets(&mut shown, line);
        }
        shown.extend_from_slice(end);
    }
    Cow::Owned(shown)
}

/// The beginning of the text of a token.
const PREFIX: &[u8] = TOKEN_PREFIX.as_bytes();
/// Stands in place of a secret.
const ELLIPSIS: &[u8] = "\u{2026}".as_bytes();

/// Appends a line without what follows the beginning of a token.
fn write_without_secrets(out: &mut Vec<u8>, mut line: &[u8]) {
    while let Some(at) = memmem::find(line, PREFIX) {
        let (before, token) = line.split_at(at + PREFIX.len());
        out.extend_from_slice(before);
        out.extend_from_slice(ELLIPSIS);
        let len = token.iter().position(|&byte| !byte.is_ascii_alphanumeric() && byte != b'_');
        let rest = &token[len.unwrap_or(token.len())..];
        // A line from which the secret was taken before stays as it is.
        line = rest.strip_prefix(ELLIPSIS).unwrap_or(rest);
    }
    out.extend_from_slice(line);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_reply_and_no_log_repeats_a_token() {
        for line in ["AUTH", " AUTH a b", "AUTHphd_a_b", "AUTH:phd_a_b", "AUTH GET / HTTP/1.1", "\tAUTH\ta b"]
        {
            let read = parse(line.as_bytes());
            assert!(matches!(read, Line::InvalidAuth), "{line} {read:?}");
            let mut out = Vec::new();
            write_invalid(&mut out, line.as_bytes());
            assert_eq!(out, b"? AUTH\n", "{line}");
        }
        for line in ["AUTH secret", "  AUTH  secret \r"] {
            assert_eq!(parse(line.as_bytes()), Line::Auth(b"secret"), "{line}");
        }
        for (lines, expected) in [
            ("IAMAT kiwi\nWHATSAT\n", "IAMAT kiwi\nWHATSAT\n"),
            ("AUTH secret\nIAMAT kiwi\n", "AUTH …\nIAMAT kiwi\n"),
            (" AUTHsecret", "AUTH …"),
            ("auth phd_k_s3cret\r\n? auth phd_k_s3cret x", "AUTH …\n? AUTH …"),
            ("phd_phd_a_b", "phd_…"),
            ("a phd_", "a phd_…"),
            ("a phd_… b", "a phd_… b"),
            ("x AUTH y", "x AUTH y"),
            ("auth mine", "AUTH …"),
            ("\u{b}AUTH mine", "AUTH …"),
            (" Auth mine\nkiwi\n\taUTH", "AUTH …\nkiwi\nAUTH …"),
            ("? auth mine\n? kiwi\n", "? AUTH …\n? kiwi\n"),
            ("aut mine", "aut mine"),
        ] {
            assert_eq!(String::from_utf8_lossy(&without_tokens(lines.as_bytes())), expected);
        }
    }

    /// The lines of `stream` when it comes in the given pieces, each line as text. An overlong line ends the stream.
    fn lines_of(stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let (mut lines, mut found, mut consumed) = (Lines::default(), Vec::new(), 0);
        for (index, &received) in cuts.iter().enumerate() {
            loop {
                match lines.next(&stream[consumed..received], StreamState::new(index + 1 == cuts.len())) {
                    NextLine::Line(line, len) => {
                        found.push(line.to_vec());
                        consumed += len;
                    }
                    NextLine::Incomplete => break,
                    NextLine::TooLong(start) => {
                        found.push([b"too long: ", start].concat());
                        return found;
                    }
                }
            }
        }
        found
    }

    fn check(line: &str, read: Option<&str>) {
        let (server, now) = (ServerName::new("Riley").unwrap(), 1_621_464_828_223_371_889);
        let answer = match parse(line.as_bytes()) {
            Line::Command(Command::Report { report, condition: Condition::Always }, told) => {
                let Stamp::Client(timestamp) = report.stamp else {
                    panic!("a line's report has the client's time")
                };
                let difference = Difference::at_receipt(now, timestamp);
                let (mut reply, mut held) = (Vec::new(), Vec::new());
                write_at_reply(&mut reply, &server, difference, told);
                let client = report.client.as_bytes();
                write_at(&mut held, &server, difference, client, report.coordinates, timestamp);
                assert_eq!(reply, held, "a record's AT line equals the reply to its report");
                Some(String::from_utf8(reply).unwrap().trim_end().to_owned())
            }
            Line::Command(Command::Nearby(Nearby { around, radius, limit, wish: None }), _) => {
                let Around::Client(client) = around else { panic!("a line's query is about a client") };
                Some(format!("{client:?} {} {limit}", radius.meters()))
            }
            Line::Command(command, _) => panic!("{line:?} is no {command:?}"),
            Line::Blank => Some("blank".to_owned()),
            Line::Auth(_) => panic!("{line:?} is no report and no query"),
            Line::Invalid | Line::InvalidReport | Line::InvalidAuth | Line::HttpRequest => None,
        };
        assert_eq!(answer.as_deref(), read, "{line:?}");
    }

    #[test]
    fn commands_are_read_to_the_letter() {
        check(
            "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503",
            Some("AT Riley +0.263873386 kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503"),
        );
        check(
            "\t IAMAT\x0bkiwi  +05.5-0\x0c1621464827 \r",
            Some("AT Riley +1.223371889 kiwi +05.5-0 1621464827"),
        );
        check("IAMAT\tkiwi\t+1+1\t1621464827", Some("AT Riley +1.223371889 kiwi +1+1 1621464827"));
        check("IAMAT kiwi  +1+1 1621464827", Some("AT Riley +1.223371889 kiwi +1+1 1621464827"));
        check("IAMAT kiwi +1+1  1621464827", Some("AT Riley +1.223371889 kiwi +1+1 1621464827"));
        check("WHATSAT kiwi 10 5", Some("kiwi 10000 5"));
        check("WHATSAT kiwi 0.000001 00", Some("kiwi 0.001 0"));
        check("WHATSAT kiwi 50 20", Some("kiwi 50000 20"));
        check(" \t\r\x0b\x0c", Some("blank"));
        check("", Some("blank"));
    }

    #[test]
    fn everything_else_is_invalid() {
        for line in [
            "HELLO",
            "iamat kiwi +1+1 1",
            "IAMAT",
            "IAMAT kiwi",
            "IAMAT kiwi +1+1",
            "IAMAT kiwi +1+1 1 1",
            "IAMAT kiwi 1+1 1",
            "IAMAT kiwi +1+1 -1",
            "IAMAT kiwi +91+1 1",
            "IAMATkiwi +1+1 1",
            "WHATSAT kiwi 0 5",
            "WHATSAT kiwi 51 5",
            "WHATSAT kiwi 10 21",
            "WHATSAT kiwi 10 005",
            "WHATSAT kiwi 10 -1",
            "WHATSAT kiwi 10 :",
            "WHATSAT kiwi 10 /",
            "WHATSAT kiwi 10 1:",
            "WHATSAT kiwi 10 :1",
            "WHATSAT kiwi 10 5.0",
            "WHATSAT kiwi 10",
            "WHATSAT kiwi 10 5 5",
            "AT Riley +0.263873386 kiwi +34.068930-118.445127 1621464827.959498503",
        ] {
            check(line, None);
        }
        check(&format!("IAMAT {} +1+1 1", "x".repeat(257)), None);
        check(&format!("WHATSAT {} 1 1", "x".repeat(257)), None);
    }

    #[test]
    fn the_request_line_of_http_is_known_whatever_its_method() {
        let is_http = |line: &str| parse(line.as_bytes()) == Line::HttpRequest;
        for line in [
            "GET / HTTP/1.1",
            "POST /x?y=%0AIAMAT HTTP/1.1\r",
            "OPTIONS * HTTP/1.0",
            "PRI * HTTP/2.0\r",
            "CONNECT riley:12000 HTTP/1.1 \t",
            " \tGET\t/  HTTP/9.9",
            "GET /a b HTTP/1.1",
            "IAMAT / HTTP/1.1",
            "WHATSAT kiwi HTTP/1.1",
            "IAMAT kiwi +1+1 1 HTTP/1.1",
            "M-SEARCH * HTTP/1.1",
            "GET /\u{7fff} HTTP/1.1",
        ] {
            assert!(is_http(line), "{line:?}");
        }
        for line in [
            "",
            "HTTP/1.1",
            "GET HTTP/1.1",
            "/ HTTP/1.1",
            "GET /",
            "GET / HTTP/1.1x",
            "GET / HTTP/1",
            "GET / HTTP/11.1",
            "GET / HTTP/1.x",
            "GET / HTTP/x.1",
            "GET / http/1.1",
            "GET /HTTP/1.1",
            "GET / xHTTP/1.1",
            "G(T / HTTP/1.1",
            "\u{e9} / HTTP/1.1",
            "Host: HTTP/1.1",
            "HTTP/1.1 200 OK",
            "IAMAT HTTP/1.1 +1+1 1",
            "WHATSAT HTTP/1.1 10 5",
        ] {
            assert!(!is_http(line), "{line:?}");
        }
    }

    #[test]
    fn the_longest_line_is_8_kib() {
        let longest = [vec![b'x'; LINE_LEN_MAX], vec![b'\n']].concat();
        assert_eq!(lines_of(&longest, &[]), [&longest[..LINE_LEN_MAX]]);
        assert_eq!(lines_of(&longest[..LINE_LEN_MAX], &[]), [&longest[..LINE_LEN_MAX]]);
        let answer = [b"too long: ".to_vec(), vec![b'x'; 64]].concat();
        for end in [b"\n".as_slice(), b""] {
            let longer = [&vec![b'x'; LINE_LEN_MAX + 1], end].concat();
            for cuts in [&[][..], &[1, 100, LINE_LEN_MAX], &[LINE_LEN_MAX + 1]] {
                assert_eq!(lines_of(&longer, cuts), [answer.as_slice()]);
            }
        }
    }

    #[test]
    fn a_stream_split_at_every_byte_gives_the_same_lines() {
        let stream =
            b"IAMAT kiwi +34.068930-118.445127 1621464827.959498503\n\r\n\nWHATSAT kiwi 10 5\r\nlast";
        let whole = lines_of(stream, &[]);
        assert_eq!(whole.len(), 5);
        for cut in 0..=stream.len() {
            assert_eq!(lines_of(stream, &[cut]), whole);
        }
        let every: Vec<usize> = (0..=stream.len()).collect();
        assert_eq!(lines_of(stream, &every), whole);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), any::<u8>()], 0..400),
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            prop_assert_eq!(lines_of(&stream, &cuts), lines_of(&stream, &[]));
        }

        #[test]
        fn no_bytes_break_the_parser(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut answer = Vec::new();
            write_invalid(&mut answer, &line);
            prop_assert_eq!(&answer[2..answer.len() - 1], &line[..]);
            let fields = line.split(|&byte| is_white_space(byte)).filter(|field| !field.is_empty()).count();
            prop_assert_eq!(parse(&line) == Line::Blank, fields == 0);
        }
    }
}
