//! One report: the body of a PUT, an item of a batch, or a GeoJSON Feature.
//!
//! The body is `{"lat","lon","time"?,"ttl_s"?}`. Each other member is an attribute, and its value is a string or a
//! number. `id` is the client's ID, which a report needs if no path names the client. Attributes may also be in an
//! object `attributes`, as answers have them. So a client that was read can be reported again: `id_url` gives an ID
//! that is not UTF-8, and the members that only answers have are skipped. An attribute with one of these names is
//! possible inside `attributes`. If an attribute is inside and outside of `attributes`, the one outside counts, so a
//! client that was read can be reported with new attributes.

use std::{borrow::Cow, num::NonZeroU32};

use super::members::{self, MembersError, Scalar};
use crate::{
    codec::{
        rfc3339::{self, TimeError},
        url_id,
    },
    limits::CLIENT_ID_LEN_MAX,
    types::{
        AttributeError, AttributeValue, Attributes, AttributesBuf, ClientId, Coordinates, Decimal, Report,
        Stamp, TTL_NAME,
    },
};

/// Members of answers that a report does not have. They are skipped.
pub const ANSWER_MEMBERS: [&str; 6] = ["received", "server", "difference_s", "at", "distance_m", "result"];

/// Characters of a member's name that an error repeats.
const NAME_SHOWN_LEN: usize = 40;

/// What a report says, apart from its attributes, which are in the buffer that was passed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportBody<'j> {
    /// The client's ID, if the text names it.
    pub id: Option<Cow<'j, [u8]>>,
    /// The client's position.
    pub coordinates: Coordinates,
    /// The time of the report, or the information that the server chooses it.
    pub stamp: Stamp,
}

impl ReportBody<'_> {
    /// The client's ID, if the text names it.
    pub fn client(&self) -> Option<ClientId<'_>> {
        self.id.as_deref().and_then(ClientId::new)
    }

    /// The report of `client` with these contents.
    pub fn report<'a>(&self, client: ClientId<'a>, attributes: Attributes<'a>) -> Report<'a> {
        Report { client, coordinates: self.coordinates, stamp: self.stamp, attributes }
    }
}

/// Why a text is no report. Nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The text is not JSON.
    #[error("this is not JSON: {0}")]
    Syntax(String),
    /// The text is JSON of another type.
    #[error("a report is a JSON object")]
    NotObject,
    /// A member is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member is there twice in its object.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// A coordinate is no number, or is out of its range.
    #[error("`{name}` is a number from -{max} to {max}, in degrees")]
    Coordinate {
        /// `lat` or `lon`.
        name: &'static str,
        /// The greatest value.
        max: u8,
    },
    /// The time is no time.
    #[error("`time`: {0}")]
    Time(#[from] TimeError),
    /// The time to live is out of its range.
    #[error("`{TTL_NAME}` is a whole number of seconds from 1 to {}", u32::MAX)]
    Ttl,
    /// The ID is no client ID.
    #[error("`id` is a string of 1 to {CLIENT_ID_LEN_MAX} bytes without white space")]
    Id,
    /// `id_url` is no client ID.
    #[error("`id_url` is a percent-encoded client ID")]
    IdUrl,
    /// An attribute is neither a string nor a number.
    #[error("{0:?} is neither a string nor a number, and attributes have no other values")]
    AttributeType(String),
    /// An attribute's name or value is refused.
    #[error("{0:?}: {1}")]
    Attribute(String, AttributeError),
    /// `attributes` is no object.
    #[error("`attributes` is an object")]
    Attributes,
    /// A GeoJSON Feature does not have the form that a report needs.
    #[error("{0}")]
    Feature(&'static str),
}

impl ReportError {
    /// Whether the text is not even JSON.
    pub fn is_syntax(&self) -> bool {
        matches!(self, ReportError::Syntax(_))
    }
}

/// Reads a report. The report's attributes, and its time to live, are in `attributes` afterwards. The buffer is cleared
/// first, so it can be used again and again.
///
/// ```
/// use proxyherd_core::{codec::json::parse_report, types::{AttributeValue, AttributesBuf, Stamp}};
/// let mut attributes = AttributesBuf::default();
/// let body = parse_report(br#"{"lat":34.07,"lon":-1.18445e2,"battery_pct":80}"#, &mut attributes)?;
/// assert_eq!((body.coordinates.to_string().as_str(), body.stamp), ("+34.07-118.445", Stamp::Server));
/// assert_eq!(attributes.borrow().value("battery_pct"), Some(AttributeValue::Number("80")));
/// # Ok::<(), proxyherd_core::codec::json::ReportError>(())
/// ```
pub fn parse_report<'j>(
    json: &'j [u8],
    attributes: &mut AttributesBuf,
) -> Result<ReportBody<'j>, ReportError> {
    let mut contents = Contents::new(attributes);
    read_object(json, ReportError::NotObject, |name, json| contents.take(name, json))?;
    contents.finish()
}

/// Reads a GeoJSON Feature as a report: the Feature's `id`, else the ID of its properties; the position from a Point;
/// everything else from the properties.
pub(super) fn parse_feature<'j>(
    json: &'j [u8],
    attributes: &mut AttributesBuf,
) -> Result<ReportBody<'j>, ReportError> {
    let mut contents = Contents::new(attributes);
    let (mut id, mut is_feature) = (None, false);
    read_object(json, ReportError::Feature("an item of a FeatureCollection is a Feature"), |name, json| {
        match name {
            "type" => is_feature = members::scalar(json) == Some(Scalar::Text("Feature".into())),
            "id" => set(&mut id, "id", json)?,
            "geometry" => contents.take_geometry(json)?,
            "properties" if json == "null" => {}
            "properties" => {
                let refused = ReportError::Feature("`properties` is an object");
                read_object(json.as_bytes(), refused, |name, json| match name {
                    "lat" | "lon" => Err(ReportError::Feature("a Feature has its position in `geometry`")),
                    _ => contents.take(name, json),
                })?;
            }
            _ => {}
        }
        Ok(())
    })?;
    if !is_feature {
        return Err(ReportError::Feature("an item of a FeatureCollection has the type \"Feature\""));
    }
    contents.id = id.or(contents.id);
    contents.finish()
}

/// Reads the members of an object. `not_object` is the error for JSON of another type.
fn read_object<'j>(
    json: &'j [u8],
    not_object: ReportError,
    take: impl FnMut(&str, &'j str) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    members::read(json, take).map_err(|error| match error {
        MembersError::Syntax(error) => ReportError::Syntax(error.to_string()),
        MembersError::NotObject => not_object,
        MembersError::Refused(error) => error,
    })
}

/// What has been read so far.
struct Contents<'j, 'b> {
    /// The JSON text of `id`. It is read last, and only without `id_url`: if the ID is not UTF-8, this text need not be
    /// a valid ID.
    id: Option<&'j str>,
    id_url: Option<Cow<'j, [u8]>>,
    latitude: Option<Decimal>,
    longitude: Option<Decimal>,
    stamp: Option<Stamp>,
    attributes: &'b mut AttributesBuf,
    /// The JSON text of `attributes`.
    nested: Option<&'j str>,
}

impl<'j, 'b> Contents<'j, 'b> {
    fn new(attributes: &'b mut AttributesBuf) -> Contents<'j, 'b> {
        attributes.clear();
        let (latitude, longitude, stamp) = (None, None, None);
        Contents { id: None, id_url: None, latitude, longitude, stamp, attributes, nested: None }
    }

    fn take(&mut self, name: &str, json: &'j str) -> Result<(), ReportError> {
        match name {
            "lat" => set(&mut self.latitude, "lat", latitude(json)?),
            "lon" => set(&mut self.longitude, "lon", longitude(json)?),
            "time" => set(&mut self.stamp, "time", read_time(json)?),
            TTL_NAME => self.take_ttl(json),
            "id" => set(&mut self.id, "id", json),
            "id_url" => set(&mut self.id_url, "id_url", read_id_url(json)?),
            "attributes" => set(&mut self.nested, "attributes", json),
            name if ANSWER_MEMBERS.contains(&name) => Ok(()),
            name => self.take_attribute(name, json),
        }
    }

    fn take_attribute(&mut self, name: &str, json: &str) -> Result<(), ReportError> {
        if self.attributes.contains(name) {
            return Err(ReportError::Twice(shown(name)));
        }
        let scalar = members::scalar(json).ok_or_else(|| ReportError::AttributeType(shown(name)))?;
        let value = match &scalar {
            Scalar::Text(text) => AttributeValue::Text(text),
            Scalar::Number(digits) => AttributeValue::Number(digits),
        };
        self.attributes.set(name, value).map_err(|error| ReportError::Attribute(shown(name), error))
    }

    /// Takes the members of `attributes` after all others.
    fn take_nested(&mut self, json: &'j str) -> Result<(), ReportError> {
        let outside = self.attributes.clone();
        read_object(json.as_bytes(), ReportError::Attributes, |name, json| match outside.contains(name) {
            true if members::scalar(json).is_some() => Ok(()),
            true => Err(ReportError::AttributeType(shown(name))),
            false => self.take_attribute(name, json),
        })
    }

    fn take_ttl(&mut self, json: &str) -> Result<(), ReportError> {
        if self.attributes.borrow().ttl_s().is_some() {
            return Err(ReportError::Twice(TTL_NAME.to_owned()));
        }
        let ttl_s = whole_number(json).and_then(NonZeroU32::new).ok_or(ReportError::Ttl)?;
        self.attributes.set_ttl_s(ttl_s).map_err(|error| ReportError::Attribute(TTL_NAME.to_owned(), error))
    }

    /// Takes `{"type":"Point","coordinates":[longitude, latitude, …]}` (RFC 7946, section 3.1.2).
    fn take_geometry(&mut self, json: &'j str) -> Result<(), ReportError> {
        const POINT: ReportError =
            ReportError::Feature("`geometry` is a Point with the coordinates [longitude, latitude]");
        let (mut is_point, mut position) = (false, None);
        read_object(json.as_bytes(), POINT, |name, json| {
            match name {
                "type" => is_point = members::scalar(json) == Some(Scalar::Text("Point".into())),
                "coordinates" => position = Some(json),
                _ => {}
            }
            Ok(())
        })?;
        let position = position.filter(|_| is_point).ok_or(POINT)?;
        // A third number is an altitude. It is skipped, because a report gives an altitude as an attribute.
        let numbers = members::elements(position.as_bytes(), 3).map_err(|_| POINT)?;
        let [east, north, ..] = numbers[..] else { return Err(POINT) };
        set(&mut self.longitude, "geometry", longitude(east.get())?)?;
        set(&mut self.latitude, "geometry", latitude(north.get())?)
    }

    fn finish(mut self) -> Result<ReportBody<'j>, ReportError> {
        if let Some(json) = self.nested {
            self.take_nested(json)?;
        }
        let latitude = self.latitude.ok_or(ReportError::Missing("lat"))?;
        let longitude = self.longitude.ok_or(ReportError::Missing("lon"))?;
        let coordinates = Coordinates::new(latitude, longitude).ok_or(LATITUDE)?;
        let stamp = self.stamp.unwrap_or(Stamp::Server);
        let id = match self.id_url {
            Some(id) => Some(id),
            None => self.id.map(read_id).transpose()?,
        };
        Ok(ReportBody { id, coordinates, stamp })
    }
}

const LATITUDE: ReportError = ReportError::Coordinate { name: "lat", max: 90 };
const LONGITUDE: ReportError = ReportError::Coordinate { name: "lon", max: 180 };

fn latitude(json: &str) -> Result<Decimal, ReportError> {
    Decimal::from_number(json).filter(|latitude| latitude.is_latitude()).ok_or(LATITUDE)
}

fn longitude(json: &str) -> Result<Decimal, ReportError> {
    Decimal::from_number(json).ok_or(LONGITUDE)
}

fn read_time(json: &str) -> Result<Stamp, ReportError> {
    let time = match members::scalar(json).ok_or(TimeError::Form)? {
        Scalar::Text(text) => rfc3339::parse(text.as_bytes())?,
        Scalar::Number(digits) => rfc3339::parse(digits.as_bytes())?,
    };
    Ok(Stamp::Client(time))
}

fn read_id(json: &str) -> Result<Cow<'_, [u8]>, ReportError> {
    let id: Cow<'_, [u8]> = match members::scalar(json).ok_or(ReportError::Id)? {
        Scalar::Text(Cow::Borrowed(text)) => text.as_bytes().into(),
        Scalar::Text(Cow::Owned(text)) => text.into_bytes().into(),
        Scalar::Number(digits) => digits.as_bytes().into(),
    };
    if ClientId::new(&id).is_some() { Ok(id) } else { Err(ReportError::Id) }
}

fn read_id_url(json: &str) -> Result<Cow<'_, [u8]>, ReportError> {
    match members::scalar(json) {
        Some(Scalar::Text(text)) => match url_id::parse(text.as_bytes()) {
            Ok(id) => Ok(id.into_owned().into()),
            Err(_) => Err(ReportError::IdUrl),
        },
        _ => Err(ReportError::IdUrl),
    }
}

/// A number without a fraction. JSON has no integers, so `60.0` is one.
fn whole_number(json: &str) -> Option<u32> {
    if let Ok(number) = json.parse() {
        return Some(number);
    }
    let Some(Scalar::Number(digits)) = members::scalar(json) else { return None };
    let number: f64 = digits.parse().ok()?;
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
}

fn set<T>(member: &mut Option<T>, name: &str, value: T) -> Result<(), ReportError> {
    match member.replace(value) {
        None => Ok(()),
        Some(_) => Err(ReportError::Twice(name.to_owned())),
    }
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The report as a text: ID, coordinates, time, time to live, attributes.
    fn read(json: &str) -> Result<String, String> {
        let mut attributes = AttributesBuf::default();
        attributes.set("of_the_report_before", AttributeValue::Text("x")).unwrap();
        let read = match json.contains("Feature") {
            true => parse_feature(json.as_bytes(), &mut attributes),
            false => parse_report(json.as_bytes(), &mut attributes),
        };
        let body = read.map_err(|error| error.to_string())?;
        let id = body.client().map_or("-".to_owned(), |client| format!("{client:?}"));
        let time = body.stamp.told().map_or("-".to_owned(), |time| time.to_string());
        Ok(format!("{id} {} {time} {:?}", body.coordinates, attributes.borrow()))
    }

    fn check(json: &str, expected: &str) {
        assert_eq!(read(json).as_deref(), Ok(expected), "{json}");
    }

    fn check_refused(json: &str, error: &str) {
        assert_eq!(read(json), Err(error.to_owned()), "{json}");
    }

    #[test]
    fn a_report_keeps_digits_and_types() {
        check(r#"{"lat":34.070,"lon":-118}"#, "- +34.07-118 - {}");
        check(
            r#" {"battery_pct":80,"note":"8\u0030","lon":1e1,"lat":-0.0,"time":"2021-05-19T22:53:47.50Z","z":"\u0000"} "#,
            r#"- +0+10 1621464827.50 {"battery_pct": Number("80"), "note": Text("80"), "z": Text("\0")}"#,
        );
        check(r#"{"lat":1,"lon":2,"time":1621464827.50}"#, "- +1+2 1621464827.50 {}");
        check(r#"{"lat":1,"lon":2,"time":"1621464827.50"}"#, "- +1+2 1621464827.50 {}");
        check(
            r#"{"lat":1,"lon":2,"ttl_s":60,"attributes":{"speed_mps":1.50}}"#,
            r#"- +1+2 - {"speed_mps": Number("1.50"), "ttl_s": 60}"#,
        );
        let outside = r#"- +1+2 - {"a": Number("1"), "b": Text("x")}"#;
        check(r#"{"a":1,"attributes":{"a":2,"b":"x"},"lat":1,"lon":2}"#, outside);
        check(r#"{"attributes":{"a":2,"b":"x"},"a":1,"lat":1,"lon":2}"#, outside);
        check(r#"{"lat":1,"lon":2,"ttl_s":6e1}"#, r#"- +1+2 - {"ttl_s": 60}"#);
        check(r#"{"id":"fleet/7","lat":1,"lon":2}"#, "fleet/7 +1+2 - {}");
        check(r#"{"id":7,"l\u0061t":1,"lon":2}"#, "7 +1+2 - {}");
    }

    #[test]
    fn an_answer_can_be_reported_again() {
        check(
            r#"{"id":"\ufffdx","lat":34.07,"lon":0,"time":"2021-05-19T22:53:47.5Z","received":"2021-05-19T22:53:47Z",
                "server":"Riley","difference_s":-0.2,"at":"AT …","attributes":{"server":"mine"},"distance_m":1.5,
                "id_url":"%FFx","result":"accepted"}"#,
            r#"\xffx +34.07+0 1621464827.5 {"server": Text("mine")}"#,
        );
    }

    #[test]
    fn a_feature_is_a_report() {
        check(
            r#"{"type":"Feature","id":"kiwi","geometry":{"type":"Point","coordinates":[-118.5,34.07,12]},
                "properties":{"id":"other","time":"1621464827","attributes":{"a":1},"note":"x"}}"#,
            r#"kiwi +34.07-118.5 1621464827 {"a": Number("1"), "note": Text("x")}"#,
        );
        let long = "\u{fffd}".repeat(256);
        check(
            &format!(
                r#"{{"type":"Feature","id":"{long}","geometry":{{"type":"Point","coordinates":[2,1]}},
                    "properties":{{"id_url":"%FF"}}}}"#
            ),
            r"\xff +1+2 - {}",
        );
        check(
            r#"{"type":"Feature","geometry":{"coordinates":[2,1],"type":"Point"},"properties":{"id":"kiwi"},"bbox":[]}"#,
            "kiwi +1+2 - {}",
        );
        check(
            r#"{"type":"Feature","id":7,"geometry":{"coordinates":[2,1],"type":"Point"},"properties":null}"#,
            "7 +1+2 - {}",
        );
        let point = "`geometry` is a Point with the coordinates [longitude, latitude]";
        for geometry in [
            "null",
            r#"{"type":"Point","coordinates":[1]}"#,
            r#"{"type":"Point","coordinates":[1,2,3,4]}"#,
            r#"{"type":"LineString","coordinates":[[1,2],[1,2]]}"#,
            r#"{"type":"Point"}"#,
        ] {
            check_refused(&format!(r#"{{"type":"Feature","geometry":{geometry},"properties":{{}}}}"#), point);
        }
        check_refused(
            r#"{"type":"Feature","geometry":{"type":"Point","coordinates":[1,91]}}"#,
            "`lat` is a number from -90 to 90, in degrees",
        );
        check_refused(
            r#"{"type":"Feature","properties":{"lat":1}}"#,
            "a Feature has its position in `geometry`",
        );
        check_refused(r#"{"type":"Feature","properties":[]}"#, "`properties` is an object");
        check_refused(r#""Feature""#, "an item of a FeatureCollection is a Feature");
    }

    #[test]
    fn a_mistake_is_told_by_the_name_of_its_member() {
        check_refused("[]", "a report is a JSON object");
        check_refused("7", "a report is a JSON object");
        check_refused(r#"{"lon":2}"#, "`lat` is missing");
        check_refused(r#"{"lat":2}"#, "`lon` is missing");
        check_refused(r#"{"lat":90.5,"lon":2}"#, "`lat` is a number from -90 to 90, in degrees");
        check_refused(r#"{"lat":"1","lon":2}"#, "`lat` is a number from -90 to 90, in degrees");
        check_refused(r#"{"lat":1,"lon":180.1}"#, "`lon` is a number from -180 to 180, in degrees");
        check_refused(r#"{"lat":1,"lat":1,"lon":2}"#, r#""lat" is there twice"#);
        check_refused(r#"{"a":1,"a":1}"#, r#""a" is there twice"#);
        check_refused(r#"{"attributes":{"a":1,"a":"x"}}"#, r#""a" is there twice"#);
        check_refused(
            r#"{"a":1,"attributes":{"a":[]}}"#,
            "\"a\" is neither a string nor a number, and attributes have no other values",
        );
        check_refused(r#"{"attributes":{},"attributes":{}}"#, r#""attributes" is there twice"#);
        check_refused(r#"{"ttl_s":1,"ttl_s":1}"#, r#""ttl_s" is there twice"#);
        check_refused(r#"{"attributes":[]}"#, "`attributes` is an object");
        for value in ["null", "true", "[1]", "{}"] {
            let refused = r#""a" is neither a string nor a number, and attributes have no other values"#;
            check_refused(&format!(r#"{{"a":{value}}}"#), refused);
        }
        let name = "an attribute's name is 1 to 32 lower-case letters, digits or `_`";
        check_refused(r#"{"A":1}"#, &format!(r#""A": {name}"#));
        check_refused(&format!(r#"{{"{}":1}}"#, "a".repeat(99)), &format!("{:?}: {name}", "a".repeat(40)));
        check_refused(r#"{"attributes":{"ttl_s":1}}"#, r#""ttl_s": no attribute can have the name `ttl_s`"#);
        check_refused(
            &format!(r#"{{"a":{}}}"#, "1".repeat(65)),
            r#""a": a number is written as in JSON, with at most 64 bytes"#,
        );
        check_refused(
            &format!(r#"{{"a":"{}"}}"#, "x".repeat(600)),
            r#""a": the attributes of a report are at most 512 bytes together"#,
        );
        for ttl in ["0", "-1", "1.5", "4294967296", "\"60\"", "null"] {
            let refused = "`ttl_s` is a whole number of seconds from 1 to 4294967295";
            check_refused(&format!(r#"{{"ttl_s":{ttl}}}"#), refused);
        }
        for id in ["\"\"", "\"two words\"", "null", "\"\\ud800\""] {
            let refused = "`id` is a string of 1 to 256 bytes without white space";
            check_refused(&format!(r#"{{"id":{id},"lat":1,"lon":2}}"#), refused);
        }
        check_refused(r#"{"id_url":"%"}"#, "`id_url` is a percent-encoded client ID");
        check_refused(
            r#"{"time":"1969-12-31T23:59:59Z"}"#,
            "`time`: a time is between 1970-01-01T00:00:00Z and 2286-11-20T17:46:39Z",
        );
        check_refused(r#"{"time":null}"#, &format!("`time`: {}", TimeError::Form));
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for json in
            ["", "{", r#"{"lat":1,"lon":2}x"#, r#"{"lat":01}"#, r#"{"lat":1,}"#, "{'lat':1}", "nul", "\u{1}"]
        {
            let error = parse_report(json.as_bytes(), &mut AttributesBuf::default()).unwrap_err();
            assert!(error.is_syntax(), "{json} {error}");
        }
        let error = parse_report(b"{\"a\":\"\xff\"}", &mut AttributesBuf::default()).unwrap_err();
        assert!(error.is_syntax(), "{error}");
    }
}
