//! A share: a token that shows the newest position of one client until the token's end.
//!
//! A share never shows more than its maker may read. So each share names its maker, and a server accepts the share only
//! while the maker may still read the client. [`Maker`] says what this means for each kind of maker; the server, which
//! knows the makers' records, checks it.

use super::{HASH_LEN, Scope, Scopes, TokenId};
use crate::types::{ClientId, IdPattern};

const TOKEN: u8 = 1;
const OPERATOR: u8 = 2;
const ANYBODY: u8 = 3;

/// Which client a share shows, and who made the share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    client: Box<[u8]>,
    maker: Maker,
}

/// Who made a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// The holder of the token with this ID. The share ends when this token is revoked or ends.
    Token(TokenId),
    /// The holder of the operator's token with this hash. The share ends when herd.toml has another hash.
    Operator([u8; HASH_LEN]),
    /// A caller without a token, at a server with tokens off. Servers with tokens on do not accept the share.
    Anybody,
}

impl Share {
    /// The share of a client.
    pub fn new(client: ClientId<'_>, maker: Maker) -> Share {
        Share { client: client.as_bytes().into(), maker }
    }

    /// The only client that the share shows.
    pub fn client(&self) -> ClientId<'_> {
        ClientId::new(&self.client).expect("a share is made of a client's ID")
    }

    /// Who made the share.
    pub fn maker(&self) -> &Maker {
        &self.maker
    }

    /// What the share allows: to read its client.
    pub fn scopes(&self) -> Scopes {
        let only = Scope::Read(IdPattern::one(self.client()));
        Scopes::new([only]).expect("one scope with one ID keeps the bounds of scopes")
    }
}

impl Maker {
    /// The bytes that [`Maker::parse`] reads.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Maker::Token(id) => [&[TOKEN], id.as_str().as_bytes()].concat(),
            Maker::Operator(hash) => [&[OPERATOR], &hash[..]].concat(),
            Maker::Anybody => vec![ANYBODY],
        }
    }

    /// Reads a maker. `None`: this version does not know such a maker.
    pub(super) fn parse(bytes: &[u8]) -> Option<Maker> {
        match bytes.split_first()? {
            (&TOKEN, id) => TokenId::parse(std::str::from_utf8(id).ok()?).ok().map(Maker::Token),
            (&OPERATOR, hash) => hash.try_into().ok().map(Maker::Operator),
            (&ANYBODY, []) => Some(Maker::Anybody),
            _ => None,
        }
    }
}
