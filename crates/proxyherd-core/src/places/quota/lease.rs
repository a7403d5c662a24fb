//! Grants between servers: a rule that every server applies to the accounts that it knows.
//!
//! If servers know the same accounts, they together grant about the number of requests that is wanted, each in
//! proportion to the number that it can spare. A server that knows less grants too little or too much, and the next
//! turn corrects that. No grant can create requests, because each grant is deducted from its source.

use std::collections::BTreeMap;

use super::QuotaAccount;
use crate::types::ServerName;

/// The accounts of one period that a server knows, by their servers' names.
pub type QuotaAccounts = BTreeMap<ServerName, QuotaAccount>;

/// The state of an account, as far as this server knows.
struct AccountStanding<'a> {
    server: &'a ServerName,
    rights: u64,
    wants: u64,
}

impl AccountStanding<'_> {
    /// The number of requests that the server can spare.
    fn surplus(&self) -> u64 {
        self.rights.saturating_sub(self.wants)
    }

    /// The number of requests that the server should be granted. It is 0 while the server has at least half of the
    /// wanted number. Otherwise it is everything that is missing, so that not every request causes a grant.
    fn need(&self) -> u64 {
        if self.rights < self.wants.div_ceil(2) { self.wants - self.rights } else { 0 }
    }
}

/// The number of requests that all `accounts` together grant to `server`.
pub(super) fn received(accounts: &QuotaAccounts, server: &ServerName) -> u64 {
    accounts.values().fold(0, |sum, account| sum.saturating_add(account.granted_to(server)))
}

/// Whether any server other than `me` is short of requests.
pub(super) fn is_anyone_short(me: &ServerName, accounts: &QuotaAccounts) -> bool {
    standings(accounts).any(|standing| standing.server != me && standing.need() > 0)
}

/// The requests that `me` grants now. `accounts` contains its own account.
pub(super) fn grants(me: &ServerName, accounts: &QuotaAccounts) -> Vec<(ServerName, u64)> {
    let standings: Vec<_> = standings(accounts).collect();
    let Some(mine) = standings.iter().find(|standing| standing.server == me) else { return Vec::new() };
    // If more requests are needed than can be spared, all spare requests are granted, in proportion to need.
    let surplus: u128 = standings.iter().map(|one| u128::from(one.surplus())).sum();
    let need: u128 = standings.iter().map(|one| u128::from(one.need())).sum();
    let scale = surplus.max(need).max(1);
    let mut spare = mine.surplus();
    let mut grants = Vec::new();
    for other in standings.iter().filter(|standing| standing.server != me) {
        let part = (u128::from(other.need()) * u128::from(mine.surplus())).div_ceil(scale);
        let part = u64::try_from(part).unwrap_or(u64::MAX).min(spare);
        if part > 0 {
            spare -= part;
            grants.push((other.server.clone(), part));
        }
    }
    grants
}

fn standings(accounts: &QuotaAccounts) -> impl Iterator<Item = AccountStanding<'_>> {
    let open = accounts.iter().filter(|(_, account)| !account.is_closed);
    open.map(|(server, account)| AccountStanding {
        server,
        rights: account.rights(received(accounts, server)),
        wants: account.wants,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, share, wants.
    fn accounts(of: &[(&str, u64, u64)]) -> QuotaAccounts {
        let account = |&(name, share, wants): &(&str, u64, u64)| {
            (ServerName::new(name).unwrap(), QuotaAccount { share, wants, ..QuotaAccount::default() })
        };
        of.iter().map(account).collect()
    }

    fn check(of: &[(&str, u64, u64)], expected: &[(&str, &str, u64)]) {
        let accounts = accounts(of);
        let mut granted = Vec::new();
        for me in accounts.keys() {
            let to = |(server, part): (ServerName, u64)| (me.to_string(), server.to_string(), part);
            granted.extend(grants(me, &accounts).into_iter().map(to));
        }
        let expected: Vec<_> =
            expected.iter().map(|&(from, to, part)| (from.to_owned(), to.to_owned(), part)).collect();
        assert_eq!(granted, expected, "{of:?}");
    }

    #[test]
    fn those_who_can_spare_it_give_what_is_wanted_together() {
        check(&[("a", 100, 0), ("b", 100, 0)], &[]);
        check(&[("a", 100, 0), ("b", 0, 40)], &[("a", "b", 40)]);
        check(&[("a", 300, 0), ("b", 0, 40), ("c", 100, 0)], &[("a", "b", 30), ("c", "b", 10)]);
        check(&[("a", 300, 0), ("b", 20, 40)], &[]);
        check(&[("a", 300, 0), ("b", 19, 40)], &[("a", "b", 21)]);
    }

    #[test]
    fn nobody_gives_what_it_wants_itself() {
        check(&[("a", 50, 40), ("b", 0, 40)], &[("a", "b", 10)]);
        check(&[("a", 40, 40), ("b", 0, 40)], &[]);
    }

    #[test]
    fn what_is_short_is_shared_out_by_need() {
        check(&[("a", 12, 0), ("b", 0, 80), ("c", 0, 40)], &[("a", "b", 8), ("a", "c", 4)]);
        check(&[("a", 1, 0), ("b", 0, 80), ("c", 0, 40)], &[("a", "b", 1)]);
    }

    #[test]
    fn a_closed_account_neither_gives_nor_takes() {
        let mut accounts = accounts(&[("a", 100, 0), ("b", 0, 40)]);
        for account in accounts.values_mut() {
            account.is_closed = true;
        }
        assert!(
            accounts.keys().all(|me| grants(me, &accounts).is_empty() && !is_anyone_short(me, &accounts))
        );
    }
}
