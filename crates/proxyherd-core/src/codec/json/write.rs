//! Clients as JSON and as GeoJSON, appended to a buffer without any other allocation.

use std::{fmt::Display, io::Write};

use crate::{
    codec::{rfc3339, url_id},
    command::Whereabouts,
    types::AttributeValue,
};

/// Appends a client: `{"id","lat","lon","time","received","server","difference_s","at","attributes":{…}}`, then
/// `distance_m` in meters if the client was searched for near something, then `id_url` if the ID is not UTF-8.
///
/// `time` has the decimals with which it was reported. `received` has nine decimals. `at` is the client's AT line.
/// Coordinates are the shortest decimals. Bytes of an ID that are not UTF-8 are shown as U+FFFD.
pub fn write_client(out: &mut Vec<u8>, client: &Whereabouts<'_>, distance_m: Option<f64>) {
    out.extend_from_slice(b"{\"id\":");
    write_lossy(out, client.client);
    out.extend_from_slice(b",\"lat\":");
    client.coordinates.latitude().write_shortest(out);
    out.extend_from_slice(b",\"lon\":");
    client.coordinates.longitude().write_shortest(out);
    out.push(b',');
    write_other_members(out, client, distance_m);
    out.push(b'}');
}

/// Appends a client as a GeoJSON Feature (RFC 7946): `id`, a Point, and the client's other members as properties.
pub fn write_feature(out: &mut Vec<u8>, client: &Whereabouts<'_>, distance_m: Option<f64>) {
    out.extend_from_slice(b"{\"type\":\"Feature\",\"id\":");
    write_lossy(out, client.client);
    out.extend_from_slice(b",\"geometry\":{\"type\":\"Point\",\"coordinates\":[");
    client.coordinates.longitude().write_shortest(out);
    out.push(b',');
    client.coordinates.latitude().write_shortest(out);
    out.extend_from_slice(b"]},\"properties\":{");
    write_other_members(out, client, distance_m);
    out.extend_from_slice(b"}}");
}

/// Appends what is told of a client that is no longer there: `{"id"}`, with `id_url` if the ID is not UTF-8.
pub fn write_id(out: &mut Vec<u8>, client: &[u8]) {
    out.extend_from_slice(b"{\"id\":");
    write_lossy(out, client);
    write_id_url(out, client);
    out.push(b'}');
}

/// Appends an event of a client's presence: `{"event_id","kind","id"}`, with `id_url` if the ID is not UTF-8.
/// `event_id` and `kind` are written as they are, so they must have no character that JSON escapes.
pub fn write_presence(out: &mut Vec<u8>, event_id: impl Display, kind: &str, client: &[u8]) {
    write!(out, "{{\"event_id\":\"{event_id}\",\"kind\":\"{kind}\",\"id\":")
        .expect("a vector takes everything");
    write_lossy(out, client);
    write_id_url(out, client);
    out.push(b'}');
}

/// Appends the member `id_url` if an ID cannot be shown as it is.
fn write_id_url(out: &mut Vec<u8>, client: &[u8]) {
    if std::str::from_utf8(client).is_err() {
        out.extend_from_slice(b",\"id_url\":\"");
        url_id::write(out, client);
        out.push(b'"');
    }
}

/// A GeoJSON FeatureCollection under construction.
#[derive(Debug)]
#[must_use = "the collection has to be ended"]
pub struct FeatureCollection<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> FeatureCollection<'o> {
    /// Begins a collection at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>) -> FeatureCollection<'o> {
        out.extend_from_slice(b"{\"type\":\"FeatureCollection\",\"features\":[");
        FeatureCollection { out, is_first: true }
    }

    /// Adds a client.
    pub fn push(&mut self, client: &Whereabouts<'_>, distance_m: Option<f64>) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        write_feature(self.out, client, distance_m);
    }

    /// Ends the collection, with the member `next` if there is another page.
    pub fn end(self, next: Option<&str>) {
        self.out.push(b']');
        if let Some(next) = next {
            self.out.extend_from_slice(b",\"next\":");
            write_string(self.out, next);
        }
        self.out.push(b'}');
    }
}

/// Appends the members from `time` on.
fn write_other_members(out: &mut Vec<u8>, client: &Whereabouts<'_>, distance_m: Option<f64>) {
    out.extend_from_slice(b"\"time\":\"");
    rfc3339::write(out, client.timestamp);
    out.extend_from_slice(b"\",\"received\":\"");
    rfc3339::write_received(out, client.difference.received_ns(client.timestamp));
    out.extend_from_slice(b"\",\"server\":");
    write_string(out, client.server.as_str());
    out.extend_from_slice(b",\"difference_s\":");
    let at = out.len();
    client.difference.write(out);
    if out[at] == b'+' {
        // A number of JSON has no plus.
        out.remove(at);
    }
    out.extend_from_slice(b",\"at\":");
    write_at_string(out, client);
    out.extend_from_slice(b",\"attributes\":{");
    write_attributes(out, client);
    out.push(b'}');
    if let Some(distance_m) = distance_m.filter(|distance_m| distance_m.is_finite()) {
        write!(out, ",\"distance_m\":{distance_m:.3}").expect("a vector takes everything");
    }
    write_id_url(out, client.client);
}

/// The AT line as a string. Only the ID can have characters that JSON escapes.
fn write_at_string(out: &mut Vec<u8>, client: &Whereabouts<'_>) {
    out.extend_from_slice(b"\"AT ");
    out.extend_from_slice(client.server.as_str().as_bytes());
    out.push(b' ');
    client.difference.write(out);
    out.push(b' ');
    escape_lossy(out, client.client);
    out.push(b' ');
    client.coordinates.write(out);
    out.push(b' ');
    client.timestamp.write(out);
    out.push(b'"');
}

fn write_attributes(out: &mut Vec<u8>, client: &Whereabouts<'_>) {
    for (place, (name, value)) in client.attributes.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        match value {
            AttributeValue::Number(number) => out.extend_from_slice(number.as_bytes()),
            AttributeValue::Text(text) => write_string(out, text),
        }
    }
}

/// Appends a text as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    write_lossy(out, text.as_bytes());
}

/// Appends bytes as a JSON string, with U+FFFD in place of what is not UTF-8.
pub fn write_lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    escape_lossy(out, bytes);
    out.push(b'"');
}

fn escape_lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        escape(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape(out: &mut Vec<u8>, mut text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let is_special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    while let Some(at) = text.iter().position(is_special) {
        out.extend_from_slice(&text[..at]);
        match text[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte if byte < b' ' => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0b1111)]]);
            }
            byte => out.extend_from_slice(&[b'\\', byte]),
        }
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::types::{AttributesBuf, Coordinates, Difference, ServerName, Timestamp};

    fn check(client: &[u8], coordinates: &str, distance_m: Option<f64>, expected: &str) {
        let mut attributes = AttributesBuf::default();
        attributes.set("accuracy_m", AttributeValue::Number("5.0")).unwrap();
        attributes.set("note", AttributeValue::Text("on \"my\"\n\u{1}way\\")).unwrap();
        attributes.set_ttl_s(NonZeroU32::MIN).unwrap();
        let timestamp = Timestamp::parse(b"1621464827.50").unwrap();
        let whereabouts = Whereabouts {
            client,
            coordinates: Coordinates::parse(coordinates.as_bytes()).unwrap(),
            attributes: attributes.borrow(),
            timestamp,
            difference: Difference::from_nanos(-263_873_386, timestamp).unwrap(),
            server: &ServerName::new("Riley").unwrap(),
        };
        let mut out = b"[".to_vec();
        write_client(&mut out, &whereabouts, distance_m);
        out.push(b',');
        write_feature(&mut out, &whereabouts, distance_m);
        out.push(b']');
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        assert!(text.starts_with(&format!("[{expected},{{\"type\":\"Feature\"")), "{text}\n{expected}");
    }

    #[test]
    fn a_client_is_written_with_its_digits_and_in_a_fixed_order() {
        let rest = |at: &str, more: &str| {
            format!(
                "\"time\":\"2021-05-19T22:53:47.50Z\",\"received\":\"2021-05-19T22:53:47.236126614Z\",\
                 \"server\":\"Riley\",\"difference_s\":-0.263873386,\"at\":\"AT Riley -0.263873386 {at} \
                 1621464827.50\",\"attributes\":{{\"accuracy_m\":5.0,\
                 \"note\":\"on \\\"my\\\"\\n\\u0001way\\\\\"}}{more}}}"
            )
        };
        let known = rest("kiwi +34.0700-118", "");
        check(
            b"kiwi",
            "+34.0700-118",
            None,
            &format!("{{\"id\":\"kiwi\",\"lat\":34.07,\"lon\":-118,{known}"),
        );
        let near = rest("a\\\"b +005-0.0", ",\"distance_m\":12.300");
        check(b"a\"b", "+005-0.0", Some(12.3), &format!("{{\"id\":\"a\\\"b\",\"lat\":5,\"lon\":0,{near}"));
        let odd = rest("\u{fffd}x -00.10+0", ",\"id_url\":\"%FFx\"");
        check(b"\xffx", "-00.10+0", None, &format!("{{\"id\":\"\u{fffd}x\",\"lat\":-0.1,\"lon\":0,{odd}"));
    }

    #[test]
    fn an_event_names_a_client_whose_id_is_not_utf8_twice() {
        for (client, members) in
            [(&b"a\"b"[..], r#""id":"a\"b""#), (b"\xff", r#""id":"\u{fffd}","id_url":"%FF""#)]
        {
            let (mut id, mut presence) = (Vec::new(), Vec::new());
            write_id(&mut id, client);
            assert_eq!(
                String::from_utf8(id).unwrap(),
                format!("{{{members}}}").replace("\\u{fffd}", "\u{fffd}")
            );
            write_presence(&mut presence, "0a", "came", client);
            let expected = format!(r#"{{"event_id":"0a","kind":"came",{members}}}"#);
            assert_eq!(String::from_utf8(presence).unwrap(), expected.replace("\\u{fffd}", "\u{fffd}"));
        }
    }

    #[test]
    fn a_collection_has_its_features_and_the_next_page() {
        for (next, end) in [(None, "]}"), (Some("a\"b"), "],\"next\":\"a\\\"b\"}")] {
            let mut out = Vec::new();
            FeatureCollection::begin(&mut out).end(next);
            let expected = format!("{{\"type\":\"FeatureCollection\",\"features\":[{end}");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
