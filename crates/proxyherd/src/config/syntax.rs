//! TOML's own mistakes, in our words.
//!
//! The parser goes on after a mistake as well as it can. After one that leaves no doubt about the rest, such as
//! a missing quote, the rest is read and its mistakes are reported too; after any other the rest is guesswork,
//! and only what stands before it is reported.

use std::collections::BTreeSet;

use toml::de::{DeTable, Error};

use super::{
    diagnostic::{Diagnostic, Origin},
    source::Source,
};

/// What the parser says of mistakes after which the rest of the file still means what it says.
const MILD: [&str; 4] =
    ["duplicate key", "string values must be quoted", "invalid basic string", "missing comma between array"];

/// What the parser says of an address without quotes: it begins like a number, or like `true`.
const LIKE_TEXT: [&str; 4] = ["invalid float", "invalid boolean", "invalid integer", "invalid datetime"];

/// A file's outermost table, as far as it can be trusted.
pub(super) struct Parsed<'a> {
    pub(super) table: DeTable<'a>,
    pub(super) mistakes: Vec<Diagnostic>,
    /// Is the rest of the file guesswork?
    pub(super) is_broken: bool,
}

pub(super) fn parse(source: Source<'_>) -> Parsed<'_> {
    let (table, mut errors) = DeTable::parse_recoverable(source.text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let unclosed = errors.iter().any(|error| error.message().starts_with("unclosed"));
    let is_mild = |error: &Error| {
        !unclosed
            && MILD.iter().any(|mild| error.message().starts_with(mild))
            && !is_server_in_single_brackets(source, error)
    };
    let sound = errors.iter().take_while(|error| is_mild(error)).count();
    let is_broken = sound < errors.len();
    errors.truncate(sound + 1);
    let mut mistakes: Vec<Diagnostic> =
        errors.iter().map(|error| describe(source, error, unclosed)).collect();
    let mut lines = BTreeSet::new();
    mistakes.retain(|mistake| lines.insert(mistake.site.origin.clone()));
    Parsed { table: table.into_inner(), mistakes, is_broken }
}

impl Parsed<'_> {
    /// Does this line hold a mistake of syntax? What else is wrong with it is mostly the same mistake again.
    pub(super) fn spoils(&self, origin: &Origin) -> bool {
        self.mistakes.iter().any(|mistake| mistake.site.origin == *origin)
    }
}

/// Is this a second `[server]`? The keys below it would all be told to be given twice.
fn is_server_in_single_brackets(source: Source<'_>, error: &Error) -> bool {
    let before = error.span().and_then(|span| source.text.get(..span.start)).unwrap_or_default();
    let after = error.span().and_then(|span| source.text.get(span.start..)).unwrap_or_default();
    let is_header = before.trim_end().ends_with('[') && after.starts_with("server");
    is_header && error.message().starts_with("duplicate key")
}

fn describe(source: Source<'_>, error: &Error, unclosed: bool) -> Diagnostic {
    let span = error.span().unwrap_or_default();
    let stretch = source.text.get(span.clone()).unwrap_or_default();
    let site = source.site(span);
    let message = error.message();
    if is_server_in_single_brackets(source, error) {
        let mistake = Diagnostic::keyless(site, "`server` must be a list of tables");
        return mistake.help("begin each server, the first one too, with a line [[server]]");
    }
    if message.starts_with("duplicate key") {
        let key = stretch.trim();
        return Diagnostic::keyless(site, format!("`{key}` is given twice")).help("leave one of them out");
    }
    if message.starts_with("string values must be quoted") {
        let mistake =
            Diagnostic::keyless(site, "a value is a number, true, false, a list, or a text in quotes");
        return if stretch.is_empty() {
            mistake.found("found nothing")
        } else if mistake.site.is_hidden() {
            mistake.help("put it in quotes")
        } else {
            mistake.found(format!("found {stretch}")).help(format!("as a text: {stretch:?}"))
        };
    }
    let mistake = Diagnostic::keyless(site, format!("this is not TOML: {message}"));
    if unclosed {
        mistake.help("is a `]` missing above?")
    } else if LIKE_TEXT.iter().any(|like| message.starts_with(like)) {
        mistake.help("a text, such as an address, stands in quotes")
    } else {
        mistake
    }
}
