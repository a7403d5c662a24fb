//! OsmAnd's form: one position as the parameters of a query, or as a form in the body. Traccar Client up to 8 sends a
//! query, and from 10 on a form; OsmAnd, GPSLogger and many trackers send what their user has typed.
//!
//! The names and units are those of Traccar's server (traccar/traccar, `OsmAndProtocolDecoder.java`): `speed` is in
//! knots. Names of attributes are parameters, too, so a user can type `speed_mps` for an app that knows meters a
//! second. Parameters without a meaning here are skipped, so a token in the query is no attribute.

use std::borrow::Cow;

use super::{
    PhoneError,
    fields::{Field, Found, Meaning, Value},
    form,
    object::{self, Axis},
    time,
};
use crate::{
    codec::json::ReportBody,
    types::{AttributesBuf, Decimal, Stamp},
};

const NORTH: Axis = Axis::latitude("lat");
const EAST: Axis = Axis::longitude("lon");
const ID_HINT: &str =
    "add `id=` with an ID without spaces to the URL, or change the device's identifier in the app";

static FIELDS: [Field; 22] = [
    Field::new("accuracy_m", "accuracy_m", Meaning::ACCURACY_M),
    Field::new("accuracy", "accuracy_m", Meaning::ACCURACY_M),
    Field::new("speed_mps", "speed_mps", Meaning::SPEED_MPS),
    Field::new("speed", "speed_mps", Meaning::SPEED_KNOTS),
    Field::new("heading_deg", "heading_deg", Meaning::HEADING_DEG),
    Field::new("bearing", "heading_deg", Meaning::HEADING_DEG),
    Field::new("heading", "heading_deg", Meaning::HEADING_DEG),
    Field::new("altitude_m", "altitude_m", Meaning::ALTITUDE_M),
    Field::new("altitude", "altitude_m", Meaning::ALTITUDE_M),
    Field::new("battery_pct", "battery_pct", Meaning::BATTERY_PCT),
    Field::new("batt", "battery_pct", Meaning::BATTERY_PCT),
    Field::new("tid", "tid", Meaning::Text),
    Field::new("alarm", "alarm", Meaning::Text),
    Field::new("charge", "battery_state", Meaning::Charging),
    Field::new("hdop", "hdop", Meaning::POSITIVE),
    Field::new("satellites", "satellites", Meaning::POSITIVE),
    Field::new("sat", "satellites", Meaning::POSITIVE),
    Field::new("mock", "mock", Meaning::Flag),
    Field::new("activity", "activity", Meaning::Text),
    Field::new("provider", "provider", Meaning::Text),
    Field::new("note", "note", Meaning::Text),
    Field::new("desc", "note", Meaning::Text),
];

/// Whether a query is a report of this form: it has a parameter `id` or `deviceid`.
pub fn is_report(query: &[u8]) -> bool {
    form::pairs(query).any(|(name, _)| matches!(&*name, b"id" | b"deviceid"))
}

/// Whether a body is a form with an ID or a position.
pub(super) fn is_form(body: &[u8]) -> bool {
    let is_known = |name: &[u8]| matches!(name, b"id" | b"deviceid" | b"lat" | b"lon" | b"location");
    form::pairs(body).any(|(name, _)| is_known(&name))
}

/// Reads a report from a query or from a form, which have the same encoding. The report has an ID. Its attributes are
/// in `attributes` afterwards. The buffer is cleared first. If a parameter is there twice, the last one counts.
///
/// `None`: there is no position, as in a heartbeat of Traccar Client 10, or the position is marked as not valid. There
/// is nothing to report. It is answered like a report, because the app sends it again otherwise.
///
/// ```
/// use proxyherd_core::{codec::phones::osmand, types::{AttributeValue, AttributesBuf}};
/// let mut attributes = AttributesBuf::default();
/// let form = b"id=bus%2F7&lat=48.85&lon=2.29&timestamp=1497476456&speed=10&token=t";
/// let report = osmand::parse(form, &mut attributes)?;
/// let report = report.expect("it has a position");
/// assert_eq!((report.id.as_deref(), report.coordinates.to_string()), (Some(&b"bus/7"[..]), "+48.85+2.29".to_owned()));
/// assert!(attributes.borrow().iter().eq([("speed_mps", AttributeValue::Number("5.144"))]));
/// # Ok::<(), proxyherd_core::codec::phones::PhoneError>(())
/// ```
pub fn parse<'q>(
    pairs: &'q [u8],
    attributes: &mut AttributesBuf,
) -> Result<Option<ReportBody<'q>>, PhoneError> {
    attributes.clear();
    let mut contents = Contents::default();
    for (name, value) in form::pairs(pairs) {
        contents.take(&name, value)?;
    }
    let (name, id) = contents.id.filter(|(_, id)| !id.is_empty()).ok_or(PhoneError::NoId(ID_HINT))?;
    let id = object::id(id, name, ID_HINT)?;
    if !contents.is_valid || (contents.latitude.is_none() && contents.longitude.is_none()) {
        return Ok(None);
    }
    let coordinates = object::point(contents.latitude, contents.longitude, NORTH, EAST)?;
    contents.found.write(attributes);
    Ok(Some(ReportBody { id: Some(id), coordinates, stamp: contents.stamp }))
}

struct Contents<'q> {
    id: Option<(&'static str, Cow<'q, [u8]>)>,
    latitude: Option<Decimal>,
    longitude: Option<Decimal>,
    stamp: Stamp,
    is_valid: bool,
    found: Found<'q, 22>,
}

impl Default for Contents<'_> {
    fn default() -> Self {
        let found = Found::new(&FIELDS);
        Contents { id: None, latitude: None, longitude: None, stamp: Stamp::Server, is_valid: true, found }
    }
}

impl<'q> Contents<'q> {
    fn take(&mut self, name: &[u8], value: Cow<'q, [u8]>) -> Result<(), PhoneError> {
        match name {
            b"id" => self.id = Some(("id", value)),
            b"deviceid" => self.id = Some(("deviceid", value)),
            b"lat" => self.latitude = Some(coordinate(NORTH, &value)?),
            b"lon" => self.longitude = Some(coordinate(EAST, &value)?),
            b"location" => {
                const TWO: PhoneError = PhoneError::Form("`location` is latitude,longitude in degrees");
                let comma = memchr::memchr(b',', &value).ok_or(TWO)?;
                self.latitude = Some(coordinate(NORTH, &value[..comma])?);
                self.longitude = Some(coordinate(EAST, &value[comma + 1..])?);
            }
            b"timestamp" => {
                let time = time::read(&value, time::TRACCAR_MILLISECONDS_MIN)
                    .map_err(|error| PhoneError::Time("timestamp", error))?;
                self.stamp = Stamp::Client(time);
            }
            b"valid" => self.is_valid = value.eq_ignore_ascii_case(b"true") || &*value == b"1",
            name => self.take_field(name, value),
        }
        Ok(())
    }

    fn take_field(&mut self, name: &[u8], value: Cow<'q, [u8]>) {
        let place = std::str::from_utf8(name).ok().and_then(|name| self.found.place("", name));
        if let (Some(place), Some(text)) = (place, text(value)) {
            self.found.set(place, Value::Text(text));
        }
    }
}

fn coordinate(axis: Axis, value: &[u8]) -> Result<Decimal, PhoneError> {
    // What is not UTF-8 is no number either.
    let text = std::str::from_utf8(value).unwrap_or_default();
    axis.read_number(&object::text_number(text).unwrap_or_default())
}

fn text(value: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match value {
        Cow::Borrowed(value) => std::str::from_utf8(value).ok().map(Cow::Borrowed),
        Cow::Owned(value) => String::from_utf8(value).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &str) -> String {
        let mut attributes = AttributesBuf::default();
        match parse(pairs.as_bytes(), &mut attributes) {
            Ok(Some(body)) => {
                let time = body.stamp.told().map_or("-".to_owned(), |time| time.to_string());
                let client = body.client().unwrap();
                format!("{client:?} {} {time} {:?}", body.coordinates, attributes.borrow())
            }
            Ok(None) => {
                assert!(attributes.borrow().is_empty());
                "nothing".to_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    fn check(pairs: &str, expected: &str) {
        assert_eq!(read(pairs), expected, "{pairs}");
    }

    #[test]
    fn a_report_is_an_id_and_a_position() {
        check("id=a&lat=1.50&lon=-2", "a +1.5-2 - {}");
        check("deviceid=a%FF&location=1.5,+-2.0\n", r"a\xff +1.5-2 - {}");
        check("lat=9&lon=2&id=x&lat=1&id=b&valid=true", "b +1+2 - {}");
        check("id=a&lat=048.5&lon=%2B2&timestamp=2021-05-20T00:53:47+02:00", "a +48.5+2 1621464827 {}");
        check("id=a&lat=1&lon=2&timestamp=1621464827250", "a +1+2 1621464827.250 {}");
    }

    #[test]
    fn parameters_become_attributes_with_the_units_of_the_herd() {
        check(
            "id=a&lat=1&lon=2&speed=10&bearing=90.0&altitude=-3&accuracy=0.0&batt=80.0&charge=true&hdop=0.9\
             &sat=7&desc=on+my%20way&alarm=sos&token=secret&key=secret&wifi=x&speed_kmh=1",
            "a +1+2 - {\"alarm\": Text(\"sos\"), \"altitude_m\": Number(\"-3\"), \"battery_pct\": Number(\"80.0\"), \
             \"battery_state\": Text(\"charging\"), \"hdop\": Number(\"0.9\"), \"heading_deg\": Number(\"90.0\"), \
             \"note\": Text(\"on my way\"), \"satellites\": Number(\"7\"), \"speed_mps\": Number(\"5.144\")}",
        );
        check(
            "id=a&lat=1&lon=2&speed=10&speed_mps=3.5&accuracy_m=4&hdop=null&sat=&note=%FF&mock=maybe",
            r#"a +1+2 - {"accuracy_m": Number("4"), "speed_mps": Number("3.5")}"#,
        );
    }

    #[test]
    fn a_message_without_a_valid_position_is_nothing_to_report() {
        check("id=a&timestamp=1621464827&batt=80", "nothing");
        check("id=a&lat=1&lon=2&valid=false", "nothing");
        check("id=a&lat=1&lon=2&valid=0", "nothing");
    }

    #[test]
    fn a_mistake_is_told_by_the_name_of_its_field() {
        for pairs in ["", "lat=1&lon=2", "id=&lat=1&lon=2", "id"] {
            assert!(read(pairs).starts_with("the client's ID is missing: add `id=`"), "{pairs}");
        }
        assert!(read("id=my+phone&lat=1&lon=2").starts_with("`id` is no client ID"));
        assert!(read(&format!("deviceid={}", "x".repeat(257))).starts_with("`deviceid` is no client ID"));
        check("id=a&lat=1", "`lon` is missing");
        check("id=a&lon=1", "`lat` is missing");
        for lat in ["91", "", "NaN", "north", "%FF", "1,5"] {
            check(&format!("id=a&lat={lat}&lon=1"), "`lat` is a number from -90 to 90, in degrees");
        }
        check("id=a&lat=1&lon=180.5", "`lon` is a number from -180 to 180, in degrees");
        check("id=a&location=1", "`location` is latitude,longitude in degrees");
        check("id=a&location=1,x", "`lon` is a number from -180 to 180, in degrees");
        assert!(read("id=a&lat=1&lon=2&timestamp=now").starts_with("`timestamp`: a time is"));
    }

    #[test]
    fn a_query_with_an_id_is_a_report() {
        for query in ["id=7", "token=x&deviceid=", "%69d=1", "\nid=7"] {
            assert!(is_report(query.as_bytes()), "{query}");
        }
        for query in ["", "token=x", "ids=7", "lat=1&lon=2"] {
            assert!(!is_report(query.as_bytes()), "{query}");
        }
    }
}
