//! Helps while a person types: completes commands and clients, and shows the arguments that are still missing.

use std::{borrow::Cow, collections::BTreeSet};

use rustyline::{
    Context, Helper, Result,
    completion::Completer,
    highlight::{CmdKind, Highlighter},
    hint::Hinter,
    history::SearchDirection,
    validate::Validator,
};

use unicode_width::UnicodeWidthChar as _;

use super::{
    super::FAINT,
    typed::{self, COMMANDS},
};

/// Maximum number of clients that a completion offers.
const CLIENTS_MAX: usize = 50;

/// The line editor's helper.
pub(super) struct LineHelper;

/// The arguments that are missing. The editor shows these hints and never inserts them, so that nobody names a client
/// `<client>` by accident.
pub(super) struct MissingArguments(String);

impl rustyline::hint::Hint for MissingArguments {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Helper for LineHelper {}
impl Validator for LineHelper {}

impl Hinter for LineHelper {
    type Hint = MissingArguments;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<MissingArguments> {
        if pos < line.len() { None } else { missing(line).map(MissingArguments) }
    }
}

/// The arguments of the command in `line` that are not typed yet.
fn missing(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let command = words.next()?;
    let (_, arguments) = COMMANDS.iter().find(|(name, _)| *name == command)?;
    let rest = arguments.get(words.count()..).filter(|rest| !rest.is_empty())?.join(" ");
    Some(if line.ends_with(char::is_whitespace) { rest } else { format!(" {rest}") })
}

impl Completer for LineHelper {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, context: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let before = &line[..pos];
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let (done, begun) = before.split_at(start);
        let candidates = match done.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            [] => commands(begun),
            ["IAMAT" | "WHATSAT" | "here"] => clients(earlier(context), begun),
            _ => Vec::new(),
        };
        Ok((start, candidates))
    }
}

/// The commands that begin with `begun`, in capitals or not.
fn commands(begun: &str) -> Vec<String> {
    let begins = |name: &str| name.get(..begun.len()).is_some_and(|start| start.eq_ignore_ascii_case(begun));
    COMMANDS.iter().filter(|(name, _)| begins(name)).map(|(name, _)| format!("{name} ")).collect()
}

/// The clients in earlier lines whose names begin with `begun`. If there are many, only the latest clients.
fn clients(earlier: impl Iterator<Item = String>, begun: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for line in earlier {
        let mut words = line.split_ascii_whitespace();
        if !matches!(words.next(), Some("IAMAT" | "WHATSAT" | "here")) {
            continue;
        }
        if let Some(client) = words.next().filter(|client| client.starts_with(begun)) {
            found.insert(format!("{client} "));
        }
        if found.len() == CLIENTS_MAX {
            break;
        }
    }
    found.into_iter().collect()
}

/// Earlier lines, the latest first.
fn earlier(context: &Context<'_>) -> impl Iterator<Item = String> {
    let history = context.history();
    let line = |index| history.get(index, SearchDirection::Reverse).ok().flatten();
    (0..history.len()).rev().filter_map(move |index| Some(line(index)?.entry.into_owned()))
}

impl Highlighter for LineHelper {
    /// A line that shows a token is drawn with a star for each character of the token, so that nobody reads it from the
    /// screen.
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if typed::begins_with_auth(line) { Cow::Owned(starred(line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        typed::begins_with_auth(line)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("{FAINT}{hint}{FAINT:#}"))
    }
}

/// The line with as many stars as the text after its first word is wide.
fn starred(line: &str) -> String {
    let start = line.len() - line.trim_start().len();
    let end = start + typed::AUTH.len();
    let stars: String = line[end..]
        .chars()
        .map(|character| match character {
            ' ' => " ".to_owned(),
            other => "*".repeat(other.width().unwrap_or(0)),
        })
        .collect();
    format!("{}{stars}", &line[..end])
}

#[cfg(test)]
mod tests {
    use rustyline::history::{DefaultHistory, History as _};

    use super::*;

    #[test]
    fn arguments_are_shown_until_they_are_typed() {
        for (line, expected) in [
            ("WHATSAT", Some(" <client> <kilometers> <most places>")),
            ("WHATSAT ", Some("<client> <kilometers> <most places>")),
            ("WHATSAT ki", Some(" <kilometers> <most places>")),
            ("WHATSAT kiwi 10 ", Some("<most places>")),
            ("WHATSAT kiwi 10 5", None),
            ("WHATSAT kiwi 10 5 6 7", None),
            ("IAMAT kiwi ", Some("<latitude><longitude> [<time>]")),
            ("help", None),
            ("WHAT", None),
            ("", None),
        ] {
            assert_eq!(missing(line).as_deref(), expected, "{line:?}");
        }
    }

    fn complete(line: &str, pos: usize) -> (usize, Vec<String>) {
        let mut history = DefaultHistory::new();
        for line in
            ["IAMAT kiwi +1+1 1", "WHATSAT emu 10 5", "WHATSAT kiwi 10 5", "here kea 1 1", "HELLO kakapo"]
        {
            history.add(line).unwrap();
        }
        LineHelper.complete(line, pos, &Context::new(&history)).unwrap()
    }

    #[test]
    fn commands_and_clients_are_completed_where_they_stand() {
        let check = |line: &str, start: usize, candidates: &[&str]| {
            let candidates = candidates.iter().map(|&candidate| candidate.to_owned()).collect();
            assert_eq!(complete(line, line.len()), (start, candidates), "{line:?}");
        };
        check("wh", 0, &["WHATSAT "]);
        check("H", 0, &["here ", "help "]);
        check("HELLO", 0, &[]);
        check("räu", 0, &[]);
        check("WHATSAT k", 8, &["kea ", "kiwi "]);
        check("IAMAT ", 6, &["emu ", "kea ", "kiwi "]);
        check("WHATSAT kiwi 1", 13, &[]);
        check("HELLO k", 6, &[]);
    }

    #[test]
    fn a_token_is_drawn_as_stars() {
        for (line, drawn) in [
            ("AUTH phd_a_0", "AUTH *******"),
            (" auth s3c", " auth ***"),
            ("AUTHs3c", "AUTH***"),
            ("AUTH", "AUTH"),
            ("AUTH 鍵", "AUTH **"),
            ("WHATSAT kiwi 10 5", "WHATSAT kiwi 10 5"),
        ] {
            assert_eq!(LineHelper.highlight(line, 0), drawn);
        }
    }

    #[test]
    fn what_stands_behind_the_cursor_does_not_matter() {
        assert_eq!(complete("WHATSAT em 10 5", 10), (8, vec!["emu ".to_owned()]));
    }
}
