//! The codec of the toy protocol, for the server and for clients.
//!
//! A message is one byte with the length of the rest, a letter, and a body. A reply is the same with four bytes for the
//! length.

use std::io::Read;

use proxyherd_core::{
    command::{Around, Nearby},
    types::{ClientId, Radius},
};

use crate::{herd::Whereabouts, places::Answered};

/// After how many bytes of replies other connections have their turn.
pub(super) const REPLIES_LEN: usize = 64 * 1024;

/// A message of a client.
#[derive(Clone, Copy)]
pub(super) enum ToyMessage<'a> {
    /// Asks for the same bytes back.
    Echo(&'a [u8]),
    /// Asks where a client is, and for one place near it.
    Nearby(Nearby<'a>),
    /// Asks for all news from now on.
    Subscribe,
    /// Asks for an acknowledgment once this sequence is durable.
    Keep(u8),
    /// Asks for a reply after this many milliseconds.
    Wake(u8),
    /// Makes the server panic.
    Panic,
    /// Asks the server to close the connection.
    Goodbye,
}

impl ToyMessage<'_> {
    /// The message at the front of `bytes`, if it is complete, and what is behind it.
    pub(super) fn split(bytes: &[u8]) -> Option<(ToyMessage<'_>, &[u8])> {
        let (&len, rest) = bytes.split_first()?;
        let (message, behind) = rest.split_at_checked(len.into())?;
        let message = match message {
            [b'e', body @ ..] => ToyMessage::Echo(body),
            [b'w', client @ ..] => {
                let around = Around::Client(ClientId::new(client).expect("tests name a client"));
                let radius = Radius::parse_km(b"1").expect("this is a radius");
                ToyMessage::Nearby(Nearby { around, radius, limit: 1, wish: None })
            }
            b"s" => ToyMessage::Subscribe,
            [b'd', sequence] => ToyMessage::Keep(*sequence),
            [b't', ms] => ToyMessage::Wake(*ms),
            b"p" => ToyMessage::Panic,
            _ => ToyMessage::Goodbye,
        };
        Some((message, behind))
    }
}

/// Appends a reply.
pub(super) fn put_reply(out: &mut Vec<u8>, letter: u8, body: &[u8]) {
    out.extend_from_slice(&(body.len() as u32 + 1).to_be_bytes());
    out.push(letter);
    out.extend_from_slice(body);
}

/// Appends whom the question about places is about.
pub(super) fn put_at(out: &mut Vec<u8>, at: &Whereabouts<'_>) {
    put_reply(out, b'a', at.client);
}

/// Appends the answer about places.
pub(super) fn put_answer(out: &mut Vec<u8>, answered: &Answered) {
    let mut json = Vec::new();
    answered.answer.write_json(1, &mut json);
    put_reply(out, b'p', &json);
}

/// Appends the news that follows the first `told` pieces, and counts it in `told`. False: more is left than is sent at
/// once.
pub(super) fn put_news(out: &mut Vec<u8>, news: u32, told: &mut u32) -> bool {
    while *told < news && out.len() < REPLIES_LEN {
        *told += 1;
        put_reply(out, b'n', &[&told.to_be_bytes()[..], &[b'.'; 1000]].concat());
    }
    *told == news
}

/// Encodes a message, as clients do.
pub(super) fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8 + 1, letter], body].concat()
}

/// Reads a reply, as clients do: its letter and body.
pub(super) fn reply(stream: &mut (impl Read + ?Sized)) -> (char, Vec<u8>) {
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    let mut reply = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut reply).unwrap();
    let body = reply.split_off(1);
    (char::from(reply[0]), body)
}
