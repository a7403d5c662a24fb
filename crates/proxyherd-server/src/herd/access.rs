//! Which rights callers get, and the tokens of the herd: how they are made, listed and revoked. Shares are in `shares`.
//!
//! A token is made and revoked by a record of the herd, so the change reaches every server that has a path to this one.
//! The audit log has a line before anything changes.

use std::net::SocketAddr;

use proxyherd_config::{clock, door_kind::DoorKind};
use proxyherd_core::access::{HASH_LEN, TokenId, TokenRecord, TokenText};
use proxyherd_log::{LogLevel, Subject};

use super::{Denied, Herd};
use crate::{
    access::{NewToken, TokenError, WrongToken},
    caller::{Caller, Rights},
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

/// What the audit log says is done with a token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    Make,
    Revoke,
}

impl Verb {
    fn done(self) -> &'static str {
        match self {
            Verb::Make => "made",
            Verb::Revoke => "revoked",
        }
    }

    fn infinitive(self) -> &'static str {
        match self {
            Verb::Make => "make",
            Verb::Revoke => "revoke",
        }
    }
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

    /// The rights of a caller that shows this text at a door. If tokens are off, every text is accepted. The token of a
    /// share that shows something then gives the rights of the share, so that what the share's reader sees ends with
    /// the share; every other text gives all rights. A caller that shows a wrong token must lose the rights that it
    /// had, and the door must answer it after the delay.
    pub fn authenticate(
        &self,
        now_ns: u64,
        door: DoorKind,
        address: SocketAddr,
        text: &[u8],
    ) -> Result<Rights, WrongToken> {
        if !self.tokens.are_on() {
            return Ok(self.tokens.valid_share_of(now_ns, text).map_or(Rights::ALL, Rights::Token));
        }
        self.authenticate_even_if_off(now_ns, door, address, text)
    }

    /// Like [`Herd::authenticate`], but if tokens are off, only the operator's token is accepted. Calls about tokens
    /// need this, because other servers of the herd may have tokens on.
    pub fn authenticate_even_if_off(
        &self,
        now_ns: u64,
        door: DoorKind,
        address: SocketAddr,
        text: &[u8],
    ) -> Result<Rights, WrongToken> {
        let grant = self.tokens.authenticate(now_ns, door, address.ip(), text);
        let grant = grant.inspect_err(|_| {
            let message =
                format_args!("showed a token that is wrong, revoked or past its end ({} door)", door.label());
            self.log.event(LogLevel::Warn, Subject::Client(address), message);
        })?;
        Ok(Rights::Token(grant))
    }

    /// Makes a token. The caller must be allowed to operate; if tokens are off, it must have shown the operator's
    /// token. Nobody can read the returned text again. This waits for the disk.
    pub fn make_token(
        &self,
        caller: &Caller,
        now_ns: u64,
        new: NewToken,
    ) -> Result<(TokenText, TokenRecord), TokenRefusal> {
        Denied::unless_operates_tokens(caller, now_ns, self.tokens.are_on())?;
        let (text, record, wake) =
            self.audited(Verb::Make, caller, |before| self.tokens.make(now_ns, new, before))?;
        self.wake(wake);
        Ok((text, record))
    }

    /// Calls `make`, and writes a line to the audit log before anything changes. If `make` then fails, a further line
    /// says so.
    pub(super) fn audited<T>(
        &self,
        verb: Verb,
        caller: &Caller,
        make: impl FnOnce(&mut dyn FnMut(&TokenId, &TokenRecord) -> std::io::Result<()>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let mut audited = None;
        let made = make(&mut |id: &TokenId, record: &TokenRecord| {
            self.audit(verb.done(), caller, id, record)?;
            audited = Some((id.clone(), record.clone()));
            Ok(())
        });
        if let (Err(error), Some((id, record))) = (&made, audited) {
            // The line before is wrong. If this line cannot be written, the caller still hears of the failure.
            let failed = format!("did not {} (because {error})", verb.infinitive());
            let _ = self.audit(&failed, caller, &id, &record);
        }
        made
    }

    /// All tokens that have not ended, by ID. The caller must be allowed to do this as in [`Herd::make_token`].
    pub fn tokens(&self, caller: &Caller, now_ns: u64) -> Result<Vec<(TokenId, TokenRecord)>, Denied> {
        Denied::unless_operates_tokens(caller, now_ns, self.tokens.are_on())?;
        Ok(self.tokens.list(now_ns))
    }

    /// Revokes a token in the whole herd, for ever. The caller must be allowed to do this as in [`Herd::make_token`].
    /// This waits for the disk.
    pub fn revoke_token(&self, caller: &Caller, now_ns: u64, id: &TokenId) -> Result<(), TokenRefusal> {
        Denied::unless_operates_tokens(caller, now_ns, self.tokens.are_on())?;
        self.revoke_audited(caller, now_ns, id)
    }

    /// Revokes a token for a caller that may do this.
    pub(super) fn revoke_audited(
        &self,
        caller: &Caller,
        now_ns: u64,
        id: &TokenId,
    ) -> Result<(), TokenRefusal> {
        let wake = self.audited(Verb::Revoke, caller, |before| {
            self.tokens.revoke(now_ns, id, |record| before(id, record))
        })?;
        self.wake(wake);
        Ok(())
    }

    /// Notes in the audit log that a caller with a valid token has tried to make, list or revoke tokens and may not.
    /// The log has at most one such line a second, so that no caller can fill the disk. This may wait for the disk.
    pub fn note_denied_token_call(&self, caller: &Caller) {
        if !self.audit.takes_denied(clock::monotonic_ns()) {
            return;
        }
        let (name, by) = (self.name(), by(caller));
        let (address, door) = (caller.address, caller.door.label());
        let denied = format!(
            "{name} refused to make, list or revoke tokens: {by} may not, from {address} at the {door} door"
        );
        if let Err(error) = self.audit.write(&denied) {
            let message = format_args!("the audit log cannot be written: {error}");
            self.log.event(LogLevel::Error, Subject::Server, message);
        }
    }

    /// Takes a new hash of the operator's token, and notes this in the audit log. The new hash holds even if the audit
    /// log cannot be written, because the old token may be in wrong hands. This may wait for the disk.
    pub(super) fn change_operator_token(&self, sha256: Option<[u8; HASH_LEN]>) {
        self.tokens.set_operator(sha256);
        let now = if sha256.is_some() { "has another hash" } else { "has no hash" };
        let line = format!("{} took a change of herd.toml: the operator's token {now} now", self.name());
        if let Err(error) = self.audit.write(&line) {
            let message = format_args!("the audit log cannot be written: {error}");
            self.log.event(LogLevel::Error, Subject::Server, message);
        }
    }

    /// Writes a line to the audit log.
    fn audit(&self, done: &str, caller: &Caller, id: &TokenId, record: &TokenRecord) -> std::io::Result<()> {
        let by = by(caller);
        let end = record.expires_at_ns.map_or("never ends".to_owned(), |end_ns| {
            let end = jiff::Timestamp::from_nanosecond(end_ns.into()).ok();
            end.map_or("ends later".to_owned(), |end| format!("ends {end:.0}"))
        });
        let what = match &record.share {
            Some(share) => format!("share {id} of the client {:?}", share.client()),
            None => {
                let scopes: Vec<String> = record.scopes.iter().map(ToString::to_string).collect();
                format!("token {id} scopes {:?} name {:?}", scopes.join(" "), record.name)
            }
        };
        let (server, address, door) = (self.name(), caller.address, caller.door.label());
        let line = format!("{server} {done} {what} {end}; by {by} from {address} at the {door} door");
        self.audit.write(&line)?;
        let kind = if record.share.is_some() { "share" } else { "token" };
        self.log.event(LogLevel::Info, Subject::Server, format_args!("{done} {kind} {id}; by {by}"));
        Ok(())
    }
}

/// Which token a caller has shown, for logs.
pub(super) fn by(caller: &Caller) -> String {
    match &caller.rights {
        Rights::Token(grant) => grant.label(),
        Rights::All => "a caller without a token".to_owned(),
        Rights::None => "nobody".to_owned(),
    }
}
