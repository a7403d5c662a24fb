//! The JSON of Traccar Client 9: each request is one position, `{"location":{…},"device_id":"…"}`. Earlier versions
//! send a query, and version 10 sends a form: see [`osmand`](super::osmand).
//!
//! Sources: the app's template of a position (traccar/traccar-client v9.7.20, `lib/preferences.dart`), and what
//! Traccar's server makes of it (traccar/traccar, `OsmAndProtocolDecoder.java`).

use super::{
    PhoneError,
    fields::{Field, Found, Meaning},
    object::{self, Axis},
    time,
};
use crate::{
    codec::json::ReportBody,
    types::{AttributesBuf, Decimal, Stamp},
};

const NORTH: Axis = Axis::latitude("latitude");
const EAST: Axis = Axis::longitude("longitude");
const ID: &str = "device_id";
const ID_HINT: &str = "change \"Device identifier\" in the app's settings";

static FIELDS: [Field; 13] = [
    Field::within("coords", "accuracy", "accuracy_m", Meaning::ACCURACY_M),
    Field::within("coords", "speed", "speed_mps", Meaning::SPEED_MPS),
    Field::within("coords", "heading", "heading_deg", Meaning::HEADING_DEG),
    Field::within("coords", "altitude", "altitude_m", Meaning::ALTITUDE_M),
    Field::within("battery", "level", "battery_pct", Meaning::BATTERY_LEVEL),
    Field::new("alarm", "alarm", Meaning::Text),
    Field::within("extras", "alarm", "alarm", Meaning::Text),
    Field::within("battery", "is_charging", "battery_state", Meaning::Charging),
    Field::new("is_moving", "moving", Meaning::Flag),
    Field::within("activity", "type", "activity", Meaning::Text),
    Field::new("event", "event", Meaning::Text),
    Field::new("mock", "mock", Meaning::Flag),
    Field::new("odometer", "odometer_m", Meaning::POSITIVE),
];

/// Reads a report, which has an ID. Its attributes are in `attributes` afterwards. The buffer is cleared first.
///
/// `None`: the message has no position, so there is nothing to report. It is answered like a report, because the app
/// sends it again otherwise.
///
/// ```
/// use proxyherd_core::{codec::phones::traccar, types::{AttributeValue, AttributesBuf}};
/// let mut attributes = AttributesBuf::default();
/// let json = br#"{"location":{"timestamp":"2025-06-01T12:00:00.000Z","coords":{"latitude":48.85,"longitude":2.29,
///     "speed":-1},"battery":{"level":0.8}},"device_id":"12345678"}"#;
/// let report = traccar::parse(json, &mut attributes)?.expect("it has a position");
/// assert_eq!(report.id.as_deref(), Some(&b"12345678"[..]));
/// assert_eq!(report.coordinates.to_string(), "+48.85+2.29");
/// assert_eq!(attributes.borrow().value("battery_pct"), Some(AttributeValue::Number("80")));
/// assert_eq!(attributes.borrow().value("speed_mps"), None);
/// # Ok::<(), proxyherd_core::codec::phones::PhoneError>(())
/// ```
pub fn parse<'j>(
    json: &'j [u8],
    attributes: &mut AttributesBuf,
) -> Result<Option<ReportBody<'j>>, PhoneError> {
    attributes.clear();
    let (mut id, mut location) = (None, None);
    object::read(json, "a message of Traccar Client is a JSON object", |name, json| {
        match name {
            ID => id = Some(json),
            "location" => location = Some(json),
            _ => {}
        }
        Ok(())
    })?;
    let id = id.and_then(object::text).ok_or(PhoneError::NoId(ID_HINT))?;
    let id = object::id(object::bytes(id), ID, ID_HINT)?;
    let mut contents = Contents { coordinates: None, time: None, found: Found::new(&FIELDS) };
    let location = location.ok_or(PhoneError::Missing("location"))?;
    object::read(location.as_bytes(), "`location` is an object", |name, json| contents.take(name, json))?;
    let Some(Coordinates { latitude, longitude }) = contents.coordinates else { return Ok(None) };
    let coordinates = object::point(latitude, longitude, NORTH, EAST)?;
    let stamp = contents
        .time
        .map_or(Ok(Stamp::Server), |json| object::stamp("timestamp", json, time::TRACCAR_MILLISECONDS_MIN))?;
    contents.found.write(attributes);
    Ok(Some(ReportBody { id: Some(id), coordinates, stamp }))
}

/// What `coords` has.
#[derive(Default)]
struct Coordinates {
    latitude: Option<Decimal>,
    longitude: Option<Decimal>,
}

/// What `location` has.
struct Contents<'j> {
    coordinates: Option<Coordinates>,
    time: Option<&'j str>,
    found: Found<'j, 13>,
}

impl<'j> Contents<'j> {
    fn take(&mut self, name: &str, json: &'j str) -> Result<(), PhoneError> {
        match name {
            "timestamp" => self.time = Some(json),
            "coords" if json != "null" => self.take_coords(json)?,
            "battery" | "activity" | "extras" => {
                // These objects only describe the position, so another type is left out.
                let found = &mut self.found;
                let _ = object::read(json.as_bytes(), "", |inner, json| {
                    found.take_within(name, inner, json);
                    Ok(())
                });
            }
            _ => self.found.take(name, json),
        }
        Ok(())
    }

    fn take_coords(&mut self, json: &'j str) -> Result<(), PhoneError> {
        let mut coordinates = Coordinates::default();
        let found = &mut self.found;
        object::read(json.as_bytes(), "`coords` is an object", |name, json| {
            match name {
                "latitude" => coordinates.latitude = Some(NORTH.read(json)?),
                "longitude" => coordinates.longitude = Some(EAST.read(json)?),
                _ => found.take_within("coords", name, json),
            }
            Ok(())
        })?;
        self.coordinates = Some(coordinates);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> String {
        let mut attributes = AttributesBuf::default();
        match parse(json.as_bytes(), &mut attributes) {
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

    fn check(json: &str, expected: &str) {
        assert_eq!(read(json), expected, "{json}");
    }

    #[test]
    fn a_position_needs_only_its_coordinates_and_an_id() {
        check(r#"{"device_id":"a","location":{"coords":{"latitude":1.50,"longitude":-2}}}"#, "a +1.5-2 - {}");
        check(
            r#"{"location":{"battery":[],"activity":"still","extras":{"alarm":"sos"},"timestamp":1748779200500,
                "coords":{"longitude":-2,"latitude":"1","heading":-1,"accuracy":0},"mock":true},"device_id":7}"#,
            r#"7 +1-2 1748779200.500 {"alarm": Text("sos"), "mock": Text("true")}"#,
        );
    }

    #[test]
    fn a_message_without_a_position_is_nothing_to_report() {
        check(r#"{"device_id":"a","location":{"timestamp":"x","is_moving":true}}"#, "nothing");
        check(r#"{"device_id":"a","location":{"coords":null}}"#, "nothing");
    }

    #[test]
    fn a_mistake_is_told_by_the_name_of_its_field() {
        let location = r#""location":{"coords":{"latitude":1,"longitude":2}}"#;
        for id in ["\"\"", "null", "{}"] {
            let refused = "the client's ID is missing: change \"Device identifier\" in the app's settings";
            check(&format!(r#"{{"device_id":{id},{location}}}"#), refused);
        }
        assert!(
            read(&format!(r#"{{"device_id":"my phone",{location}}}"#))
                .starts_with("`device_id` is no client ID")
        );
        check(r#"{"device_id":"a"}"#, "`location` is missing");
        check(r#"{"device_id":"a","location":[{}]}"#, "`location` is an object");
        check(r#"{"device_id":"a","location":{"coords":[]}}"#, "`coords` is an object");
        check(r#"{"device_id":"a","location":{"coords":{"latitude":1}}}"#, "`longitude` is missing");
        check(
            r#"{"device_id":"a","location":{"coords":{"latitude":91,"longitude":1}}}"#,
            "`latitude` is a number from -90 to 90, in degrees",
        );
        let time =
            r#"{"device_id":"a","location":{"timestamp":"today","coords":{"latitude":1,"longitude":2}}}"#;
        assert!(read(time).starts_with("`timestamp`: a time is"));
        check("7", "a message of Traccar Client is a JSON object");
        assert!(read("{").starts_with("this is not JSON: "));
    }
}
