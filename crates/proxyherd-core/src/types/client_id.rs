//! A client's name for itself.

use std::fmt;

use crate::limits::CLIENT_ID_LEN_MAX;

/// 1 to 256 bytes without white space, echoed as received; nothing says that they are UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId<'a>(&'a [u8]);

impl<'a> ClientId<'a> {
    /// Takes `bytes` for an ID, unless they are none, too many, or hold white space.
    pub fn new(bytes: &'a [u8]) -> Option<ClientId<'a>> {
        let fits = (1..=CLIENT_ID_LEN_MAX).contains(&bytes.len());
        (fits && !bytes.iter().any(|&byte| is_white_space(byte))).then_some(ClientId(bytes))
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

#[cfg(test)]
mod tests {
    use super::*;

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
