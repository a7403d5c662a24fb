//! A shell into which the lines of a text are typed, and the comparison of its output with what the text shows.
//!
//! The lines of a document are typed into one shell, in their order, so a line can use what an earlier line has set.
//! Addresses and folders in the lines are replaced by those of the test.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use super::document::Document;
use crate::harness::{PATIENCE, Process, eventually};

/// What the script of a shell prints after each line. The exit code of the line follows.
const END: &str = "\u{1e}end ";

/// A line that is typed into a shell, or at a prompt that a shell has started, and the output that the text shows after
/// the line.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) line: String,
    is_at_prompt: bool,
    shown: Vec<String>,
}

/// The lines of the document's blocks with this info string. A line of a shell begins with `$ `, and its continuations
/// with `> `. A line at a prompt of `proxyherd client` begins with an address.
pub(super) fn typed(document: &Document, info: &str) -> Vec<Typed> {
    let mut found: Vec<Typed> = Vec::new();
    for fence in document.fences().filter(|fence| fence.info == info) {
        for line in fence.text.lines().filter(|line| !line.is_empty()) {
            let prompt = line.split_once("> ").filter(|(address, _)| address.starts_with("127.0.0.1:"));
            if let Some(line) = line.strip_prefix("$ ") {
                found.push(Typed { line: line.to_owned(), is_at_prompt: false, shown: Vec::new() });
            } else if let Some(more) = line.strip_prefix("> ") {
                write!(found.last_mut().unwrap().line, "\n{more}").unwrap();
            } else if let Some((_, line)) = prompt {
                found.push(Typed { line: line.to_owned(), is_at_prompt: true, shown: Vec::new() });
            } else {
                found.last_mut().unwrap().shown.push(line.to_owned());
            }
        }
    }
    found
}

/// The folder in which lines are typed, and what replaces parts of the lines.
#[derive(Debug)]
pub(super) struct Shell {
    dir: PathBuf,
    replaced: Vec<(String, String)>,
}

impl Shell {
    /// `addresses`: the addresses in the texts, with the addresses of the test.
    pub(super) fn new(dir: &Path, addresses: &[(String, String)]) -> Shell {
        let mut replaced = Vec::new();
        for (shown, real) in addresses {
            // `nc` takes host and port as two words.
            replaced.extend(
                [":", " "].map(|separator| (shown.replace(':', separator), real.replace(':', separator))),
            );
        }
        Shell { dir: dir.to_owned(), replaced }
    }

    /// With this text in place of another one.
    pub(super) fn with(mut self, shown: &str, real: &str) -> Shell {
        self.replaced.push((shown.to_owned(), real.to_owned()));
        self
    }

    /// A line of a text with the addresses of the test.
    fn here(&self, line: &str) -> String {
        self.replaced.iter().fold(line.to_owned(), |line, (shown, real)| line.replace(shown, real))
    }

    /// Types lines, and checks the output after each line.
    pub(super) fn types(&self, document: &str, mut typed: &[Typed]) {
        while !typed.is_empty() {
            // The line before the first line at a prompt starts the prompt.
            let prompt = typed.iter().position(|typed| typed.is_at_prompt).map_or(typed.len(), |at| at - 1);
            let (plain, rest) = typed.split_at(prompt);
            if !plain.is_empty() {
                self.types_into_bash(document, plain);
            }
            let len =
                rest.iter().skip(1).position(|typed| !typed.is_at_prompt).map_or(rest.len(), |at| at + 1);
            let (at_prompt, rest) = rest.split_at(len);
            if let Some((command, lines)) = at_prompt.split_first() {
                self.types_at_prompt(&command.line, lines);
            }
            typed = rest;
        }
    }

    fn types_into_bash(&self, document: &str, typed: &[Typed]) {
        let mut script = String::from("exec 2>&1\nexport PATH=$PWD:$PATH HOME=$PWD\n");
        for Typed { line, .. } in typed {
            writeln!(script, "{}\nprintf '\\n{END}%s\\n' $?", self.here(line)).unwrap();
        }
        // What the lines have left in the background ends with them.
        script += "kill $(jobs -p) 2>/dev/null\nwait\n";
        let finished = Process::bash(&self.dir, &script).wait(PATIENCE * 4);
        let mut outputs = finished.out.split(END);
        let mut out = outputs.next().unwrap_or_default();
        for typed in typed {
            let line = &typed.line;
            let Some((code, next)) = outputs.next().and_then(|rest| rest.split_once('\n')) else {
                panic!("{document}: {line}: the shell has ended: {finished:?}");
            };
            assert_eq!(code, "0", "{document}: {line}: {out}");
            check(typed, out).unwrap_or_else(|missing| panic!("{document}: {line}: {missing}"));
            out = next;
        }
    }

    fn types_at_prompt(&self, command: &str, typed: &[Typed]) {
        let line = format!("PATH=$PWD:$PATH; {}", self.here(command));
        let script = format!("mkfifo keys; TERM=xterm NO_COLOR=1 exec script -qec '{line}' /dev/null < keys");
        let terminal = Process::bash(&self.dir, &script);
        let keys = self.dir.join("keys");
        let mut keys =
            eventually("the pipe of keys is there", || fs::OpenOptions::new().write(true).open(&keys));
        let mut before = 0;
        for typed in typed {
            keys.write_all(format!("{}\n", typed.line).as_bytes()).unwrap();
            before = eventually(&format!("{:?} is answered as shown", typed.line), || {
                let shown = terminal.out();
                check(typed, &shown[before..]).map(|()| shown.len())
            });
        }
        keys.write_all(b"\x04").unwrap();
        assert_eq!(terminal.wait(PATIENCE).code, 0);
    }
}

/// Checks that the output contains the lines that the text shows, in order. The error names a missing line. Numbers may
/// differ. If the text shows an ellipsis, the end of the line may differ.
fn check(typed: &Typed, out: &str) -> Result<(), String> {
    let mut lines = out.lines().map(plain);
    for shown in &typed.shown {
        let (expected, is_cut) = match shown.split_once('…') {
            Some((begin, _)) => (plain(begin), true),
            None => (plain(shown), false),
        };
        let fits = |line: String| if is_cut { line.starts_with(&expected) } else { line == expected };
        if !lines.any(fits) {
            return Err(format!("{shown:?} is not in its place in {out}"));
        }
    }
    Ok(())
}

/// A line without the parts that differ each time: each number becomes 0, and each run of spaces becomes one space.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let mut plain = String::new();
        for character in word.chars() {
            match character {
                '0'..='9' if plain.ends_with('0') => {}
                '0'..='9' => plain.push('0'),
                _ => plain.push(character),
            }
        }
        plain
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_text_shows_is_compared_without_numbers_and_up_to_an_ellipsis() {
    for (shown, out, is_right) in [
        ("a 12  b", "x\na 345 b\ny\n", true),
        ("a … b", "a c\n", true),
        ("a b", "a c\n", false),
        ("a\nb", "b\na\n", false),
        ("", "anything\n", true),
    ] {
        let shown = shown.lines().map(str::to_owned).collect();
        let typed = Typed { line: String::new(), is_at_prompt: false, shown };
        assert_eq!(check(&typed, out).is_ok(), is_right, "{typed:?} {out:?}");
    }
}

#[test]
#[should_panic(expected = "book: false")]
fn a_line_that_fails_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let document = Document {
        name: "book".to_owned(),
        text: "```console\n$ X=1\n$ test $X = 1\n$ false\n```\n".to_owned(),
    };
    Shell::new(dir.path(), &[]).types("book", &typed(&document, "console"));
}
