//! How a diagnostic looks on a terminal: a sentence, the line it speaks of with the place marked, and advice.
//!
//! ```text
//! error: `log.level` takes "error", "warn", "info" or "debug"
//!   --> herd.toml:61:9
//!    |
//! 61 | level = "loud"
//!    |         ^^^^^^ found the text "loud"
//!    |
//!    = help: …
//! ```

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::diagnostic::{Diagnostic, Origin, Severity, Site};
use crate::escape;

/// Longest piece of a line that is shown, characters. A longer line is cut around the place.
const LINE_SHOWN_LEN: usize = 100;
/// How much of a line that is cut stands before the place, characters.
const LINE_SHOWN_BEFORE: usize = 30;
/// How wide a tab is shown.
const TAB: &str = "    ";

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::BrightRed.on_default().bold();
const YELLOW: Style = AnsiColor::BrightYellow.on_default().bold();
const BLUE: Style = AnsiColor::BrightBlue.on_default().bold();
const CYAN: Style = AnsiColor::BrightCyan.on_default().bold();

impl Diagnostic {
    /// The diagnostic over several lines, with an empty one at the end, colored: whoever prints it where colors
    /// are not wanted strips them.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let style = match self.severity {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
        };
        let gutter = self.gutter();
        let sentence = printable(&self.sentence());
        writeln!(out, "{style}{}{style:#}{BOLD}: {sentence}{BOLD:#}", self.severity)?;
        writeln!(out, "{:gutter$}{BLUE}-->{BLUE:#} {}", "", place(&self.site))?;
        let related = self.related.as_ref().map(|(site, what)| (site, what.as_str(), CYAN, '-'));
        let mut excerpts = vec![(&self.site, self.found.as_str(), style, '^')];
        excerpts.extend(related);
        // In the order of the file, as one reads.
        excerpts.sort_by(|one, two| one.0.origin.cmp(&two.0.origin));
        let mut any = false;
        for (site, what, style, mark) in excerpts.into_iter().filter(|excerpt| excerpt.0.has_line()) {
            write_excerpt(out, gutter, site, &printable(what), style, mark)?;
            any = true;
        }
        if !self.help.is_empty() {
            if any {
                writeln!(out, "{:gutter$} {BLUE}|{BLUE:#}", "")?;
            }
            writeln!(out, "{:gutter$} {BLUE}={BLUE:#} {BOLD}help{BOLD:#}: {}", "", printable(&self.help))?;
        }
        writeln!(out)
    }

    /// How wide the line numbers are.
    fn gutter(&self) -> usize {
        let sites = [Some(&self.site), self.related.as_ref().map(|(site, _)| site)];
        sites.into_iter().flatten().map(|site| site.number().len()).max().unwrap_or(0).max(1)
    }
}

impl Site {
    fn has_line(&self) -> bool {
        !matches!(self.origin, Origin::File(_))
    }

    fn number(&self) -> String {
        match self.origin {
            Origin::Line(_, line) => line.to_string(),
            _ => String::new(),
        }
    }
}

fn place(site: &Site) -> String {
    match &site.origin {
        Origin::Variable(name) => format!("the environment variable {name}"),
        Origin::Flag => "the flag --set".to_owned(),
        Origin::Line(..) | Origin::File(_) => site.to_string(),
    }
}

fn write_excerpt(
    out: &mut String,
    gutter: usize,
    site: &Site,
    what: &str,
    style: Style,
    mark: char,
) -> std::fmt::Result {
    let Shown { before, marked, after } = Shown::of(site);
    let marks: String = std::iter::repeat_n(mark, marked.chars().count().max(1)).collect();
    let indent = before.chars().count();
    writeln!(out, "{:gutter$} {BLUE}|{BLUE:#}", "")?;
    writeln!(out, "{BLUE}{:>gutter$} |{BLUE:#} {before}{marked}{after}", site.number())?;
    let label = if what.is_empty() { String::new() } else { format!(" {what}") };
    writeln!(out, "{:gutter$} {BLUE}|{BLUE:#} {:indent$}{style}{marks}{label}{style:#}", "", "")
}

/// The piece of a line that is shown: what stands before the place, the place, and what follows.
struct Shown {
    before: String,
    marked: String,
    after: String,
}

impl Shown {
    fn of(site: &Site) -> Shown {
        let line: Vec<char> = site.text.chars().collect();
        let begin = (site.column - 1).min(line.len());
        let end = (begin + site.width).min(line.len());
        let is_long = line.len() > LINE_SHOWN_LEN;
        let first = if is_long { begin.saturating_sub(LINE_SHOWN_BEFORE) } else { 0 };
        let last = if is_long { (first + LINE_SHOWN_LEN).min(line.len()) } else { line.len() };
        let end = end.min(last);
        let piece = |range: &[char]| printable(&range.iter().collect::<String>());
        let dots = |cut: bool| if cut { "…" } else { "" };
        Shown {
            before: format!("{}{}", dots(first > 0), piece(&line[first..begin])),
            marked: piece(&line[begin..end]),
            after: format!("{}{}", piece(&line[end..last]), dots(last < line.len())),
        }
    }
}

/// What a terminal takes for a command must not reach it.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' => shown.push_str(TAB),
            char if !escape::is_harmless(char) => shown.push('\u{fffd}'),
            char => shown.push(char),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Overrides};

    const HERD: &str = "[herd]\ntls = \"off\"\n[[server]]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\n";

    /// All that is said of [`HERD`] with something after it, without colors.
    fn shown(after: &str, sets: &[&str]) -> String {
        let overrides = Overrides::new([], sets.iter().map(ToString::to_string));
        let diagnostics =
            Config::read(&format!("{HERD}{after}"), Path::new("herd.toml"), &overrides).unwrap_err();
        let rendered: String = diagnostics.iter().map(Diagnostic::render).collect();
        assert!(rendered.contains("\x1b["), "colors are there to be stripped");
        anstream::adapter::strip_str(&rendered).to_string()
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_and_its_place_marked() {
        let expected = r#"
error: `log.level` takes "error", "warn", "info" or "debug"
 --> herd.toml:7:9
  |
7 | level = "inof"  # loud
  |         ^^^^^^ found the text "inof"
  |
  = help: did you mean "info"?

"#;
        assert_eq!(shown("[log]\nlevel = \"inof\"  # loud", &[]), expected.trim_start());
    }

    #[test]
    fn a_second_place_is_shown_in_the_order_of_the_file() {
        let expected = r#"
error: `http` of server a is in use already, by `listen` of server a
  --> herd.toml:10:8
   |
 5 | listen = "127.0.0.1:1"
   |          ------------- first here
   |
10 | http = "127.0.0.1:1"
   |        ^^^^^^^^^^^^^
   |
   = help: give each door its own port

"#;
        assert_eq!(shown("\n\n\n\nhttp = \"127.0.0.1:1\"", &[]), expected.trim_start());
    }

    #[test]
    fn a_flag_is_shown_as_it_was_typed() {
        let expected = r#"
error: `log.format` takes "text" or "json"
 --> the flag --set
  |
  | --set log.format=xml
  |                  ^^^ found "xml"

"#;
        assert_eq!(shown("", &["log.format=xml"]), expected.trim_start());
    }

    #[test]
    fn tabs_and_what_a_terminal_would_obey_leave_the_mark_in_its_place() {
        let shown = shown("\thttp = 5", &["log.dir=\u{1b}[2J\0\u{202e}"]);
        assert!(shown.contains("6 |     http = 5\n  |            ^ found 5\n"), "{shown}");
        assert!(shown.contains("| --set log.dir=\u{fffd}[2J\u{fffd}\u{fffd}\n"), "{shown}");
    }

    #[test]
    fn of_a_long_line_the_piece_around_the_mistake_is_shown() {
        let names: Vec<String> = (0..40).map(|index| format!("\"name-{index}\"")).collect();
        let shown = shown(&format!("neighbors = [{}]", names.join(", ")), &[]);
        let piece = "name-19\", \"name-20\", ";
        let line = shown.lines().find(|line| line.contains(piece) && line.ends_with('…')).unwrap();
        assert!(line.starts_with("6 | …") && line.chars().count() <= LINE_SHOWN_LEN + 6, "{line}");
        for (line, mark) in shown.lines().zip(shown.lines().skip(1)) {
            if mark.contains("^^^^") {
                let at = mark.chars().position(|char| char == '^').unwrap();
                assert_eq!(line.chars().nth(at), Some('"'), "{line}\n{mark}");
            }
        }
    }
}
