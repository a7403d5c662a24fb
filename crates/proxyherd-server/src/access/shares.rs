//! Shares: tokens that show the newest position of one client, made by anybody who may read the client.
//!
//! A share is valid only while its maker may read the client ([`Tokens::is_valid`]), and never longer than the maker's
//! token. Whether tokens are on or off makes no difference for the token of a share.
//!
//! Shares take the room of tokens. So that no maker fills this room, a maker has at most [`SHARES_MAX`] shares that
//! show something, and at most [`SHARES_KEPT_MAX`] that take room; and half of the room is only for tokens that are no
//! shares.

use std::{net::IpAddr, sync::Arc};

use proxyherd_config::door_kind::DoorKind;
use proxyherd_core::{
    access::{Maker, Share, TokenId, TokenRecord, TokenState, TokenText},
    flood::Wake,
    limits::{SHARE_KEPT_S, SHARES_KEPT_MAX, SHARES_MAX},
    types::ClientId,
};
use subtle::ConstantTimeEq as _;

use super::{
    grant::Grant,
    tokens::{TokenError, Tokens, WrongToken, after, hash_of},
};

/// Why a text shows no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoShare {
    /// No token that this server knows has this text. Shares that ended long ago are not known any more.
    Wrong(WrongToken),
    /// The token is no share.
    Other,
    /// The share shows nothing any more.
    Over(ShareOver),
}

/// Why a share shows nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareOver {
    /// Its time has passed.
    #[error("the share has ended")]
    Ended,
    /// It was revoked.
    #[error("the share was revoked")]
    Revoked,
    /// Its maker may not read the client any more.
    #[error("the rights of the share's maker have ended")]
    MakerEnded,
}

impl Tokens {
    /// The grant of a share, whether tokens are on or off.
    pub(crate) fn share_of(
        &self,
        now_ns: u64,
        door: DoorKind,
        address: IpAddr,
        text: &[u8],
    ) -> Result<Arc<Grant>, NoShare> {
        let Some((id, record)) = self.kept_token(now_ns, text) else {
            // The operator's token is no record.
            let shown = self.authenticate(now_ns, door, address, text);
            return Err(shown.map_or_else(NoShare::Wrong, |_| NoShare::Other));
        };
        let Some(share) = &record.share else {
            let is_accepted = self.are_on() && self.is_valid(now_ns, &record);
            return Err(if is_accepted { NoShare::Other } else { NoShare::Wrong(self.wrong(door, address)) });
        };
        if record.state == TokenState::Revoked {
            return Err(NoShare::Over(ShareOver::Revoked));
        }
        if record.expires_at_ns.is_some_and(|end_ns| end_ns <= now_ns) {
            return Err(NoShare::Over(ShareOver::Ended));
        }
        if !self.may_maker_read(now_ns, share) {
            return Err(NoShare::Over(ShareOver::MakerEnded));
        }
        Ok(self.held_grant(now_ns, id, record))
    }

    /// The grant of a share that shows something. `None`: the text is anything else.
    pub(crate) fn valid_share_of(&self, now_ns: u64, text: &[u8]) -> Option<Arc<Grant>> {
        let (id, record) = self.kept_token(now_ns, text)?;
        let is_share = record.share.is_some() && self.is_valid(now_ns, &record);
        is_share.then(|| self.held_grant(now_ns, id, record))
    }

    /// The record of the token with this text, for as long as it is kept.
    fn kept_token(&self, now_ns: u64, text: &[u8]) -> Option<(TokenId, TokenRecord)> {
        let id = TokenText::parse(text)?.id().clone();
        let record = self.kept_record(now_ns, &id)?;
        bool::from(record.hash.ct_eq(&hash_of(text))).then_some((id, record))
    }

    /// Makes a share of a client that its maker may read. `maker_ends_at_ns` bounds the share's end. `before` is as in
    /// [`Tokens::make`].
    pub(crate) fn make_share(
        &self,
        now_ns: u64,
        share: Share,
        expires_s: u64,
        maker_ends_at_ns: u64,
        before: impl FnOnce(&TokenId, &TokenRecord) -> std::io::Result<()>,
    ) -> Result<(TokenText, TokenRecord, Wake), TokenError> {
        let text = self.new_text()?;
        let hash = hash_of(text.reveal().as_bytes());
        let ends_at_ns = after(now_ns, expires_s).min(maker_ends_at_ns);
        let _making = self.making_share.lock();
        self.check_number(now_ns, share.maker())?;
        let record = TokenRecord::of_share(share, hash, now_ns, ends_at_ns);
        if !self.replica.has_room_for_share(text.id().as_str().as_bytes(), record.encode().len()) {
            return Err(TokenError::Full);
        }
        before(text.id(), &record)?;
        let wake = self.publish(now_ns, text.id(), &record, SHARE_KEPT_S)?;
        Ok((text, record, wake))
    }

    /// An error if the maker has as many shares as it may have.
    fn check_number(&self, now_ns: u64, maker: &Maker) -> Result<(), TokenError> {
        let is_own = |record: &TokenRecord| record.share.as_ref().is_some_and(|share| share.maker() == maker);
        let kept = self.all_kept(now_ns, is_own);
        let showing = kept.iter().filter(|(_, record)| self.is_valid(now_ns, record));
        may_make_one_more(kept.len(), showing.count())
    }

    /// The shares that show something, by ID: those of one maker, or all.
    pub(crate) fn shares(&self, now_ns: u64, of: Option<&Maker>) -> Vec<(TokenId, TokenRecord)> {
        let is_wanted = |share: &Share| of.is_none_or(|maker| share.maker() == maker);
        let mut shares = self.all_kept(now_ns, |record| record.share.as_ref().is_some_and(is_wanted));
        shares.retain(|(_, record)| self.is_valid(now_ns, record));
        shares
    }

    /// The maker of a share that has not ended, also of a revoked one. `None`: no share has this ID.
    pub(crate) fn maker_of_share(&self, now_ns: u64, id: &TokenId) -> Option<Maker> {
        let record = self.kept_record(now_ns, id)?;
        let is_over = record.expires_at_ns.is_some_and(|end_ns| end_ns <= now_ns);
        record.share.filter(|_| !is_over).map(|share| share.maker().clone())
    }
}

/// Whether a maker with so many shares that take room, and so many that show something, may make one more.
fn may_make_one_more(kept: usize, showing: usize) -> Result<(), TokenError> {
    match (kept, showing) {
        (_, SHARES_MAX..) => Err(TokenError::TooManyShares),
        (SHARES_KEPT_MAX.., _) => Err(TokenError::TooManySharesKept),
        _ => Ok(()),
    }
}

impl Grant {
    /// The client that the share shows. `None`: the token is no share.
    pub fn shared_client(&self) -> Option<ClientId<'_>> {
        self.record().share.as_ref().map(Share::client)
    }

    /// The holder of the token, as the maker of shares. `None`: the token is a share, and a share makes no shares.
    pub(crate) fn as_maker(&self) -> Option<Maker> {
        let record = self.record();
        let maker = || self.id().map_or(Maker::Operator(record.hash), |id| Maker::Token(id.clone()));
        record.share.is_none().then(maker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoked_and_ended_shares_count_against_a_bound_of_their_own() {
        for (kept, showing, expected) in [
            (0, 0, "Ok(())"),
            (SHARES_KEPT_MAX - 1, SHARES_MAX - 1, "Ok(())"),
            (SHARES_MAX, SHARES_MAX, "Err(TooManyShares)"),
            (SHARES_KEPT_MAX, SHARES_MAX - 1, "Err(TooManySharesKept)"),
        ] {
            assert_eq!(format!("{:?}", may_make_one_more(kept, showing)), expected, "{kept} {showing}");
        }
    }
}
