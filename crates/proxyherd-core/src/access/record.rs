//! The record of a token: what every server of the herd keeps about it. The key of the record is the token's ID.
//!
//! The first two bytes are the version of the encoding and the state (live or revoked). Fields follow, each with a tag
//! and a length. A reader skips tags that it does not know, so later versions may add fields. A field that an older
//! server must not ignore needs a new version of the encoding: a server refuses tokens whose version it does not know.
//! A revocation of any version is a revocation.
//!
//! The record of a share ([`Share`]) has version 2, because a share ends with the rights of its maker, and a server
//! that does not know this must not accept the share. A share has an end and no scopes: it has the ID of its one
//! client. An ID that ends in a star is one client here, too, and no pattern. A share always shows the newest position
//! alone.

use super::{HASH_LEN, Maker, Scope, Scopes, Share};
use crate::{
    limits::{SCOPES_MAX, TOKEN_NAME_LEN_MAX},
    types::{ClientId, TOKEN_LIVE, TOKEN_REVOKED},
};

/// The version of the encoding of every token that is no share.
const VERSION: u8 = 1;
/// The version of the encoding of shares.
const SHARE_VERSION: u8 = 2;

const HASH: u8 = 1;
const SCOPE: u8 = 2;
const NAME: u8 = 3;
const MADE_AT: u8 = 4;
const EXPIRES_AT: u8 = 5;
const LATEST_ONLY: u8 = 6;
const CLIENTS_MAX: u8 = 7;
const RATE: u8 = 8;
const SHARED_CLIENT: u8 = 9;
const SHARE_MAKER: u8 = 10;

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
    /// What makes the token a share. `None`: the token is no share.
    pub share: Option<Share>,
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
        let version = if self.share.is_some() { SHARE_VERSION } else { VERSION };
        let mut out = vec![version, state];
        put(&mut out, HASH, &self.hash);
        match &self.share {
            Some(share) => {
                debug_assert!(
                    self.scopes == share.scopes(),
                    "a share allows to read its client and nothing else"
                );
                debug_assert!(self.is_latest_only && self.expires_at_ns.is_some(), "a share has an end");
                put(&mut out, SHARED_CLIENT, share.client().as_bytes());
                put(&mut out, SHARE_MAKER, &share.maker().to_bytes());
            }
            None => self.scopes.iter().for_each(|scope| put(&mut out, SCOPE, &scope.to_text())),
        }
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
        let (&[version, state], mut rest) = bytes.split_first_chunk::<2>()?;
        let state = match state {
            TOKEN_LIVE => TokenState::Live,
            TOKEN_REVOKED => TokenState::Revoked,
            _ => return None,
        };
        let mut fields = Fields::default();
        while !rest.is_empty() {
            let (tag, value) = take(&mut rest)?;
            fields.read(tag, value)?;
        }
        match version {
            VERSION => fields.token(state),
            SHARE_VERSION => fields.share(state),
            _ => None,
        }
    }

    /// The share with this end, made at this time, POSIX time in nanoseconds.
    pub fn of_share(share: Share, hash: [u8; HASH_LEN], made_at_ns: u64, expires_at_ns: u64) -> TokenRecord {
        TokenRecord {
            state: TokenState::Live,
            hash,
            scopes: share.scopes(),
            name: String::new(),
            made_at_ns,
            expires_at_ns: Some(expires_at_ns),
            is_latest_only: true,
            clients_max: None,
            rate: None,
            share: Some(share),
        }
    }
}

/// The fields of a record that is being read.
#[derive(Default)]
struct Fields<'r> {
    hash: Option<[u8; HASH_LEN]>,
    scopes: Vec<Scope>,
    name: &'r str,
    made_at_ns: u64,
    expires_at_ns: Option<u64>,
    is_latest_only: bool,
    clients_max: Option<u64>,
    rate: Option<u32>,
    shared_client: Option<&'r [u8]>,
    share_maker: Option<&'r [u8]>,
}

impl<'r> Fields<'r> {
    /// Reads one field. `None`: this version cannot judge the value.
    fn read(&mut self, tag: u8, value: &'r [u8]) -> Option<()> {
        match tag {
            HASH => self.hash = Some(value.try_into().ok()?),
            SCOPE if self.scopes.len() == SCOPES_MAX => return None,
            SCOPE => self.scopes.push(Scope::parse(value)?),
            NAME if value.len() > TOKEN_NAME_LEN_MAX => return None,
            NAME => self.name = std::str::from_utf8(value).ok()?,
            MADE_AT => self.made_at_ns = number(value)?,
            EXPIRES_AT => self.expires_at_ns = Some(number(value)?),
            LATEST_ONLY => self.is_latest_only = true,
            CLIENTS_MAX => self.clients_max = Some(number(value)?),
            RATE => self.rate = Some(u32::from_be_bytes(value.try_into().ok()?)),
            SHARED_CLIENT => self.shared_client = Some(value),
            SHARE_MAKER => self.share_maker = Some(value),
            _ => {}
        }
        Some(())
    }

    fn token(self, state: TokenState) -> Option<TokenRecord> {
        Some(TokenRecord {
            state,
            hash: self.hash?,
            scopes: Scopes::new(self.scopes).ok()?,
            name: self.name.to_owned(),
            made_at_ns: self.made_at_ns,
            expires_at_ns: self.expires_at_ns,
            is_latest_only: self.is_latest_only,
            clients_max: self.clients_max,
            rate: self.rate,
            share: None,
        })
    }

    fn share(self, state: TokenState) -> Option<TokenRecord> {
        if !self.scopes.is_empty() {
            return None;
        }
        let share = Share::new(ClientId::new(self.shared_client?)?, Maker::parse(self.share_maker?)?);
        let record = TokenRecord::of_share(share, self.hash?, self.made_at_ns, self.expires_at_ns?);
        Some(TokenRecord { state, ..record })
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
    use super::{super::TokenId, *};

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
            share: None,
        }
    }

    fn share(client: &[u8], maker: Maker) -> TokenRecord {
        let share = Share::new(ClientId::new(client).unwrap(), maker);
        TokenRecord::of_share(share, [7; HASH_LEN], 1, 2)
    }

    fn makers() -> [Maker; 3] {
        [Maker::Token(TokenId::parse("k1w1").unwrap()), Maker::Operator([9; HASH_LEN]), Maker::Anybody]
    }

    #[test]
    fn a_share_is_read_as_it_was_written_and_shows_one_client_whatever_its_id() {
        for maker in makers() {
            for client in [b"kiwi".as_slice(), b"courier-*", b"*", b"\xff"] {
                let record = share(client, maker.clone());
                let read = TokenRecord::decode(&record.encode()).unwrap();
                assert_eq!(read, record);
                assert!(read.scopes.may_read(client) && !read.scopes.may_read(b"courier-7"), "{client:?}");
                let revoked = TokenRecord { state: TokenState::Revoked, ..record };
                assert_eq!(TokenRecord::decode(&revoked.encode()), Some(revoked));
            }
        }
    }

    #[test]
    fn a_share_that_lacks_a_part_is_refused_and_earlier_versions_refuse_every_share() {
        let whole = share(b"kiwi", Maker::Anybody).encode();
        assert_eq!(whole[0], SHARE_VERSION, "a server of an earlier version accepts version 1 alone");
        let mut scoped = whole.clone();
        put(&mut scoped, SCOPE, b"read:*");
        assert_eq!(TokenRecord::decode(&scoped), None);
        for missing in [HASH, SHARED_CLIENT, SHARE_MAKER, EXPIRES_AT] {
            let (mut kept, mut rest) = (whole[..2].to_vec(), &whole[2..]);
            while let Some((tag, value)) = take(&mut rest) {
                if tag != missing {
                    put(&mut kept, tag, value);
                }
            }
            assert_eq!(TokenRecord::decode(&kept), None, "{missing}");
        }
        let mut later_maker = whole;
        put(&mut later_maker, SHARE_MAKER, &[200]);
        assert_eq!(TokenRecord::decode(&later_maker), None);
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
        for (place, value) in [(0, 2), (0, 3), (1, 2)] {
            let mut other = record().encode();
            other[place] = value;
            assert_eq!(TokenRecord::decode(&other), None);
        }
    }
}
