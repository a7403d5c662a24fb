//! One result of an answer as its provider wrote it, for providers that themselves speak Nearby Search (Legacy).
//!
//! Members, their order, and the spelling of numbers and strings stay unchanged. Only the white space between them
//! changes, so that the result fits into an [`Answer`](super::Answer) as this program prints it. This module does not
//! know the meaning of the members. It does not check that the text is JSON, because a JSON library has done that
//! before.

use crate::limits::RESULT_LEN_MAX;

/// The depth of a result within an answer.
const DEPTH: usize = 2;
/// Google's indent.
const INDENT: &str = "   ";

/// A result's JSON text, laid out as an answer prints it: at most [`RESULT_LEN_MAX`] bytes.
///
/// ```
/// use proxyherd_core::places::Verbatim;
/// let result = Verbatim::new(r#"{"name":"Bar","new":[]}"#).expect("it is short");
/// assert_eq!(
///     result.as_str(),
///     "{\n         \"name\" : \"Bar\",\n         \"new\" : []\n      }"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verbatim(Box<str>);

impl Verbatim {
    /// Lays out a result. Returns `None` if the result becomes too long. `json` must be one value of valid JSON.
    pub fn new(json: &str) -> Option<Verbatim> {
        let mut out = String::with_capacity(json.len().min(RESULT_LEN_MAX));
        let mut depth = DEPTH;
        let mut rest = json;
        while let Some(next) = rest.chars().next() {
            let token = &rest[..token_len(rest, next)];
            rest = rest[token.len()..].trim_ascii_start();
            match next {
                '{' | '[' if rest.starts_with(['}', ']']) => {
                    out.push_str(token);
                    out.push_str(&rest[..1]);
                    rest = rest[1..].trim_ascii_start();
                }
                '{' | '[' => {
                    depth += 1;
                    out.push_str(token);
                    begin_line(&mut out, depth);
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    begin_line(&mut out, depth);
                    out.push_str(token);
                }
                ',' => {
                    out.push_str(token);
                    begin_line(&mut out, depth);
                }
                ':' => out.push_str(" : "),
                // The white space before the value is skipped.
                _ if next.is_ascii_whitespace() => {}
                _ => out.push_str(token),
            }
            if out.len() > RESULT_LEN_MAX {
                return None;
            }
        }
        Some(Verbatim(out.into_boxed_str()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The length of the token at the beginning of `text`. The token's first character is `first`.
fn token_len(text: &str, first: char) -> usize {
    match first {
        '"' => string_len(text),
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        _ if first.is_ascii_whitespace() => 1,
        // A number or a word.
        _ => text.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(text.len()),
    }
}

/// The length of a string with its quotes.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn begin_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(INDENT, depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_order_numbers_and_strings_stay_as_they_came() {
        let json = "\n { \"z\" : 1.50e+2,\r\n\"a\":-0.0,\t\"a\":[ ] ,\"x\":{ }, \"d\":[[1 ,true],{\"e\":null}],\
                    \"s\":\"{[,:\\\" \\u00e9 \\\\\", \"ü\":\"\"} ";
        let expected = r#"{
         "z" : 1.50e+2,
         "a" : -0.0,
         "a" : [],
         "x" : {},
         "d" : [
            [
               1,
               true
            ],
            {
               "e" : null
            }
         ],
         "s" : "{[,:\" \u00e9 \\",
         "ü" : ""
      }"#;
        let laid_out = Verbatim::new(json).unwrap();
        assert_eq!(laid_out.as_str(), expected);
        assert_eq!(Verbatim::new(expected), Some(laid_out), "a second layout changes nothing");
    }

    #[test]
    fn a_result_that_becomes_too_long_is_none() {
        let of_len = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
        assert!(Verbatim::new(&of_len(RESULT_LEN_MAX)).is_some());
        assert_eq!(Verbatim::new(&of_len(RESULT_LEN_MAX + 1)), None);
        // This result is short as it came, and too long with the indents.
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(Verbatim::new(&deep), None);
    }

    #[test]
    fn text_that_is_no_json_is_no_panic() {
        for text in ["", "]]]]", "\"\\", "{", "{ ", "tru", "é", "[\u{a0}]", ",:,"] {
            assert!(Verbatim::new(text).is_some(), "{text:?}");
        }
    }
}
