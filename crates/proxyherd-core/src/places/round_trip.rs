//! Tests that any answer is printed exactly as `serde_json` prints it: values, key order and layout.

use std::borrow::Cow;
use std::io;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::*;

/// A number with three decimals, so that any JSON reader finds the same double.
fn point() -> impl Strategy<Value = Point> {
    let thousandths = |most: i64| (-most * 1_000..=most * 1_000).prop_map(|units| units as f64 / 1e3);
    (thousandths(90), thousandths(180)).prop_map(|(lat, lng)| Point::new(lat, lng).unwrap())
}

fn text() -> impl Strategy<Value = Text> {
    any::<String>().prop_map(Cow::Owned)
}

fn maybe() -> impl Strategy<Value = Option<Text>> {
    option::of(text())
}

fn photo() -> impl Strategy<Value = Photo> {
    (any::<u32>(), vec(text(), 0..3), text(), any::<u32>()).prop_map(
        |(height, html_attributions, photo_reference, width)| Photo {
            height,
            html_attributions,
            photo_reference,
            width,
        },
    )
}

prop_compose! {
    fn place()(
        (location, northeast, southwest) in (point(), point(), point()),
        business_status in option::of(prop_oneof![
            Just(BusinessStatus::Operational),
            Just(BusinessStatus::ClosedTemporarily),
            Just(BusinessStatus::ClosedPermanently),
        ]),
        (icon, icon_background_color, icon_mask_base_uri, scope, vicinity) in
            (maybe(), maybe(), maybe(), maybe(), maybe()),
        (name, place_id) in (text(), text()),
        (open_now, price_level, user_ratings_total) in any::<(Option<bool>, Option<u8>, Option<u32>)>(),
        photos in vec(photo(), 0..3),
        plus_code in option::of((maybe(), text()).prop_map(
            |(compound_code, global_code)| PlusCode { compound_code, global_code }
        )),
        rating in option::of((0f64..=5.0).prop_map(|stars| Rating::new(stars).unwrap())),
        types in vec(text(), 0..3),
    ) -> Place {
        Place {
            business_status,
            geometry: Geometry { location, viewport: Viewport { northeast, southwest } },
            icon,
            icon_background_color,
            icon_mask_base_uri,
            name,
            open_now,
            photos,
            place_id,
            plus_code,
            price_level,
            rating,
            scope,
            types: Cow::Owned(types),
            user_ratings_total,
            vicinity,
        }
    }
}

/// A result that is passed on. Its members are in alphabetical order, because serde_json prints them in that order.
fn passed_on_as(text: &Text) -> Verbatim {
    let result = json!({ "name": text, "new": [{}, [], [1, { text.as_ref(): null }]] });
    Verbatim::new(&result.to_string()).unwrap()
}

prop_compose! {
    fn answer()(
        places in vec(place(), 0..4),
        passed_on in vec(text(), 0..4),
        (html_attributions, info_messages) in (vec(text(), 0..3), vec(text(), 0..3)),
        (error_message, next_page_token) in (maybe(), maybe()),
        status in prop_oneof![
            Just(AnswerStatus::Ok),
            Just(AnswerStatus::ZeroResults),
            Just(AnswerStatus::InvalidRequest),
            Just(AnswerStatus::OverQueryLimit),
            Just(AnswerStatus::RequestDenied),
            Just(AnswerStatus::UnknownError),
        ],
    ) -> Answer {
        let html_attributions = Cow::Owned(html_attributions);
        let passed_on = passed_on.iter().map(passed_on_as).collect();
        Answer { html_attributions, places, passed_on, status, error_message, info_messages, next_page_token }
    }
}

fn value_of_point(point: Point) -> Value {
    json!({ "lat": point.latitude(), "lng": point.longitude() })
}

/// The object without the members that are null.
fn known(members: Value) -> Value {
    let Value::Object(members) = members else { panic!("an object") };
    Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

fn value_of_photo(photo: &Photo) -> Value {
    json!({
        "height": photo.height,
        "width": photo.width,
        "photo_reference": photo.photo_reference,
        "html_attributions": photo.html_attributions,
    })
}

fn value_of_place(place: &Place) -> Value {
    let closed = place.business_status == Some(BusinessStatus::ClosedPermanently);
    let photos: Vec<Value> = place.photos.iter().map(value_of_photo).collect();
    let Viewport { northeast, southwest } = place.geometry.viewport;
    known(json!({
        "business_status": place.business_status.map(BusinessStatus::as_str),
        "geometry": {
            "location": value_of_point(place.geometry.location),
            "viewport": { "northeast": value_of_point(northeast), "southwest": value_of_point(southwest) },
        },
        "icon": place.icon,
        "icon_background_color": place.icon_background_color,
        "icon_mask_base_uri": place.icon_mask_base_uri,
        "name": place.name,
        "opening_hours": place.open_now.map(|open| json!({ "open_now": open })),
        "permanently_closed": closed.then_some(true),
        "photos": (!photos.is_empty()).then_some(photos),
        "place_id": place.place_id,
        "plus_code": place.plus_code.as_ref().map(|code| known(json!({
            "compound_code": code.compound_code,
            "global_code": code.global_code,
        }))),
        "price_level": place.price_level,
        "rating": place.rating.map(Rating::stars),
        "reference": place.place_id,
        "scope": place.scope,
        "types": place.types,
        "user_ratings_total": place.user_ratings_total,
        "vicinity": place.vicinity,
    }))
}

fn value_of_answer(answer: &Answer, limit: usize) -> Value {
    let places = answer.places.iter().map(value_of_place);
    let passed_on = answer.passed_on.iter().map(|result| serde_json::from_str(result.as_str()).unwrap());
    let messages = (!answer.info_messages.is_empty()).then_some(&answer.info_messages);
    known(json!({
        "error_message": answer.error_message,
        "html_attributions": answer.html_attributions,
        "info_messages": messages,
        "next_page_token": answer.next_page_token,
        "results": places.chain(passed_on).take(limit).collect::<Vec<_>>(),
        "status": answer.status.as_str(),
    }))
}

/// serde_json's indenting printer with the space before the colon.
struct Layout(serde_json::ser::PrettyFormatter<'static>);

impl serde_json::ser::Formatter for Layout {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b" : ")
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

fn laid_out(value: &Value) -> String {
    let mut out = Vec::new();
    let layout = Layout(serde_json::ser::PrettyFormatter::with_indent(b"   "));
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, layout)).unwrap();
    String::from_utf8(out).unwrap()
}

/// Whole numbers compare as numbers, whether they were written with or without a point.
fn with_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(with_floats).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, with_floats(value))).collect())
        }
        other => other,
    }
}

fn printed(answer: &Answer, limit: usize) -> String {
    let mut out = Vec::new();
    answer.write_json(limit, &mut out);
    String::from_utf8(out).unwrap()
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_what_was_meant(answer in answer(), limit in 0usize..5) {
        let text = printed(&answer, limit);
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(!text.contains("\n\n") && !text.ends_with('\n'));
        // serde_json sorts keys, as Google does.
        prop_assert_eq!(&laid_out(&read), &text);
        prop_assert_eq!(with_floats(read), with_floats(value_of_answer(&answer, limit)));
    }
}
