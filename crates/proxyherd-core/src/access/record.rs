//! The record of a token: what every server of the herd keeps about it. The key of the record is the token's ID.
//!
//! The first two bytes are the version of the encoding and the state (live or revoked). Fields follow, each with a tag
//! and a length. A reader skips tags that it does not know, so later versions may add fields. A field that an older
//! server must not ignore needs a new version of the encoding: a server refuses tokens whose version it does not know.
//! A revocation of any version is a revocation.

use super::{Scope, Scopes};
use crate::{
    limits::{SCOPES_MAX, TOKEN_NAME_LEN_MAX},
    types::{TOKEN_LIVE, TOKEN_REVOKED},
};

/// The length of the hash of a token's text (SHA-256), bytes.
pub const HASH_LEN: usize = 32;

/// The version of the encoding that this module writes.
const VERSION: u8 = 1;

const HASH: u8 = 1;
const SCOPE: u8 = 2;
const NAME: u8 = 3;
const MADE_AT: u8 = 4;
const EXPIRES_AT: u8 = 5;
const LATEST_ONLY: u8 = 6;
const CLIENTS_MAX: u8 = 7;
const RATE: u8 = 8;

/// The content of a token's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Whether the token is revoked.
    pub state: TokenState,
    /// SHA-256 of the whole text of the token.
    pub hash: [u8; HASH_LEN],
    /// What the token allows.
    pub scopes: Scopes,
    /// A name for people: at most [`TOKEN_NAME_LEN_MAX`] bytes.
    pub name: String,
    /// When the token was made, POSIX time in nanoseconds.
    pub made_at_ns: u64,
    /// When the token ends, POSIX time in nanoseconds. `None`: never.
    pub expires_at_ns: Option<u64>,
    /// Whether the holder may only see the newest position of clients.
    pub is_latest_only: bool,
    /// Maximum number of clients that the token may add at each server. `None`: the default of the server.
    pub clients_max: Option<u64>,
    /// Maximum number of reports, requests to forget a client and questions about places in a second, at each server.
    /// `None`: no limit.
    pub rate: Option<u32>,
}

/// Whether a token is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The token is valid until its end.
    Live,
    /// The token is revoked, for ever.
    Revoked,
}

impl TokenRecord {
    /// The bytes of the record.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert!(self.name.len() <= TOKEN_NAME_LEN_MAX, "a name keeps its bound");
        let state = match self.state {
            TokenState::Live => TOKEN_LIVE,
            TokenState::Revoked => TOKEN_REVOKED,
        };
        let mut out = vec![VERSION, state];
        put(&mut out, HASH, &self.hash);
        self.scopes.iter().for_each(|scope| put(&mut out, SCOPE, &scope.to_text()));
        put(&mut out, NAME, self.name.as_bytes());
        put(&mut out, MADE_AT, &self.made_at_ns.to_be_bytes());
        if let Some(expires_at_ns) = self.expires_at_ns {
            put(&mut out, EXPIRES_AT, &expires_at_ns.to_be_bytes());
        }
        if self.is_latest_only {
            put(&mut out, LATEST_ONLY, &[]);
        }
        if let Some(clients_max) = self.clients_max {
            put(&mut out, CLIENTS_MAX, &clients_max.to_be_bytes());
        }
        if let Some(rate) = self.rate {
            put(&mut out, RATE, &rate.to_be_bytes());
        }
        out
    }

    /// Reads the bytes of a record. `None`: the bytes are no record of a token that this version can judge. Such a
    /// token is not valid here.
    pub fn decode(bytes: &[u8]) -> Option<TokenRecord> {
        let (&[VERSION, state], mut rest) = bytes.split_first_chunk::<2>()? else { return None };
        let state = match state {
            TOKEN_LIVE => TokenState::Live,
            TOKEN_REVOKED => TokenState::Revoked,
            _ => return None,
        };
        let (mut hash, mut scopes, mut name, mut made_at_ns) = (None, Vec::new(), String::new(), 0);
        let (mut expires_at_ns, mut is_latest_only, mut clients_max, mut rate) = (None, false, None, None);
        while !rest.is_empty() {
            let (tag, value) = take(&mut rest)?;
            match tag {
                HASH => hash = Some(value.try_into().ok()?),
                SCOPE if scopes.len() == SCOPES_MAX => return None,
                SCOPE => scopes.push(Scope::parse(value)?),
                NAME if value.len() > TOKEN_NAME_LEN_MAX => return None,
                NAME => name = std::str::from_utf8(value).ok()?.to_owned(),
                MADE_AT => made_at_ns = number(value)?,
                EXPIRES_AT => expires_at_ns = Some(number(value)?),
                LATEST_ONLY => is_latest_only = true,
                CLIENTS_MAX => clients_max = Some(number(value)?),
                RATE => rate = Some(u32::from_be_bytes(value.try_into().ok()?)),
                _ => {}
            }
        }
        let scopes = Scopes::new(scopes).ok()?;
        Some(TokenRecord {
            state,
            hash: hash?,
            scopes,
            name,
            made_at_ns,
            expires_at_ns,
            is_latest_only,
            clients_max,
            rate,
        })
    }
}

fn put(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let len = u16::try_from(value.len()).expect("scopes and names are shorter than 65536 bytes");
    out.push(tag);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(value);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, high, low], after) = rest.split_first_chunk::<3>()?;
    let (value, after) = after.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    *rest = after;
    Some((tag, value))
}

fn number(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> TokenRecord {
        TokenRecord {
            state: TokenState::Live,
            hash: [7; HASH_LEN],
            scopes: Scopes::parse([b"report:courier-*".as_slice(), b"read:*"]).unwrap(),
            name: "the couriers".to_owned(),
            made_at_ns: 1,
            expires_at_ns: Some(2),
            is_latest_only: true,
            clients_max: Some(3),
            rate: Some(4),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let full = record();
        let revoked = TokenRecord { state: TokenState::Revoked, ..record() };
        let bare = TokenRecord {
            name: String::new(),
            expires_at_ns: None,
            is_latest_only: false,
            clients_max: None,
            rate: None,
            ..record()
        };
        for record in [full, revoked, bare] {
            assert_eq!(TokenRecord::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn fields_of_later_versions_are_skipped_and_other_encodings_are_refused() {
        let mut later = record().encode();
        put(&mut later, 200, b"something new");
        assert_eq!(TokenRecord::decode(&later), Some(record()));
        let whole = record().encode();
        for len in 0..whole.len() {
            // A record that was cut between two fields may be whole, but it never allows more.
            if let Some(cut) = TokenRecord::decode(&whole[..len]) {
                assert!(cut.scopes.iter().all(|scope| record().scopes.iter().any(|one| one == scope)));
            }
        }
        for (place, value) in [(0, 2), (1, 2)] {
            let mut other = record().encode();
            other[place] = value;
            assert_eq!(TokenRecord::decode(&other), None);
        }
    }
}
