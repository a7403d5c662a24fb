//! The answer to OwnTracks: an array of `location` objects, which the app shows as friends.
//!
//! The apps want whole numbers for everything except for the coordinates. One object that an app cannot read would
//! spoil the whole answer: the app for Android would count its own report as not delivered, and send it again
//! (owntracks/android, `MessageLocationDeserializer.kt`). So a client whose time is in the first second of 1970, which
//! the app takes for no time, is left out, and so is each value that is out of its range.
//!
//! In HTTP mode the apps tell friends apart by `tid` alone.

use std::io::Write;

use crate::{
    codec::json::write_lossy,
    command::Whereabouts,
    types::{AttributeValue, Attributes},
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Characters of a tracker ID that is made of a client's ID.
const TID_LEN: usize = 2;

/// The whole numbers of a location: the member, the attribute, the factor to the member's unit, and the range.
const NUMBERS: [(&str, &str, f64, f64, f64); 5] = [
    ("acc", "accuracy_m", 1.0, 0.0, 1e9),
    ("vel", "speed_mps", 3.6, 0.0, 1e9),
    ("cog", "heading_deg", 1.0, 0.0, 360.0),
    ("batt", "battery_pct", 1.0, 0.0, 100.0),
    ("alt", "altitude_m", 1.0, -1e9, 1e9),
];

/// An answer under construction.
#[derive(Debug)]
#[must_use = "the answer has to be ended"]
pub struct Friends<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Friends<'o> {
    /// Begins an answer at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>) -> Friends<'o> {
        out.push(b'[');
        Friends { out, is_first: true }
    }

    /// Adds a client: `{"_type":"location","lat","lon","tst","tid","topic"}`, then `acc`, `vel`, `cog`, `batt` and
    /// `alt` where they are known.
    ///
    /// `tid` is the client's attribute of that name, else the last two characters of its ID. `topic` is `owntracks/`
    /// and the ID. Bytes of an ID that are not UTF-8 are shown as U+FFFD.
    pub fn push(&mut self, client: &Whereabouts<'_>) {
        let seconds = client.timestamp.nanos() / NANOS_PER_SECOND;
        if seconds == 0 {
            return;
        }
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out.extend_from_slice(b"{\"_type\":\"location\",\"lat\":");
        client.coordinates.latitude().write_shortest(self.out);
        self.out.extend_from_slice(b",\"lon\":");
        client.coordinates.longitude().write_shortest(self.out);
        write!(self.out, ",\"tst\":{seconds},\"tid\":").expect("a vector takes everything");
        write_tid(self.out, client);
        self.out.extend_from_slice(b",\"topic\":\"owntracks/");
        // The string of the ID begins with a quotation mark, which is already in front of `owntracks/`.
        let quotation_mark = self.out.len();
        write_lossy(self.out, client.client);
        self.out.remove(quotation_mark);
        for (member, attribute, factor, min, max) in NUMBERS {
            if let Some(number) = whole(client.attributes, attribute, factor)
                && (min..=max).contains(&number)
            {
                write!(self.out, ",\"{member}\":{number:.0}").expect("a vector takes everything");
            }
        }
        self.out.push(b'}');
    }

    /// Ends the answer.
    pub fn end(self) {
        self.out.push(b']');
    }
}

fn write_tid(out: &mut Vec<u8>, client: &Whereabouts<'_>) {
    let own = match client.attributes.value("tid") {
        Some(AttributeValue::Text(tid) | AttributeValue::Number(tid)) => tid,
        None => "",
    };
    let tid = if own.is_empty() { last_characters(client.client) } else { own.as_bytes() };
    write_lossy(out, tid);
}

/// The last two characters of an ID. A byte that is not UTF-8 counts as a character.
fn last_characters(id: &[u8]) -> &[u8] {
    let mut start = id.len();
    for _ in 0..TID_LEN {
        // A character has at most four bytes.
        let longest = start.min(4);
        let character = (1..=longest).find(|len| std::str::from_utf8(&id[start - len..start]).is_ok());
        start -= character.unwrap_or(longest.min(1));
    }
    &id[start..]
}

/// The value of an attribute, rounded to a whole number. Never `-0`.
fn whole(attributes: Attributes<'_>, name: &str, factor: f64) -> Option<f64> {
    let Some(AttributeValue::Number(digits)) = attributes.value(name) else { return None };
    let value: f64 = digits.parse().ok()?;
    Some((value * factor).round() + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AttributesBuf, Coordinates, Difference, ServerName, Timestamp};

    /// A client's ID, its time, and its attributes.
    type Client<'a> = (&'a [u8], &'a str, &'a [(&'a str, AttributeValue<'a>)]);

    fn answer(clients: &[Client<'_>]) -> String {
        let server = ServerName::new("Riley").unwrap();
        let mut out = Vec::new();
        let mut friends = Friends::begin(&mut out);
        for (client, time, given) in clients {
            let mut attributes = AttributesBuf::default();
            for (name, value) in *given {
                attributes.set(name, *value).unwrap();
            }
            let timestamp = Timestamp::parse(time.as_bytes()).unwrap();
            friends.push(&Whereabouts {
                client,
                coordinates: Coordinates::parse(b"+48.8500+002.29").unwrap(),
                attributes: attributes.borrow(),
                timestamp,
                difference: Difference::from_nanos(0, timestamp).unwrap(),
                server: &server,
            });
        }
        friends.end();
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    fn check(client: &[u8], given: &[(&str, AttributeValue<'_>)], tid: &str, topic: &str, rest: &str) {
        let expected = format!(
            "[{{\"_type\":\"location\",\"lat\":48.85,\"lon\":2.29,\"tst\":1497476456,\"tid\":\"{tid}\",\
             \"topic\":\"owntracks/{topic}\"{rest}}}]"
        );
        assert_eq!(answer(&[(client, "1497476456.75", given)]), expected);
    }

    #[test]
    fn a_friend_has_whole_numbers_in_the_units_of_owntracks() {
        use AttributeValue::{Number, Text};
        check(b"jane/phone", &[], "ne", "jane/phone", "");
        check(
            b"jane/phone",
            &[
                ("tid", Text("JJ")),
                ("accuracy_m", Number("4.5")),
                ("speed_mps", Number("13.889")),
                ("heading_deg", Number("359.5")),
                ("battery_pct", Number("80")),
                ("altitude_m", Number("-0.4")),
                ("note", Text("x")),
            ],
            "JJ",
            "jane/phone",
            ",\"acc\":5,\"vel\":50,\"cog\":360,\"batt\":80,\"alt\":0",
        );
        check(
            b"k",
            &[
                ("tid", Number("7")),
                ("accuracy_m", Number("-1")),
                ("speed_mps", Number("1e999")),
                ("heading_deg", Text("90")),
                ("battery_pct", Number("101")),
                ("altitude_m", Number("1e10")),
            ],
            "7",
            "k",
            "",
        );
    }

    #[test]
    fn any_id_makes_valid_json() {
        check(b"k", &[("tid", AttributeValue::Text(""))], "k", "k", "");
        check(b"a\"\\", &[], "\\\"\\\\", "a\\\"\\\\", "");
        check("jos\u{e9}\u{20ac}".as_bytes(), &[], "\u{e9}\u{20ac}", "jos\u{e9}\u{20ac}", "");
        check(b"a\xff\xfe", &[], "\u{fffd}\u{fffd}", "a\u{fffd}\u{fffd}", "");
        check(b"\x01\x80", &[], "\\u0001\u{fffd}", "\\u0001\u{fffd}", "");
    }

    #[test]
    fn a_client_that_would_spoil_the_answer_is_left_out() {
        assert_eq!(answer(&[]), "[]");
        assert_eq!(answer(&[(b"a", "0.5", &[])]), "[]");
        let two = answer(&[(b"a", "0", &[]), (b"b", "1", &[]), (b"c", "2", &[])]);
        assert!(two.starts_with("[{\"_type\"") && two.contains("},{\"_type\""), "{two}");
        assert_eq!(two.matches("_type").count(), 2);
    }
}
