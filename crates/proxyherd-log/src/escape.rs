//! Makes any bytes safe to show, in logs and on terminals: one line stays one line, and nothing in it moves, recolors,
//! reorders or hides the text around it.
//!
//! [`escape`] is for logs: a reader can convert its text back, so it doubles each backslash. [`shown`] is for people,
//! who should not see a doubled backslash. Both escape the same characters, as `\xNN` for each byte:
//!
//! - characters that can forge text: control characters, line and paragraph separators, and the characters that change
//!   the direction of text;
//! - characters and bytes that can hide text: invisible characters, unassigned and private ones, and bytes that are not
//!   UTF-8.
//!
//! Three kinds of characters are shown: letters of every script, marks that belong to the character before them, and
//! joiners that a script or an emoji needs. In the text of [`escape`], `\xNN` always stands for that byte, so no name
//! can be read back as another one.

use std::fmt::Write as _;

/// The first character that invisible joiners can join. The scripts from Arabic on and emoji need joiners. Latin,
/// Greek, Cyrillic, Armenian and Hebrew come before this character and need no joiners.
const FIRST_JOINED: char = '\u{600}';

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How a backslash is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    Doubled,
    AsItIs,
}

/// Appends `bytes`, escaped so that they can be read back: a backslash becomes `\\`.
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    append(bytes, Backslash::Doubled, out);
}

/// `bytes`, escaped so that they can be read back.
pub fn escaped(bytes: &[u8]) -> String {
    text(bytes, Backslash::Doubled)
}

/// `bytes`, escaped for a person: a backslash stays as it is.
pub fn shown(bytes: &[u8]) -> String {
    text(bytes, Backslash::AsItIs)
}

/// JSON with the same meaning in which every character that [`shown`] would escape is `\\uNNNN`.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        // Outside of strings JSON is ASCII, so only characters in strings are replaced. Line ends between the parts of
        // the JSON stay.
        if character.is_ascii() && character != '\x7f' || is_harmless(character) {
            out.push(character);
        } else {
            let units = &mut [0; 2];
            for unit in character.encode_utf16(units) {
                write!(out, "\\u{unit:04x}").expect("a String takes all that is written to it");
            }
        }
    }
    out
}

/// Whether a terminal can show a character safely, at least in some place of a text.
pub fn is_harmless(character: char) -> bool {
    const LETTER: Option<char> = Some('क');
    is_shown(LETTER, character, LETTER)
}

fn text(bytes: &[u8], backslash: Backslash) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    append(bytes, backslash, &mut out);
    String::from_utf8(out).expect("whole characters and ASCII are UTF-8")
}

fn append(bytes: &[u8], backslash: Backslash, out: &mut Vec<u8>) {
    // Nearly every line is plain ASCII, and is copied in one piece.
    if bytes.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    // The previous character, if that character is shown. Marks and joiners depend on the previous character.
    let mut before = None;
    for chunk in bytes.utf8_chunks() {
        let mut characters = chunk.valid().chars().peekable();
        while let Some(character) = characters.next() {
            let utf8 = &mut [0; 4];
            let utf8 = character.encode_utf8(utf8).as_bytes();
            let is_shown = is_shown(before, character, characters.peek().copied());
            match (is_shown, character) {
                (true, '\\') if backslash == Backslash::Doubled => out.extend_from_slice(br"\\"),
                (true, _) => out.extend_from_slice(utf8),
                (false, _) => append_hex(utf8, out),
            }
            before = is_shown.then_some(character);
        }
        if !chunk.invalid().is_empty() {
            append_hex(chunk.invalid(), out);
            before = None;
        }
    }
}

fn append_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        out.extend_from_slice(&[b'\\', b'x', digits[0], digits[1]]);
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

/// Whether `character` is shown as it is between these two characters.
fn is_shown(before: Option<char>, character: char, after: Option<char>) -> bool {
    match character {
        '\0'..='\x7f' => matches!(character, ' '..='~'),
        // Spaces that written languages use: French, Mongolian, Chinese and Japanese.
        '\u{a0}' | '\u{202f}' | '\u{3000}' => true,
        // Unicode lists these signs as invisible format characters, but they are visible: the Arabic number signs, the
        // end of a verse, and similar signs of Syriac and Kaithi.
        '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}' => true,
        '\u{110bd}' | '\u{110cd}' => true,
        // Invisible letters, marks and one invisible symbol.
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => false,
        '\u{2800}' | '\u{3164}' | '\u{ffa0}' => false,
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => joins(before, character, after),
        _ if is_variation(character) => before.is_some_and(has_variations),
        _ => is_graphic(character) && (!is_mark(character) || before.is_some_and(|before| before != ' ')),
    }
}

/// Whether a joiner has an effect between these two characters. At the end of a text, only the zero-width joiner has an
/// effect: this joiner changes the form of the letter before it.
fn joins(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let is_joined = |character: char| character >= FIRST_JOINED && is_graphic(character);
    before.is_some_and(|before| {
        let shapes_last = joiner == ZERO_WIDTH_JOINER && (before.is_alphabetic() || is_mark(before));
        is_joined(before) && (shapes_last || after.is_some_and(is_joined))
    })
}

/// Whether this character chooses a form of the character before it, such as an emoji in color.
fn is_variation(character: char) -> bool {
    matches!(
        character,
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether a character has several forms. In ASCII only digits, `#` and `*` have several forms: they can become keycap
/// emoji.
fn has_variations(character: char) -> bool {
    let is_key = character.is_ascii_digit() || matches!(character, '#' | '*');
    is_key || !character.is_ascii() && !is_variation(character)
}

/// Whether a character is visible, by the table of the standard library that `{:?}` uses. `{:?}` escapes a mark only at
/// the beginning of a text, so this function puts a letter before the character.
fn is_graphic(character: char) -> bool {
    let mut text = [b'a'; 5];
    let len = 1 + character.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..len]).is_ok_and(|text| text.escape_debug().count() == 2)
}

/// Whether a character is drawn onto the character before it.
fn is_mark(character: char) -> bool {
    !character.is_ascii() && is_graphic(character) && character.escape_debug().len() > 1
}

/// The first part of a line, at most `len_max` bytes, and the number of bytes that were cut off.
pub fn cut(line: &[u8], len_max: usize) -> (&[u8], usize) {
    if line.len() <= len_max {
        return (line, 0);
    }
    // The cut is between two characters, because half a character would be shown as bytes. No character is longer than
    // four bytes.
    let is_boundary = |at: &usize| line[*at] & 0b1100_0000 != 0b1000_0000;
    let at = (len_max.saturating_sub(3)..=len_max).rev().find(is_boundary).unwrap_or(len_max);
    (&line[..at], line.len() - at)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The inverse of [`escape`], as a reader of the log would write it.
    pub(crate) fn unescape(text: &str) -> Vec<u8> {
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
    fn letters_of_every_script_are_shown() {
        for text in [
            "नमस्ते",
            "सिद्ध क्‍ष क्‌ष",
            "สวัสดี น้ำ",
            "e\u{301} a\u{30a}",
            "שָׁלוֹם",
            "مُحَمَّد",
            "می\u{200c}خواهم",
            "ه\u{200d}",
            "ශ්\u{200d}රී ලංකා",
            "ന്\u{200d}",
            "བོད་",
            "ខ្មែរ",
            "葛\u{e0100}城",
            "カフェ\u{3000}東京",
            "Café «\u{a0}Chez\u{202f}»",
            "👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈 ❤\u{fe0f}\u{200d}🔥 👍🏽 🇩🇪 1\u{fe0f}\u{20e3}",
        ] {
            assert_eq!(escaped(text.as_bytes()), text);
            assert_eq!(shown(text.as_bytes()), text);
        }
    }

    #[test]
    fn what_can_forge_or_hide_is_escaped() {
        let bidi =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let invisible = "\u{ad}\u{34f}\u{115f}\u{1160}\u{17b4}\u{180e}\u{200b}\u{2060}\u{2062}\u{2800}\u{3164}\u{feff}\u{ffa0}\u{fff9}\u{e0041}";
        let others = "\u{0}\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{378}\u{e000}\u{10fffd}";
        for character in bidi.chars().chain(invisible.chars()).chain(others.chars()) {
            for text in [format!("a{character}b"), format!("क{character}ख"), character.to_string()] {
                for shown in [escaped(text.as_bytes()), shown(text.as_bytes())] {
                    assert!(!shown.contains(character) && shown.contains(r"\x"), "{:x}", character as u32);
                }
            }
        }
    }

    #[test]
    fn marks_and_joiners_without_anything_to_join_are_escaped() {
        for (text, expected) in [
            ("\u{301}", r"\xcc\x81"),
            (" \u{301}", r" \xcc\x81"),
            ("\n\u{301}", r"\x0a\xcc\x81"),
            ("pay\u{200d}pal", r"pay\xe2\x80\x8dpal"),
            ("пей\u{200c}пал", r"пей\xe2\x80\x8cпал"),
            ("م\u{200c}", r"م\xe2\x80\x8c"),
            ("م\u{200c}\u{200c}م", r"م\xe2\x80\x8c\xe2\x80\x8cم"),
            ("👩\u{200d}", r"👩\xe2\x80\x8d"),
            ("a\u{fe0f}", r"a\xef\xb8\x8f"),
            ("葛\u{e0100}\u{e0101}", r"葛\u{e0100}\xf3\xa0\x84\x81"),
        ] {
            assert_eq!(escaped(text.as_bytes()), expected.replace(r"\u{e0100}", "\u{e0100}"));
        }
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let value =
            serde_json::json!({"name": "a\u{202e}b \u{7f} नमस्ते 👩\u{200d}👧 \u{e0041}", "list": [1, "x\ty"]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = json(&text);
        assert!(
            escaped.contains("a\\u202eb \\u007f नमस्ते 👩\u{200d}👧") && escaped.contains(r"\udb40\udc41"),
            "{escaped}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn a_backslash_is_doubled_for_programs_only() {
        assert_eq!(escaped("a\\ü\t".as_bytes()), r"a\\ü\x09");
        assert_eq!(shown("a\\ü\t".as_bytes()), r"a\ü\x09");
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
            prop_assert!(text.chars().all(is_harmless), "{}", text);
            prop_assert_eq!(unescape(&text), bytes);
        }

        #[test]
        fn any_characters_give_printable_text_and_come_back(characters: String) {
            let text = escaped(characters.as_bytes());
            prop_assert!(text.chars().all(is_harmless), "{}", text);
            prop_assert_eq!(unescape(&text), characters.as_bytes());
        }
    }
}
