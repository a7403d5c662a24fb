//! A client that sends HTTP/2 frame by frame, including frames that no well-behaved client sends.
//!
//! The client sends headers without compression, and reads only the status code in an answer's headers.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::wait::PATIENCE;

/// Types of frames (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Settings: the size of the table of headers, and the initial window of a stream.
const HEADER_TABLE_SIZE: u16 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The window of a stream unless SETTINGS change it.
const WINDOW: u32 = 65_535;

/// One connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    pub(crate) stream: TcpStream,
    http: SocketAddr,
}

/// A received frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// The bytes of one frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The bytes of a frame that cancels a request.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// The bytes of a request's headers: GET `path` of `host`.
pub(crate) fn headers(host: &str, path: &str) -> Vec<u8> {
    // Indices of the static table (RFC 7541, appendix A): GET, http, then a literal path and authority.
    [&[0x82, 0x86], &literal(0x04, path)[..], &literal(0x01, host)].concat()
}

/// A header whose name is in the static table. With index 0, the name stands before the value.
fn literal(index: u8, value: &str) -> Vec<u8> {
    [&[index], &text(value)[..]].concat()
}

/// A header with a literal name, which is not stored in the table.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    [&[0x10], &text(name)[..], &text(value)].concat()
}

/// A header with a literal name, which the server must store as the newest entry of its table.
pub(crate) fn remember(name: &str, value: &str) -> Vec<u8> {
    [&[0x40], &text(name)[..], &text(value)].concat()
}

/// A text of any length, without Huffman coding (RFC 7541, section 5.2).
fn text(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value.len() {
        len @ ..127 => bytes.push(len as u8),
        len => {
            bytes.push(127);
            let mut rest = len - 127;
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

impl Http2 {
    pub(crate) fn connect(http: SocketAddr) -> Http2 {
        Http2::with_window(http, WINDOW)
    }

    /// A client whose initial window for each answer has this size, bytes.
    pub(crate) fn with_window(http: SocketAddr, window: u32) -> Http2 {
        let setting = |id: u16, value: u32| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let settings = [setting(HEADER_TABLE_SIZE, 0), setting(INITIAL_WINDOW_SIZE, window)].concat();
        let stream = TcpStream::connect(http).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut client = Http2 { stream, http };
        let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &settings)[..]].concat();
        client.stream.write_all(&begin).unwrap();
        client
    }

    /// Sends a request for `path`. `stream` must be an odd number that is greater than all earlier numbers.
    pub(crate) fn ask(&mut self, stream: u32, path: &str) {
        let asked = self.asked(stream, path);
        self.stream.write_all(&asked).unwrap();
    }

    /// Sends a request with these headers.
    pub(crate) fn ask_by(&mut self, stream: u32, headers: &[u8]) {
        self.stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, stream, headers)).unwrap();
    }

    /// The bytes of a request for `path`.
    pub(crate) fn asked(&self, stream: u32, path: &str) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers(&self.http.to_string(), path))
    }

    /// The bytes of a request for `path` that is canceled at once.
    pub(crate) fn asked_and_reset(&self, stream: u32, path: &str) -> Vec<u8> {
        [self.asked(stream, path), reset(stream)].concat()
    }

    /// The next frame. An error if the server has closed the connection.
    pub(crate) fn frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        // The protocol demands an answer to a PING.
        if frame.kind == PING && frame.flags & ACK == 0 {
            self.stream.write_all(&self::frame(PING, ACK, 0, &frame.payload))?;
        }
        Ok(frame)
    }

    /// The codes and bodies of the answers to `count` streams, by the streams' numbers.
    pub(crate) fn answers(&mut self, count: usize) -> BTreeMap<u32, (u16, String)> {
        let mut answers = BTreeMap::<u32, (u16, Vec<u8>)>::new();
        let mut ended = 0;
        while ended < count {
            let frame = self.frame().unwrap();
            match frame.kind {
                HEADERS => answers.entry(frame.stream).or_default().0 = code(&frame.payload),
                DATA => answers.get_mut(&frame.stream).unwrap().1.extend_from_slice(&frame.payload),
                RST_STREAM | GOAWAY => panic!("{frame:?}"),
                _ => continue,
            }
            ended += usize::from(frame.flags & END_STREAM != 0);
        }
        let text = |body| String::from_utf8(body).unwrap();
        answers.into_iter().map(|(stream, (code, body))| (stream, (code, text(body)))).collect()
    }

    /// Reads until the server closes the connection. Returns the status codes of the answers, and the last code of
    /// GOAWAY, if there was a GOAWAY.
    pub(crate) fn rest(&mut self) -> (Vec<u16>, Option<u32>) {
        let (mut codes, mut goodbye) = (Vec::new(), None);
        loop {
            match self.frame() {
                Ok(frame) if frame.kind == HEADERS => codes.push(code(&frame.payload)),
                Ok(frame) if frame.kind == GOAWAY => {
                    goodbye = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the server does not close")
                }
                Err(_) => return (codes, goodbye),
            }
        }
    }
}

/// The status code in an answer's headers. It is the first header.
fn code(headers: &[u8]) -> u16 {
    // A change of the table's size may come before the first header.
    let first = headers.iter().position(|byte| byte & 0xe0 != 0x20).unwrap();
    let known = [(0x88, 200), (0x8b, 304), (0x8c, 400), (0x8d, 404), (0x8e, 500)];
    if let Some((_, code)) = known.into_iter().find(|(byte, _)| *byte == headers[first]) {
        return code;
    }
    let (len, text) = (headers[first + 1], &headers[first + 2..]);
    if len & 0x80 == 0 {
        return std::str::from_utf8(&text[..usize::from(len)]).unwrap().parse().unwrap();
    }
    // The digits in Huffman's code (RFC 7541, appendix B): 0 to 2 in five bits, the others in six.
    let bits = text.iter().take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let (mut code, mut left) = (0, 24);
    for _ in 0..3 {
        let (five, six) = (bits >> (left - 5) & 31, bits >> (left - 6) & 63);
        let (digit, len) = if five <= 2 { (five, 5) } else { (six - 0x19 + 3, 6) };
        (code, left) = (10 * code + digit as u16, left - len);
    }
    code
}
