//! OwnTracks in HTTP mode: each request is one JSON object with `_type`. The answer is an array of others' locations.
//!
//! Sources: the chapters "JSON" and "HTTP" of OwnTracks' booklet (owntracks/booklet, `docs/tech/json.md` and
//! `docs/tech/http.md`). A location without a time takes the server's clock, as in OwnTracks' own server
//! (owntracks/recorder, `recorder.c`). Names of wireless networks are skipped, because they tell more than a position.

use std::borrow::Cow;

use super::{
    PhoneError,
    fields::{Field, Found, Meaning},
    object::{self, Axis},
    time,
};
use crate::{
    codec::json::members::{self, Scalar},
    types::{AttributesBuf, Coordinates, Decimal, Stamp},
};

pub use super::friends::Friends;

const NORTH: Axis = Axis::latitude("lat");
const EAST: Axis = Axis::longitude("lon");
/// What stands in front of a client's ID in a topic.
const TOPIC_PREFIX: &str = "owntracks/";

static FIELDS: [Field; 14] = [
    Field::new("acc", "accuracy_m", Meaning::ACCURACY_M),
    Field::new("vel", "speed_mps", Meaning::SPEED_KMH),
    Field::new("cog", "heading_deg", Meaning::HEADING_DEG),
    Field::new("alt", "altitude_m", Meaning::ALTITUDE_M),
    Field::new("batt", "battery_pct", Meaning::BATTERY_PCT),
    Field::new("tid", "tid", Meaning::Text),
    Field::new("bs", "battery_state", Meaning::BatteryState),
    Field::new("motionactivities", "motion", Meaning::List),
    Field::new("t", "trigger", Meaning::Text),
    Field::new("conn", "connection", Meaning::Connection),
    Field::new("vac", "vertical_accuracy_m", Meaning::ACCURACY_M),
    Field::new("poi", "note", Meaning::Text),
    Field::new("tag", "tag", Meaning::Text),
    Field::new("inregions", "regions", Meaning::List),
];

/// What a phone sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'j> {
    /// The phone's position.
    Location(Location<'j>),
    /// A message of another type, such as a will (`lwt`), a waypoint or a region's transition: nothing to report. It is
    /// answered like a report, because the app sends it again otherwise.
    Other,
}

/// A position, apart from its attributes, which are in the buffer that was passed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location<'j> {
    /// The phone's position.
    pub coordinates: Coordinates,
    /// The time of the fix.
    pub stamp: Stamp,
    /// The topic under which the phone would publish with MQTT.
    pub topic: Option<Cow<'j, str>>,
    /// The phone's tracker ID: two characters that the app shows on maps.
    pub tid: Option<Cow<'j, str>>,
}

/// Reads a message. The buffer is cleared first; afterwards it has the attributes of a position.
///
/// ```
/// use proxyherd_core::{
///     codec::phones::owntracks::{Message, client_id, parse},
///     types::{AttributeValue, AttributesBuf},
/// };
/// let mut attributes = AttributesBuf::default();
/// let json = br#"{"_type":"location","lat":48.85,"lon":2.29,"tst":1497476456,"vel":36,
///     "topic":"owntracks/jane/phone"}"#;
/// let Message::Location(location) = parse(json, &mut attributes)? else { panic!("it is a position") };
/// assert_eq!(location.coordinates.to_string(), "+48.85+2.29");
/// assert_eq!(attributes.borrow().value("speed_mps"), Some(AttributeValue::Number("10")));
/// assert_eq!(client_id(None, None, &location)?, b"jane/phone");
/// # Ok::<(), proxyherd_core::codec::phones::PhoneError>(())
/// ```
pub fn parse<'j>(json: &'j [u8], attributes: &mut AttributesBuf) -> Result<Message<'j>, PhoneError> {
    attributes.clear();
    let mut contents = Contents::default();
    object::read(json, "a message of OwnTracks is a JSON object", |name, json| {
        contents.take(name, json);
        Ok(())
    })?;
    match contents.kind.and_then(members::scalar) {
        Some(Scalar::Text(kind)) if kind == "location" => {
            contents.location(attributes).map(Message::Location)
        }
        Some(Scalar::Text(kind)) if kind == "encrypted" => Err(PhoneError::Encrypted),
        Some(_) => Ok(Message::Other),
        None => Err(PhoneError::Form("`_type` is the type of the message, such as \"location\"")),
    }
}

/// The JSON texts of what is read only if the message is a position.
struct Contents<'j> {
    kind: Option<&'j str>,
    latitude: Option<&'j str>,
    longitude: Option<&'j str>,
    time: Option<&'j str>,
    topic: Option<&'j str>,
    tid: Option<&'j str>,
    found: Found<'j, 14>,
}

impl Default for Contents<'_> {
    fn default() -> Self {
        let (kind, latitude, longitude, time, topic, tid) = (None, None, None, None, None, None);
        Contents { kind, latitude, longitude, time, topic, tid, found: Found::new(&FIELDS) }
    }
}

impl<'j> Contents<'j> {
    fn take(&mut self, name: &str, json: &'j str) {
        match name {
            "_type" => self.kind = Some(json),
            "lat" => self.latitude = Some(json),
            "lon" => self.longitude = Some(json),
            "tst" => self.time = Some(json),
            "topic" => self.topic = Some(json),
            "tid" => self.tid = Some(json),
            _ => {}
        }
        self.found.take(name, json);
    }

    fn location(&self, attributes: &mut AttributesBuf) -> Result<Location<'j>, PhoneError> {
        let read = |axis: Axis, json: Option<&str>| -> Result<Option<Decimal>, PhoneError> {
            json.map(|json| axis.read(json)).transpose()
        };
        let (latitude, longitude) = (read(NORTH, self.latitude)?, read(EAST, self.longitude)?);
        let coordinates = object::point(latitude, longitude, NORTH, EAST)?;
        let stamp =
            self.time.map_or(Ok(Stamp::Server), |json| object::stamp("tst", json, time::MILLISECONDS_MIN))?;
        self.found.write(attributes);
        let text = |json: Option<&'j str>| json.and_then(object::text);
        Ok(Location { coordinates, stamp, topic: text(self.topic), tid: text(self.tid) })
    }
}

/// The client's ID: `<user>/<device>`, or the one that is there, of the headers or the query; else the topic without
/// `owntracks/` in front; else the tracker ID. An empty user or device counts as absent.
pub fn client_id(
    user: Option<&[u8]>,
    device: Option<&[u8]>,
    location: &Location<'_>,
) -> Result<Vec<u8>, PhoneError> {
    let given = |text: Option<&[u8]>| text.filter(|text| !text.is_empty()).map(<[u8]>::to_vec);
    let (name, id) = match (given(user), given(device)) {
        (Some(user), Some(device)) => ("<user>/<device>", [user, device].join(&b'/')),
        (Some(user), None) => ("user", user),
        (None, Some(device)) => ("device", device),
        (None, None) => {
            let topic =
                location.topic.as_deref().map(|topic| topic.strip_prefix(TOPIC_PREFIX).unwrap_or(topic));
            let topic = topic.filter(|topic| !topic.is_empty()).map(|topic| ("topic", topic));
            let tid = location.tid.as_deref().map(|tid| ("tid", tid));
            let (name, id) = topic.or(tid).ok_or(PhoneError::NoId(
                "type a user name and a device ID into the app's connection preferences",
            ))?;
            (name, id.as_bytes().to_vec())
        }
    };
    let hint = "type a user name and a device ID without spaces into the app's connection preferences";
    object::id(id.into(), name, hint).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message in a line, or its error.
    fn read(json: &str) -> String {
        let mut attributes = AttributesBuf::default();
        match parse(json.as_bytes(), &mut attributes) {
            Ok(Message::Location(Location { coordinates, stamp, topic, tid })) => {
                let time = stamp.told().map_or("-".to_owned(), |time| time.to_string());
                format!("{coordinates} {time} {topic:?} {tid:?} {:?}", attributes.borrow())
            }
            Ok(Message::Other) => {
                assert!(attributes.borrow().is_empty());
                "other".to_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    fn check(json: &str, expected: &str) {
        assert_eq!(read(json), expected, "{json}");
    }

    #[test]
    fn a_position_needs_only_its_coordinates() {
        check(r#"{"_type":"location","lat":1.50,"lon":-2}"#, "+1.5-2 - None None {}");
        check(
            r#"{"tst":"1497476456","lon":"2.29","lat":"48.85","_type":"location","tid":7,"topic":"","batt":null}"#,
            r#"+48.85+2.29 1497476456 None Some("7") {"tid": Text("7")}"#,
        );
        check(r#"{"_type":"location","lat":1,"lon":2,"tst":null}"#, "+1+2 - None None {}");
        check(
            r#"{"_type":"location","lat":1,"lon":2,"lat":3,"tst":1497476456.5,"vel":-1,"cog":-1,"alt":-3,"SSID":"home"}"#,
            r#"+3+2 1497476456.5 None None {"altitude_m": Number("-3")}"#,
        );
    }

    #[test]
    fn other_messages_are_nothing_to_report() {
        for kind in
            ["lwt", "transition", "waypoint", "waypoints", "card", "status", "cmd", "dump", "steps", ""]
        {
            check(&format!(r#"{{"_type":"{kind}","lat":"x","tst":-1}}"#), "other");
        }
        check(r#"{"_type":7}"#, "other");
    }

    #[test]
    fn an_encrypted_message_says_what_to_turn_off() {
        check(r#"{"_type":"encrypted","data":"AAAA"}"#, &PhoneError::Encrypted.to_string());
    }

    #[test]
    fn a_mistake_is_told_by_the_name_of_its_field() {
        check(r#"{"_type":"location","lon":2}"#, "`lat` is missing");
        check(r#"{"_type":"location","lat":2}"#, "`lon` is missing");
        check(r#"{"_type":"location","lat":90.5,"lon":2}"#, "`lat` is a number from -90 to 90, in degrees");
        check(r#"{"_type":"location","lat":1,"lon":181}"#, "`lon` is a number from -180 to 180, in degrees");
        check(r#"{"_type":"location","lat":null,"lon":1}"#, "`lat` is a number from -90 to 90, in degrees");
        assert!(read(r#"{"_type":"location","lat":1,"lon":2,"tst":-5}"#).starts_with("`tst`: a time is"));
        assert!(read(r#"{"_type":"location","lat":1,"lon":2,"tst":[]}"#).starts_with("`tst`: a time is"));
        check(r#"{"_type":null}"#, "`_type` is the type of the message, such as \"location\"");
        check(r#"{}"#, "`_type` is the type of the message, such as \"location\"");
        check("[]", "a message of OwnTracks is a JSON object");
        assert!(read(r#"{"_type":"location""#).starts_with("this is not JSON: "));
        assert!(read("").starts_with("this is not JSON: "));
    }

    #[test]
    fn an_id_comes_from_the_headers_then_the_topic_then_the_tracker_id() {
        let location = |topic: Option<&'static str>, tid: Option<&'static str>| Location {
            coordinates: Coordinates::parse(b"+1+2").unwrap(),
            stamp: Stamp::Server,
            topic: topic.map(Cow::Borrowed),
            tid: tid.map(Cow::Borrowed),
        };
        let id = |user: &str, device: &str, location: &Location<'_>| {
            let given = |text: &str| (text != "-").then(|| text.as_bytes().to_vec());
            let id = client_id(given(user).as_deref(), given(device).as_deref(), location);
            id.map(|id| String::from_utf8(id).unwrap()).map_err(|error| error.to_string())
        };
        let both = location(Some("owntracks/jane/phone"), Some("JJ"));
        assert_eq!(id("joe", "car", &both).as_deref(), Ok("joe/car"));
        assert_eq!(id("joe", "", &both).as_deref(), Ok("joe"));
        assert_eq!(id("-", "car", &both).as_deref(), Ok("car"));
        assert_eq!(id("", "-", &both).as_deref(), Ok("jane/phone"));
        assert_eq!(id("-", "-", &location(Some("fleet/7"), None)).as_deref(), Ok("fleet/7"));
        assert_eq!(id("-", "-", &location(Some("owntracks/"), Some("JJ"))).as_deref(), Ok("JJ"));
        assert_eq!(id("-", "-", &location(None, Some("JJ"))).as_deref(), Ok("JJ"));
        let none = id("-", "-", &location(None, None)).unwrap_err();
        assert!(none.starts_with("the client's ID is missing: type a user name"), "{none}");
        let spaced = id("jane doe", "-", &both).unwrap_err();
        assert!(spaced.starts_with("`user` is no client ID"), "{spaced}");
        let long = id(&"u".repeat(200), &"d".repeat(60), &both).unwrap_err();
        assert!(long.starts_with("`<user>/<device>` is no client ID"), "{long}");
    }
}
