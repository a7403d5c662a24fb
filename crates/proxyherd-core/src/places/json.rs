//! Prints answers in the format of Google's Nearby Search (Legacy). The layout is fixed, so each key is one constant
//! with its line break and indent, and printing an answer takes a few dozen copies into one buffer.
//!
//! Every byte below U+0020 inside a string is escaped, so the output never holds an empty line.

use std::io::Write;

use super::{Answer, Photo, Place, PlusCode, Point, Text, Verbatim};

/// Begins a member of an object: line break, indent, key and colon.
macro_rules! key {
    ($depth:tt, $name:literal) => {
        concat!(line!($depth), "\"", $name, "\" : ")
    };
}

/// Begins a line at a depth.
macro_rules! line {
    (0) => {
        "\n"
    };
    (1) => {
        "\n   "
    };
    (2) => {
        "\n      "
    };
    (3) => {
        "\n         "
    };
    (4) => {
        "\n            "
    };
    (5) => {
        "\n               "
    };
    (6) => {
        "\n                  "
    };
}

/// The number of bytes that a place usually takes. The buffer reserves them at once, so that it does not grow in many
/// small steps.
const PLACE_LEN_USUAL: usize = 1024;

impl Answer {
    /// Appends the answer as Nearby Search (Legacy) JSON, with at most `limit` results.
    ///
    /// The status does not depend on the limit. Keys are in alphabetical order, as in Google's own answers. Only a
    /// result that is passed on keeps its own order. The indent is three spaces, and ` : ` is between key and value.
    /// There is no empty line, and no newline at the end.
    pub fn write_json(&self, limit: usize, out: &mut Vec<u8>) {
        let count = limit.min(self.places.len() + self.passed_on.len());
        let places = self.places.iter().map(PrintedResult::Place);
        let results = places.chain(self.passed_on.iter().map(PrintedResult::PassedOn)).take(count);
        out.reserve(512 + count * PLACE_LEN_USUAL);
        out.push(b'{');
        if let Some(message) = &self.error_message {
            push(out, key!(1, "error_message"));
            push_string(out, message);
            out.push(b',');
        }
        push(out, key!(1, "html_attributions"));
        push_texts(out, &self.html_attributions, line!(2), line!(1));
        if !self.info_messages.is_empty() {
            push(out, concat!(",", key!(1, "info_messages")));
            push_texts(out, &self.info_messages, line!(2), line!(1));
        }
        push_optional(out, concat!(",", key!(1, "next_page_token")), self.next_page_token.as_deref());
        push(out, concat!(",", key!(1, "results")));
        push_list(out, results, line!(2), line!(1), push_result);
        push(out, concat!(",", key!(1, "status"), "\""));
        push(out, self.status.as_str());
        push(out, concat!("\"", line!(0), "}"));
    }
}

/// One result, from either list of an answer.
#[derive(Clone, Copy)]
enum PrintedResult<'a> {
    Place(&'a Place),
    PassedOn(&'a Verbatim),
}

fn push_result(out: &mut Vec<u8>, found: PrintedResult<'_>) {
    match found {
        PrintedResult::Place(place) => push_place(out, place),
        PrintedResult::PassedOn(result) => push(out, result.as_str()),
    }
}

fn push_place(out: &mut Vec<u8>, place: &Place) {
    out.push(b'{');
    if let Some(status) = place.business_status {
        push(out, key!(3, "business_status"));
        push_string(out, status.as_str());
        out.push(b',');
    }
    push_geometry(out, place);
    push_optional(out, concat!(",", key!(3, "icon")), place.icon.as_deref());
    push_optional(
        out,
        concat!(",", key!(3, "icon_background_color")),
        place.icon_background_color.as_deref(),
    );
    push_optional(out, concat!(",", key!(3, "icon_mask_base_uri")), place.icon_mask_base_uri.as_deref());
    push(out, concat!(",", key!(3, "name")));
    push_string(out, &place.name);
    push_state(out, place);
    push(out, concat!(",", key!(3, "place_id")));
    push_string(out, &place.place_id);
    if let Some(code) = &place.plus_code {
        push_plus_code(out, code);
    }
    push_worth(out, place);
    push(out, concat!(",", key!(3, "reference")));
    push_string(out, &place.place_id);
    push_optional(out, concat!(",", key!(3, "scope")), place.scope.as_deref());
    push(out, concat!(",", key!(3, "types")));
    push_texts(out, &place.types, line!(4), line!(3));
    if let Some(total) = place.user_ratings_total {
        push(out, concat!(",", key!(3, "user_ratings_total")));
        push_integer(out, total);
    }
    push_optional(out, concat!(",", key!(3, "vicinity")), place.vicinity.as_deref());
    push(out, concat!(line!(2), "}"));
}

fn push_geometry(out: &mut Vec<u8>, place: &Place) {
    push(out, concat!(key!(3, "geometry"), "{", key!(4, "location"), "{", key!(5, "lat")));
    push_point(out, place.geometry.location, concat!(",", key!(5, "lng")));
    push(out, concat!(line!(4), "},", key!(4, "viewport"), "{", key!(5, "northeast"), "{", key!(6, "lat")));
    push_point(out, place.geometry.viewport.northeast, concat!(",", key!(6, "lng")));
    push(out, concat!(line!(5), "},", key!(5, "southwest"), "{", key!(6, "lat")));
    push_point(out, place.geometry.viewport.southwest, concat!(",", key!(6, "lng")));
    push(out, concat!(line!(5), "}", line!(4), "}", line!(3), "}"));
}

fn push_point(out: &mut Vec<u8>, point: Point, between: &str) {
    push_number(out, point.latitude());
    push(out, between);
    push_number(out, point.longitude());
}

/// Prints whether the place is open now, whether it is permanently closed, and its photos.
fn push_state(out: &mut Vec<u8>, place: &Place) {
    if let Some(open) = place.open_now {
        push(out, concat!(",", key!(3, "opening_hours"), "{", key!(4, "open_now")));
        push(out, if open { "true" } else { "false" });
        push(out, concat!(line!(3), "}"));
    }
    if place.business_status == Some(super::BusinessStatus::ClosedPermanently) {
        push(out, concat!(",", key!(3, "permanently_closed"), "true"));
    }
    if !place.photos.is_empty() {
        push(out, concat!(",", key!(3, "photos")));
        push_list(out, &place.photos, line!(4), line!(3), push_photo);
    }
}

fn push_photo(out: &mut Vec<u8>, photo: &Photo) {
    push(out, concat!("{", key!(5, "height")));
    push_integer(out, photo.height);
    push(out, concat!(",", key!(5, "html_attributions")));
    push_texts(out, &photo.html_attributions, line!(6), line!(5));
    push(out, concat!(",", key!(5, "photo_reference")));
    push_string(out, &photo.photo_reference);
    push(out, concat!(",", key!(5, "width")));
    push_integer(out, photo.width);
    push(out, concat!(line!(4), "}"));
}

fn push_plus_code(out: &mut Vec<u8>, code: &PlusCode) {
    push(out, concat!(",", key!(3, "plus_code"), "{"));
    if let Some(compound) = &code.compound_code {
        push(out, key!(4, "compound_code"));
        push_string(out, compound);
        out.push(b',');
    }
    push(out, key!(4, "global_code"));
    push_string(out, &code.global_code);
    push(out, concat!(line!(3), "}"));
}

/// Prints the price level and the rating of a place.
fn push_worth(out: &mut Vec<u8>, place: &Place) {
    if let Some(level) = place.price_level {
        push(out, concat!(",", key!(3, "price_level")));
        push_integer(out, u32::from(level));
    }
    if let Some(rating) = place.rating {
        push(out, concat!(",", key!(3, "rating")));
        push_number(out, rating.stars());
    }
}

fn push_optional(out: &mut Vec<u8>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        push(out, key);
        push_string(out, text);
    }
}

fn push_texts(out: &mut Vec<u8>, texts: &[Text], inner: &str, outer: &str) {
    push_list(out, texts, inner, outer, |out, text| push_string(out, text));
}

/// Prints an array with each item on a line of its own. An empty array stays on the key's line.
fn push_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    inner: &str,
    outer: &str,
    item: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'[');
    let mut is_empty = true;
    for next in items {
        push(out, if is_empty { "" } else { "," });
        push(out, inner);
        item(out, next);
        is_empty = false;
    }
    push(out, if is_empty { "" } else { outer });
    out.push(b']');
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Prints a string with its quotes. Names seldom need an escape, and a test of all bytes without a branch is fast.
fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    if bytes.iter().fold(false, |any, &byte| any | needs_escape(byte)) {
        for &byte in bytes {
            if needs_escape(byte) { push_escape(out, byte) } else { out.push(byte) }
        }
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

/// RFC 8259, section 7: quotation mark, reverse solidus and the control characters.
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn push_integer(out: &mut Vec<u8>, number: u32) {
    write!(out, "{number}").expect("a Vec takes every write");
}

const UNITS_PER_ONE: u32 = 10_000_000;
/// A number above every degree and rating, and small enough for 32 bits.
const NUMBER_MAX: f64 = 400.0;

/// Prints the shortest decimal that reads back as this finite number.
///
/// A coordinate seldom has more than seven decimals. If it is a multiple of 10⁻⁷, its seven decimals without trailing
/// zeros are the shortest decimal, because the division below rounds as a reader of the text does.
fn push_number(out: &mut Vec<u8>, number: f64) {
    let size = number.abs();
    let units = (size * f64::from(UNITS_PER_ONE) + 0.5) as u32;
    if size < NUMBER_MAX && f64::from(units) / f64::from(UNITS_PER_ONE) == size {
        push_units(out, number < 0.0, units);
    } else {
        write!(out, "{number}").expect("a Vec takes every write");
    }
}

/// Prints a sign, up to three digits, and seven decimals without trailing zeros.
fn push_units(out: &mut Vec<u8>, negative: bool, units: u32) {
    if negative {
        out.push(b'-');
    }
    let (ones, fraction) = (units / UNITS_PER_ONE, units % UNITS_PER_ONE);
    let digit = |unit: u32| b'0' + (ones / unit % 10) as u8;
    match ones {
        0..=9 => out.push(digit(1)),
        10..=99 => out.extend_from_slice(&[digit(10), digit(1)]),
        _ => out.extend_from_slice(&[digit(100), digit(10), digit(1)]),
    }
    if fraction != 0 {
        let digits = eight_digits(fraction * 10);
        out.push(b'.');
        out.extend_from_slice(&(digits | 0x3030_3030_3030_3030).to_le_bytes());
        out.truncate(out.len() - digits.leading_zeros() as usize / 8);
    }
}

/// The digits of a number under 10⁸, the first one in the lowest byte. The number is halved three times. Both halves of
/// all parts are computed at once, so the digits never pass through memory one by one.
fn eight_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let fours = (number / 10_000) | (number % 10_000) << 32;
    // Multiplication by 10486 and a shift by 20 divide by 100, exactly up to 9999. Multiplication by 103 and a shift by
    // 10 divide by 10, exactly up to 99.
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = (twos * 103) >> 10 & 0x000f_000f_000f_000f;
    tens | (twos - 10 * tens) << 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed<T>(value: T, push: impl Fn(&mut Vec<u8>, T)) -> String {
        let mut out = Vec::new();
        push(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_as_short_as_can_be() {
        for (number, text) in [
            (0.0, "0"),
            (-118.445127, "-118.445127"),
            (34.06893, "34.06893"),
            (-0.5, "-0.5"),
            (180.0, "180"),
            (-180.0, "-180"),
            (4.3, "4.3"),
            (1e-7, "0.0000001"),
            (-33.8670522, "-33.8670522"),
            (37.4234773302915, "37.4234773302915"),
            (999.9999999, "999.9999999"),
            (1000.0, "1000"),
        ] {
            assert_eq!(printed(number, push_number), text);
        }
    }

    #[test]
    fn strings_escape_what_rfc_8259_says_and_nothing_else() {
        for (text, json) in [
            ("", r#""""#),
            ("Überlingen 東京", "\"Überlingen 東京\""),
            ("\n\n", r#""\n\n""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{8}\t\r\u{c}\0\u{1f}\u{7f}", "\"\\b\\t\\r\\f\\u0000\\u001f\u{7f}\""),
            ("</a>", r#""</a>""#),
        ] {
            assert_eq!(printed(text, push_string), json);
        }
    }

    #[test]
    fn digits_come_out_in_order() {
        for number in (0..100_000_000).step_by(9_973).chain([9_999, 10_000, 99_999_999]) {
            let digits = eight_digits(number).to_le_bytes().map(|digit| char::from(b'0' + digit));
            assert_eq!(String::from_iter(digits), format!("{number:08}"));
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_back_to_the_last_bit(number in -180f64..=180.0, decimals in 0i32..12) {
            let unit = 10f64.powi(decimals);
            for number in [number, (number * unit).round() / unit] {
                let text = printed(number, push_number);
                prop_assert_eq!(text.parse::<f64>().unwrap(), number);
                prop_assert!(text == format!("{number}") || number == 0.0, "{}", text);
            }
        }

        #[test]
        fn a_string_reads_back(text: String) {
            let json = printed(text.as_str(), push_string);
            prop_assert!(!json.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
