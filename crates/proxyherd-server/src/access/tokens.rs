//! The tokens that this server accepts: the operator's token of the configuration, and the records of the herd.
//!
//! [`Tokens::authenticate`] turns the text of a token into rights. The rights of one token are one [`Grant`], which all
//! its connections share. [`Tokens::recheck`] compares each grant with the token's present record and ends grants whose
//! token was revoked, has ended, or has another record. A task calls it every [`RECHECK_INTERVAL`], so a revocation
//! that has reached this server holds on open connections within that time. A share also ends when its maker may no
//! longer read its client.
//!
//! The number of grants is at most the number of records of tokens, which `flood::room` bounds.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use proxyherd_config::{clock, config, config::AccessSettings, door_kind::DoorKind};
use proxyherd_core::{
    access::{HASH_LEN, Maker, SECRET_LEN, Scopes, Share, TokenId, TokenRecord, TokenState, TokenText},
    flood::{Offered, Update, Wake},
    limits::{SHARES_KEPT_MAX, SHARES_MAX},
    replica::Replica,
    types::{Body, ClientId, Kind},
};
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use subtle::ConstantTimeEq as _;

use super::{grant::Grant, guesses::Guesses};

/// Time between two comparisons of the grants with the records.
pub(crate) const RECHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Number of added clients that one recheck looks up, all tokens together.
const SWEEP_LEN: usize = 16 * 1024;
/// Time for which a revocation is kept after the end of its token, seconds. Clocks may differ by less.
const REVOKED_MARGIN_S: u64 = 2 * 86_400;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The tokens that one server accepts.
#[derive(Debug)]
pub(crate) struct Tokens {
    mode: config::Tokens,
    pub(super) replica: Arc<Replica>,
    operator: RwLock<Option<Arc<Grant>>>,
    grants: RwLock<HashMap<TokenId, Arc<Grant>>>,
    /// Maximum number of clients of a token without a limit of its own.
    clients_max: u64,
    guesses: Guesses,
    failures: [AtomicU64; DoorKind::ALL.len()],
    random: SystemRandom,
    /// Held while a share is counted and made, so that no maker exceeds its maximum.
    pub(super) making_share: Mutex<()>,
}

/// A text is not a valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongToken {
    /// The door waits this long before it answers. `None`: too many wrong tokens from this address wait for their
    /// answers. The door does not wait, and tells the caller to come back later or closes the connection.
    pub delay: Option<Duration>,
}

/// What a new token is to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The scopes.
    pub scopes: Scopes,
    /// A name for people, at most [`TOKEN_NAME_LEN_MAX`](proxyherd_core::limits::TOKEN_NAME_LEN_MAX) bytes.
    pub name: String,
    /// Seconds until the token ends. `None`: never.
    pub expires_s: Option<u64>,
    /// Whether the holder may only see the newest position of clients.
    pub is_latest_only: bool,
    /// Maximum number of clients that the token may add at each server. `None`: a tenth of `max_clients`.
    pub clients_max: Option<u64>,
    /// Maximum number of reports, requests to forget a client and questions about places in a second, at each server.
    /// `None`: no limit.
    pub rate: Option<u32>,
}

/// Why a token or a share was not made or not revoked. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The herd has too many tokens.
    #[error(
        "the herd has no room for another token and its revocation: give tokens an end, and use fewer tokens and \
         shares; a revoked token without an end takes room for ever"
    )]
    Full,
    /// The maker has too many shares that show something.
    #[error(
        "this maker has {SHARES_MAX} shares that have not ended, which is the maximum: revoke some, or let them end \
         sooner"
    )]
    TooManyShares,
    /// The maker has too many shares that take room.
    #[error(
        "{SHARES_KEPT_MAX} shares of this maker take room, which is the maximum: a revoked share takes room until two \
         days after its end, so let shares end sooner"
    )]
    TooManySharesKept,
    /// No token has this ID.
    #[error("no token has this ID at this server; `proxyherd token list` shows the IDs")]
    Unknown,
    /// The machine's clock or its random numbers failed.
    #[error("this machine has no time before 2286 or no random numbers")]
    Machine,
    /// The audit log could not be written.
    #[error("the audit log cannot be written: {0}")]
    Audit(#[from] std::io::Error),
}

impl Tokens {
    pub(crate) fn new(settings: &AccessSettings, max_clients: u64, replica: &Arc<Replica>) -> Tokens {
        let operator = settings.operator_token_sha256.map(|hash| Arc::new(Grant::operator(hash)));
        Tokens {
            mode: settings.tokens,
            replica: Arc::clone(replica),
            operator: RwLock::new(operator),
            grants: RwLock::default(),
            clients_max: (max_clients / 10).max(1),
            guesses: Guesses::default(),
            failures: Default::default(),
            random: SystemRandom::new(),
            making_share: Mutex::new(()),
        }
    }

    /// Whether tokens decide what callers may do.
    pub(crate) fn are_on(&self) -> bool {
        self.mode == config::Tokens::On
    }

    /// Replaces the operator's token. Connections that have shown the old one lose their rights.
    pub(crate) fn set_operator(&self, hash: Option<[u8; HASH_LEN]>) {
        let mut operator = self.operator.write();
        if operator.as_ref().map(|grant| grant.record().hash) != hash {
            operator.iter().for_each(|old| old.revoke());
            *operator = hash.map(|hash| Arc::new(Grant::operator(hash)));
        }
    }

    /// The grant of a token.
    pub(crate) fn authenticate(
        &self,
        now_ns: u64,
        door: DoorKind,
        address: IpAddr,
        text: &[u8],
    ) -> Result<Arc<Grant>, WrongToken> {
        self.grant_of(now_ns, text).ok_or_else(|| self.wrong(door, address))
    }

    /// Counts a wrong token, and says when to answer it.
    pub(super) fn wrong(&self, door: DoorKind, address: IpAddr) -> WrongToken {
        self.failures[door as usize].fetch_add(1, Relaxed);
        WrongToken { delay: self.guesses.failed(address, clock::monotonic_ns()) }
    }

    /// The number of wrong tokens that callers have shown at a kind of door, since the start.
    pub(crate) fn failures(&self, door: DoorKind) -> u64 {
        self.failures[door as usize].load(Relaxed)
    }

    /// The grant of a text that has the form of a token. No other text is accepted, even if the configuration has its
    /// hash, because logs find and hide tokens by their form. If tokens are off, only the operator's token is accepted.
    fn grant_of(&self, now_ns: u64, text: &[u8]) -> Option<Arc<Grant>> {
        let id = TokenText::parse(text)?.id().clone();
        let hash = hash_of(text);
        let is_token_of =
            |grant: &Grant| bool::from(grant.record().hash.ct_eq(&hash)) && grant.is_valid(now_ns);
        if let Some(operator) = self.operator.read().as_ref().filter(|grant| is_token_of(grant)) {
            return Some(Arc::clone(operator));
        }
        if !self.are_on() {
            return None;
        }
        let known = self.grants.read().get(&id).cloned();
        // The next recheck ends the grant of a share whose maker has lost its rights. The share is refused before that.
        let may_maker_read = |grant: &Grant| {
            let share = grant.record().share.as_ref();
            share.is_none_or(|share| self.may_maker_read(now_ns, share))
        };
        if let Some(grant) = known.filter(|grant| is_token_of(grant) && may_maker_read(grant)) {
            return Some(grant);
        }
        let record = self.record(now_ns, &id)?;
        let is_this = bool::from(record.hash.ct_eq(&hash));
        if is_this && self.is_valid(now_ns, &record) {
            Some(self.held_grant(now_ns, id, record))
        } else {
            None
        }
    }

    /// The grant of the valid token with this record. All callers share it.
    pub(super) fn held_grant(&self, now_ns: u64, id: TokenId, record: TokenRecord) -> Arc<Grant> {
        let mut grants = self.grants.write();
        if let Some(known) = grants.get(&id) {
            if *known.record() == record && known.is_valid(now_ns) {
                return Arc::clone(known);
            }
            known.revoke();
        }
        let grant = Arc::new(Grant::of(id.clone(), record, self.clients_max));
        grants.insert(id, Arc::clone(&grant));
        grant
    }

    /// Whether a token with this record is valid: it is not revoked and has not ended, and the maker of a share may
    /// still read the client.
    pub(super) fn is_valid(&self, now_ns: u64, record: &TokenRecord) -> bool {
        record.state == TokenState::Live
            && record.expires_at_ns.is_none_or(|end_ns| now_ns < end_ns)
            && record.share.as_ref().is_none_or(|share| self.may_maker_read(now_ns, share))
    }

    /// Whether the maker of a share may still read the share's client.
    pub(super) fn may_maker_read(&self, now_ns: u64, share: &Share) -> bool {
        match share.maker() {
            Maker::Token(id) => self.record(now_ns, id).is_some_and(|maker| {
                let is_live = maker.state == TokenState::Live && maker.share.is_none();
                is_live && maker.scopes.may_read(share.client().as_bytes())
            }),
            Maker::Operator(hash) => {
                self.operator.read().as_ref().is_some_and(|grant| grant.record().hash == *hash)
            }
            Maker::Anybody => !self.are_on(),
        }
    }

    /// Ends the grants whose token is no longer valid, and looks up some of the clients that tokens have added.
    pub(crate) fn recheck(&self, now_ns: u64) {
        let monotonic_ns = clock::monotonic_ns();
        let all: Vec<(TokenId, Arc<Grant>)> =
            self.grants.read().iter().map(|(id, grant)| (id.clone(), Arc::clone(grant))).collect();
        for (id, grant) in &all {
            let record = self.record(now_ns, id);
            let is_same = record.is_some_and(|record| record == *grant.record());
            if !is_same || !self.is_valid(now_ns, grant.record()) {
                grant.revoke();
            }
        }
        self.sweep(all.iter().map(|(_, grant)| &**grant));
        drop(all);
        let mut grants = self.grants.write();
        // A newer grant of the same token may have taken the place of an ended one.
        grants.retain(|_, grant| grant.is_valid(now_ns));
        // A grant that nobody shares and that has counted nothing can be made again at any time.
        grants.retain(|_, grant| Arc::strong_count(grant) > 1 || !grant.is_like_new(monotonic_ns));
    }

    /// Half of the look-ups are for tokens that wait for room. The other half is for all tokens, so that no token
    /// remembers clients for ever that the server no longer holds.
    fn sweep<'g>(&self, grants: impl Iterator<Item = &'g Grant>) {
        let all: Vec<&Grant> = grants.filter(|grant| grant.has_clients()).collect();
        let full: Vec<&Grant> = all.iter().copied().filter(|grant| grant.is_full()).collect();
        for some in [all, full] {
            for grant in &some {
                grant.sweep((SWEEP_LEN / 2).div_ceil(some.len()), |id| self.is_held(id));
            }
        }
    }

    /// Whether a client takes room at this server. A tombstone takes room, too.
    fn is_held(&self, id: &[u8]) -> bool {
        ClientId::new(id).is_some_and(|client| self.replica.holds(client))
    }

    /// The record of a token. `None`: there is none that this version can judge, or the token has ended.
    fn record(&self, now_ns: u64, id: &TokenId) -> Option<TokenRecord> {
        let record = self.kept_record(now_ns, id);
        record.filter(|record| record.expires_at_ns.is_none_or(|end_ns| now_ns < end_ns))
    }

    /// Like [`Tokens::record`], also of a token that has ended, for as long as it is kept.
    pub(super) fn kept_record(&self, now_ns: u64, id: &TokenId) -> Option<TokenRecord> {
        let read = |held: Update<'_>| record_in(held.record.body);
        self.replica.find(now_ns, Kind::TOKEN, id.as_str().as_bytes(), read).flatten()
    }

    /// All tokens that have not ended and are no shares, also revoked ones, by ID.
    pub(crate) fn list(&self, now_ns: u64) -> Vec<(TokenId, TokenRecord)> {
        let has_ended = |record: &TokenRecord| record.expires_at_ns.is_some_and(|end_ns| end_ns <= now_ns);
        self.all_kept(now_ns, |record| record.share.is_none() && !has_ended(record))
    }

    /// The kept tokens with wanted records, by ID.
    pub(super) fn all_kept(
        &self,
        now_ns: u64,
        is_wanted: impl Fn(&TokenRecord) -> bool,
    ) -> Vec<(TokenId, TokenRecord)> {
        let mut all = Vec::new();
        self.replica.for_each_of(now_ns, Kind::TOKEN, |held| {
            let id = std::str::from_utf8(held.record.key).ok().and_then(|id| TokenId::parse(id).ok());
            let record = record_in(held.record.body).filter(&is_wanted);
            all.extend(id.zip(record));
        });
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Makes a token. `before` is called with the token's ID and record before any server can accept the token. If
    /// `before` fails, no token is made.
    pub(crate) fn make(
        &self,
        now_ns: u64,
        new: NewToken,
        before: impl FnOnce(&TokenId, &TokenRecord) -> std::io::Result<()>,
    ) -> Result<(TokenText, TokenRecord, Wake), TokenError> {
        let text = self.new_text()?;
        let expires_at_ns = new.expires_s.map(|after_s| after(now_ns, after_s));
        let record = TokenRecord {
            state: TokenState::Live,
            hash: hash_of(text.reveal().as_bytes()),
            scopes: new.scopes,
            name: new.name,
            made_at_ns: now_ns,
            expires_at_ns,
            is_latest_only: new.is_latest_only,
            clients_max: new.clients_max,
            rate: new.rate,
            share: None,
        };
        let len = record.encode().len();
        if !self.replica.has_room_for_token(text.id().as_str().as_bytes(), len) {
            return Err(TokenError::Full);
        }
        before(text.id(), &record)?;
        let wake = self.publish(now_ns, text.id(), &record, 1)?;
        Ok((text, record, wake))
    }

    /// The text of a new token.
    pub(super) fn new_text(&self) -> Result<TokenText, TokenError> {
        let mut id = [0; 8];
        let mut secret = [0; SECRET_LEN];
        self.random
            .fill(&mut id)
            .and_then(|()| self.random.fill(&mut secret))
            .map_err(|_| TokenError::Machine)?;
        Ok(TokenText::new(TokenId::of_random(u64::from_be_bytes(id)), &secret))
    }

    /// Makes the record of a new token known to the herd, which keeps it for `margin_s` seconds after its end.
    pub(super) fn publish(
        &self,
        now_ns: u64,
        id: &TokenId,
        record: &TokenRecord,
        margin_s: u64,
    ) -> Result<Wake, TokenError> {
        let (key, bytes) = (id.as_str().as_bytes(), record.encode());
        let keep_s = keep_s(now_ns, record, margin_s);
        let (offered, wake) = self.replica.tell(now_ns, Kind::TOKEN, key, keep_s, &bytes);
        match offered {
            Offered::Inserted | Offered::Updated => Ok(wake),
            Offered::Full => Err(TokenError::Full),
            Offered::Stale | Offered::Refused => Err(TokenError::Machine),
        }
    }

    /// Revokes a token at every server. `before` is as in [`Tokens::make`]. A token that is revoked already stays
    /// revoked.
    pub(crate) fn revoke(
        &self,
        now_ns: u64,
        id: &TokenId,
        before: impl FnOnce(&TokenRecord) -> std::io::Result<()>,
    ) -> Result<Wake, TokenError> {
        let record = self.record(now_ns, id).ok_or(TokenError::Unknown)?;
        if record.state == TokenState::Revoked {
            return Ok(Wake::default());
        }
        before(&record)?;
        let revoked = TokenRecord { state: TokenState::Revoked, ..record };
        let keep_s = keep_s(now_ns, &revoked, REVOKED_MARGIN_S);
        let key = id.as_str().as_bytes();
        let (offered, wake) = self.replica.tell(now_ns, Kind::TOKEN, key, keep_s, &revoked.encode());
        if offered != Offered::Updated {
            return Err(TokenError::Machine);
        }
        let is_made_by_it = |share: &Share| matches!(share.maker(), Maker::Token(maker) if maker == id);
        self.grants.write().retain(|held, grant| {
            let ends = held == id || grant.record().share.as_ref().is_some_and(is_made_by_it);
            if ends {
                grant.revoke();
            }
            !ends
        });
        Ok(wake)
    }
}

fn record_in(body: Body<'_>) -> Option<TokenRecord> {
    match body {
        Body::Data { bytes, .. } => TokenRecord::decode(bytes),
        Body::Location { .. } | Body::Gone => None,
    }
}

/// The time for which the record is kept: until the token's end and `margin_s` longer; 0 for ever.
fn keep_s(now_ns: u64, record: &TokenRecord, margin_s: u64) -> u32 {
    record.expires_at_ns.map_or(0, |end_ns| {
        let left_s = end_ns.saturating_sub(now_ns).div_ceil(NANOS_PER_SECOND).saturating_add(margin_s);
        u32::try_from(left_s).unwrap_or(0)
    })
}

/// The time so many seconds later.
pub(super) fn after(now_ns: u64, after_s: u64) -> u64 {
    now_ns.saturating_add(after_s.saturating_mul(NANOS_PER_SECOND))
}

/// SHA-256 of the text of a token.
pub(super) fn hash_of(text: &[u8]) -> [u8; HASH_LEN] {
    let digest = digest::digest(&digest::SHA256, text);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
