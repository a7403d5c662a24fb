//! The filter `where`. It never arrives in pieces, so the check cuts nothing.

use proxyherd_core::{codec::where_clause::WhereClause, types::Attributes};

use crate::memory::bounded;

/// A clause is the same after it was written and read again, and decides the same about attributes, without any memory.
/// The first line is the clause, and the rest are encoded attributes.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (clause, rest) = input.split_at(end);
    let Ok(text) = std::str::from_utf8(clause) else { return };
    // An empty comparison takes less than a hundred bytes, and at most 16 of them are kept.
    let Ok(clause) = bounded(text.len(), 8, 8192, || WhereClause::parse(text)) else { return };
    let written = clause.to_string();
    // Escapes may make the text longer than a clause may be.
    let again = WhereClause::parse(&written);
    if let Ok(again) = &again {
        assert_eq!(*again, clause);
    } else {
        assert!(written.len() > text.len(), "{again:?}");
    }
    if let Ok(attributes) = Attributes::from_bytes(rest.get(1..).unwrap_or_default()) {
        let is_match = bounded(0, 0, 0, || clause.matches(attributes));
        assert_eq!(again.map_or(is_match, |again| again.matches(attributes)), is_match);
    }
}
