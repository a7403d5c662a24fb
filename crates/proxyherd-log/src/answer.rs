//! Summarizes the JSON of places in a reply as one line.
//!
//! ```text
//! (places: OK, 5 results, 1843 bytes: Westwood, Century City, Beverly Hills, …)
//! ```
//!
//! The writer's thread parses the JSON. A thread that serves clients never does.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use super::limits::{ANSWER_TEXT_LEN_MAX, PLACES_NAMED_MAX};
use crate::escape::{cut, escaped};

/// The parts of an answer that the log shows. All text is escaped.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct AnswerSummary {
    bytes: usize,
    /// `None` if the bytes are not an answer, or only a part of one.
    #[serde(flatten)]
    content: Option<AnswerContent>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct AnswerContent {
    status: String,
    results: usize,
    /// The names of the first places.
    names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

/// The fields of the Nearby Search JSON that the summary needs.
#[derive(Deserialize)]
struct PlacesAnswer<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    results: Vec<NamedPlace<'a>>,
    #[serde(borrow, default)]
    error_message: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct NamedPlace<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

impl AnswerSummary {
    pub(super) fn of(json: &[u8]) -> AnswerSummary {
        let json = json.trim_ascii_end();
        let content =
            serde_json::from_slice::<PlacesAnswer<'_>>(json).ok().map(|answer| AnswerContent::of(&answer));
        AnswerSummary { bytes: json.len(), content }
    }

    /// The summary without texts of the answer: the names of places tell where a client is.
    pub(super) fn without_names(self) -> AnswerSummary {
        let content =
            self.content.map(|content| AnswerContent { names: Vec::new(), error_message: None, ..content });
        AnswerSummary { content, ..self }
    }
}

impl AnswerContent {
    fn of(answer: &PlacesAnswer<'_>) -> AnswerContent {
        let named = answer.results.iter().take(PLACES_NAMED_MAX);
        AnswerContent {
            status: shown(&answer.status),
            results: answer.results.len(),
            names: named.map(|place| shown(&place.name)).collect(),
            error_message: answer.error_message.as_deref().map(shown),
        }
    }
}

fn shown(text: &str) -> String {
    let (head, cut_bytes) = cut(text.as_bytes(), ANSWER_TEXT_LEN_MAX);
    let ellipsis = if cut_bytes > 0 { "…" } else { "" };
    escaped(head) + ellipsis
}

impl fmt::Display for AnswerSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AnswerSummary { bytes, content } = self;
        let Some(AnswerContent { status, results, names, error_message }) = content else {
            return write!(f, "(places: {bytes} bytes that are no whole answer)");
        };
        let plural = if *results == 1 { "" } else { "s" };
        write!(f, "(places: {status}, {results} result{plural}, {bytes} bytes")?;
        for (index, name) in error_message.iter().chain(names).enumerate() {
            write!(f, "{}{name}", if index == 0 { ": " } else { ", " })?;
        }
        f.write_str(if names.len() < *results { ", …)" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        assert_eq!(AnswerSummary::of(json.as_bytes()).to_string(), expected);
    }

    #[test]
    fn an_answer_is_told_in_one_line() {
        check(
            "{\n   \"html_attributions\" : [],\n   \"results\" : [ { \"name\" : \"Westwood\" } ],\n   \"status\" : \"OK\"\n}\n\n",
            "(places: OK, 1 result, 95 bytes: Westwood)",
        );
        check(
            r#"{"results":[{"name":"A"},{"name":"B"},{"name":"C"},{"name":"D"}],"status":"OK"}"#,
            "(places: OK, 4 results, 79 bytes: A, B, C, …)",
        );
        check(r#"{"results":[],"status":"ZERO_RESULTS"}"#, "(places: ZERO_RESULTS, 0 results, 38 bytes)");
        check(
            r#"{"status":"REQUEST_DENIED","error_message":"no key"}"#,
            "(places: REQUEST_DENIED, 0 results, 52 bytes: no key)",
        );
    }

    #[test]
    fn what_is_no_answer_is_told_by_its_length() {
        check("{\n   \"results\" : [\n", "(places: 18 bytes that are no whole answer)");
        check("{}", "(places: 2 bytes that are no whole answer)");
    }

    #[test]
    fn names_cannot_break_the_line() {
        check(
            r#"{"status":"OK","results":[{"name":"a\nb\u001b[31m"}]}"#,
            r"(places: OK, 1 result, 53 bytes: a\x0ab\x1b[31m)",
        );
        let long = format!(r#"{{"status":"OK","results":[{{"name":"{}"}}]}}"#, "x".repeat(999));
        let expected = format!("{}…)", "x".repeat(ANSWER_TEXT_LEN_MAX));
        assert!(AnswerSummary::of(long.as_bytes()).to_string().ends_with(&expected));
    }
}
