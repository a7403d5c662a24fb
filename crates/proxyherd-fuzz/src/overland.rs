//! The batches of Overland. They never arrive in pieces, so the check cuts nothing.

use proxyherd_core::{
    codec::phones::{
        Format,
        overland::{Batch, Item},
    },
    types::AttributesBuf,
};

use crate::{
    memory::bounded,
    phone_report::{Told, object, string},
};

/// Maximum number of Features.
const ITEMS_MAX: usize = 1000;

/// Reports that were read are the same reports after they were written in the form of the app, and read again.
pub fn check(input: &[u8]) {
    let Some(told) = read(input) else { return };
    assert!(Format::of(input).is_some(), "a batch is told apart from other bodies");
    let json = written(&told);
    assert_eq!(Format::of(json.as_bytes()), Some(Format::Overland));
    let again = read(json.as_bytes()).expect("what was written can be read");
    assert_eq!(again.len(), told.len());
    for (told, again) in told.iter().zip(&again) {
        told.check_again(again);
    }
}

/// The reports, without the Features that are none.
fn read(input: &[u8]) -> Option<Vec<Told>> {
    // A list of Features has 16 bytes for each, and a Feature at least two bytes of text.
    let mut batch = bounded(input.len(), 32, 4096, || Batch::read(input, ITEMS_MAX)).ok()?;
    let (len, mut attributes, mut told, mut next) = (batch.len(), AttributesBuf::default(), Vec::new(), 0);
    while let Some(Item { index, body }) = bounded(input.len(), 8, 4096, || batch.next(&mut attributes)) {
        assert!((next..len).contains(&index), "items have their places in the batch");
        next = index + 1;
        if let Ok(body) = body {
            told.push(Told::of(&body, &attributes));
        }
    }
    assert!(batch.is_empty());
    Some(told)
}

/// All but the last report in the batch, and the last one as the current position.
fn written(told: &[Told]) -> String {
    let features: Vec<String> = told.iter().map(feature).collect();
    let (current, rest) = match features.split_last() {
        Some((current, rest)) => (Some(current.clone()), rest),
        None => (None, &[][..]),
    };
    object(&[("locations", Some(format!("[{}]", rest.join(",")))), ("current", current)])
}

fn feature(told: &Told) -> String {
    let number = |name| told.number(name).map(str::to_owned);
    let text = |name| told.text(name).map(string);
    let id = told.id.as_deref().map(|id| std::str::from_utf8(id).expect("an ID in JSON is a text"));
    let properties = object(&[
        ("timestamp", told.rfc3339().as_deref().map(string)),
        ("device_id", Some(string(id.unwrap_or_default()))),
        ("horizontal_accuracy", number("accuracy_m")),
        ("speed", number("speed_mps")),
        ("course", number("heading_deg")),
        ("altitude", number("altitude_m")),
        ("battery_level", told.number("battery_pct").map(|digits| format!("{digits}e-2"))),
        ("battery_state", text("battery_state")),
        ("motion", text("motion").map(|motion| format!("[{motion}]"))),
        ("vertical_accuracy", number("vertical_accuracy_m")),
        ("speed_accuracy", number("speed_accuracy_mps")),
        ("course_accuracy", number("heading_accuracy_deg")),
    ]);
    let position = format!("[{},{}]", told.longitude(), told.latitude());
    let geometry = object(&[("type", Some(string("Point"))), ("coordinates", Some(position))]);
    object(&[
        ("type", Some(string("Feature"))),
        ("geometry", Some(geometry)),
        ("properties", Some(properties)),
    ])
}
