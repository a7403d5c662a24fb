//! Client IDs as segments of URLs.
//!
//! A client ID can have bytes that a URL cannot have. In a URL, each byte other than `A-Z a-z 0-9 - . _ ~` is
//! percent-encoded, and so is `/`. So each ID has one encoded form here, and every form that stands for an ID can be
//! read.

use std::borrow::Cow;

use crate::{limits::CLIENT_ID_LEN_MAX, types::ClientId};

/// Why a segment of a URL is no client ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlIdError {
    /// A `%` is not followed by two hexadecimal digits.
    #[error(
        "a `%` in a client ID in a URL is followed by two hexadecimal digits; the one at byte {0} is not"
    )]
    Percent(usize),
    /// The ID is empty, is too long, or contains white space.
    #[error("a client ID is 1 to {CLIENT_ID_LEN_MAX} bytes without white space")]
    NoId,
}

/// Appends the percent-encoded form of an ID.
pub fn write(out: &mut Vec<u8>, id: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in id {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0b1111)]]);
        }
    }
}

/// Decodes a segment of a URL's path, and checks that it is a client ID. Allocates only if the segment has a `%`. `+`
/// stands for itself.
pub fn parse(segment: &[u8]) -> Result<Cow<'_, [u8]>, UrlIdError> {
    let decoded = decode(segment)?;
    match ClientId::new(&decoded) {
        Some(_) => Ok(decoded),
        None => Err(UrlIdError::NoId),
    }
}

fn decode(segment: &[u8]) -> Result<Cow<'_, [u8]>, UrlIdError> {
    let Some(first) = memchr::memchr(b'%', segment) else { return Ok(Cow::Borrowed(segment)) };
    // The encoding of a byte has at most three bytes, so a longer segment is no ID.
    if segment.len() > 3 * CLIENT_ID_LEN_MAX {
        return Err(UrlIdError::NoId);
    }
    let mut decoded = Vec::with_capacity(segment.len());
    decoded.extend_from_slice(&segment[..first]);
    let mut at = first;
    while let Some(&byte) = segment.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let digits = segment.get(at + 1).zip(segment.get(at + 2));
        let nibbles = digits.and_then(|(high, low)| Some((hex(*high)?, hex(*low)?)));
        let (high, low) = nibbles.ok_or(UrlIdError::Percent(at))?;
        decoded.push(high << 4 | low);
        at += 3;
    }
    Ok(Cow::Owned(decoded))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(id: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, id);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_but_unreserved_characters_are_encoded() {
        for (id, url) in [
            (&b"kiwi.cs-ucla_edu~7"[..], "kiwi.cs-ucla_edu~7"),
            (b"fleet/7", "fleet%2F7"),
            ("grüß".as_bytes(), "gr%C3%BC%C3%9F"),
            (b"%+?#*", "%25%2B%3F%23%2A"),
            (b"\x00\xff", "%00%FF"),
        ] {
            assert_eq!(written(id), url);
            assert_eq!(parse(url.as_bytes()).unwrap(), id);
        }
        assert_eq!(parse(b"a+b/c%2fd").unwrap(), &b"a+b/c/d"[..], "other forms are read as well");
    }

    #[test]
    fn a_segment_that_is_no_id_is_refused() {
        for (segment, error) in [
            (&b"%"[..], UrlIdError::Percent(0)),
            (b"ab%4", UrlIdError::Percent(2)),
            (b"%zz", UrlIdError::Percent(0)),
            (b"%+1", UrlIdError::Percent(0)),
            (b"", UrlIdError::NoId),
            (b"two%20words", UrlIdError::NoId),
            (b"two words", UrlIdError::NoId),
            (b"%0a", UrlIdError::NoId),
            (&[b'x'; 257], UrlIdError::NoId),
            (&b"%41".repeat(257), UrlIdError::NoId),
        ] {
            assert_eq!(parse(segment), Err(error), "{}", segment.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn every_id_survives_its_way_through_a_url(id in proptest::collection::vec(any::<u8>(), 1..256)) {
            if ClientId::new(&id).is_some() {
                let url = written(&id);
                prop_assert_eq!(parse(url.as_bytes()).unwrap(), id);
            }
        }
    }
}
