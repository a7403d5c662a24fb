//! Formats lines: in columns for people, or as one JSON object a line for programs.
//!
//! ```text
//! # Riley, proxyherd 0.1.0, process 4242; < came in, > went out, = happened, ! needs a look; \xNN is a byte …
//! # date and time (UTC)     server  who                              what
//! 2026-11-23 18:31:02.123Z  Riley   client 127.0.0.1:51234        <  IAMAT kiwi +34.068930-118.445127 1621464827
//! ```
//!
//! A JSON line always has `time`, `server`, `level` and `subject` (`server`, `link`, `client`, `places`, `crate`).
//! `name` is the client's address, the neighbor's name or the name of the reporting module. Traffic has `direction`
//! (`in`, `out`) with `line` or `places`. An event has `message`. A note about lines left out has the numbers of these
//! lines in `left_out`. A line that was too long has the number of missing bytes in `cut_bytes`. Text is escaped by the
//! rules of `escape` before JSON quotes it. A reader that unquotes the JSON and then unescapes the text gets the bytes
//! of the wire back.

use std::{io::Write, net::SocketAddr};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use proxyherd_core::types::ServerName;
use serde::Serialize;

use super::{
    Direction, LogFormat, LogLevel,
    answer::AnswerSummary,
    buffer::{LineMark, LineSource, LineTag},
    left_out::LeftOutNote,
    limits::LINE_SHOWN_LEN_MAX,
    pieces::Piece,
    redact::without_position,
};
use crate::escape::{cut, escape, escaped};

/// Width of the column of subjects, characters. An IPv4 address with its port always fits.
const WHO_WIDTH: usize = 28;

/// The format of one server's lines.
#[derive(Clone, Debug)]
pub(super) struct Form {
    format: LogFormat,
    server: ServerName,
    shows_positions: bool,
}

/// The content of a line, which is its last column.
enum LineBody<'a> {
    Line(&'a [u8]),
    Places(AnswerSummary),
    LeftOut(&'a LeftOutNote),
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: &'a str,
    server: &'a str,
    level: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<&'a AnswerSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'a LeftOutNote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_bytes: Option<usize>,
}

impl Form {
    pub(super) fn new(format: LogFormat, server: ServerName) -> Form {
        Form { format, server, shows_positions: true }
    }

    /// This format, with or without the positions of clients and the names of places near clients.
    pub(super) fn with_positions(self, shows_positions: bool) -> Form {
        Form { shows_positions, ..self }
    }

    pub(super) fn server(&self) -> &ServerName {
        &self.server
    }

    /// Appends a line of traffic or an event.
    pub(super) fn line(&self, tag: &LineTag, piece: Piece<'_>, out: &mut Vec<u8>) {
        let is_request = matches!(tag.source, LineSource::Request(_));
        let is_traffic = matches!(tag.mark, LineMark::Traffic(_)) && !is_request;
        match piece {
            Piece::Line(line) if is_traffic && !self.shows_positions => {
                self.append(tag, &LineBody::Line(&without_position(line)), out);
            }
            Piece::Line(line) => self.append(tag, &LineBody::Line(line), out),
            Piece::Answer(json) => {
                let summary = AnswerSummary::of(json);
                let summary = if self.shows_positions { summary } else { summary.without_names() };
                self.append(tag, &LineBody::Places(summary), out);
            }
        }
    }

    /// Appends an event of the log itself.
    pub(super) fn event(&self, time: Timestamp, level: LogLevel, message: &str, out: &mut Vec<u8>) {
        let tag = LineTag { time, source: LineSource::Server, mark: LineMark::Event(level) };
        self.append(&tag, &LineBody::Line(message.as_bytes()), out);
    }

    /// Appends the note about lines that were left out.
    pub(super) fn left_out(&self, time: Timestamp, left_out: &LeftOutNote, out: &mut Vec<u8>) {
        let tag = LineTag { time, source: LineSource::Server, mark: LineMark::Event(LogLevel::Info) };
        self.append(&tag, &LineBody::LeftOut(left_out), out);
    }

    /// Appends the heading of a file: the server's name, and what the columns mean.
    pub(super) fn heading(&self, time: Timestamp, out: &mut Vec<u8>) {
        let (version, process) = (env!("CARGO_PKG_VERSION"), std::process::id());
        if self.format == LogFormat::Json {
            let message = format!("the log was opened by proxyherd {version}, process {process}");
            return self.event(time, LogLevel::Info, &message, out);
        }
        let (server, width) = (&self.server, self.server_width());
        let marks =
            r"< came in, > went out, = happened, ! needs a look; \xNN is a byte that is not printable text";
        let date = "# date and time (UTC)";
        append_fmt(out, format_args!("# {server}, proxyherd {version}, process {process}; {marks}\n"));
        append_fmt(out, format_args!("{date:<24}  {:<width$}  {:<WHO_WIDTH$}     what\n", "server", "who"));
    }

    fn append(&self, tag: &LineTag, body: &LineBody<'_>, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Text => self.append_text(tag, body, out),
            LogFormat::Json => self.append_json(tag, body, out),
        }
    }

    fn append_text(&self, tag: &LineTag, body: &LineBody<'_>, out: &mut Vec<u8>) {
        append_time(tag.time, b' ', out);
        append_fmt(out, format_args!("  {:<width$}  ", self.server, width = self.server_width()));
        append_who(&tag.source, out);
        append_fmt(out, format_args!("  {}  ", mark_of(tag.mark)));
        match body {
            LineBody::Line(line) => append_line(tag.mark, line, out),
            LineBody::Places(summary) => append_fmt(out, format_args!("{summary}")),
            LineBody::LeftOut(left_out) => append_fmt(out, format_args!("{left_out}")),
        }
        out.push(b'\n');
    }

    fn server_width(&self) -> usize {
        self.server.as_str().len().max("server".len())
    }

    fn append_json(&self, tag: &LineTag, body: &LineBody<'_>, out: &mut Vec<u8>) {
        let mut time = Vec::with_capacity(24);
        append_time(tag.time, b'T', &mut time);
        let (subject, name) = subject_of(&tag.source);
        let mut record = JsonLine {
            time: &String::from_utf8_lossy(&time),
            server: self.server.as_str(),
            level: level_of(tag).as_str(),
            subject,
            name,
            direction: direction_of(tag.mark),
            line: None,
            message: None,
            places: None,
            left_out: None,
            cut_bytes: None,
        };
        match body {
            LineBody::Line(line) => {
                let (text, cut_bytes) = shown(line);
                let field = if record.direction.is_some() { &mut record.line } else { &mut record.message };
                *field = Some(text);
                record.cut_bytes = (cut_bytes > 0).then_some(cut_bytes);
            }
            LineBody::Places(summary) => record.places = Some(summary),
            LineBody::LeftOut(left_out) => {
                record.message = Some(left_out.to_string());
                record.left_out = Some(left_out);
            }
        }
        serde_json::to_writer(&mut *out, &record)
            .expect("strings and numbers are always JSON, and a Vec takes them");
        out.push(b'\n');
    }
}

fn append_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes all that is written to it");
}

/// Appends the time in UTC with milliseconds. The milliseconds are truncated and not rounded, so the time of a line is
/// never ahead of the clock.
fn append_time(time: Timestamp, separator: u8, out: &mut Vec<u8>) {
    let printer = DateTimePrinter::new().separator(separator).precision(Some(3));
    printer.print_timestamp(&time, out).expect("a Vec takes all that is written to it");
}

fn append_who(source: &LineSource, out: &mut Vec<u8>) {
    let begin = out.len();
    match source {
        LineSource::Server => out.extend_from_slice(b"server"),
        LineSource::Places => out.extend_from_slice(b"places"),
        LineSource::Link(neighbor) => append_fmt(out, format_args!("link   {neighbor}")),
        LineSource::Client(peer) | LineSource::Request(peer) => {
            append_fmt(out, format_args!("client {}", canonical(*peer)));
        }
        LineSource::Crate(module) => append_fmt(out, format_args!("crate  {}", escaped(module.as_bytes()))),
    }
    out.resize(out.len().max(begin + WHO_WIDTH), b' ');
}

/// An IPv4 client of a dual-stack socket is shown with its IPv4 address.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

fn append_line(mark: LineMark, line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(prefix_of(mark));
    let (head, cut_bytes) = cut(line, LINE_SHOWN_LEN_MAX);
    escape(head, out);
    if cut_bytes > 0 {
        // No escaped text has a backslash before a bracket, so no sender can forge this ending.
        append_fmt(out, format_args!(r" \({cut_bytes} more bytes)"));
    }
}

fn shown(line: &[u8]) -> (String, usize) {
    let (head, cut_bytes) = cut(line, LINE_SHOWN_LEN_MAX);
    (escaped(head), cut_bytes)
}

fn mark_of(mark: LineMark) -> char {
    match mark {
        LineMark::Traffic(Direction::In) => '<',
        LineMark::Traffic(Direction::Out) => '>',
        LineMark::Event(LogLevel::Error | LogLevel::Warn) => '!',
        LineMark::Event(LogLevel::Info | LogLevel::Debug) => '=',
    }
}

/// The word at the beginning of an event. Operators search for this word. Events at `info` have none.
fn prefix_of(mark: LineMark) -> &'static [u8] {
    match mark {
        LineMark::Event(LogLevel::Error) => b"error: ",
        LineMark::Event(LogLevel::Warn) => b"warning: ",
        LineMark::Event(LogLevel::Debug) => b"debug: ",
        LineMark::Event(LogLevel::Info) | LineMark::Traffic(_) => b"",
    }
}

fn direction_of(mark: LineMark) -> Option<&'static str> {
    match mark {
        LineMark::Traffic(Direction::In) => Some("in"),
        LineMark::Traffic(Direction::Out) => Some("out"),
        LineMark::Event(_) => None,
    }
}

fn level_of(tag: &LineTag) -> LogLevel {
    match (&tag.source, tag.mark) {
        (_, LineMark::Event(level)) => level,
        (LineSource::Client(_), LineMark::Traffic(_)) => LogLevel::Info,
        (_, LineMark::Traffic(_)) => LogLevel::Debug,
    }
}

fn subject_of(source: &LineSource) -> (&'static str, Option<String>) {
    match source {
        LineSource::Server => ("server", None),
        LineSource::Places => ("places", None),
        LineSource::Link(neighbor) => ("link", Some(neighbor.to_string())),
        LineSource::Client(peer) | LineSource::Request(peer) => {
            ("client", Some(canonical(*peer).to_string()))
        }
        LineSource::Crate(module) => ("crate", Some(escaped(module.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::escape::tests::unescape;

    fn form(format: LogFormat) -> Form {
        Form::new(format, ServerName::new("Riley").unwrap())
    }

    fn tag(source: LineSource, mark: LineMark) -> LineTag {
        LineTag { time: "2026-11-23T18:31:02.1239Z".parse().unwrap(), source, mark }
    }

    fn client(direction: Direction) -> LineTag {
        tag(LineSource::Client(([127, 0, 0, 1], 51234).into()), LineMark::Traffic(direction))
    }

    fn line(format: LogFormat, tag: &LineTag, piece: Piece<'_>) -> String {
        let mut out = Vec::new();
        form(format).line(tag, piece, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn check_text(tag: &LineTag, bytes: &[u8], expected: &str) {
        assert_eq!(line(LogFormat::Text, tag, Piece::Line(bytes)), format!("{expected}\n"));
    }

    #[test]
    fn text_stands_in_columns() {
        let jaquez = || LineSource::Link(ServerName::new("Jaquez").unwrap());
        check_text(
            &client(Direction::In),
            b"IAMAT kiwi +34.068930-118.445127 1621464827.959498503",
            "2026-11-23 18:31:02.123Z  Riley   client 127.0.0.1:51234        <  IAMAT kiwi +34.068930-118.445127 1621464827.959498503",
        );
        check_text(
            &tag(jaquez(), LineMark::Traffic(Direction::Out)),
            b"AT Riley +0.1 kiwi +34-118 1",
            "2026-11-23 18:31:02.123Z  Riley   link   Jaquez                 >  AT Riley +0.1 kiwi +34-118 1",
        );
        check_text(
            &tag(jaquez(), LineMark::Event(LogLevel::Info)),
            b"up: dialed 127.0.0.1:13001",
            "2026-11-23 18:31:02.123Z  Riley   link   Jaquez                 =  up: dialed 127.0.0.1:13001",
        );
        check_text(
            &tag(LineSource::Server, LineMark::Event(LogLevel::Warn)),
            b"the disk is nearly full",
            "2026-11-23 18:31:02.123Z  Riley   server                        !  warning: the disk is nearly full",
        );
        check_text(
            &tag(LineSource::Crate("h2::proto\n".into()), LineMark::Event(LogLevel::Warn)),
            b"strange\n",
            r"2026-11-23 18:31:02.123Z  Riley   crate  h2::proto\x0a          !  warning: strange\x0a",
        );
    }

    #[test]
    fn the_widest_ipv4_address_keeps_the_columns() {
        let peer = "255.255.255.255:65535".parse().unwrap();
        check_text(
            &tag(LineSource::Client(peer), LineMark::Traffic(Direction::In)),
            b"x",
            "2026-11-23 18:31:02.123Z  Riley   client 255.255.255.255:65535  <  x",
        );
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_socket_is_shown_as_ipv4() {
        let peer = "[::ffff:10.0.0.7]:5000".parse().unwrap();
        check_text(
            &tag(LineSource::Client(peer), LineMark::Traffic(Direction::In)),
            b"x",
            "2026-11-23 18:31:02.123Z  Riley   client 10.0.0.7:5000          <  x",
        );
    }

    #[test]
    fn the_heading_names_server_version_process_and_columns() {
        let mut out = Vec::new();
        form(LogFormat::Text).heading(Timestamp::UNIX_EPOCH, &mut out);
        let heading = String::from_utf8(out).unwrap();
        let (first, second) = heading.split_once('\n').unwrap();
        let who =
            format!("# Riley, proxyherd {}, process {};", env!("CARGO_PKG_VERSION"), std::process::id());
        assert!(first.starts_with(&who), "{first}");
        assert_eq!(second, "# date and time (UTC)     server  who                              what\n");
        let line = line(LogFormat::Text, &client(Direction::In), Piece::Line(b"IAMAT"));
        assert_eq!(second.find("what"), line.find("IAMAT"));
    }

    #[test]
    fn an_overlong_line_is_cut_and_says_by_how_much() {
        let long = [b'x'; LINE_SHOWN_LEN_MAX + 976];
        let text = line(LogFormat::Text, &client(Direction::In), Piece::Line(&long));
        assert!(text.ends_with("xxx \\(976 more bytes)\n"), "{text}");
        let json: Value =
            serde_json::from_str(&line(LogFormat::Json, &client(Direction::In), Piece::Line(&long))).unwrap();
        assert_eq!(json["line"].as_str().unwrap().len(), LINE_SHOWN_LEN_MAX);
        assert_eq!(json["cut_bytes"], 976);
    }

    #[test]
    fn nobody_can_pretend_that_a_line_was_cut() {
        let text = line(LogFormat::Text, &client(Direction::In), Piece::Line(br"x \(976 more bytes)"));
        assert!(text.ends_with("x \\\\(976 more bytes)\n"), "{text}");
    }

    #[test]
    fn places_are_folded_in_both_forms() {
        let answer = Piece::Answer(b"{\n   \"results\" : [],\n   \"status\" : \"ZERO_RESULTS\"\n}\n\n");
        let text = line(LogFormat::Text, &client(Direction::Out), answer);
        assert!(text.ends_with("  >  (places: ZERO_RESULTS, 0 results, 51 bytes)\n"), "{text}");
        let json: Value =
            serde_json::from_str(&line(LogFormat::Json, &client(Direction::Out), answer)).unwrap();
        let places = serde_json::json!({"bytes": 51, "status": "ZERO_RESULTS", "results": 0, "names": []});
        assert_eq!(json["places"], places);
    }

    #[test]
    fn json_says_who_and_what() {
        for (tag, body, expected) in [
            (
                client(Direction::In),
                "IAMAT \"kiwi\"",
                r#"{"time":"2026-11-23T18:31:02.123Z","server":"Riley","level":"info","subject":"client","name":"127.0.0.1:51234","direction":"in","line":"IAMAT \"kiwi\""}"#,
            ),
            (
                tag(LineSource::Crate("rustls::check".into()), LineMark::Event(LogLevel::Warn)),
                "strange",
                r#"{"time":"2026-11-23T18:31:02.123Z","server":"Riley","level":"warn","subject":"crate","name":"rustls::check","message":"strange"}"#,
            ),
            (
                tag(LineSource::Places, LineMark::Event(LogLevel::Error)),
                "no key",
                r#"{"time":"2026-11-23T18:31:02.123Z","server":"Riley","level":"error","subject":"places","message":"no key"}"#,
            ),
        ] {
            assert_eq!(line(LogFormat::Json, &tag, Piece::Line(body.as_bytes())), format!("{expected}\n"));
        }
    }

    fn any_tag() -> impl Strategy<Value = LineTag> {
        prop_oneof![
            Just(client(Direction::In)),
            Just(client(Direction::Out)),
            Just(tag(LineSource::Link(ServerName::new("Jaquez").unwrap()), LineMark::Traffic(Direction::In))),
            Just(tag(LineSource::Server, LineMark::Event(LogLevel::Warn))),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_one_physical_line_that_comes_back(
            tag in any_tag(),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let text = line(LogFormat::Text, &tag, Piece::Line(&bytes));
            let printable = text.strip_suffix('\n').unwrap();
            prop_assert!(!printable.contains(char::is_control), "{}", text);

            let json = line(LogFormat::Json, &tag, Piece::Line(&bytes));
            prop_assert!(!json.strip_suffix('\n').unwrap().contains(char::is_control), "{}", json);
            let record: Value = serde_json::from_str(&json).unwrap();
            let field = if matches!(tag.mark, LineMark::Event(_)) { "message" } else { "line" };
            prop_assert_eq!(unescape(record[field].as_str().unwrap()), bytes);
        }

        #[test]
        fn any_answer_is_one_physical_line(bytes: Vec<u8>, format in 0..2) {
            let format = if format == 0 { LogFormat::Text } else { LogFormat::Json };
            let line = line(format, &client(Direction::Out), Piece::Answer(&bytes));
            prop_assert!(!line.strip_suffix('\n').unwrap().contains(char::is_control), "{}", line);
        }
    }
}
