//! The JSON of Traccar Client. It never arrives in pieces, so the check cuts nothing.

use proxyherd_core::{
    codec::phones::{Format, traccar},
    types::AttributesBuf,
};

use crate::{
    memory::bounded,
    phone_report::{Told, object, string},
};

/// A report that was read is the same report after it was written in the form of the app, and read again.
pub fn check(input: &[u8]) {
    let Some(told) = read(input) else { return };
    assert!(Format::of(input).is_some(), "a report is told apart from other bodies");
    let json = written(&told);
    assert_eq!(Format::of(json.as_bytes()), Some(Format::Traccar));
    let again = read(json.as_bytes()).expect("what was written can be read");
    told.check_again(&again);
}

fn read(input: &[u8]) -> Option<Told> {
    let mut attributes = AttributesBuf::default();
    let body = bounded(input.len(), 8, 4096, || traccar::parse(input, &mut attributes)).ok()??;
    Some(Told::of(&body, &attributes))
}

fn written(told: &Told) -> String {
    let number = |name| told.number(name).map(str::to_owned);
    let text = |name| told.text(name).map(string);
    let flag = |name| told.text(name).map(str::to_owned);
    let coords = object(&[
        ("latitude", Some(told.latitude())),
        ("longitude", Some(told.longitude())),
        ("accuracy", number("accuracy_m")),
        ("speed", number("speed_mps")),
        ("heading", number("heading_deg")),
        ("altitude", number("altitude_m")),
    ]);
    let battery = object(&[
        ("level", told.number("battery_pct").map(|digits| format!("{digits}e-2"))),
        ("is_charging", told.text("battery_state").map(|state| (state == "charging").to_string())),
    ]);
    let location = object(&[
        ("timestamp", told.rfc3339().as_deref().map(string)),
        ("coords", Some(coords)),
        ("battery", Some(battery)),
        ("activity", Some(object(&[("type", text("activity"))]))),
        ("extras", Some(object(&[("alarm", text("alarm"))]))),
        ("is_moving", flag("moving")),
        ("event", text("event")),
        ("mock", flag("mock")),
        ("odometer", number("odometer_m")),
    ]);
    let id = told.id.as_deref().expect("a report of this form has an ID");
    let id = std::str::from_utf8(id).expect("an ID in JSON is a text");
    object(&[("location", Some(location)), ("device_id", Some(string(id)))])
}
