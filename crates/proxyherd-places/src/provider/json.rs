//! Reads JSON of other programs leniently: a missing or malformed field counts as unknown, and the rest is used.
//!
//! An answer is read from the outside in. [`mend`] makes malformed strings and numbers harmless, [`members`] and
//! [`first_items`] find where the parts of the answer are, and [`part`] parses one part after the other. So a malformed
//! part affects no other part, and the memory depends on the longest part and not on the whole answer. This module does
//! not know what the fields mean.

use std::{borrow::Cow, fmt, ops::Range};

use proxyherd_core::{
    limits::PLACES_MAX,
    places::{BusinessStatus, Point, Rating, Text},
};
use serde::{
    Deserializer as _,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// Maximum length of a part of an answer that is parsed, bytes. A part is one place, or one field of the answer itself.
/// Parsed JSON needs up to a hundred times its length in memory. A longer part counts as unknown.
const PART_LEN_MAX: usize = 64 * 1024;

/// Empties each string that JSON does not allow: one with half of a surrogate pair, an unknown escape, a control
/// character, or bytes that are not UTF-8. An empty string counts as unknown. Replaces each number that is too large to
/// be read, such as `1e999`, with null.
pub(super) fn mend(json: &mut [u8]) {
    let mut at = 0;
    while let Some(string) = next_string(json, at) {
        mend_numbers(&mut json[at..string.start]);
        at = string.end;
        let string = &mut json[string];
        if !is_sound(string) {
            string[1] = b'"';
            string[2..].fill(b' ');
        }
    }
    mend_numbers(&mut json[at..]);
}

/// Mends the numbers in a part of the text without strings.
fn mend_numbers(json: &mut [u8]) {
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    for number in json.split_mut(|byte| !is_of_number(byte)) {
        if is_too_large(number) {
            number.fill(b' ');
            number[..4].copy_from_slice(b"null");
        }
    }
}

/// Whether the library refuses this number. Such a number has an exponent of three digits, or very many digits, so it
/// is long enough to be replaced with null. Most numbers have neither, and are not parsed here.
fn is_too_large(number: &[u8]) -> bool {
    const LEN_MIN: usize = "1e308".len();
    let may_be = number.len() >= LEN_MIN
        && (number.len() > f64::MAX_10_EXP as usize || number.iter().any(|byte| matches!(byte, b'e' | b'E')));
    let parsed = || str::from_utf8(number).ok().and_then(|number| number.parse::<f64>().ok());
    may_be && parsed().is_some() && serde_json::from_slice::<Value>(number).is_err()
}

/// The range of the next string, including its quotes. A string without an end is ignored.
fn next_string(json: &[u8], from: usize) -> Option<Range<usize>> {
    let start = from + json[from..].iter().position(|&byte| byte == b'"')?;
    let mut at = start + 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(start..at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Whether the library accepts this string. Most strings are plain, and are not parsed here.
fn is_sound(string: &[u8]) -> bool {
    let is_plain = |&byte: &u8| (b' '..0x7f).contains(&byte) && byte != b'\\';
    string.iter().all(is_plain) || serde_json::from_slice::<String>(string).is_ok()
}

/// The members of an object with these names, not parsed. `None` if `json` is not an object. If a name occurs more than
/// once, the last member counts, as in most readers of JSON.
pub(super) fn members<'a, const N: usize>(
    json: &'a [u8],
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let mut reader = serde_json::Deserializer::from_str(str::from_utf8(json).ok()?);
    let members = reader.deserialize_map(Members(names)).ok()?;
    reader.end().ok()?;
    Some(members)
}

struct Members<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut members = [None; N];
        while let Some(name) = object.next_key::<Cow<'de, str>>()? {
            let value: Option<&RawValue> = object.next_value()?;
            if let Some(at) = self.0.iter().position(|&wanted| wanted == name) {
                members[at] = value;
            }
        }
        Ok(members)
    }
}

/// The first items of a list, at most the maximum number of places in an answer. `None` if `list` is not a list.
pub(super) fn first_items(list: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::Deserializer::from_str(list.get()).deserialize_seq(FirstItems).ok()
}

struct FirstItems;

impl<'de> Visitor<'de> for FirstItems {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while let Some(item) = list.next_element()? {
            if first.len() < PLACES_MAX.into() {
                first.push(item);
            }
        }
        Ok(first)
    }
}

/// A part of an answer, parsed. Null if the part is missing, malformed or too long.
pub(super) fn part(part: Option<&RawValue>) -> Value {
    let text = part.map(RawValue::get).filter(|text| text.len() <= PART_LEN_MAX);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Text that is not empty.
pub(super) fn text(value: &Value) -> Option<Text> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| Text::Owned(text.to_owned()))
}

/// The texts in a list. Other items are left out.
pub(super) fn texts(value: &Value) -> Vec<Text> {
    items(value).filter_map(text).collect()
}

/// The items of a list. Any other value has no items.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A count.
pub(super) fn count(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|count| u32::try_from(count).ok())
}

/// A number of stars.
pub(super) fn rating(value: &Value) -> Option<Rating> {
    value.as_f64().and_then(Rating::new)
}

/// A point, by the names of its latitude and its longitude. If one of the two is missing, it counts as 0, because
/// Google's encoding leaves zeros out. If both are missing, there is no point.
pub(super) fn point(value: &Value, latitude: &str, longitude: &str) -> Option<Point> {
    let degrees = |name: &str| match &value[name] {
        Value::Null => Some(0.0),
        degrees => degrees.as_f64(),
    };
    let is_point = !value[latitude].is_null() || !value[longitude].is_null();
    if is_point { Point::new(degrees(latitude)?, degrees(longitude)?) } else { None }
}

/// Whether a place is in business, from Google's word for this status.
pub(super) fn business_status(value: &Value) -> Option<BusinessStatus> {
    use BusinessStatus::{ClosedPermanently, ClosedTemporarily, Operational};
    let word = value.as_str()?;
    [Operational, ClosedTemporarily, ClosedPermanently].into_iter().find(|status| status.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(broken: &[u8], expected: &str) {
        let mut json = broken.to_vec();
        mend(&mut json);
        assert_eq!(String::from_utf8_lossy(&json), expected);
    }

    #[test]
    fn a_broken_string_becomes_empty_and_the_rest_stays() {
        for sound in [
            r#"{"a":"b","c":["\u00e9\ud83c\udf55 \"\\","",7]}"#,
            "{\"ü\":\"東京\"}",
            r#"["\\","\\\""]"#,
            r#"["no end"#,
            r#"["no end\"#,
            "",
        ] {
            check(sound.as_bytes(), sound);
        }
        check(br#"{"a":"\ud800","b":"\x","c":1}"#, r#"{"a":""      ,"b":""  ,"c":1}"#);
        check(br#"["\udc00\ud800","\u12"]"#, r#"[""            ,""    ]"#);
        check(b"[\"a\nb\",\"\xff\",\"\x00\",\"c\"]", "[\"\"   ,\"\" ,\"\" ,\"c\"]");
        check(b"{\"\xc3\":1}", "{\"\" :1}");
    }

    #[test]
    fn a_number_that_is_too_large_becomes_null_and_the_rest_stays() {
        for sound in ["[1,-2.5,1e308,1E-999,true,false]", r#"["1e999",4.25,"-1e999 "]"#, "-1e", "1e99-9", ""]
        {
            check(sound.as_bytes(), sound);
        }
        check(br#"{"a":1e999,"b":[-2.5E+400 ],"c":1}"#, r#"{"a":null ,"b":[null      ],"c":1}"#);
        check(b"1e999", "null ");
        let digits = "9".repeat(400);
        check(digits.as_bytes(), &format!("null{}", " ".repeat(396)));
    }

    #[test]
    fn the_last_of_members_with_one_name_counts() {
        let of = |json: &str| {
            let found = members(json.as_bytes(), ["a", "b"])?;
            Some(found.map(|member| member.map_or(String::new(), |member| member.get().to_owned())))
        };
        let texts = |a: &str, b: &str| Some([a.to_owned(), b.to_owned()]);
        assert_eq!(of(r#"{"a":1,"c":[2],"b":{"a":3}}"#), texts("1", r#"{"a":3}"#));
        assert_eq!(of(r#" {"a":1,"b":2,"\u0061":"x"} "#), texts("\"x\"", "2"));
        assert_eq!(of(r#"{"a":1,"a":null}"#), texts("", ""));
        for none in ["[1,2]", "7", "", "{", r#"{"a":1}}"#] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn only_the_first_items_of_a_list_are_kept_and_all_of_it_is_read() {
        let count = |json: &str| {
            let list = serde_json::from_str::<&RawValue>(json).unwrap();
            first_items(list).map(|items| items.len())
        };
        assert_eq!(count("[]"), Some(0));
        assert_eq!(count("[1,[2],{}]"), Some(3));
        assert_eq!(count(&format!("[0{}]", ",0".repeat(1000))), Some(20));
        assert_eq!([count("{}"), count("7"), count("null")], [None; 3]);
    }

    #[test]
    fn a_part_that_is_absent_broken_or_too_long_is_not_known() {
        let of = |json: &str| part(Some(serde_json::from_str(json).unwrap()));
        assert_eq!(of("[1]"), serde_json::json!([1]));
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let long = format!("\"{}\"", "x".repeat(PART_LEN_MAX));
        assert_eq!([part(None), of("1e999"), of(&deep), of(&long)], [const { Value::Null }; 4]);
    }
}
