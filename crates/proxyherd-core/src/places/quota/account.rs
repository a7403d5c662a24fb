//! One server's account of one period. The server shares it with the herd as a record.

use std::collections::BTreeMap;

use crate::{limits::SERVER_NAME_LEN_MAX, types::ServerName};

/// Maximum number of other servers to which one server grants requests in one period. Further servers get no grants
/// from it.
pub(super) const RECEIVERS_MAX: usize = 64;
/// Maximum number of receivers, from several lives, that an account keeps when it is closed. Grants to further
/// receivers are forgotten. That does not break the bound, because a closed account has nothing left that could be
/// spent twice.
const RECEIVERS_CLOSED_MAX: usize = 2 * RECEIVERS_MAX;
/// Number of bytes before the receivers: version, flags, five numbers, and the number of receivers.
const HEAD_LEN: usize = 2 + 5 * 8 + 1;
/// Maximum length of an account, bytes.
pub const ACCOUNT_LEN_MAX: usize = HEAD_LEN + RECEIVERS_CLOSED_MAX * (1 + SERVER_NAME_LEN_MAX + 8);
/// The version of the encoding. An account in another version is not read, and counts as empty.
const VERSION: u8 = 1;
/// In the flags: see [`QuotaAccount::is_closed`].
const CLOSED: u8 = 1;

/// A server's account in one period. Only that server writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaAccount {
    /// The mark of the terms (the whole quota and the servers) by which the share was computed: see
    /// [`Terms::mark`](super::Terms::mark).
    pub terms: u64,
    /// The server's share of the whole, fixed for the whole period.
    pub share: u64,
    /// Requests that may have been made: the requests put into the reserve and not taken out of it again.
    pub reserved: u64,
    /// Requests that have been made, as far as is known.
    pub taken: u64,
    /// The number of further requests that the server wants to have available: the number that it makes in a minute.
    pub wants: u64,
    /// The server has lost its memory of the period, and makes no more requests in it.
    pub is_closed: bool,
    /// The total number of requests ever granted to each other server out of this account in this period. The number
    /// never falls.
    pub granted: BTreeMap<ServerName, u64>,
}

impl QuotaAccount {
    /// The total number of requests ever granted to `server`.
    pub fn granted_to(&self, server: &ServerName) -> u64 {
        self.granted.get(server).copied().unwrap_or(0)
    }

    /// The total number of requests ever granted out of this account.
    pub fn granted(&self) -> u64 {
        self.granted.values().fold(0, |sum, &granted| sum.saturating_add(granted))
    }

    /// The number of requests that are left to reserve or to grant, if other servers have granted `received` requests
    /// to this one.
    pub fn rights(&self, received: u64) -> u64 {
        let has = self.share.saturating_add(received);
        if self.is_closed { 0 } else { has.saturating_sub(self.reserved.saturating_add(self.granted())) }
    }

    /// Grants requests to a server. Returns whether there was room for that receiver.
    pub(super) fn grant(&mut self, receiver: &ServerName, requests: u64) -> bool {
        let has_room = self.granted.len() < RECEIVERS_MAX || self.granted.contains_key(receiver);
        if has_room {
            let granted = self.granted.entry(receiver.clone()).or_default();
            *granted = granted.saturating_add(requests);
        }
        has_room
    }

    /// Whether `told`, which this server once announced, holds requests or grants that this account lacks. If an
    /// account has its whole memory, it never lacks anything, because it is written before it is announced.
    pub(super) fn lacks(&self, told: &QuotaAccount) -> bool {
        told.taken > self.reserved || self.lacks_grants(told) || told.is_closed && !self.is_closed
    }

    fn lacks_grants(&self, told: &QuotaAccount) -> bool {
        told.granted.iter().any(|(server, &granted)| granted > self.granted_to(server))
    }

    /// Whether this account comes from an older memory than `told`, which an earlier life announced. `remembered` is
    /// the number of requests that the account had reserved at the start of this life; `None` if there was no account.
    ///
    /// Returning a reserve lowers the number of reserved requests. If the lower number was written but could not be
    /// announced before a crash, this method also returns true, and the returned requests are lost.
    pub(super) fn is_behind(&self, told: &QuotaAccount, remembered: Option<u64>) -> bool {
        let is_older = remembered.is_none_or(|remembered| told.reserved > remembered);
        is_older || self.lacks_grants(told) || told.is_closed
    }

    /// Adds everything that an earlier life announced in `told` and that this life did not remember. Requests that this
    /// life has reserved since then are added on top. See [`QuotaAccount::is_behind`].
    pub(super) fn catch_up(&mut self, told: &QuotaAccount, remembered: Option<u64>) {
        if remembered.is_none() {
            // Any member may have sent `told` in this server's name, so `told` must not give this server more than it
            // has.
            (self.terms, self.share) = (told.terms, told.share.min(self.share));
        }
        // Whatever `told` contains, sums must not overflow.
        let lost = told.reserved.saturating_sub(remembered.unwrap_or(0)).min(u64::MAX / 4);
        self.reserved = self.reserved.saturating_add(lost);
        self.taken = self.taken.saturating_add(lost);
        self.raise_grants(told);
        // If a grant were forgotten, its requests would be spent twice.
        self.is_closed |= told.is_closed || self.lacks_grants(told);
    }

    /// Closes the account: the server makes no more requests from it. Everything that `told` once announced stays in
    /// the account, because other servers may depend on the grants.
    pub(super) fn close(&mut self, told: Option<&QuotaAccount>) {
        self.is_closed = true;
        self.wants = 0;
        let Some(told) = told else { return };
        self.reserved = self.reserved.max(told.reserved);
        self.taken = self.taken.max(told.taken);
        self.raise_grants(told);
    }

    fn raise_grants(&mut self, told: &QuotaAccount) {
        for (server, &granted) in &told.granted {
            if self.granted.len() < RECEIVERS_CLOSED_MAX || self.granted.contains_key(server) {
                let held = self.granted.entry(server.clone()).or_default();
                *held = granted.max(*held);
            }
        }
    }

    /// Appends the account as bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend([VERSION, if self.is_closed { CLOSED } else { 0 }]);
        for number in [self.terms, self.share, self.reserved, self.taken, self.wants] {
            out.extend(number.to_le_bytes());
        }
        debug_assert!(self.granted.len() <= RECEIVERS_CLOSED_MAX, "a longer account could not be read again");
        out.push(self.granted.len() as u8);
        for (server, granted) in &self.granted {
            write_name(server, out);
            out.extend(granted.to_le_bytes());
        }
    }

    /// The account as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Reads an account from bytes that contain an account and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Option<QuotaAccount> {
        let mut rest = bytes;
        let account = QuotaAccount::read(&mut rest)?;
        rest.is_empty().then_some(account)
    }

    /// Reads an account from the front of the bytes.
    pub(super) fn read(rest: &mut &[u8]) -> Option<QuotaAccount> {
        let [VERSION, flags @ (0 | CLOSED)] = array(rest)? else { return None };
        let mut account = QuotaAccount {
            terms: number(rest)?,
            share: number(rest)?,
            reserved: number(rest)?,
            taken: number(rest)?,
            wants: number(rest)?,
            is_closed: flags & CLOSED != 0,
            granted: BTreeMap::new(),
        };
        let [count] = array(rest)?;
        if usize::from(count) > RECEIVERS_CLOSED_MAX {
            return None;
        }
        for _ in 0..count {
            let (server, granted) = (read_name(rest)?, number(rest)?);
            if account.granted.insert(server, granted).is_some() {
                return None;
            }
        }
        Some(account)
    }
}

pub(super) fn write_name(name: &ServerName, out: &mut Vec<u8>) {
    out.push(name.as_str().len() as u8);
    out.extend(name.as_str().as_bytes());
}

pub(super) fn read_name(rest: &mut &[u8]) -> Option<ServerName> {
    let [len] = array(rest)?;
    let len = usize::from(len);
    let name = (len <= SERVER_NAME_LEN_MAX).then(|| rest.split_off(..len)).flatten()?;
    ServerName::new(std::str::from_utf8(name).ok()?).ok()
}

pub(super) fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*front)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    array(rest).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DATA_LEN_MAX;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).unwrap()
    }

    fn account() -> QuotaAccount {
        let mut account = QuotaAccount { terms: 7, share: 100, reserved: 40, ..QuotaAccount::default() };
        account.grant(&name("Jaquez"), 10);
        account.grant(&name("Jaquez"), 5);
        account.grant(&name("Juzang"), 1);
        account
    }

    #[test]
    fn what_was_granted_and_reserved_is_not_there_twice() {
        assert_eq!(account().granted_to(&name("Jaquez")), 15);
        assert_eq!(account().rights(0), 44);
        assert_eq!(account().rights(6), 50);
        assert_eq!(QuotaAccount { reserved: 200, ..account() }.rights(6), 0);
        assert_eq!(QuotaAccount { is_closed: true, ..account() }.rights(6), 0);
    }

    #[test]
    fn the_longest_account_fits_a_record_and_comes_back() {
        let mut account = account();
        for index in 0..200 {
            account.grant(&name(&format!("{index:0>64}")), index);
        }
        assert_eq!(account.granted.len(), RECEIVERS_MAX);
        assert!(!account.grant(&name("Bernard"), 1));
        assert!(account.grant(&name("Juzang"), 1), "an earlier receiver can be granted more");
        let bytes = account.to_bytes();
        assert!(bytes.len() <= DATA_LEN_MAX, "{}", bytes.len());
        assert_eq!(QuotaAccount::from_bytes(&bytes), Some(account));
    }

    #[test]
    fn an_account_that_three_lives_have_granted_out_of_can_be_read_again() {
        let life = |from: usize| {
            let mut account = account();
            (from..from + RECEIVERS_MAX).for_each(|index| _ = account.grant(&name(&index.to_string()), 1));
            account
        };
        let mut second = life(100);
        second.close(Some(&life(0)));
        let mut third = life(200);
        third.close(Some(&second));
        assert_eq!(QuotaAccount::from_bytes(&third.to_bytes()), Some(third));
    }

    #[test]
    fn no_account_is_longer_than_the_longest() {
        let granted = |index: usize| (name(&format!("{index:0>64}")), u64::MAX);
        let account = QuotaAccount { granted: (0..RECEIVERS_CLOSED_MAX).map(granted).collect(), ..account() };
        assert_eq!(account.to_bytes().len(), ACCOUNT_LEN_MAX);
        assert_eq!(QuotaAccount::from_bytes(&account.to_bytes()), Some(account));
    }

    #[test]
    fn bytes_that_end_early_or_go_on_are_no_account() {
        let bytes = account().to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(QuotaAccount::from_bytes(&bytes[..len]), None, "{len}");
        }
        assert_eq!(QuotaAccount::from_bytes(&[bytes.as_slice(), b"x"].concat()), None);
        assert_eq!(QuotaAccount::from_bytes(&[&[VERSION + 1], &bytes[1..]].concat()), None);
    }
}
