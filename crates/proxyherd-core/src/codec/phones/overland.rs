//! Overland: a batch of GeoJSON Features, `{"locations":[…]}`, the oldest first.
//!
//! If many more Features wait in the phone, the request has the newest one besides the batch, as `current`. It is the
//! last item here, so the herd knows at once where the phone is.
//!
//! Features of visits, of trips and of the app's own events are skipped: their time is when they were noted, and their
//! position is an earlier one. A Feature of unknown position, which has a negative accuracy, is skipped, too. Names of
//! wireless networks are skipped, because they tell more than a position.
//!
//! Source: aaronpk/Overland-iOS, `README.md` and `GPSLogger/GLManager.m`.

use std::{borrow::Cow, vec};

use serde_json::value::RawValue;

use super::{
    PhoneError,
    fields::{Field, Found, Meaning},
    object::{self, Axis},
    time,
};
use crate::{
    codec::json::{
        ReportBody,
        members::{self, ElementsError, Scalar},
    },
    types::{AttributesBuf, Coordinates, Stamp},
};

const NORTH: Axis = Axis::latitude("latitude");
const EAST: Axis = Axis::longitude("longitude");
const ID: &str = "device_id";
const POINT: &str = "`geometry` is a Point with the coordinates [longitude, latitude]";

static FIELDS: [Field; 10] = [
    Field::new("horizontal_accuracy", "accuracy_m", Meaning::ACCURACY_M),
    Field::new("speed", "speed_mps", Meaning::SPEED_MPS),
    Field::new("course", "heading_deg", Meaning::HEADING_DEG),
    Field::new("altitude", "altitude_m", Meaning::ALTITUDE_M),
    Field::new("battery_level", "battery_pct", Meaning::BATTERY_LEVEL),
    Field::new("battery_state", "battery_state", Meaning::BatteryState),
    Field::new("motion", "motion", Meaning::List),
    Field::new("vertical_accuracy", "vertical_accuracy_m", Meaning::ACCURACY_M),
    Field::new("speed_accuracy", "speed_accuracy_mps", Meaning::POSITIVE),
    Field::new("course_accuracy", "heading_accuracy_deg", Meaning::POSITIVE),
];

/// The reports of a batch that have not been read yet.
#[derive(Debug)]
pub struct Batch<'j> {
    features: vec::IntoIter<&'j RawValue>,
    current: Option<&'j str>,
    next_index: usize,
}

/// One item of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'j> {
    /// The item's place in the batch, from 0. Features that are skipped count.
    pub index: usize,
    /// The report. It has an ID if the Feature names the device.
    pub body: Result<ReportBody<'j>, PhoneError>,
}

impl<'j> Batch<'j> {
    /// Takes a body with at most `items_max` Features in `locations`.
    ///
    /// ```
    /// use proxyherd_core::{codec::phones::overland::Batch, types::AttributesBuf};
    /// let json = br#"{"locations":[{"type":"Feature","geometry":{"type":"Point","coordinates":[2.29,48.85]},
    ///     "properties":{"timestamp":"2025-06-01T12:00:00Z","device_id":"jane"}}]}"#;
    /// let (mut batch, mut attributes) = (Batch::read(json, 1000)?, AttributesBuf::default());
    /// let report = batch.next(&mut attributes).expect("there is one").body?;
    /// assert_eq!(report.id.as_deref(), Some(&b"jane"[..]));
    /// assert_eq!(report.coordinates.to_string(), "+48.85+2.29");
    /// assert!(batch.next(&mut attributes).is_none());
    /// # Ok::<(), proxyherd_core::codec::phones::PhoneError>(())
    /// ```
    pub fn read(json: &'j [u8], items_max: usize) -> Result<Batch<'j>, PhoneError> {
        let (mut locations, mut current) = (None, None);
        object::read(json, "a message of Overland is a JSON object", |name, json| {
            match name {
                "locations" => locations = Some(json),
                "current" => current = Some(json).filter(|json| *json != "null"),
                _ => {}
            }
            Ok(())
        })?;
        let locations = locations.ok_or(PhoneError::Missing("locations"))?;
        let features = members::elements(locations.as_bytes(), items_max).map_err(|error| match error {
            ElementsError::Syntax(error) => PhoneError::Syntax(error.to_string()),
            ElementsError::NotArray => PhoneError::Form("`locations` is an array of GeoJSON Features"),
            ElementsError::TooMany => PhoneError::TooMany(items_max),
        })?;
        Ok(Batch { features: features.into_iter(), current, next_index: 0 })
    }

    /// The number of Features that have not been read yet. [`Batch::next`] may skip some of them.
    pub fn len(&self) -> usize {
        self.features.len() + usize::from(self.current.is_some())
    }

    /// Whether all Features have been read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the next report. Its attributes are in `attributes` afterwards. `None`: there is none left.
    pub fn next(&mut self, attributes: &mut AttributesBuf) -> Option<Item<'j>> {
        loop {
            let feature = self.features.next().map(RawValue::get).or_else(|| self.current.take())?;
            let index = self.next_index;
            self.next_index += 1;
            if let Some(body) = parse_feature(feature, attributes).transpose() {
                return Some(Item { index, body });
            }
        }
    }
}

/// Reads a Feature. `None`: it is to be skipped.
fn parse_feature<'j>(
    json: &'j str,
    attributes: &mut AttributesBuf,
) -> Result<Option<ReportBody<'j>>, PhoneError> {
    attributes.clear();
    let (mut geometry, mut properties) = (None, Properties::default());
    object::read(json.as_bytes(), "an element of `locations` is a GeoJSON Feature", |name, json| {
        match name {
            "geometry" => geometry = Some(json).filter(|json| *json != "null"),
            "properties" if json != "null" => {
                properties = Properties::default();
                object::read(json.as_bytes(), "`properties` is an object", |name, json| {
                    properties.take(name, json);
                    Ok(())
                })?;
            }
            _ => {}
        }
        Ok(())
    })?;
    if properties.is_event {
        return Ok(None);
    }
    let coordinates = point(geometry.ok_or(PhoneError::Missing("geometry"))?)?;
    let stamp = properties
        .time
        .map_or(Ok(Stamp::Server), |json| object::stamp("timestamp", json, time::MILLISECONDS_MIN))?;
    let id = properties.id.and_then(object::text).map(read_id).transpose()?;
    properties.found.write(attributes);
    Ok(Some(ReportBody { id, coordinates, stamp }))
}

fn read_id(text: Cow<'_, str>) -> Result<Cow<'_, [u8]>, PhoneError> {
    object::id(object::bytes(text), ID, "change \"Device ID\" under \"Server URL\" in the app's settings")
}

struct Properties<'j> {
    time: Option<&'j str>,
    id: Option<&'j str>,
    /// The Feature tells of an event, or its position is unknown.
    is_event: bool,
    found: Found<'j, 10>,
}

impl Default for Properties<'_> {
    fn default() -> Self {
        Properties { time: None, id: None, is_event: false, found: Found::new(&FIELDS) }
    }
}

impl<'j> Properties<'j> {
    fn take(&mut self, name: &str, json: &'j str) {
        match name {
            "timestamp" => self.time = Some(json),
            ID => self.id = Some(json),
            "action" | "type" => self.is_event = true,
            "horizontal_accuracy" if is_negative(json) => self.is_event = true,
            _ => {}
        }
        self.found.take(name, json);
    }
}

fn is_negative(json: &str) -> bool {
    object::json_number(json).and_then(|number| number.parse::<f64>().ok()).is_some_and(|number| number < 0.0)
}

/// Reads `{"type":"Point","coordinates":[longitude, latitude, …]}` (RFC 7946, section 3.1.2).
fn point(geometry: &str) -> Result<Coordinates, PhoneError> {
    let (mut is_point, mut position) = (false, None);
    object::read(geometry.as_bytes(), POINT, |name, json| {
        match name {
            "type" => is_point = members::scalar(json) == Some(Scalar::Text("Point".into())),
            "coordinates" => position = Some(json),
            _ => {}
        }
        Ok(())
    })?;
    let position = position.filter(|_| is_point).ok_or(PhoneError::Form(POINT))?;
    let numbers = members::elements(position.as_bytes(), 3).map_err(|_| PhoneError::Form(POINT))?;
    let [east, north, ..] = numbers[..] else { return Err(PhoneError::Form(POINT)) };
    object::point(Some(NORTH.read(north.get())?), Some(EAST.read(east.get())?), NORTH, EAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<String>, String> {
        let mut batch = Batch::read(json.as_bytes(), 3).map_err(|error| error.to_string())?;
        let (mut attributes, mut items) = (AttributesBuf::default(), Vec::new());
        while let Some(Item { index, body }) = batch.next(&mut attributes) {
            items.push(match body {
                Ok(body) => {
                    let time = body.stamp.told().map_or("-".to_owned(), |time| time.to_string());
                    let id = body.client().map_or("-".to_owned(), |id| format!("{id:?}"));
                    format!("{index} {id} {} {time} {:?}", body.coordinates, attributes.borrow())
                }
                Err(error) => format!("{index} {error}"),
            });
        }
        assert!(batch.is_empty());
        Ok(items)
    }

    fn check(json: &str, expected: &[&str]) {
        assert_eq!(read(json).unwrap(), expected, "{json}");
    }

    fn feature(properties: &str) -> String {
        format!(
            r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[2.290,48.85]}},"properties":{properties}}}"#
        )
    }

    #[test]
    fn a_batch_has_its_features_and_then_the_current_one() {
        let (a, b) = (feature(r#"{"device_id":"a"}"#), feature("{}"));
        check(&format!(r#"{{"locations":[{a},{b}]}}"#), &["0 a +48.85+2.29 - {}", "1 - +48.85+2.29 - {}"]);
        check(
            &format!(r#"{{"current":{a},"locations":[{b},{b},{b}],"trip":{{"mode":"walk"}}}}"#),
            &["0 - +48.85+2.29 - {}", "1 - +48.85+2.29 - {}", "2 - +48.85+2.29 - {}", "3 a +48.85+2.29 - {}"],
        );
        check(r#"{"locations":[],"current":null}"#, &[]);
    }

    #[test]
    fn a_feature_has_the_units_of_the_herd() {
        let properties = r#"{"timestamp":"2015-10-01T08:00:00-0700","altitude":0,"speed":4,"course":-1,
            "horizontal_accuracy":30,"vertical_accuracy":-1,"motion":["driving","stationary"],"device_id":"",
            "battery_state":"charging","battery_level":0.80,"wifi":"home","speed_accuracy":-1}"#;
        check(
            &format!(r#"{{"locations":[{}]}}"#, feature(properties)),
            &["0 - +48.85+2.29 1443711600 {\"accuracy_m\": Number(\"30\"), \"altitude_m\": Number(\"0\"), \
               \"battery_pct\": Number(\"80\"), \"battery_state\": Text(\"charging\"), \
               \"motion\": Text(\"driving,stationary\"), \"speed_mps\": Number(\"4\")}"],
        );
    }

    #[test]
    fn features_of_events_are_skipped() {
        let visit = feature(r#"{"action":"visit","timestamp":"x"}"#);
        let trip = feature(r#"{"type":"trip","end_location":{"geometry":[]}}"#);
        let started = r#"{"type":"Feature","properties":{"action":"started"}}"#;
        check(&format!(r#"{{"locations":[{visit},{trip},{started}]}}"#), &[]);
        let unknown = feature(r#"{"horizontal_accuracy":-1}"#);
        let known = feature("null");
        check(&format!(r#"{{"locations":[{unknown},{known}]}}"#), &["1 - +48.85+2.29 - {}"]);
    }

    #[test]
    fn a_bad_feature_spoils_no_other() {
        let good = feature("{}");
        check(
            &format!(r#"{{"locations":[7,{{"geometry":null}},{good}]}}"#),
            &[
                "0 an element of `locations` is a GeoJSON Feature",
                "1 `geometry` is missing",
                "2 - +48.85+2.29 - {}",
            ],
        );
        for (geometry, expected) in [
            (r#"{"type":"Point","coordinates":[1]}"#, POINT),
            (r#"{"type":"Point","coordinates":[1,2,3,4]}"#, POINT),
            (r#"{"type":"LineString","coordinates":[1,2]}"#, POINT),
            (r#"{"type":"Point"}"#, POINT),
            ("[]", POINT),
            (r#"{"type":"Point","coordinates":[1,91]}"#, "`latitude` is a number from -90 to 90, in degrees"),
            (
                r#"{"type":"Point","coordinates":[null,1]}"#,
                "`longitude` is a number from -180 to 180, in degrees",
            ),
        ] {
            let json = format!(r#"{{"locations":[{{"geometry":{geometry}}}]}}"#);
            check(&json, &[&format!("0 {expected}")]);
        }
        let spaced = feature(r#"{"device_id":"my phone"}"#);
        let items = read(&format!(r#"{{"locations":[{spaced}]}}"#)).unwrap();
        assert!(items[0].starts_with("0 `device_id` is no client ID"), "{items:?}");
        check(&format!(r#"{{"locations":[{}]}}"#, feature("[]")), &["0 `properties` is an object"]);
    }

    #[test]
    fn a_body_that_is_no_batch_is_refused_before_its_first_item() {
        let refused = |json: &str| read(json).unwrap_err();
        assert_eq!(refused(r#"{"location":[]}"#), "`locations` is missing");
        assert_eq!(refused(r#"{"locations":{}}"#), "`locations` is an array of GeoJSON Features");
        assert_eq!(
            refused(r#"{"locations":[1,2,3,4]}"#),
            "a request has at most 3 reports: set a smaller batch in the app"
        );
        assert_eq!(refused("[]"), "a message of Overland is a JSON object");
        assert!(refused(r#"{"locations":["#).starts_with("this is not JSON: "));
    }
}
