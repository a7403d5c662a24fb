//! The pure parts of access tokens: the text of a token, its scopes, and its record. A share is a token, too.
//!
//! A token is a text that its holder shows at a door. The herd never keeps the text. It keeps a record with the hash of
//! the text and with what the token allows. All servers read the same records, so a token works at every server.
//!
//! A revocation is a record of the same key. It wins over every other record of that key, whatever the versions are
//! (`types::Record::precedence`). So no old record makes a revoked token valid again while a server holds the
//! revocation.
//!
//! Nothing here computes a hash, reads a clock, or draws a random number.

mod record;
mod scope;
mod share;
mod text;

pub use self::{
    record::{TokenRecord, TokenState},
    scope::{BadScopes, Scope, Scopes},
    share::{Maker, Share},
    text::{BadTokenId, HASH_LEN, SECRET_LEN, TOKEN_PREFIX, TokenId, TokenText},
};
