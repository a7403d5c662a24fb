//! OsmAnd's form. It never arrives in pieces, so the check cuts nothing.

use proxyherd_core::{
    codec::{
        phones::{Format, osmand},
        url_id,
    },
    types::{AttributeValue, AttributesBuf},
};

use crate::{memory::bounded, phone_report::Told};

/// A report that was read is the same report after it was written as a form, and read again.
pub fn check(input: &[u8]) {
    let Some(told) = read(input) else { return };
    assert!(osmand::is_report(input), "a report has an ID");
    let form = written(&told);
    assert_eq!(Format::of(&form), Some(Format::OsmAnd));
    let again = read(&form).expect("what was written can be read");
    told.check_again(&again);
}

fn read(input: &[u8]) -> Option<Told> {
    let mut attributes = AttributesBuf::default();
    let body = bounded(input.len(), 8, 4096, || osmand::parse(input, &mut attributes)).ok()??;
    Some(Told::of(&body, &attributes))
}

/// The report as a form. Attributes are parameters, too, except for the state of the battery.
fn written(told: &Told) -> Vec<u8> {
    let mut form = b"id=".to_vec();
    url_id::write(&mut form, told.id.as_deref().expect("a report of this form has an ID"));
    let mut put = |name: &str, value: &str| {
        form.extend_from_slice(format!("&{name}=").as_bytes());
        url_id::write(&mut form, value.as_bytes());
    };
    put("lat", &told.latitude());
    put("lon", &told.longitude());
    if let Some(time) = told.rfc3339() {
        put("timestamp", &time);
    }
    for (name, value) in told.attributes.borrow().iter() {
        match (name, value) {
            ("battery_state", AttributeValue::Text(state)) => {
                put("charge", &(state == "charging").to_string());
            }
            (name, AttributeValue::Number(value) | AttributeValue::Text(value)) => put(name, value),
        }
    }
    form
}
