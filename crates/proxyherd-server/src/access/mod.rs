//! Who may do what: the tokens that this server accepts, and what they allow.
//!
//! `tokens` turns the text of a token into a [`Grant`], and makes and revokes tokens. `shares` makes and judges shares,
//! the tokens that show one client. `grant` has the rights and the limits of one token. `guesses` slows callers that
//! show wrong tokens. `audit` notes who made and revoked which token.
//!
//! A text of a token is in memory only while it is being checked or has just been made. Records, logs and errors hold
//! hashes and IDs. This module does not know doors, and it does not know which operation needs which right.

mod audit;
mod grant;
mod guesses;
mod shares;
mod tokens;

pub(crate) use self::{
    audit::AuditLog,
    tokens::{RECHECK_INTERVAL, Tokens},
};
pub use self::{
    grant::Grant,
    shares::{NoShare, ShareOver},
    tokens::{NewToken, TokenError, WrongToken},
};
