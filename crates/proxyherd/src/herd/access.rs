//! Which rights callers get, and the tokens of the herd: how they are made, listed and revoked.
//!
//! A token is made and revoked by a record of the herd, so the change reaches every server that has a path to this one.
//! The audit log has a line before anything changes.

use std::net::SocketAddr;

use proxyherd_core::access::{TokenId, TokenRecord, TokenText};
use proxyherd_log::{LogLevel, Subject};

use super::{Denied, Herd};
use crate::{
    access::{NewToken, TokenError, WrongToken},
    caller::{Caller, Rights},
    door_kind::DoorKind,
};

/// Why a call about tokens failed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefusal {
    /// The caller may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The token could not be made or revoked.
    #[error(transparent)]
    Failed(#[from] TokenError),
}

impl Herd {
    /// Whether tokens decide what callers may do. Otherwise every caller may do everything.
    pub fn are_tokens_on(&self) -> bool {
        self.tokens.are_on()
    }

    /// The rights of a caller that has shown no token.
    pub fn rights_without_token(&self) -> Rights {
        if self.tokens.are_on() { Rights::NONE } else { Rights::ALL }
    }

    /// The rights of a caller that shows this text at a door. If tokens are off, every text is accepted. A caller that
    /// shows a wrong token must lose the rights that it had, and the door must answer it after the delay.
    pub fn authenticate(
        &self,
        now_ns: u64,
        door: DoorKind,
        address: SocketAddr,
        text: &[u8],
    ) -> Result<Rights, WrongToken> {
        if !self.tokens.are_on() {
            return Ok(Rights::ALL);
        }
        let grant = self.tokens.authenticate(now_ns, door, address.ip(), text);
        let grant = grant.inspect_err(|_| {
            let message =
                format_args!("showed a token that is wrong, revoked or past its end ({} door)", door.label());
            self.log.event(LogLevel::Warn, Subject::Client(address), message);
        })?;
        Ok(Rights::Token(grant))
    }

    /// Makes a token. The caller must be allowed to operate. Nobody can read the returned text again. This waits for
    /// the disk.
    pub fn make_token(
        &self,
        caller: &Caller,
        now_ns: u64,
        new: NewToken,
    ) -> Result<(TokenText, TokenRecord), TokenRefusal> {
        Denied::unless_operates(caller, now_ns)?;
        let audited = |id: &TokenId, record: &TokenRecord| self.audit("made", caller, id, record);
        let (text, record, wake) = self.tokens.make(now_ns, new, audited)?;
        self.wake(wake);
        Ok((text, record))
    }

    /// All tokens that have not ended, by ID. The caller must be allowed to operate.
    pub fn tokens(&self, caller: &Caller, now_ns: u64) -> Result<Vec<(TokenId, TokenRecord)>, Denied> {
        Denied::unless_operates(caller, now_ns)?;
        Ok(self.tokens.list(now_ns))
    }

    /// Revokes a token in the whole herd, for ever. The caller must be allowed to operate. This waits for the disk.
    pub fn revoke_token(&self, caller: &Caller, now_ns: u64, id: &TokenId) -> Result<(), TokenRefusal> {
        Denied::unless_operates(caller, now_ns)?;
        let wake = self.tokens.revoke(now_ns, id, |record| self.audit("revoked", caller, id, record))?;
        self.wake(wake);
        Ok(())
    }

    /// Writes a line to the audit log.
    fn audit(&self, done: &str, caller: &Caller, id: &TokenId, record: &TokenRecord) -> std::io::Result<()> {
        let by = match &caller.rights {
            Rights::Token(grant) => {
                grant.id().map_or("the operator's token".to_owned(), |id| format!("token {id}"))
            }
            Rights::All => "a caller without a token (tokens are off)".to_owned(),
            Rights::None => "nobody".to_owned(),
        };
        let scopes: Vec<String> = record.scopes.iter().map(ToString::to_string).collect();
        let end = record.expires_at_ns.map_or("never ends".to_owned(), |end_ns| {
            let end = jiff::Timestamp::from_nanosecond(end_ns.into()).ok();
            end.map_or("ends later".to_owned(), |end| format!("ends {end:.0}"))
        });
        let line = format!(
            "{} {done} token {id} scopes {:?} name {:?} {end}; by {by} from {} at the {} door",
            self.name(),
            scopes.join(" "),
            record.name,
            caller.address,
            caller.door.label()
        );
        self.audit.write(&line)?;
        self.log.event(LogLevel::Info, Subject::Server, format_args!("{done} token {id}; by {by}"));
        Ok(())
    }
}
