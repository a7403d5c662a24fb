//! Draws a diagnostic for a terminal: a sentence, the line with the place underlined, and advice.
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
//!
//! The library `annotate-snippets` draws the diagnostic and cuts long lines. This module replaces every control
//! character of a terminal. So no text from the file, a variable, a flag or a path moves the cursor or changes colors.

use std::ops::Range;

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Padding, Renderer, Snippet,
    renderer::{AnsiColor, Style},
};
use proxyherd_log::escape;

use super::{
    diagnostic::{Diagnostic, Severity},
    site::{Site, ValueSource},
};

/// Minimum width to which lines are cut, columns. A narrower terminal wraps the lines.
const WIDTH_MIN: usize = 40;

const WARNING: Style = AnsiColor::BrightYellow.on_default().bold();

impl Diagnostic {
    /// Draws the diagnostic over several lines, with an empty line at the end. Source lines are cut to `width` columns.
    /// The text is colored; the caller strips the colors if the output is not a terminal.
    pub fn render(&self, width: usize) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(printable(&self.sentence())));
        let group = group.elements(self.places()).elements(self.advice());
        let renderer = Renderer::styled().warning(WARNING).hyperlink(false).term_width(width.max(WIDTH_MIN));
        format!("{}\n\n", renderer.render(&[group]))
    }

    /// The place of the mistake, and the related place if there is one.
    fn places(&self) -> Vec<Element<'_>> {
        let Some(snippet) = snippet(&self.site) else {
            return vec![Origin::path(path(&self.site)).into(), Padding.into()];
        };
        let snippet = snippet.annotation(annotation(AnnotationKind::Primary, &self.site, &self.found));
        let Some((site, what)) = &self.related else { return vec![snippet.into()] };
        let related = annotation(AnnotationKind::Context, site, what);
        if site.source == self.site.source {
            return vec![snippet.annotation(related).into()];
        }
        let other = self::snippet(site).map(|other| other.annotation(related).into());
        std::iter::once(snippet.into()).chain(other).collect()
    }

    /// Two notes: where the value was set, if not in the file, and what to write instead.
    fn advice(&self) -> Vec<Element<'_>> {
        let outside = match &self.site.source {
            ValueSource::Variable(name) => Some(format!("set by the environment variable {name}")),
            ValueSource::Flag => Some("set by the flag --set".to_owned()),
            ValueSource::Line(..) | ValueSource::File(_) => None,
        };
        let note = outside.map(|note| Level::NOTE.message(printable(&note)).into());
        let help = (!self.help.is_empty()).then(|| Level::HELP.message(printable(&self.help)).into());
        note.into_iter().chain(help).collect()
    }
}

/// The line of the site without annotations. `None` if the site is the whole file.
fn snippet(site: &Site) -> Option<Snippet<'_, Annotation<'_>>> {
    let snippet = Snippet::source(drawn(&site.text));
    match &site.source {
        ValueSource::Line(_, line) => Some(snippet.line_start(*line).path(path(site))),
        ValueSource::Variable(_) | ValueSource::Flag => Some(snippet.line_numbering(false)),
        ValueSource::File(_) => None,
    }
}

fn path(site: &Site) -> String {
    match &site.source {
        ValueSource::Line(path, _) | ValueSource::File(path) => printable(&path.display().to_string()),
        ValueSource::Variable(_) | ValueSource::Flag => String::new(),
    }
}

fn annotation<'a>(kind: AnnotationKind, site: &Site, label: &str) -> Annotation<'a> {
    let label = (!label.is_empty()).then(|| printable(label));
    kind.span(site.span_of(&drawn(&site.text))).label(label)
}

impl Site {
    /// The stretch as bytes of `text`, which has the same number of characters as the site's line.
    fn span_of(&self, text: &str) -> Range<usize> {
        let offset = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
        offset(self.column - 1)..offset(self.column - 1 + self.width)
    }
}

/// The line with a replacement for each character that a terminal would obey. The number of characters stays the same,
/// so that columns equal the columns in the file.
fn drawn(line: &str) -> String {
    let drawn = |character| match character {
        // The library draws a tab as spaces.
        '\t' => '\t',
        _ if escape::is_harmless(character) => character,
        _ => char::REPLACEMENT_CHARACTER,
    };
    line.chars().map(drawn).collect()
}

/// The text without characters that a terminal would obey.
fn printable(text: &str) -> String {
    escape::shown(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Overrides};

    const WIDTH: usize = 100;
    const HERD: &str = "[herd]\ntls = \"off\"\n[[server]]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\n";

    /// All messages about [`HERD`] followed by this text, without colors.
    fn shown(after: &str, sets: &[&str]) -> String {
        let overrides = Overrides::new([], sets.iter().map(ToString::to_string));
        let diagnostics =
            Config::read(&format!("{HERD}{after}"), Path::new("herd.toml"), &overrides).unwrap_err();
        let rendered: String = diagnostics.iter().map(|one| one.render(WIDTH)).collect();
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
    fn a_second_place_is_shown_below_the_mistake() {
        let expected = r#"
error: `http` of server a is already in use by `listen` of server a
  --> herd.toml:10:8
   |
10 | http = "127.0.0.1:1"
   |        ^^^^^^^^^^^^^
   |
  ::: herd.toml:5:10
   |
 5 | listen = "127.0.0.1:1"
   |          ------------- first here
   |
   = help: give each door its own port

"#;
        assert_eq!(shown("\n\n\n\nhttp = \"127.0.0.1:1\"", &[]), expected.trim_start());
    }

    #[test]
    fn a_flag_is_shown_as_it_was_typed() {
        let expected = r#"
error: `log.format` takes "text" or "json"
 |
 | --set log.format=xml
 |                  ^^^ found "xml"
 |
 = note: set by the flag --set

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
        let drawn: Vec<(&str, &str)> = shown
            .lines()
            .zip(shown.lines().skip(1))
            .filter(|(_, mark)| mark.starts_with("  |") && mark.contains("^^^^"))
            .collect();
        assert_eq!(drawn.len(), names.len());
        for (name, (line, mark)) in names.iter().zip(drawn) {
            assert!(line.starts_with("6 | ") && line.contains("...") && line.len() <= WIDTH, "{line}");
            let at = mark.find('^').unwrap();
            assert!(line[at..].starts_with(name), "{name}:\n{line}\n{mark}");
        }
    }

    #[test]
    fn two_places_of_one_line_are_shown_in_that_line() {
        let shown = shown("http = [\"127.0.0.1:2\", \"127.0.0.1:2\"]", &[]);
        let expected = r#"
6 | http = ["127.0.0.1:2", "127.0.0.1:2"]
  |         -------------  ^^^^^^^^^^^^^
  |         |
  |         first here
"#;
        assert!(shown.contains(expected.trim_start()), "{shown}");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let shown = shown("http = [\"東京\", 5]", &[]);
        let marks = ["        ^^^^^^ found the text \"東京\"\n", "                ^ found 5\n"];
        for mark in marks {
            let expected = format!("6 | http = [\"東京\", 5]\n  | {mark}");
            assert!(shown.contains(&expected), "{shown}");
        }
    }

    #[test]
    fn a_mistake_at_the_end_of_the_file_and_one_without_a_place_are_shown() {
        let shown = shown("http =", &[]);
        assert!(shown.contains("--> herd.toml:6:7\n  |\n6 | http =\n  |       ^ found nothing\n"), "{shown}");
        let empty = Config::read("", Path::new("herd.toml"), &Overrides::none()).unwrap_err();
        let shown = anstream::adapter::strip_str(&empty.iter().next().unwrap().render(WIDTH)).to_string();
        assert!(
            shown.starts_with("error: the herd has no server\n--> herd.toml\n |\n = help: begin each"),
            "{shown}"
        );
    }

    #[test]
    fn a_secret_is_drawn_as_one_character() {
        let shown = shown("key = \"s3cret\"", &[]);
        assert!(shown.contains("6 | key = …\n"), "{shown}");
        let shown = self::shown("[places.google]\nkey_env = \"AIzaSyD3\"", &[]);
        assert!(shown.contains("7 | key_env = …\n  |           ^ found what looks like a key\n"), "{shown}");
    }

    #[test]
    fn nothing_in_a_path_or_a_message_moves_a_terminal() {
        let read = Config::read("a\u{9b}b = 1", Path::new("her\u{1b}[2Jd.toml"), &Overrides::none());
        for one in read.unwrap_err().iter() {
            let shown = anstream::adapter::strip_str(&one.render(WIDTH)).to_string();
            assert!(shown.lines().all(|line| line.chars().all(escape::is_harmless)), "{shown:?}");
        }
    }
}
