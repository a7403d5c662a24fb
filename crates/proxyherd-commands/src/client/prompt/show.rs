//! Formats replies for people: the important parts stand out, and nothing in a reply can control the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use proxyherd_log::escape::shown;

use super::super::FAINT;

const STRONG: Style = Style::new().bold();
const ANSWER: Style = AnsiColor::BrightGreen.on_default().bold();
const REFUSED: Style = AnsiColor::BrightRed.on_default().bold();

/// The JSON keys whose values people look for in an answer about places.
const TELLING_KEYS: [&str; 4] = ["\"name\"", "\"vicinity\"", "\"status\"", "\"error_message\""];

/// A whole reply, with colors.
pub(super) fn reply(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let line = &shown(line.strip_suffix(b"\n").unwrap_or(line));
        let styled = match line.split_once(' ') {
            Some(("AT", rest)) => at_line(&mut out, rest),
            Some(("?", rest)) => writeln!(out, "{REFUSED}?{REFUSED:#} {rest}"),
            _ => json_line(&mut out, line),
        };
        styled.expect("writing to a String does not fail");
    }
    out
}

fn at_line(out: &mut String, rest: &str) -> std::fmt::Result {
    let (server, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    writeln!(out, "{ANSWER}AT{ANSWER:#} {STRONG}{server}{STRONG:#} {rest}")
}

fn json_line(out: &mut String, line: &str) -> std::fmt::Result {
    if TELLING_KEYS.iter().any(|key| line.trim_start().starts_with(key))
        && let Some((key, value)) = line.split_once(" : ")
    {
        return writeln!(out, "{FAINT}{key} : {FAINT:#}{value}");
    }
    if line.is_empty() { writeln!(out) } else { writeln!(out, "{FAINT}{line}{FAINT:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply without its colors.
    fn plain(bytes: &[u8]) -> String {
        anstream::adapter::strip_str(&reply(bytes)).to_string()
    }

    #[test]
    fn colors_change_no_character() {
        for text in [
            "AT Riley +0.263873386 kiwi +34.068930-118.445127 1621464827.959498503\n",
            "? HELLO\n",
            "? \n",
            "AT Riley +0.1 kiwi +1+1 1\n{\n   \"name\" : \"Joe's \\\"Bar\\\" : café\",\n   \"status\" : \"OK\"\n}\n\n",
        ] {
            assert_eq!(plain(text.as_bytes()), text);
            assert_ne!(reply(text.as_bytes()), text);
        }
    }

    #[test]
    fn names_stand_out_among_the_rest() {
        let shown = reply(b"{\n   \"name\" : \"Westwood\",\n   \"place_id\" : \"x\"\n");
        assert!(shown.contains(&format!("{FAINT:#}\"Westwood\",")), "{shown:?}");
        assert!(shown.contains(&format!("{FAINT}   \"place_id\" : \"x\"{FAINT:#}")), "{shown:?}");
    }

    #[test]
    fn a_clients_name_does_not_move_the_terminal() {
        assert_eq!(plain(b"? \x1b[2J\x07\xff\xc2\x9b\r!\n"), "? \\x1b[2J\\x07\\xff\\xc2\\x9b\\x0d!\n");
        assert_eq!(plain("? kiwi\u{202e}é🥝 नमस्ते\n".as_bytes()), "? kiwi\\xe2\\x80\\xaeé🥝 नमस्ते\n");
    }
}
