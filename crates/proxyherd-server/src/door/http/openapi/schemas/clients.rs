//! The schemas of clients, as JSON and as GeoJSON.

use proxyherd_core::limits::{ATTRIBUTE_NAME_LEN_MAX, CLIENT_ID_LEN_MAX};
use serde_json::json;
use utoipa::openapi::{
    RefOr,
    schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema},
};

use super::{closed, exactly, id, instant, named, number, object, one_of, text, with_members};

/// A client's ID in a path.
pub(in super::super) fn path_id() -> ObjectBuilder {
    text()
        .min_length(Some(1))
        .max_length(Some(CLIENT_ID_LEN_MAX))
        .pattern(Some(r"^(?!\.{1,2}$)[^\t-\r ]+$"))
        .examples(["kiwi"])
}

pub(super) fn latitude() -> ObjectBuilder {
    number().minimum(Some(-90)).maximum(Some(90)).description(Some("Degrees."))
}

pub(super) fn longitude() -> ObjectBuilder {
    number().minimum(Some(-180)).maximum(Some(180)).description(Some("Degrees."))
}

/// A value of an attribute.
pub(super) fn attribute() -> Schema {
    AnyOfBuilder::new().item(text()).item(number()).build().into()
}

pub(super) fn attribute_name() -> Schema {
    text().pattern(Some(format!("^[a-z0-9_]{{1,{ATTRIBUTE_NAME_LEN_MAX}}}$"))).build().into()
}

pub(super) fn attributes() -> ObjectBuilder {
    object()
        .property_names(Some(attribute_name()))
        .additional_properties(Some(attribute()))
        .description(Some(
            "What the client reported in addition: numbers keep their digits, strings stay strings. Together they take \
             at most 512 bytes. Some names have a meaning: accuracy_m, speed_mps, heading_deg, altitude_m, battery_pct, \
             note.",
        ))
        .examples([json!({"speed_mps": 1.4})])
}

/// The members of a client that are not its ID and its position.
fn details(object: ObjectBuilder) -> ObjectBuilder {
    let object = with_members(
        object,
        [
            ("time", instant("When the client was there, with the digits of the report.").into()),
            ("received", instant("When the server took the report, by its clock.").into()),
            ("server", text().description(Some("The server that took the report.")).into()),
            ("difference_s", number().description(Some("`received` minus `time`, seconds.")).into()),
            ("at", text().description(Some("The report as the line protocol writes it.")).into()),
            ("attributes", named("Attributes")),
        ],
    );
    object
        .property(
            "distance_m",
            number().minimum(Some(0)).description(Some("Meters from `near`, where it was asked.")),
        )
        .property("id_url", text().description(Some("The ID, percent-encoded, if it is not UTF-8.")))
}

/// A client, with further members.
pub(super) fn client_with<const N: usize>(members: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    let client = exactly([("id", id().into()), ("lat", latitude().into()), ("lon", longitude().into())]);
    with_members(details(client), members)
}

pub(super) fn client() -> ObjectBuilder {
    client_with([]).description(Some("A client, as its newest report says."))
}

pub(super) fn client_page() -> ObjectBuilder {
    exactly([("clients", ArrayBuilder::new().items(named("Client")).into())])
        .property("next", next())
        .description(Some("Clients that match."))
}

fn next() -> ObjectBuilder {
    text().description(Some("The value of `after` for the next page. Absent: this is the last page."))
}

pub(super) fn feature() -> ObjectBuilder {
    let coordinates = ArrayBuilder::new().items(number()).min_items(Some(2)).max_items(Some(2));
    let point = exactly([("type", one_of(&["Point"]).into()), ("coordinates", coordinates.into())]);
    exactly([
        ("type", one_of(&["Feature"]).into()),
        ("id", id().into()),
        ("geometry", point.into()),
        ("properties", details(object().additional_properties(Some(closed()))).into()),
    ])
    .description(Some("A client as GeoJSON (RFC 7946)."))
}

pub(super) fn feature_collection() -> ObjectBuilder {
    exactly([
        ("type", one_of(&["FeatureCollection"]).into()),
        ("features", ArrayBuilder::new().items(named("Feature")).into()),
    ])
    .property("next", next())
}
