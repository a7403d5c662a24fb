//! Explains mistakes of TOML syntax.
//!
//! The parser continues after a mistake. After a mild mistake, such as a missing quote, the rest of the file still has
//! its meaning. So the mistakes in the rest are reported too. After any other mistake, the meaning of the rest is
//! uncertain. So only the mistakes up to that mistake are reported.

use std::{collections::BTreeSet, ops::Range};

use toml::de::{DeTable, DeValue, Error};

use super::{
    diagnostic::Diagnostic,
    secret::{HIDDEN, looks_secret},
    site::{FileText, ValueSource},
};

/// The beginnings of the parser's messages about a value without quotes. Such a value is not a number, `true` or
/// `false`.
const NO_VALUE: [&str; 10] = [
    "string values must be quoted",
    "invalid binary number",
    "invalid boolean",
    "invalid date-time",
    "invalid float",
    "invalid fraction",
    "invalid hexadecimal number",
    "invalid integer number",
    "invalid mantissa",
    "invalid octal number",
];

/// The beginnings of the parser's messages about other mild mistakes.
const MILD: [&str; 3] = ["duplicate key", "invalid basic string", "missing comma between array"];

/// Quotation marks of printed text. Word processors replace straight quotes with these marks.
const CURLY_QUOTES: [char; 7] = ['“', '”', '„', '‘', '’', '«', '»'];

/// A file's outermost table, up to the first mistake that is not mild.
pub(super) struct Parsed<'a> {
    pub(super) table: DeTable<'a>,
    pub(super) mistakes: Vec<Diagnostic>,
    pub(super) rest: Readability,
}

/// Whether the rest of a file can be read in spite of its mistakes of syntax.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Readability {
    /// All mistakes are mild.
    Sound,
    /// The last mistake is not mild.
    Guesswork,
}

pub(super) fn parse(source: FileText<'_>) -> Parsed<'_> {
    let (table, mut errors) = DeTable::parse_recoverable(source.text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let unclosed = errors.iter().any(|error| error.message().starts_with("unclosed"));
    let is_mild = |error: &Error| !unclosed && (begins(error, &MILD) || begins(error, &NO_VALUE));
    let sound = errors.iter().take_while(|error| is_mild(error)).count();
    let rest = if sound < errors.len() { Readability::Guesswork } else { Readability::Sound };
    errors.truncate(sound + 1);
    let mut mistakes: Vec<Diagnostic> =
        errors.iter().map(|error| describe(source, error, unclosed)).collect();
    let mut lines = BTreeSet::new();
    mistakes.retain(|mistake| lines.insert(mistake.site.source.clone()));
    Parsed { table: table.into_inner(), mistakes, rest }
}

impl Parsed<'_> {
    /// Whether this line has a mistake of syntax. Further mistakes in such a line are mostly consequences of that
    /// mistake.
    pub(super) fn spoils(&self, source: &ValueSource) -> bool {
        self.mistakes.iter().any(|mistake| mistake.site.source == *source)
    }
}

/// The text with `[[server]]` instead of `[server]`, and one mistake for each line `[server]`. `None` if there is no
/// such header. The new text has the same line numbers, and all other mistakes in it are found as well.
pub(super) fn with_lists_of_servers(source: FileText<'_>) -> Option<(String, Vec<Diagnostic>)> {
    const HEADER: &str = "[server]";
    let (mut text, mut mistakes, mut at) = (String::with_capacity(source.text.len()), Vec::new(), 0);
    for line in source.text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let is_header = line.split('#').next().is_some_and(|line| line.trim() == HEADER);
        if is_header {
            let (before, after) = (&line[..indent], &line[indent + HEADER.len()..]);
            text.extend([before, "[[server]]", after]);
            let begin = at + indent;
            let mistake = Diagnostic::error(
                source.site(begin..begin + HEADER.len()),
                "server",
                "must be a list of tables",
            );
            mistakes.push(mistake.found("found a single table").help("write [[server]], with two brackets"));
        } else {
            text.push_str(line);
        }
        at += line.len();
    }
    let is_meant = !mistakes.is_empty() && lacks_list_of_servers(source.text);
    is_meant.then_some((text, mistakes))
}

/// Whether `server` is a single table or is given twice. Otherwise a line `[server]` is part of a multi-line text.
fn lacks_list_of_servers(text: &str) -> bool {
    let (table, errors) = DeTable::parse_recoverable(text);
    let is_table =
        table.get_ref().get("server").is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)));
    let is_server = |error: &Error| error.span().and_then(|span| text.get(span)) == Some("server");
    is_table || errors.iter().any(|error| begins(error, &["duplicate key"]) && is_server(error))
}

fn begins(error: &Error, messages: &[&str]) -> bool {
    messages.iter().any(|message| error.message().starts_with(message))
}

fn describe(source: FileText<'_>, error: &Error, unclosed: bool) -> Diagnostic {
    let span = error.span().unwrap_or_default();
    let stretch = source.text.get(span.clone()).unwrap_or_default();
    if begins(error, &NO_VALUE) {
        return no_value(source, span);
    }
    let site = source.site(span);
    if begins(error, &["duplicate key"]) {
        let is_header = site.text.trim_start().starts_with('[');
        let help = if is_header { "put all of its keys below one of them" } else { "leave one of them out" };
        let key = if looks_secret(stretch) { HIDDEN.to_string() } else { stretch.trim().to_owned() };
        return Diagnostic::keyless(site, format!("`{key}` is given twice")).help(help);
    }
    if begins(error, &["invalid unquoted key"]) && stretch.starts_with(':') {
        return Diagnostic::keyless(site, "a key and its value have a `=` between them")
            .help("write = instead of :");
    }
    let help = match error.message() {
        message if message.starts_with("unclosed array table") => "close it with ]]",
        message if message.starts_with("unclosed table") => "close it with ]",
        _ if unclosed => "is a `]` missing above?",
        _ => "",
    };
    Diagnostic::keyless(site, format!("the file is not valid TOML: {}", error.message())).help(help)
}

/// The mistake of a value without quotes. `span` is the part that the parser cannot read.
fn no_value(source: FileText<'_>, span: Range<usize>) -> Diagnostic {
    let span = whole_value(source.text, span);
    let value = source.text.get(span.clone()).unwrap_or_default();
    let mistake = Diagnostic::keyless(
        source.site(span),
        "a value is a number, true, false, a list, or a text in quotes",
    );
    let text = value.trim_matches(CURLY_QUOTES);
    if value.is_empty() {
        mistake.found("found nothing")
    } else if mistake.site.is_hidden() {
        mistake.help("put it in quotes")
    } else if text.len() < value.len() {
        mistake.found(format!("found {value}")).help(format!("write straight quotes: {text:?}"))
    } else if is_number_with_unit(value) {
        mistake.found(format!("found {value}")).help("write the number alone: the end of the key is its unit")
    } else {
        mistake.found(format!("found {value}")).help(format!("put it in quotes: {value:?}"))
    }
}

/// The whole value that contains `part`.
fn whole_value(text: &str, part: Range<usize>) -> Range<usize> {
    let ends = |character: char| character.is_whitespace() || "=,[]{}#\"'".contains(character);
    let (before, after) =
        (text.get(..part.start).unwrap_or_default(), text.get(part.end..).unwrap_or_default());
    let begin = before.trim_end_matches(|character| !ends(character)).len();
    let end = part.end + after.find(ends).unwrap_or(after.len());
    // An IPv6 address with a port: [::1]:12000
    let port = text.get(end..).and_then(|rest| rest.strip_prefix("]:"));
    match port.filter(|_| text[..begin].ends_with('[')) {
        Some(port) => begin - 1..end + "]:".len() + port.find(ends).unwrap_or(port.len()),
        None => begin..end,
    }
}

/// `30s`, `64MB`
fn is_number_with_unit(value: &str) -> bool {
    let unit = value.trim_start_matches(|character: char| character.is_ascii_digit());
    unit.len() < value.len()
        && !unit.is_empty()
        && unit.chars().all(|character| character.is_ascii_alphabetic())
}
