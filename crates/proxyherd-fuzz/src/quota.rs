//! The books of the places budgets: the file that a server keeps, and the accounts that its neighbors send. Files and
//! accounts never arrive in pieces, so the check cuts nothing.

use std::collections::BTreeMap;

use proxyherd_core::{
    places::quota::{KnownAccounts, QuotaAccount, QuotaBook, ReserveNews, Span, Terms},
    types::ServerName,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::memory::bounded;

/// The present time, POSIX time in nanoseconds. It is in day 18766 and in month 616.
const NOW_NS: u64 = 1_621_464_828_223_371_889;

/// What was read is the same after it was written and read again. A server can continue with any accepted file and any
/// accepted account of a neighbor.
pub fn check(input: &[u8]) {
    let told = bounded(input.len(), 32, 4096, || QuotaAccount::from_bytes(input));
    if let Some(account) = &told {
        assert_eq!(QuotaAccount::from_bytes(&account.to_bytes()).as_ref(), Some(account));
    }
    let _ = bounded(input.len(), 32, 4096, || QuotaBook::from_bytes(&name("Riley"), input));
    // The file gets a correct checksum. With a wrong checksum the file would be refused before it is parsed.
    let file = [input, &xxh3_64(input).to_le_bytes()].concat();
    let book = bounded(input.len(), 32, 4096, || QuotaBook::from_bytes(&name("Riley"), &file));
    if let Ok(book) = &book {
        let again = QuotaBook::from_bytes(&name("Riley"), &book.to_bytes());
        assert_eq!(again.as_ref(), Ok(book));
    }
    run_some_turns(book.unwrap_or_else(|_| QuotaBook::new(name("Riley"))), told);
}

fn run_some_turns(mut book: QuotaBook, told: Option<QuotaAccount>) {
    for span in Span::ALL {
        book.set_terms(span, Terms::new(1000, ["Riley", "Jaquez", "Juzang"].map(name)));
    }
    let others: BTreeMap<_, _> = told.iter().map(|account| (name("Jaquez"), account.clone())).collect();
    let known = KnownAccounts { mine: told, others };
    let known = book.periods(NOW_NS).into_iter().map(|period| (period, known.clone())).collect();
    let (mut left, mut asked) = (0, 0);
    for round in 0..4 {
        if round == 1 {
            book.note_heard();
        }
        let taken = asked.min(left);
        let turn = book.turn(NOW_NS, &known, &ReserveNews { asked, taken, returned: 0, left: left - taken });
        left = left - taken + turn.reserved;
        asked = 3;
        let again = QuotaBook::from_bytes(&name("Riley"), &book.to_bytes());
        assert!(again.is_ok(), "a restarted server can read its file: {again:?}");
        for (_, account) in turn.told {
            assert_eq!(
                QuotaAccount::from_bytes(&account.to_bytes()),
                Some(account),
                "neighbors can read the account"
            );
        }
    }
}

fn name(text: &str) -> ServerName {
    ServerName::new(text).expect("this is a name")
}
