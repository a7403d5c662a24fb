//! The line of one record: text to record, and record to text.

use std::{borrow::Cow, fmt, num::NonZeroU32};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proxyherd_core::{
    flood::Update,
    limits::DATA_LEN_MAX,
    types::{
        AttributeValue, Attributes, AttributesBuf, Body, ClientId, Coordinates, Difference, Kind, Origin,
        ServerName, Timestamp,
    },
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::value::RawValue;

use super::entry::{Content, Entry};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The members of a record's line. A member that a record does not have is absent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine<'l> {
    /// `client`, `quota`, `token`, or `kind-` and the number of a kind that this program does not know.
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'l, str>>,
    /// The key, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// The client's time, as the client has written it.
    time: String,
    /// The difference of the server's clock, as in an AT line.
    difference: String,
    /// The coordinates, as the client has written them.
    #[serde(skip_serializing_if = "Option::is_none")]
    coordinates: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_s: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<AttributeMembers>,
    /// The attributes and the time to live in the encoding of records, if their readable form would lose something.
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    server: String,
    /// The incarnation's digits. They are a text, because many programs round numbers of this size.
    incarnation: String,
    seq: u64,
}

/// The attributes without the time to live, as the members of an object.
#[derive(Default)]
struct AttributeMembers(AttributesBuf);

impl Serialize for AttributeMembers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.borrow().iter() {
            match value {
                AttributeValue::Text(text) => map.serialize_entry(name, text)?,
                AttributeValue::Number(digits) => {
                    let digits: &RawValue =
                        serde_json::from_str(digits).map_err(serde::ser::Error::custom)?;
                    map.serialize_entry(name, digits)?;
                }
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for AttributeMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttributeMembers, D::Error> {
        deserializer.deserialize_map(AttributeVisitor)
    }
}

struct AttributeVisitor;

impl<'de> Visitor<'de> for AttributeVisitor {
    type Value = AttributeMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeMembers, A::Error> {
        let wrong = |reason: String| serde::de::Error::custom(reason);
        let mut attributes = AttributesBuf::default();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if attributes.contains(&name) {
                return Err(wrong(format!("the attribute {name:?} is there twice")));
            }
            let text = value.get();
            let set = if text.starts_with('"') {
                let text: String = serde_json::from_str(text).map_err(serde::de::Error::custom)?;
                attributes.set(&name, AttributeValue::Text(&text))
            } else {
                attributes.set(&name, AttributeValue::Number(text))
            };
            set.map_err(|error| wrong(format!("the attribute {name:?}: {error}")))?;
        }
        Ok(AttributeMembers(attributes))
    }
}

/// What the parser of JSON says about a line. The parser would call every line the first one.
pub(super) fn said(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => format!("{reason}, at column {column}"),
        None => text,
    }
}

/// Appends the line of a record, without its end.
pub(super) fn write(out: &mut Vec<u8>, update: &Update<'_>) {
    let record = &update.record;
    let (key, key_base64) = match std::str::from_utf8(record.key) {
        Ok(text) => (Some(text.into()), None),
        Err(_) => (None, Some(STANDARD.encode(record.key))),
    };
    let mut line = RecordLine {
        kind: kind_text(record.kind),
        key,
        key_base64,
        time: record.timestamp.to_string(),
        difference: record.difference.to_string(),
        coordinates: None,
        ttl_s: None,
        attributes: None,
        attributes_base64: None,
        gone: None,
        keep_s: None,
        data_base64: None,
        server: update.origin.server.to_string(),
        incarnation: update.origin.incarnation.to_string(),
        seq: update.seq,
    };
    match record.body {
        Body::Location { coordinates, attributes } => {
            line.coordinates = Some(coordinates.to_string());
            match readable(attributes) {
                Some((ttl_s, members)) => (line.ttl_s, line.attributes) = (ttl_s, members),
                None => line.attributes_base64 = Some(STANDARD.encode(attributes.as_bytes())),
            }
        }
        Body::Gone => line.gone = Some(true),
        Body::Data { keep_s, bytes } => {
            (line.keep_s, line.data_base64) = (Some(keep_s), Some(STANDARD.encode(bytes)));
        }
    }
    serde_json::to_writer(out, &line).expect("a vector takes all bytes, and the line is JSON");
}

/// The readable form of attributes. `None`: the form would not give the same bytes again.
fn readable(attributes: Attributes<'_>) -> Option<(Option<NonZeroU32>, Option<AttributeMembers>)> {
    let mut members = AttributesBuf::default();
    for (name, value) in attributes.iter() {
        members.set(name, value).ok()?;
    }
    let ttl_s = attributes.ttl_s();
    let mut whole = members.clone();
    if let Some(ttl_s) = ttl_s {
        whole.set_ttl_s(ttl_s).ok()?;
    }
    let has_members = !members.borrow().is_empty();
    let members = has_members.then_some(AttributeMembers(members));
    (whole.borrow().as_bytes() == attributes.as_bytes()).then_some((ttl_s, members))
}

/// Reads the line of a record. The error is the reason for which the line is refused.
pub(super) fn parse(line: &[u8]) -> Result<Entry, String> {
    if !line.starts_with(b"{") {
        return Err("a record is a JSON object".to_owned());
    }
    let mut read: RecordLine<'_> = serde_json::from_slice(line).map_err(|error| said(&error))?;
    let kind =
        parse_kind(&read.kind).ok_or_else(|| format!("there is no kind {:?}", shortened(&read.kind)))?;
    let key = match (read.key.take(), read.key_base64.take()) {
        (Some(text), None) => text.into_owned().into_bytes(),
        (None, Some(text)) => bytes_of("key_base64", &text)?,
        _ => return Err("a record has either key or key_base64".to_owned()),
    };
    if ClientId::new(&key).is_none() {
        return Err("a key has 1 to 256 bytes and no white space".to_owned());
    }
    let timestamp = Timestamp::parse(read.time.as_bytes())
        .ok_or_else(|| format!("time: {:?} is no time", shortened(&read.time)))?;
    let difference = parse_difference(&read.difference)
        .and_then(|nanos| Difference::from_nanos(nanos, timestamp))
        .ok_or_else(|| format!("difference: {:?} is no difference", shortened(&read.difference)))?;
    let server = ServerName::new(&read.server).map_err(|error| format!("server: {error}"))?;
    let incarnation = decimal(&read.incarnation)
        .ok_or_else(|| format!("incarnation: {:?} is no incarnation", shortened(&read.incarnation)))?;
    let content = content_of(&mut read)?;
    let is_client = kind == Kind::CLIENT;
    match content {
        Content::Location { .. } if !is_client => Err("only a client has coordinates".to_owned()),
        Content::Data { .. } if is_client => Err("a client has no data".to_owned()),
        content => {
            let origin = Origin { server, incarnation };
            Ok(Entry { kind, key, content, timestamp, difference, origin, seq: read.seq })
        }
    }
}

fn content_of(read: &mut RecordLine<'_>) -> Result<Content, String> {
    let has_attributes =
        read.ttl_s.is_some() || read.attributes.is_some() || read.attributes_base64.is_some();
    let is_data = read.keep_s.is_some() || read.data_base64.is_some();
    match (read.coordinates.take(), read.gone, is_data) {
        (Some(text), None, false) => {
            let coordinates = Coordinates::parse(text.as_bytes())
                .ok_or_else(|| format!("coordinates: {:?} are no coordinates", shortened(&text)))?;
            Ok(Content::Location { coordinates, attributes: attributes_of(read)? })
        }
        _ if has_attributes => Err("attributes and ttl_s belong to coordinates".to_owned()),
        (None, Some(true), false) => Ok(Content::Gone),
        (None, None, true) => {
            let (Some(keep_s), Some(text)) = (read.keep_s, read.data_base64.take()) else {
                return Err("keep_s and data_base64 belong together".to_owned());
            };
            let bytes = bytes_of("data_base64", &text)?;
            if bytes.len() > DATA_LEN_MAX {
                return Err(format!("data_base64: data has at most {DATA_LEN_MAX} bytes"));
            }
            Ok(Content::Data { keep_s, bytes })
        }
        _ => Err("a record has coordinates, or data_base64, or gone, which is true".to_owned()),
    }
}

/// The attributes and the time to live, in the encoding of records.
fn attributes_of(read: &mut RecordLine<'_>) -> Result<Vec<u8>, String> {
    if let Some(text) = read.attributes_base64.take() {
        if read.ttl_s.is_some() || read.attributes.is_some() {
            return Err("attributes_base64 stands in for attributes and ttl_s".to_owned());
        }
        let bytes = bytes_of("attributes_base64", &text)?;
        Attributes::from_bytes(&bytes).map_err(|error| format!("attributes_base64: {error}"))?;
        return Ok(bytes);
    }
    let AttributeMembers(mut attributes) = read.attributes.take().unwrap_or_default();
    if let Some(ttl_s) = read.ttl_s {
        attributes.set_ttl_s(ttl_s).map_err(|error| format!("ttl_s: {error}"))?;
    }
    Ok(attributes.borrow().as_bytes().to_vec())
}

fn kind_text(kind: Kind) -> String {
    match kind {
        Kind::CLIENT => "client".to_owned(),
        Kind::QUOTA => "quota".to_owned(),
        Kind::TOKEN => "token".to_owned(),
        Kind(number) => format!("kind-{number}"),
    }
}

/// Reads what [`kind_text`] writes, and nothing else.
fn parse_kind(text: &str) -> Option<Kind> {
    let kind = match text {
        "client" => Kind::CLIENT,
        "quota" => Kind::QUOTA,
        "token" => Kind::TOKEN,
        _ => Kind(text.strip_prefix("kind-")?.parse().ok()?),
    };
    (kind_text(kind) == text).then_some(kind)
}

/// Reads what `Difference` writes: a sign, seconds, and nine decimals.
fn parse_difference(text: &str) -> Option<i64> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (seconds, decimals) = rest.split_once('.')?;
    let nanos = decimal(decimals).filter(|_| decimals.len() == 9)?;
    let magnitude = decimal(seconds)?.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos)?;
    match sign {
        "+" => i64::try_from(magnitude).ok(),
        "-" => 0_i64.checked_sub_unsigned(magnitude),
        _ => None,
    }
}

/// Digits and nothing else.
fn decimal(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

fn bytes_of(member: &str, text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("{member}: {error}"))
}

/// The beginning of a wrong text, for a message.
fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(40).map_or(text.len(), |(end, _)| end);
    &text[..end]
}
