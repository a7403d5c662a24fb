//! Quotas: how many requests the whole herd may make of a provider in a day and in a month. Settings and metrics call
//! a quota a budget.
//!
//! The whole quota is cut into shares, one for each server, and each server spends its own share without asking
//! anybody. A server that runs low says so, and servers that can spare some *grant* it: they deduct first, and then
//! announce the grant. No server sends requests to another. Every server writes its own [`QuotaAccount`], the flood
//! carries the accounts to all, and each server decides by what it knows of them (`lease`).
//!
//! **The bound.** A server reserves and grants only while `share + granted to it >= reserved + granted by it` stays
//! true by what it knows, and makes requests only out of what it has reserved. What it knows to be granted to it is
//! at most what was deducted for it, because an account's grants never fall. Summed over all servers the grants
//! cancel out, and the shares of a period add up to the whole. So all servers together never reserve more than the
//! whole, in whatever order, however late and however often they hear of each other, and also in a herd that is cut
//! in two.
//!
//! **Memory.** A [`QuotaBook`] holds a server's accounts. After each [`QuotaBook::turn`] that changes them, the caller has to
//! write the book where a crash does not destroy it. Only then may the requests be made and the grants be announced.
//! Requests are reserved in chunks ahead of need; after a crash the rest of a chunk counts as made.
//!
//! **Assumptions.**
//! - A server's memory lasts as long as the period. A server without memory takes itself for new. If the herd still
//!   knows an account in its name, the memory was lost, and the server makes no more requests in that period.
//! - What neighbors know makes up for an older memory that was restored. So after every start a server waits until
//!   the neighbors that it can reach have sent what they know ([`QuotaBook::note_heard`]). Then its account of the period
//!   is the one that they know, plus what it has reserved since the start. If it can reach no neighbor, it spends
//!   what its memory says, and neither grants nor announces anything, because its older account would replace the
//!   newer one that a neighbor holds. So what an older memory lacks is spent a second time only if no reachable
//!   neighbor knows of it.
//! - What other servers say is believed. A server that announces grants that it has not made lets others spend more
//!   than the whole, each of them at most the whole. A server that wants more than it needs is granted what others
//!   can spare.
//! - What other servers say in a server's own name can make it spend less. It can make it spend more only by hiding
//!   what an older memory lacks.
//! - All servers have the same whole and the same list of servers. A server that has begun a period keeps the share
//!   with which it began, so changes take effect with the next period. A new server that hears of accounts with other
//!   terms has no share until then, and lives on grants. Bring changes to every server before the period ends.
//! - Periods are those of UTC, by each server's own clock. A server whose clock is set back finds the last few
//!   periods as it left them; older periods are over.
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

/// The number of requests in a period, and the servers that share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    whole: u64,
    servers: Arc<[ServerName]>,
}

impl Terms {
    /// A whole quota for these servers, in any order.
    pub fn new(whole: u64, servers: impl IntoIterator<Item = ServerName>) -> Terms {
        let mut servers: Vec<_> = servers.into_iter().collect();
        servers.sort();
        servers.dedup();
        Terms { whole, servers: servers.into() }
    }

    /// The whole.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// All servers in the order of their names.
    pub fn servers(&self) -> &[ServerName] {
        &self.servers
    }

    /// The share of `server`: the whole divided by the number of servers; the first servers get one more if there is
    /// a remainder. 0 for strangers.
    pub fn share_of(&self, server: &ServerName) -> u64 {
        let count = self.servers.len() as u64;
        match self.servers.binary_search(server) {
            Ok(place) => self.whole / count + u64::from((place as u64) < self.whole % count),
            Err(_) => 0,
        }
    }

    /// A number by which accounts show that they began under the same terms.
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
