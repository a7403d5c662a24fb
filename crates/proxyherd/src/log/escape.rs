//! Makes any bytes safe to show: one physical line, nothing that moves or colours a terminal.
//!
//! Printable characters stand for themselves, whether ASCII or valid UTF-8. A backslash becomes `\\`, and each
//! byte of anything else becomes `\xNN`: control characters, line and paragraph separators, marks that reverse
//! the direction of text or join to the character before, and bytes that are not UTF-8. So the bytes can be read
//! back: `\xNN` is that byte, `\\` a backslash, and a backslash is followed by nothing else. Text and JSON use
//! the same rule; JSON then quotes what results, as it quotes every string.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `bytes`, escaped.
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    // Nearly every line is plain ASCII, and is copied in one piece.
    if bytes.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape_char(character, out);
        }
        escape_bytes(chunk.invalid(), out);
    }
}

/// `bytes`, escaped.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    escape(bytes, &mut out);
    String::from_utf8(out).expect("what is escaped is ASCII and valid UTF-8")
}

fn escape_char(character: char, out: &mut Vec<u8>) {
    let mut utf8 = [0; 4];
    let utf8 = character.encode_utf8(&mut utf8).as_bytes();
    if character == '\\' {
        out.extend_from_slice(br"\\");
    } else if is_printable(character) {
        out.extend_from_slice(utf8);
    } else {
        escape_bytes(utf8, out);
    }
}

fn escape_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        out.extend_from_slice(&[b'\\', b'x', digits[0], digits[1]]);
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

/// The standard library's own table, the one that `{:?}` uses, says which characters beyond ASCII can be seen:
/// `escape_debug` leaves them as they are.
fn is_printable(character: char) -> bool {
    if character.is_ascii() { is_plain(character as u8) } else { character.escape_debug().len() == 1 }
}

/// The head of an overlong line that is shown, and how many bytes are not.
pub(super) fn cut(line: &[u8], len_max: usize) -> (&[u8], usize) {
    if line.len() <= len_max {
        return (line, 0);
    }
    // A character is not cut in two: its halves would be shown as bytes. No character is longer than four bytes.
    let is_boundary = |at: &usize| line[*at] & 0b1100_0000 != 0b1000_0000;
    let at = (len_max.saturating_sub(3)..=len_max).rev().find(is_boundary).unwrap_or(len_max);
    (&line[..at], line.len() - at)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The inverse of [`escape`], as a reader of the log would write it.
    pub(in crate::log) fn unescape(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some(&first) = rest.first() {
            match (first, rest.get(1)) {
                (b'\\', Some(b'x')) => {
                    let digits = std::str::from_utf8(&rest[2..4]).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = &rest[4..];
                }
                (b'\\', Some(b'\\')) => {
                    bytes.push(b'\\');
                    rest = &rest[2..];
                }
                (b'\\', other) => panic!("a backslash before {other:?} in {text}"),
                _ => {
                    bytes.push(first);
                    rest = &rest[1..];
                }
            }
        }
        bytes
    }

    #[test]
    fn what_can_be_seen_stays_and_the_rest_becomes_hex() {
        for (bytes, expected) in [
            (
                &b"IAMAT kiwi +34.068930-118.445127 1621464827"[..],
                "IAMAT kiwi +34.068930-118.445127 1621464827",
            ),
            (b"a\"b'c", "a\"b'c"),
            (b"a\tb\r\n", r"a\x09b\x0d\x0a"),
            (b"\x1b[31mred\x07\x7f", r"\x1b[31mred\x07\x7f"),
            (br"\x1b", r"\\x1b"),
            ("Zürich 東京 🥝".as_bytes(), "Zürich 東京 🥝"),
            (b"Z\xfcrich", r"Z\xfcrich"),
            ("right\u{202e}left".as_bytes(), r"right\xe2\x80\xaeleft"),
            ("line\u{2028}line\u{85}".as_bytes(), r"line\xe2\x80\xa8line\xc2\x85"),
            (b"\xe6\x9d", r"\xe6\x9d"),
        ] {
            assert_eq!(escaped(bytes), expected);
        }
    }

    #[test]
    fn a_cut_spares_whole_characters_and_counts_the_rest() {
        assert_eq!(cut(b"short", 5), (&b"short"[..], 0));
        assert_eq!(cut(b"longer", 5), (&b"longe"[..], 1));
        assert_eq!(cut("abcü".as_bytes(), 4), (&b"abc"[..], 2));
        assert_eq!(cut("abc🥝d".as_bytes(), 6), (&b"abc"[..], 5));
        assert_eq!(cut(&[0x80; 9], 6), (&[0x80; 6][..], 3));
        assert_eq!(cut(b"\x80\x80\x80", 1), (&b"\x80"[..], 2));
    }

    proptest! {
        #[test]
        fn any_bytes_give_printable_text_and_come_back(bytes: Vec<u8>) {
            let text = escaped(&bytes);
            prop_assert!(text.chars().all(is_printable_or_backslash), "{}", text);
            prop_assert_eq!(unescape(&text), bytes);
        }

        #[test]
        fn any_characters_give_printable_text_and_come_back(characters: String) {
            let text = escaped(characters.as_bytes());
            prop_assert!(text.chars().all(is_printable_or_backslash), "{}", text);
            prop_assert_eq!(unescape(&text), characters.as_bytes());
        }
    }

    fn is_printable_or_backslash(character: char) -> bool {
        character == '\\' || is_printable(character)
    }
}
