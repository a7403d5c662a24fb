//! Fits text into a window: breaks paragraphs between words, and drops lines that the window has no room for.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

impl Window {
    /// The size of the terminal at standard output; `None` if standard output is not a terminal.
    pub fn of_stdout() -> Option<Window> {
        let (columns, rows) = terminal_size::terminal_size_of(std::io::stdout())?;
        // A terminal that does not know its size reports a size of zero.
        let known = |size: u16, usual| if size == 0 { usual } else { usize::from(size) };
        Some(Window { columns: known(columns.0, 80), rows: known(rows.0, 24) })
    }
}

/// Breaks a paragraph into lines that are at most `columns` wide. All lines but the first begin with `indent` spaces.
pub(crate) fn wrapped(text: &str, columns: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let gap = usize::from(!line.trim_end().is_empty());
        if line.width() + gap + word.width() > columns && gap > 0 {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if gap > 0 {
            line.push(' ');
        }
        for character in word.chars() {
            // A word that is wider than the window is broken at the window's edge.
            if line.width() + character.width().unwrap_or(0) > columns && line.width() > indent {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            }
            line.push(character);
        }
    }
    lines.push(line);
    lines
}

/// Shortens `lines` so that they fit into `rows`. If not all lines fit, the empty lines are dropped first. If that is
/// not enough, one line with the number of missing lines replaces the last lines.
pub fn cut(lines: &[&str], rows: usize) -> Vec<String> {
    let whole = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    if lines.len() <= rows {
        return whole(lines);
    }
    let full: Vec<&str> = lines.iter().copied().filter(|line| !line.is_empty()).collect();
    if full.len() <= rows {
        return whole(&full);
    }
    let shown = rows.saturating_sub(1);
    let mut lines: Vec<String> = whole(&full[..shown]);
    lines.push(format!("({} more)", full.len() - shown));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_window_and_no_word_is_lost() {
        let check = |text: &str, columns: usize, indent: usize, expected: &[&str]| {
            assert_eq!(wrapped(text, columns, indent), expected, "{text:?} in {columns}");
        };
        check("one two three", 80, 2, &["one two three"]);
        check("one two three", 7, 2, &["one two", "  three"]);
        check("one two three", 6, 0, &["one", "two", "three"]);
        check("abcdefgh ij", 5, 2, &["abcde", "  fgh", "  ij"]);
        check("", 5, 2, &[""]);
        check("東京 東京", 5, 1, &["東京", " 東京"]);
    }

    #[test]
    fn a_short_window_loses_empty_lines_first_and_is_told_what_is_left_out() {
        let lines = ["a", "", "b", "", "c"];
        assert_eq!(cut(&lines, 5), lines);
        assert_eq!(cut(&lines, 4), ["a", "b", "c"]);
        assert_eq!(cut(&lines, 2), ["a", "(2 more)"]);
        assert_eq!(cut(&lines, 1), ["(3 more)"]);
    }
}
