//! The ID that a client gives itself.

use std::fmt;

use crate::limits::CLIENT_ID_LEN_MAX;

/// 1 to 256 bytes without white space, echoed as received. They need not be UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId<'a>(&'a [u8]);

impl<'a> ClientId<'a> {
    /// Takes `bytes` as an ID, unless they are empty, too long, or contain white space.
    pub fn new(bytes: &'a [u8]) -> Option<ClientId<'a>> {
        if find_white_space(bytes).is_some() { None } else { ClientId::of_field(bytes) }
    }

    /// Takes a field of a line, which has no white space in it by definition.
    pub(crate) fn of_field(field: &'a [u8]) -> Option<ClientId<'a>> {
        (1..=CLIENT_ID_LEN_MAX).contains(&field.len()).then_some(ClientId(field))
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for ClientId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// The protocol's white space: space, tab, LF, VT, FF, CR.
pub(crate) fn is_white_space(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

/// The index of the first white space in `bytes`. The search takes eight bytes at a time, because every line is
/// searched.
pub(crate) fn find_white_space(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // The top bit is set for each byte below `!`. A borrow can only set more of these bits above the first one.
        let low = word.wrapping_sub(0x2121_2121_2121_2121) & !word & 0x8080_8080_8080_8080;
        if low != 0 {
            let first = low.trailing_zeros() as usize / 8;
            // Other control characters are also below `!`, but rare.
            let found = eight[first..].iter().position(|&byte| is_white_space(byte));
            if let Some(found) = found {
                return Some(at + first + found);
            }
        }
        at += 8;
    }
    bytes[at..].iter().position(|&byte| is_white_space(byte)).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn white_space_is_found_wherever_it_is(bytes in proptest::collection::vec(0u8..0x30, 0..40), high: u8) {
            let mut bytes = bytes;
            bytes.push(high);
            let slowly = bytes.iter().position(|&byte| is_white_space(byte));
            prop_assert_eq!(find_white_space(&bytes), slowly);
        }
    }

    #[test]
    fn an_id_is_any_run_of_1_to_256_bytes_without_white_space() {
        assert!(ClientId::new(b"kiwi.cs.ucla.edu").is_some());
        assert!(ClientId::new(b"\x00\xff\x80").is_some());
        assert!(ClientId::new(&[b'x'; 256]).is_some());
        assert!(ClientId::new(&[b'x'; 257]).is_none());
        assert!(ClientId::new(b"").is_none());
        for byte in b" \t\n\x0b\x0c\r" {
            assert!(ClientId::new(&[b'a', *byte]).is_none());
        }
    }
}
