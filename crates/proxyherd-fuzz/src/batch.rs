//! Many reports in one body: lines of JSON, an array, or a GeoJSON FeatureCollection.

use proxyherd_core::{
    codec::json::{Batch, BatchForm, FeatureCollection, ReportError, write_client},
    types::{AttributesBuf, Coordinates, ServerName},
};

use crate::{
    memory::bounded,
    report::{check_attributes, whereabouts},
};

/// Maximum number of items.
const ITEMS_MAX: usize = 1000;

/// A report of a batch, without its time.
type Told = (Vec<u8>, Coordinates, AttributesBuf);

/// Items do not depend on each other. Reports that were read are the same reports after they were written as GeoJSON or
/// as lines, and read again.
pub fn check(input: &[u8]) {
    for form in [BatchForm::Lines, BatchForm::Json] {
        let Some((items, geojson, lines)) = read(input, form) else { continue };
        let told: Vec<_> = items.iter().filter_map(|item| item.as_ref().ok()).collect();
        for (text, form) in [(geojson, BatchForm::Json), (lines, BatchForm::Lines)] {
            let (again, ..) = read(&text, form).expect("what was written can be read");
            let again: Vec<_> = again.iter().map(|item| item.as_ref().expect("it is a report")).collect();
            assert_eq!(again, told);
        }
        if form == BatchForm::Lines
            && let Some(at) = input.iter().position(|&byte| byte == b'\n')
        {
            let (first, rest) = input.split_at(at + 1);
            let parts = [first, rest].map(|part| read(part, form).expect("a part has fewer items").0);
            assert_eq!(parts.concat(), items, "the items of two parts are the items of the whole");
        }
    }
}

/// The items, without times to live, and the reports among them as GeoJSON and as lines.
#[expect(clippy::type_complexity, reason = "a type of its own would be longer than its two uses")]
fn read(input: &[u8], form: BatchForm) -> Option<(Vec<Result<Told, ReportError>>, Vec<u8>, Vec<u8>)> {
    // A list of items has 16 bytes for each, and an item at least two bytes of text.
    let mut batch = bounded(input.len(), 32, 4096, || Batch::read(input, form, ITEMS_MAX)).ok()?;
    let server = ServerName::new("Riley").expect("this is a name");
    let (mut items, mut geojson, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let mut features = FeatureCollection::begin(&mut geojson);
    let mut attributes = AttributesBuf::default();
    while let Some(item) = bounded(input.len(), 8, 4096, || batch.next(&mut attributes)) {
        assert_eq!(item.index, items.len());
        items.push(item.body.map(|body| {
            check_attributes(attributes.borrow());
            let client = whereabouts(&body, attributes.borrow(), &server);
            features.push(&client, None);
            write_client(&mut lines, &client, None);
            lines.push(b'\n');
            (client.client.to_vec(), client.coordinates, without_ttl(&attributes))
        }));
    }
    features.end(Some("next"));
    assert_eq!(items.len(), batch.len());
    Some((items, geojson, lines))
}

fn without_ttl(attributes: &AttributesBuf) -> AttributesBuf {
    let mut copy = AttributesBuf::default();
    for (name, value) in attributes.borrow().iter() {
        copy.set(name, value).expect("a part of what fits fits");
    }
    copy
}
