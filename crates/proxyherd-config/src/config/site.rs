//! Places in a configuration. A [`Site`] is a stretch of one line of the file, of an environment variable or of a flag.
//!
//! A site never holds what may be secret in its line: `Site::new` hides it.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use super::secret::{HIDDEN, is_in_long_string, without_secret};

/// A stretch of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where the line comes from.
    pub source: ValueSource,
    /// The line without its line end and without what may be secret in it.
    pub text: String,
    /// The first column of the stretch, characters, from 1.
    pub column: usize,
    /// The length of the stretch, characters, at least 1.
    pub width: usize,
}

/// Where a line of configuration comes from, in the order in which mistakes are reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueSource {
    /// A line of the file, from 1.
    Line(PathBuf, usize),
    /// The file as a whole: something is missing in it.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// The flag `--set`.
    Flag,
}

/// The text of a file.
#[derive(Clone, Copy)]
pub(super) struct FileText<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl FileText<'_> {
    /// The site of the bytes `span`. If the bytes extend over several lines, the site ends with the first line.
    pub(super) fn site(&self, span: Range<usize>) -> Site {
        let begin = floor_char_boundary(self.text, span.start);
        let line_begin = self.text[..begin].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[begin..].find('\n').map_or(self.text.len(), |at| begin + at);
        let line = self.text[line_begin..line_end].trim_end_matches('\r');
        let end = floor_char_boundary(self.text, span.end).min(line_begin + line.len());
        let number = self.text[..line_begin].matches('\n').count() + 1;
        let column = self.text[line_begin..begin].chars().count() + 1;
        let width = self.text.get(begin..end).map_or(1, |stretch| stretch.chars().count());
        let source = ValueSource::Line(self.path.to_owned(), number);
        // Such a line does not show the key, so nothing tells whether it is part of a secret.
        if is_continued(&self.text[..line_begin]) {
            return Site { source, text: HIDDEN.to_string(), column: 1, width: 1 };
        }
        Site::new(source, line, column, width)
    }

    /// The file as a whole.
    pub(super) fn whole(&self) -> Site {
        Site::new(ValueSource::File(self.path.to_owned()), "", 1, 1)
    }
}

impl Site {
    /// The `width` characters from `column` on, in a line that may hold a secret. One character replaces the secret. If
    /// the given characters are in the secret, the site is that one character, so nobody learns the secret's length.
    pub(super) fn new(source: ValueSource, line: &str, column: usize, width: usize) -> Site {
        let mut site = Site { source, text: without_secret(line), column, width: width.max(1) };
        if site.is_hidden() {
            let hidden = site.text.chars().count();
            site.column = column.min(hidden);
            site.width = site.width.min(hidden + 1 - site.column);
        }
        site
    }

    /// Whether a part of the line is hidden because it may be secret.
    pub(super) fn is_hidden(&self) -> bool {
        self.text.ends_with(HIDDEN)
    }
}

/// Whether the line after `text` is part of a string of several lines, or of a value that may be secret.
fn is_continued(text: &str) -> bool {
    let line = text.trim_end().lines().next_back().unwrap_or_default();
    let is_secret = line.ends_with(['=', '[', ',']) && without_secret(line).ends_with(HIDDEN);
    is_secret || is_in_long_string(text)
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            ValueSource::Line(path, line) => write!(f, "{}:{line}:{}", path.display(), self.column),
            ValueSource::File(path) => write!(f, "{}", path.display()),
            ValueSource::Variable(name) => write!(f, "variable {name}"),
            ValueSource::Flag => write!(f, "flag --set"),
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str, span: Range<usize>) -> (usize, usize, usize, String) {
        let site = FileText { path: Path::new("herd.toml"), text }.site(span);
        let ValueSource::Line(_, line) = site.source else { panic!("not a line") };
        (line, site.column, site.width, site.text)
    }

    #[test]
    fn a_stretch_is_found_by_line_and_column() {
        let text = "[herd]\r\nid = \"ä\" # ö\n\nx";
        assert_eq!(site(text, 1..5), (1, 2, 4, "[herd]".into()));
        assert_eq!(site(text, 13..17), (2, 6, 3, "id = \"ä\" # ö".into()));
        assert_eq!(site(text, 13..999), (2, 6, 7, "id = \"ä\" # ö".into()), "cut at the line's end");
        assert_eq!(site(text, text.len()..text.len()), (4, 2, 1, "x".into()), "the end of the file");
        assert_eq!(site("", 0..0), (1, 1, 1, String::new()));
        assert_eq!(site("a\r\n", 1..2), (1, 2, 1, "a".into()));
    }

    #[test]
    fn every_stretch_of_any_text_has_a_site() {
        let text = "a = \"ö\"\r\n\n[ü]\nb = 1";
        for begin in 0..=text.len() + 1 {
            for end in 0..=text.len() + 1 {
                let (line, column, width, _) = site(text, begin..end);
                assert!((1..=4).contains(&line) && column >= 1 && width >= 1, "{begin}..{end}");
            }
        }
    }
    #[test]
    fn a_line_is_repeated_without_its_secret() {
        assert_eq!(site("id = 1\nkey = \"b\"", 13..16), (2, 7, 1, "key = …".into()));
        for begin in ["a = \"\"\"\n", "a = '''\n", "key =\n", "key = [\n"] {
            let text = format!("{begin}b");
            assert_eq!(site(&text, begin.len()..text.len()), (2, 1, 1, "…".into()), "{text}");
        }
        assert_eq!(site("a = [\nb", 6..7), (2, 1, 1, "b".into()));
    }
}
