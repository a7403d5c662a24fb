//! Encodes a book as bytes, for a file that outlives the server's process.
//!
//! If a book is damaged anywhere, the whole book is refused, because a server with a wrong memory would spend requests
//! that are not its own.

use xxhash_rust::xxh3::xxh3_64;

use super::{
    QuotaAccount, QuotaBook, Span,
    account::{array, read_name, write_name},
};
use crate::types::ServerName;

/// The first bytes of the file. The last of them is the version.
const MAGIC: [u8; 8] = *b"PHBUDGT\x01";
/// The tag of an account: span, number, account.
const ACCOUNT: u8 = 0;
/// The tag of the last period of a span that is over: span, number.
const OVER: u8 = 1;

/// Why bytes are not a book of this server. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The bytes are not what a server has written.
    #[error("it is damaged")]
    Damaged,
    /// Another version of the program has written the bytes.
    #[error("another version of proxyherd has written the file")]
    Version,
    /// The bytes are another server's book.
    #[error("it is the memory of the server {0}")]
    Another(ServerName),
}

impl QuotaBook {
    /// The book as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        write_name(&self.me, &mut out);
        for pages in &self.pages {
            let span = pages.span() as u8;
            if let Some(over) = pages.over {
                out.extend([OVER, span]);
                out.extend(over.to_le_bytes());
            }
            for (number, account) in &pages.accounts {
                out.extend([ACCOUNT, span]);
                out.extend(number.to_le_bytes());
                account.write(&mut out);
            }
        }
        out.extend(xxh3_64(&out).to_le_bytes());
        out
    }

    /// Reads the book of the server `me` after its process has ended in any way. Requests that were in the reserve
    /// count as made.
    pub fn from_bytes(me: &ServerName, bytes: &[u8]) -> Result<QuotaBook, MemoryError> {
        let (content, sum) = bytes.split_last_chunk().ok_or(MemoryError::Damaged)?;
        if xxh3_64(content) != u64::from_le_bytes(*sum) {
            return Err(MemoryError::Damaged);
        }
        let mut rest = content;
        match array(&mut rest) {
            Some(MAGIC) => {}
            Some(other) if other[..7] == MAGIC[..7] => return Err(MemoryError::Version),
            _ => return Err(MemoryError::Damaged),
        }
        let writer = read_name(&mut rest).ok_or(MemoryError::Damaged)?;
        if writer != *me {
            return Err(MemoryError::Another(writer));
        }
        let mut entries = Vec::new();
        while !rest.is_empty() {
            entries.push(read_entry(&mut rest).ok_or(MemoryError::Damaged)?);
        }
        Ok(QuotaBook::remembering(writer, |pages| {
            for (span, number, account) in entries {
                let pages = &mut pages[span as usize];
                match account {
                    Some(account) => _ = pages.accounts.insert(number, account),
                    None => pages.over = Some(number),
                }
            }
        }))
    }
}

fn read_entry(rest: &mut &[u8]) -> Option<(Span, u32, Option<QuotaAccount>)> {
    let [what, span] = array(rest)?;
    let span = *Span::ALL.get(usize::from(span))?;
    let number = u32::from_le_bytes(array(rest)?);
    match what {
        OVER => Some((span, number, None)),
        ACCOUNT => {
            let account = QuotaAccount::read(rest)?;
            Some((span, number, Some(QuotaAccount { taken: account.reserved, ..account })))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::places::quota::{ReserveNews, Terms};

    const NOW_NS: u64 = 1_791_158_400_000_000_000;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).unwrap()
    }

    fn book() -> QuotaBook {
        let mut book = QuotaBook::new(name("Riley"));
        for span in Span::ALL {
            book.set_terms(span, Terms::new(100, [name("Riley")]));
        }
        for day in 0..6 {
            let news = ReserveNews { returned: if day > 0 { 12 } else { 0 }, ..ReserveNews::default() };
            let turn = book.turn(NOW_NS + day * 24 * 3600 * 1_000_000_000, &BTreeMap::new(), &news);
            assert_eq!(turn.reserved, 12);
        }
        book
    }

    #[test]
    fn a_book_comes_back_with_its_reserve_spent() {
        let bytes = book().to_bytes();
        let again = QuotaBook::from_bytes(&name("Riley"), &bytes).unwrap();
        assert!(!again.is_new());
        let days = &again.pages[0];
        assert_eq!(days.accounts.len(), 4);
        assert!(days.over.is_some_and(|over| days.accounts.keys().all(|&number| number > over)));
        let last = days.accounts.last_key_value().unwrap().1;
        assert_eq!((last.share, last.reserved, last.taken), (100, 12, 12));
    }

    #[test]
    fn any_change_of_a_byte_and_any_missing_byte_is_noticed() {
        let bytes = book().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(QuotaBook::from_bytes(&name("Riley"), &changed), Err(MemoryError::Damaged), "{at}");
            assert_eq!(
                QuotaBook::from_bytes(&name("Riley"), &bytes[..at]),
                Err(MemoryError::Damaged),
                "{at}"
            );
        }
    }

    #[test]
    fn the_memory_of_another_server_or_version_is_not_taken() {
        let bytes = book().to_bytes();
        assert_eq!(QuotaBook::from_bytes(&name("Juzang"), &bytes), Err(MemoryError::Another(name("Riley"))));
        let mut later = bytes[..bytes.len() - 8].to_vec();
        later[7] += 1;
        later.extend(xxh3_64(&later).to_le_bytes());
        assert_eq!(QuotaBook::from_bytes(&name("Riley"), &later), Err(MemoryError::Version));
    }
}
