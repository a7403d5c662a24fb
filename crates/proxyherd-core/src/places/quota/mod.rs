//! Quotas: the number of requests that the whole herd may make to a provider in a day and in a month. Settings and
//! metrics call a quota a budget.
//!
//! The whole quota is cut into shares, one for each server. Each server spends its own share without asking any other
//! server. A server that runs low announces that, and servers that can spare requests *grant* it some: they deduct the
//! requests first, and then announce the grant. No server sends requests to another. Every server writes its own
//! [`QuotaAccount`], the flood carries the accounts to all servers, and each server decides by the accounts that it
//! knows (`lease`).
//!
//! **The bound.** A server reserves and grants requests only while `share + granted to it >= reserved + granted by it`
//! stays true by the accounts that it knows. It makes only requests that it has reserved. The number of requests that
//! it knows to be granted to it is at most the number that was deducted for it, because an account's grants never fall.
//! In the sum over all servers the grants cancel out, and the shares of a period add up to the whole. So all servers
//! together never reserve more than the whole. This holds whatever the order, delay and frequency of the accounts'
//! arrival, even in a herd that is partitioned.
//!
//! **Memory.** A [`QuotaBook`] holds a server's accounts. After each [`QuotaBook::turn`] that changes them, the caller
//! has to write the book to storage that survives a crash. Only then may the requests be made and the grants be
//! announced. Requests are reserved in chunks ahead of need. After a crash the rest of a chunk counts as made.
//!
//! **Assumptions.**
//! - A server's memory lasts as long as the period. A server without memory takes itself for a new server. If the herd
//!   still knows an account in the server's name, the memory was lost, and the server makes no more requests in that
//!   period.
//! - If an older memory was restored, the neighbors' knowledge makes up for it. So after every start a server waits
//!   until the neighbors that it can reach have sent what they know ([`QuotaBook::note_heard`]). Then its account of
//!   the period is the account that the neighbors know, plus the requests that it has reserved since the start. If the
//!   server can reach no neighbor, it spends the requests that its memory shows. Meanwhile it neither grants nor
//!   announces anything, because its older account would replace the newer account that a neighbor holds. So requests
//!   that an older memory lacks are spent a second time only if no reachable neighbor knows of them.
//! - Accounts of other servers are believed. A server that announces grants that it has not made lets other servers
//!   spend more than the whole, each of them at most the whole. A server that asks for more requests than it needs is
//!   granted the requests that other servers can spare.
//! - Accounts that other servers send in a server's own name can make it spend less. They can make it spend more only
//!   by hiding requests that an older memory lacks.
//! - All servers have the same whole and the same list of servers. A server that has begun a period keeps the share
//!   with which it began, so changes take effect with the next period. A new server that receives accounts with other
//!   terms has no share until then, and spends only granted requests. An operator has to bring changes to every server
//!   before the period ends.
//! - Periods are days and months of UTC, by each server's own clock. A server whose clock is set back finds its
//!   accounts of the last few periods unchanged. Older periods are over.
//!
//! This module knows no files, no records and no provider.

mod account;
mod book;
mod key;
mod lease;
mod memory;
mod period;

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

pub use self::{
    account::{ACCOUNT_LEN_MAX, QuotaAccount},
    book::{KnownAccounts, QuotaBook, ReserveNews, Standing, Turn},
    key::{QuotaKey, key},
    lease::QuotaAccounts,
    memory::MemoryError,
    period::{Period, Span},
};
use crate::types::ServerName;

/// The number of requests in a period, and the servers that share the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    whole: u64,
    servers: Arc<[ServerName]>,
}

impl Terms {
    /// The terms for a whole quota and these servers, in any order.
    pub fn new(whole: u64, servers: impl IntoIterator<Item = ServerName>) -> Terms {
        let mut servers: Vec<_> = servers.into_iter().collect();
        servers.sort();
        servers.dedup();
        Terms { whole, servers: servers.into() }
    }

    /// The whole quota.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// All servers in the order of their names.
    pub fn servers(&self) -> &[ServerName] {
        &self.servers
    }

    /// The share of `server`: the whole divided by the number of servers. If there is a remainder, the first servers
    /// get one more each. 0 for a server that is not in the list.
    pub fn share_of(&self, server: &ServerName) -> u64 {
        let count = self.servers.len() as u64;
        match self.servers.binary_search(server) {
            Ok(place) => self.whole / count + u64::from((place as u64) < self.whole % count),
            Err(_) => 0,
        }
    }

    /// A number that shows whether two accounts began under the same terms.
    pub fn mark(&self) -> u64 {
        let names = self.servers.iter().map(ServerName::as_str);
        let text = [self.whole.to_string().as_str()].into_iter().chain(names).collect::<Vec<_>>().join("\n");
        xxh3_64(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<ServerName> {
        of.iter().map(|name| ServerName::new(name).unwrap()).collect()
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        for whole in 0..50 {
            let terms = Terms::new(whole, names(&["Riley", "Jaquez", "Juzang"]));
            let shares: Vec<_> = terms.servers().iter().map(|server| terms.share_of(server)).collect();
            assert_eq!(shares.iter().sum::<u64>(), whole);
            assert!(shares.is_sorted_by(|one, next| one >= next) && shares[0] - shares[2] <= 1, "{shares:?}");
            assert_eq!(terms.share_of(&names(&["Bernard"])[0]), 0);
        }
    }

    #[test]
    fn terms_are_told_apart_and_order_is_none_of_them() {
        let mark = |whole, of: &[&str]| Terms::new(whole, names(of)).mark();
        assert_eq!(mark(9, &["a", "b"]), mark(9, &["b", "a", "b"]));
        let different =
            [mark(9, &["a", "b"]), mark(8, &["a", "b"]), mark(9, &["a"]), mark(9, &["a", "b", "c"])];
        for (index, mark) in different.iter().enumerate() {
            assert!(!different[index + 1..].contains(mark));
        }
    }
}
