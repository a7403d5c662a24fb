//! Frames of the handshake: HELLO, REFUSAL. The module `link` decides which server may have a link.

use super::frame::{BodyReader, Encoder, FrameError, HEADER_LEN, put_text, put_u16, put_u64};
use crate::{
    limits::{HERD_ID_LEN_MAX, REFUSAL_LEN_MAX},
    types::{Origin, ServerName},
};

pub(super) const HELLO: u8 = 1;
pub(super) const REFUSAL: u8 = 2;

/// The first bytes of HELLO's body. A sender of anything else is not a server of a herd.
const MAGIC: [u8; 4] = *b"HERD";

/// The first frame in each direction: which server sends it, and what the server supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version of the link protocol that the server speaks.
    pub lowest: u16,
    /// The highest version that the server speaks. The accepting end answers with the chosen version in both fields.
    pub highest: u16,
    /// Optional features, one bit each. A feature is used if both ends have it.
    pub features: u64,
    /// The herd to which the server belongs.
    pub herd: String,
    /// The server, and this life of it.
    pub origin: Origin,
    /// The number of the server's shards.
    pub shards: u8,
    /// The server's clock, POSIX time in nanoseconds. Version 1 does not send it.
    pub clock_ns: Option<u64>,
}

/// Whether these bytes could be the beginning of the first frame from a server of a herd.
pub fn may_be_hello(bytes: &[u8]) -> bool {
    let head = bytes.get(HEADER_LEN..).unwrap_or_default();
    bytes.get(2).is_none_or(|&kind| kind == HELLO || kind == REFUSAL)
        && (bytes.get(2) == Some(&REFUSAL) || head.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic))
}

pub(super) fn decode_hello(reader: &mut BodyReader<'_>) -> Result<Option<Hello>, FrameError> {
    if reader.take(MAGIC.len()) != Some(&MAGIC) {
        return Err(FrameError::NoHerd);
    }
    let mut read = || {
        let (lowest, highest, features) = (reader.u16()?, reader.u16()?, reader.u64()?);
        let herd = reader.text()?;
        let (server, incarnation) = (reader.text()?, reader.u64()?);
        let shards = reader.u8()?;
        let clock_ns = reader.u64();
        // Later versions may append more, which this version ignores.
        let _ = reader.rest();
        Some((lowest, highest, features, herd, server, incarnation, shards, clock_ns))
    };
    let Some((lowest, highest, features, herd, server, incarnation, shards, clock_ns)) = read() else {
        return Ok(None);
    };
    if herd.len() > HERD_ID_LEN_MAX {
        return Err(FrameError::Value("HELLO"));
    }
    let server = ServerName::new(server).map_err(|_| FrameError::Value("HELLO"))?;
    let origin = Origin { server, incarnation };
    let herd = herd.to_owned();
    Ok(Some(Hello { lowest, highest, features, herd, origin, shards, clock_ns }))
}

pub(super) fn decode_refusal<'a>(reader: &mut BodyReader<'a>) -> Option<&'a str> {
    reader.text()
}

impl Encoder {
    /// Encodes HELLO.
    pub fn hello(&mut self, hello: &Hello) {
        self.frame(HELLO, 0, |out| {
            out.extend_from_slice(&MAGIC);
            put_u16(out, hello.lowest);
            put_u16(out, hello.highest);
            put_u64(out, hello.features);
            put_text(out, &hello.herd);
            put_text(out, hello.origin.server.as_str());
            put_u64(out, hello.origin.incarnation);
            out.push(hello.shards);
            hello.clock_ns.iter().for_each(|&clock_ns| put_u64(out, clock_ns));
        });
    }

    /// Encodes why the link is refused.
    pub fn refusal(&mut self, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(REFUSAL_LEN_MAX)];
        self.frame(REFUSAL, 0, |out| put_text(out, reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::link::{
        Frame, decode,
        record::RECORD,
        tests::{frames, hello},
    };

    #[test]
    fn who_is_no_server_of_a_herd_is_known_by_the_first_bytes() {
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        let hello = encoder.bytes().to_vec();
        encoder.clear();
        encoder.refusal("another herd");
        for bytes in [&hello, encoder.bytes()] {
            assert!((0..=bytes.len()).all(|len| may_be_hello(&bytes[..len])), "{bytes:?}");
        }
        let with = |at: usize, byte: u8| [&hello[..at], &[byte], &hello[at + 1..]].concat();
        assert!(!may_be_hello(&with(2, RECORD)), "another frame");
        assert!(
            (HEADER_LEN..HEADER_LEN + MAGIC.len()).all(|at| !may_be_hello(&with(at, 0))),
            "another magic"
        );
        assert!(!may_be_hello(b"GET / HTTP/1.1"));
    }

    #[test]
    fn a_herds_name_has_a_longest_length() {
        let told = |len: usize| {
            let mut encoder = Encoder::default();
            encoder.hello(&Hello { herd: "h".repeat(len), ..hello() });
            frames(encoder.bytes()).1
        };
        assert_eq!(told(HERD_ID_LEN_MAX), Ok(0));
        for len in [HERD_ID_LEN_MAX + 1, HERD_ID_LEN_MAX + 2] {
            assert_eq!(told(len), Err(FrameError::Value("HELLO")));
        }
    }

    #[test]
    fn strangers_are_known_by_their_first_bytes() {
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        for len in 0..encoder.len() {
            assert!(may_be_hello(&encoder.bytes()[..len]));
        }
        assert!(!may_be_hello(b"GET / HTTP/1.1\r\n"));
        assert!(!may_be_hello(b"IAMAT kiwi"));
    }

    #[test]
    fn a_hello_with_more_at_its_end_is_read_as_far_as_it_is_known() {
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        let mut bytes = encoder.bytes().to_vec();
        bytes.extend_from_slice(b"from the future");
        bytes[0] += 15;
        assert_eq!(decode(&bytes).unwrap().unwrap().0, Frame::Hello(hello()));
    }
}
