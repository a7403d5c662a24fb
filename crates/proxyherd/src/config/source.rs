//! The file's text, and where in it something stands.

use std::{ops::Range, path::Path};

use super::diagnostic::{Origin, Site};

/// Keys whose values are not repeated on a terminal or in a log, known to the herd or only meant to be.
const SECRET_KEYS: [&str; 6] = ["url", "key", "password", "secret", "token", "api_key"];

/// How the names of variables end that may hold such a value.
const SECRET_VARIABLES: [&str; 5] = ["_KEY", "_PASSWORD", "_SECRET", "_TOKEN", "DATABASE_URL"];

/// How Google's keys begin.
const LOOKS_SECRET: &str = "AIza";

/// What stands before and after a private key in PEM.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// What stands where a secret was.
pub(super) const HIDDEN: char = '…';

#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The stretch `span` of the text, in bytes; of a stretch over several lines, what is on the first.
    pub(super) fn site(&self, span: Range<usize>) -> Site {
        let begin = floor_char_boundary(self.text, span.start);
        let line_begin = self.text[..begin].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[begin..].find('\n').map_or(self.text.len(), |at| begin + at);
        let line = self.text[line_begin..line_end].trim_end_matches('\r');
        let end = floor_char_boundary(self.text, span.end).min(line_begin + line.len());
        let number = self.text[..line_begin].matches('\n').count() + 1;
        Site {
            origin: Origin::Line(self.path.to_owned(), number),
            text: without_secret(line),
            column: self.text[line_begin..begin].chars().count() + 1,
            width: self.text.get(begin..end).map_or(1, |stretch| stretch.chars().count().max(1)),
        }
    }

    /// The file as a whole.
    pub(super) fn whole(&self) -> Site {
        Site { origin: Origin::File(self.path.to_owned()), text: String::new(), column: 1, width: 1 }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Whether a value looks like a key of Google's or holds a private key, wherever somebody has put it by mistake.
pub(super) fn looks_secret(text: &str) -> bool {
    text.contains(LOOKS_SECRET) || text.contains(PRIVATE_KEY)
}

/// The line up to the first value of a key that may hold a password, or that looks like a key itself, and dots for the
/// rest.
pub(super) fn without_secret(line: &str) -> String {
    let after_keys =
        line.match_indices('=').filter(|&(at, _)| names_secret(&line[..at])).map(|(at, _)| at + 1);
    let secret = line.find(LOOKS_SECRET).map(|at| line[..at].rfind('=').map_or(at, |at| at + 1));
    match after_keys.chain(secret).min() {
        Some(at) => format!("{} {HIDDEN}", line[..at].trim_end()),
        None => line.to_owned(),
    }
}

/// Whether what stands before a `=` ends in a key that may hold a password, be it of a table or in a variable's name.
fn names_secret(before: &str) -> bool {
    let before = before.trim_end().trim_end_matches(['"', '\'']);
    let key = before.rsplit(['.', ',', '{', ' ', '\t', '"', '\'']).next().unwrap_or(before);
    SECRET_KEYS.contains(&key) || SECRET_VARIABLES.iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str, span: Range<usize>) -> (usize, usize, usize, String) {
        let site = Source { path: Path::new("herd.toml"), text }.site(span);
        let Origin::Line(_, line) = site.origin else { panic!("not a line") };
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
    fn values_that_may_be_secret_are_not_repeated() {
        for line in [
            "url = \"postgres://a:b@c\"",
            "  key=\"b\"",
            "database.url = 'b'",
            "\"token\" = \"b",
            "database = { url = \"postgres://a:b@c\" }",
            "google = { mask = \"pro\", key = 'b' }",
            "key_file = \"AIzaSyb\"",
            "--set places.google.key=b",
            "--set places.google.key_env=AIzaSyb",
            "PROXYHERD_PLACES_GOOGLE_KEY=b",
            "PROXYHERD_PLACES_GOOGLE_KEY_ENV=AIzaSyb",
        ] {
            let shown = site(line, 0..1).3;
            assert!(
                shown.ends_with("= …") && !shown.contains('b') || shown.starts_with("database"),
                "{shown}"
            );
        }
        assert_eq!(without_secret("database = { url = \"postgres://a:b@c\" }"), "database = { url = …");
        assert_eq!(without_secret("AIzaSyb"), " …");
        for line in [
            "key_env = \"NAME\"",
            "# url",
            "listen = \"url\"",
            "base_url = \"https://x\"",
            "PROXYHERD_PLACES_GOOGLE_BASE_URL=x",
        ] {
            assert_eq!(site(line, 0..1).3, line);
        }
    }
}
