//! Replies as a person reads them: what matters stands out, and nothing in them moves the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::super::FAINT;

const STRONG: Style = Style::new().bold();
const ANSWER: Style = AnsiColor::BrightGreen.on_default().bold();
const REFUSED: Style = AnsiColor::BrightRed.on_default().bold();

/// The keys of an answer about places whose values a person looks for.
const TELLING_KEYS: [&str; 4] = ["\"name\"", "\"vicinity\"", "\"status\"", "\"error_message\""];

/// A whole reply, to be printed where colours are.
pub(super) fn reply(bytes: &[u8]) -> String {
    let text = printable(bytes);
    let mut out = String::with_capacity(2 * text.len());
    for line in text.lines() {
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

/// Text in which nothing is left that a terminal would act on: control characters and bytes that are no UTF-8
/// become `\xNN`. Clients choose their names, and a herd passes them on as they are.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            // The standard library escapes what cannot be seen, and quotes and backslashes, which can.
            let is_visible =
                matches!(character, '\n' | '"' | '\'' | '\\') || character.escape_debug().len() == 1;
            if is_visible {
                text.push(character);
            } else {
                escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(text, "\\x{byte:02x}").expect("writing to a String does not fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply without its colours.
    fn plain(bytes: &[u8]) -> String {
        anstream::adapter::strip_str(&reply(bytes)).to_string()
    }

    #[test]
    fn colours_change_no_character() {
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
        assert_eq!(printable("kiwi\u{202e}é🥝".as_bytes()), "kiwi\\xe2\\x80\\xaeé🥝");
    }
}
