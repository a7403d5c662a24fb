//! The rights that `Herd`'s methods need. Each method names one right and checks this right for all doors.
//!
//! A denied method changes nothing and reveals nothing. The entrance and the doors decide which rights a caller has.

use std::sync::Arc;

use proxyherd_core::{replica::Unfinished, types::IdPattern};

use crate::{access::Grant, caller::Caller};

/// A call was refused because the caller lacks this right. The call changed nothing and revealed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// To report or to forget a client.
    #[error("this caller may not report this client")]
    Report,
    /// To learn where clients are, or to watch them.
    #[error("this caller may not ask where these clients are")]
    Read,
    /// To ask about places.
    #[error("this caller may not ask about places")]
    Places,
    /// To make, change and delete fences.
    #[error("this caller may not change fences")]
    Fences,
    /// To make, list and revoke tokens while tokens are off. Other servers of the herd may have tokens on, so this
    /// needs the operator's token.
    #[error(
        "tokens are off at this server, so only the operator's token can make, list and revoke tokens: show the token \
         whose hash is operator_token_sha256 in [access] of herd.toml"
    )]
    NoOperator,
    /// To do this now: the caller's token has used up its rate for the moment.
    #[error("this token has done as much in this second as its rate allows: try again in a second")]
    TooFast,
    /// To make, list or revoke shares: the caller has shown the token of a share.
    #[error("the token of a share cannot make, list or revoke shares")]
    Share,
    /// To learn who comes and goes: the caller has shown the token of a share.
    #[error(
        "the token of a share shows the newest position of its client, and not when the client comes and goes"
    )]
    Presence,
    /// To revoke this share: another caller has made it.
    #[error("this caller has not made this share, and may not operate the herd")]
    OthersShare,
    /// To see the state of the server, or to make and revoke tokens.
    #[error("this caller may not see the state of this server")]
    Operate,
}

/// Why a search has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The caller lacks the right.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The search was canceled, or its effort was not enough.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
}

impl Denied {
    /// An error, unless the caller may report and forget this client.
    pub(super) fn unless_reports(caller: &Caller, now_ns: u64, client: &[u8]) -> Result<(), Denied> {
        Denied::Report.unless(caller.rights.may_report(now_ns, client))
    }

    /// An error, unless the caller may read this client.
    pub(super) fn unless_reads(caller: &Caller, now_ns: u64, client: &[u8]) -> Result<(), Denied> {
        Denied::Read.unless(caller.rights.may_read(now_ns, client))
    }

    /// An error, unless the caller may read all clients of this pattern.
    pub(super) fn unless_reads_all(caller: &Caller, now_ns: u64, ids: &IdPattern) -> Result<(), Denied> {
        Denied::Read.unless(caller.rights.may_read_all(now_ns, ids))
    }

    /// An error, unless the caller may read at least one client. The results must still be filtered by
    /// [`Rights::may_read`](crate::caller::Rights::may_read).
    pub(super) fn unless_reads_some(caller: &Caller, now_ns: u64) -> Result<(), Denied> {
        Denied::Read.unless(caller.rights.may_read_some(now_ns))
    }

    /// An error, unless the caller may ask about places.
    pub(super) fn unless_places(caller: &Caller, now_ns: u64) -> Result<(), Denied> {
        Denied::Places.unless(caller.rights.may_ask_places(now_ns))
    }

    /// An error, unless the caller may operate the herd.
    pub(super) fn unless_operates(caller: &Caller, now_ns: u64) -> Result<(), Denied> {
        Denied::Operate.unless(caller.rights.may_operate(now_ns))
    }

    /// An error, unless the caller may make, list and revoke tokens.
    pub(super) fn unless_operates_tokens(caller: &Caller, now_ns: u64, are_on: bool) -> Result<(), Denied> {
        Denied::unless_operates(caller, now_ns)?;
        let is_operator = caller.rights.grant().is_some_and(|grant| grant.id().is_none());
        Denied::NoOperator.unless(are_on || is_operator)
    }

    /// An error, unless the rate of the caller's token allows one more request at this time of a clock that is never
    /// put back. The request then counts.
    pub(super) fn unless_in_rate(caller: &Caller, monotonic_ns: u64) -> Result<(), Denied> {
        let is_taken = |grant: &Arc<Grant>| grant.take(monotonic_ns, 1) == 1;
        Denied::TooFast.unless(caller.rights.grant().is_none_or(is_taken))
    }

    /// An error, unless the caller may learn who comes and goes. This is more than a share shows.
    pub(super) fn unless_learns_presence(caller: &Caller) -> Result<(), Denied> {
        Denied::Presence.unless(caller.rights.grant().is_none_or(|grant| grant.as_maker().is_some()))
    }

    fn unless(self, is_allowed: bool) -> Result<(), Denied> {
        if is_allowed { Ok(()) } else { Err(self) }
    }
}
