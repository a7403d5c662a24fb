//! Shares: links that show one client's newest position to whoever has them, until they end.
//!
//! A share is a token of its own kind. Whoever may read a client may make shares of it, so with tokens off everybody
//! may. A share makes no shares. The token of a share is judged in the same way whether tokens are on or off
//! ([`Herd::authenticate_share`]).

use std::net::SocketAddr;

use proxyherd_config::{clock, door_kind::DoorKind};
use proxyherd_core::{
    access::{Maker, Share, TokenId, TokenRecord, TokenText},
    types::ClientId,
};
use proxyherd_log::{LogLevel, Subject};

use super::{Denied, Herd, TokenRefusal, access::Verb};
use crate::{
    access::{NoShare, TokenError},
    caller::{Caller, Rights},
};

impl Herd {
    /// Makes a share of a client that ends after `expires_s`, or with the caller's token, if that is sooner. The caller
    /// must be allowed to read the client, and must not be a share. Nobody can read the returned text again. The call
    /// counts in the rate of the caller's token. This waits for the disk.
    pub fn make_share(
        &self,
        caller: &Caller,
        now_ns: u64,
        client: ClientId<'_>,
        expires_s: u64,
    ) -> Result<(TokenText, TokenRecord), TokenRefusal> {
        let maker = maker(caller)?;
        Denied::unless_reads(caller, now_ns, client.as_bytes())?;
        Denied::unless_in_rate(caller, clock::monotonic_ns())?;
        let maker_ends_at_ns = caller.rights.grant().map_or(u64::MAX, |grant| grant.ends_at_ns());
        let share = Share::new(client, maker);
        let (text, record, wake) = self.audited(Verb::Make, caller, |before| {
            self.tokens.make_share(now_ns, share, expires_s, maker_ends_at_ns, before)
        })?;
        self.wake(wake);
        Ok((text, record))
    }

    /// The shares that show something, by ID: those that the caller has made, or all if the caller may operate.
    pub fn shares(&self, caller: &Caller, now_ns: u64) -> Result<Vec<(TokenId, TokenRecord)>, Denied> {
        let maker = maker(caller)?;
        Denied::unless_reads_some(caller, now_ns)?;
        let of = (!caller.rights.may_operate(now_ns)).then_some(&maker);
        Ok(self.tokens.shares(now_ns, of))
    }

    /// Revokes a share in the whole herd, for ever. The caller must have made the share, or be allowed to operate. This
    /// waits for the disk.
    pub fn revoke_share(&self, caller: &Caller, now_ns: u64, id: &TokenId) -> Result<(), TokenRefusal> {
        let caller_as_maker = maker(caller)?;
        Denied::unless_reads_some(caller, now_ns)?;
        let made_by = self.tokens.maker_of_share(now_ns, id).ok_or(TokenError::Unknown)?;
        if made_by != caller_as_maker && !caller.rights.may_operate(now_ns) {
            return Err(Denied::OthersShare.into());
        }
        self.revoke_audited(caller, now_ns, id)
    }

    /// The rights of a caller that shows the token of a share. They are the same whether tokens are on or off. A door
    /// must answer a wrong token after its delay.
    pub fn authenticate_share(
        &self,
        now_ns: u64,
        door: DoorKind,
        address: SocketAddr,
        text: &[u8],
    ) -> Result<Rights, NoShare> {
        let shown = self.tokens.share_of(now_ns, door, address.ip(), text);
        if let Err(NoShare::Wrong(_)) = shown {
            let message = format_args!("showed a token of no share ({} door)", door.label());
            self.log.event(LogLevel::Warn, Subject::Client(address), message);
        }
        shown.map(Rights::Token)
    }
}

/// The caller as the maker of shares.
fn maker(caller: &Caller) -> Result<Maker, Denied> {
    match &caller.rights {
        Rights::All => Ok(Maker::Anybody),
        Rights::None => Err(Denied::Read),
        Rights::Token(grant) => grant.as_maker().ok_or(Denied::Share),
    }
}
