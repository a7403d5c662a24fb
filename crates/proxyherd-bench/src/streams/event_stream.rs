//! Reads server-sent events from a response of HTTP/1.1 whose body comes in chunks.
//!
//! [`EventStream`] takes the response in pieces of any length. It knows neither connections nor what the events mean.

use anyhow::{Context, Result, bail, ensure};
use memchr::{memchr, memmem};

/// Maximum length of a header section, of the line before a chunk, and of an event, bytes.
const LEN_MAX: usize = 64 * 1024;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) id: &'a [u8],
    pub(super) kind: &'a [u8],
    pub(super) data: &'a [u8],
}

/// A response that arrives.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    expected: Expected,
    /// A header section, or the line before a chunk, whose end has not arrived.
    line: Vec<u8>,
    /// The beginning of an event whose end has not arrived.
    text: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    /// The header section.
    #[default]
    Head,
    /// The line with the length of the next chunk.
    Length,
    /// The rest of a chunk: this many bytes.
    Chunk(usize),
    /// The rest of the line break after a chunk: this many bytes.
    LineBreak(usize),
}

impl EventStream {
    /// Takes the next piece, and calls `visit` with each event that ends in it. Fails if the status is not 200, and at
    /// the end of the response.
    pub(super) fn take(&mut self, piece: &[u8], mut visit: impl FnMut(Event<'_>)) -> Result<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = match self.expected {
                Expected::Head => self.take_head(rest)?,
                Expected::Length => self.take_length(rest)?,
                Expected::Chunk(len) => {
                    let (here, after) = rest.split_at(len.min(rest.len()));
                    self.text.extend_from_slice(here);
                    self.expected = if here.len() == len {
                        Expected::LineBreak(2)
                    } else {
                        Expected::Chunk(len - here.len())
                    };
                    after
                }
                Expected::LineBreak(len) => {
                    let here = len.min(rest.len());
                    self.expected =
                        if here == len { Expected::Length } else { Expected::LineBreak(len - here) };
                    &rest[here..]
                }
            };
        }
        self.visit_events(&mut visit)
    }

    fn take_head<'a>(&mut self, rest: &'a [u8]) -> Result<&'a [u8]> {
        const END: &[u8] = b"\r\n\r\n";
        let before = self.line.len();
        self.line.extend_from_slice(rest);
        let Some(end) = memmem::find(&self.line, END) else {
            ensure!(self.line.len() <= LEN_MAX, "the header section of a response is too long");
            return Ok(&[]);
        };
        if !self.line.starts_with(b"HTTP/1.1 200 ") {
            bail!("a response is not 200: {}", String::from_utf8_lossy(&self.line));
        }
        let after = end + END.len() - before;
        (self.line, self.expected) = (Vec::new(), Expected::Length);
        Ok(&rest[after..])
    }

    fn take_length<'a>(&mut self, rest: &'a [u8]) -> Result<&'a [u8]> {
        let Some(end) = memchr(b'\n', rest) else {
            self.line.extend_from_slice(rest);
            ensure!(self.line.len() <= LEN_MAX, "the line before a chunk is too long");
            return Ok(&[]);
        };
        self.line.extend_from_slice(&rest[..end]);
        let digits = self.line.trim_ascii_end();
        let len = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let len = len.with_context(|| format!("{:?} is no length of a chunk", digits.escape_ascii()))?;
        ensure!(len > 0, "the server has ended a stream");
        self.line.clear();
        self.expected = Expected::Chunk(len);
        Ok(&rest[end + 1..])
    }

    fn visit_events(&mut self, visit: &mut impl FnMut(Event<'_>)) -> Result<()> {
        let mut begin = 0;
        while let Some(len) = memmem::find(&self.text[begin..], b"\n\n") {
            if let Some(event) = parse(&self.text[begin..begin + len]) {
                visit(event);
            }
            begin += len + 2;
        }
        self.text.drain(..begin);
        ensure!(self.text.len() <= LEN_MAX, "an event is too long");
        Ok(())
    }
}

/// Parses the lines of one event. `None`: only comments.
fn parse(text: &[u8]) -> Option<Event<'_>> {
    let mut event = Event { id: b"", kind: b"", data: b"" };
    for line in text.split(|&byte| byte == b'\n') {
        if let Some(id) = line.strip_prefix(b"id: ") {
            event.id = id;
        } else if let Some(kind) = line.strip_prefix(b"event: ") {
            event.kind = kind;
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            event.data = data;
        }
    }
    Some(event).filter(|event| !event.kind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response with these chunks.
    fn response(chunks: &[&str]) -> Vec<u8> {
        let chunks = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        std::iter::once(head).chain(chunks).collect::<String>().into_bytes()
    }

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let (mut stream, mut found) = (EventStream::default(), Vec::new());
        for piece in pieces {
            let visit = |Event { id, kind, data }: Event<'_>| {
                found.push(format!("{} {} {}", id.escape_ascii(), kind.escape_ascii(), data.escape_ascii()));
            };
            stream.take(piece, visit).unwrap();
        }
        assert!(stream.text.is_empty() && stream.line.is_empty());
        found
    }

    #[test]
    fn events_are_found_wherever_the_response_is_cut() {
        let expected = ["1 reset {}", "2 location {\\\"id\\\":\\\"kiwi\\\"}", "3 synced {}"];
        let response = response(&[
            "id: 1\nevent: reset\ndata: {}\n\n:\n\nid: 2\n",
            "event: location\ndata: {\"id\":\"kiwi\"}\n\nid: 3",
            "\nevent: synced\ndata: {}\n\n:",
            "\n",
            "\n",
        ]);
        for cut in 0..=response.len() {
            let (one, other) = response.split_at(cut);
            assert_eq!(events(&[one, other]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = response.chunks(1).collect();
        assert_eq!(events(&bytes), expected);
    }

    #[test]
    fn refusals_and_the_end_of_a_stream_are_errors() {
        for (response, message) in [
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "not 200"),
            ("HTTP/1.1 200 OK\r\n\r\nid: 1\n", "no length of a chunk"),
            ("HTTP/1.1 200 OK\r\n\r\n0\r\n", "ended"),
        ] {
            let mut stream = EventStream::default();
            assert!(
                stream.take(response.as_bytes(), |_| {}).unwrap_err().to_string().contains(message),
                "{response}"
            );
        }
    }
}
