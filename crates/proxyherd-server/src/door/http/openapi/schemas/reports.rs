//! The schemas of reports, and of what became of them.

use proxyherd_core::limits::CLIENT_ID_LEN_MAX;
use serde_json::json;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema};

use super::{
    clients::{attribute, attribute_name, client_with, latitude, longitude},
    count, exactly, id_url, integer, named, number, object, one_of, text,
};

pub(super) fn report_taken() -> ObjectBuilder {
    let result = one_of(&["accepted", "stale"])
        .description(Some("stale: the herd holds a report of this client that is at least as new."));
    client_with([("result", result.into())])
        .description(Some("This report as a client, and what became of it."))
}

/// The time of a report. The pattern leaves out February 29, and offsets in 1970, although the server takes them.
fn report_time() -> Schema {
    let month_day = "(02-(0[1-9]|1[0-9]|2[0-8])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01]))";
    let clock = r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?";
    let years = "(19[7-9][0-9]|20[0-9]{2}|21[0-9]{2}|22[0-7][0-9]|228[0-5])";
    let rfc_3339 = text().pattern(Some(format!("^{years}-{month_day}{clock}Z$")));
    let posix = text().pattern(Some(r"^[0-9]{1,10}(\.[0-9]{1,9})?$"));
    AnyOfBuilder::new()
        .item(rfc_3339.description(Some("RFC 3339, with Z or an offset.")))
        .item(posix.description(Some("POSIX seconds.")))
        .item(
            integer().minimum(Some(0)).maximum(Some(9_999_999_999_u64)).description(Some(
                "POSIX seconds. Decimals are allowed, too: the digits are read as a text.",
            )),
        )
        .description(Some("When the client was there, from 1970 to 2286. Without it: the server's clock."))
        .examples(["2026-11-30T12:00:00.5Z"])
        .build()
        .into()
}

pub(super) fn report() -> ObjectBuilder {
    object()
        .property("lat", latitude())
        .required("lat")
        .property("lon", longitude())
        .required("lon")
        .property("time", report_time())
        .property(
            "ttl_s",
            integer().minimum(Some(1)).maximum(Some(u32::MAX)).description(Some(
                "Seconds after the receipt for which the herd shows the report; the setting client_ttl_s may be shorter.",
            )),
        )
        .property("attributes", named("Attributes"))
        .property("id", report_id())
        .property("id_url", id_url().description(Some("Instead of `id`, if the ID is not UTF-8: percent-encoded.")))
        .property_names(Some(attribute_name()))
        .additional_properties(Some(attribute()))
        .description(Some(
            "A report. Each further member is an attribute, a string or a number; attributes may be in `attributes`, \
             too, and one outside counts before one inside. A client that was read can be reported again: the members \
             that only answers have are skipped.",
        ))
        .examples([json!({"lat": 34.0689, "lon": -118.4452, "battery_pct": 80, "note": "on my way"})])
}

/// The ID in a report. A number is taken as its text.
fn report_id() -> Schema {
    let text = text().min_length(Some(1)).max_length(Some(CLIENT_ID_LEN_MAX)).pattern(Some(r"^[^\t-\r ]+$"));
    AnyOfBuilder::new()
        .item(text)
        .item(number())
        .description(Some("The client's ID. It must be the client of the path, if the path names one."))
        .build()
        .into()
}

/// What a body of many reports holds. Bad reports in it are refused one by one, so any item is valid.
fn items() -> ArrayBuilder {
    ArrayBuilder::new().items(ObjectBuilder::new().schema_type(any()).build())
}

fn any() -> utoipa::openapi::schema::SchemaType {
    utoipa::openapi::schema::SchemaType::AnyValue
}

pub(super) fn reports() -> Schema {
    AnyOfBuilder::new()
        .item(items().description(Some("Reports, each with the member `id`, at most 100,000.")))
        .item(named("ReportFeatures"))
        .examples([json!([{"id": "kiwi", "lat": 34.0689, "lon": -118.4452}])])
        .build()
        .into()
}

pub(super) fn report_features() -> ObjectBuilder {
    object()
        .property("type", one_of(&["FeatureCollection"]))
        .required("type")
        .property("features", items())
        .required("features")
        .description(Some(
            "Features, each with an `id`, a Point, and the report's other members as properties.",
        ))
        .examples([json!({
            "type": "FeatureCollection",
            "features": [{
                "type": "Feature",
                "id": "kiwi",
                "geometry": {"type": "Point", "coordinates": [-118.4452, 34.0689]},
                "properties": {"battery_pct": 80},
            }],
        })])
}

pub(super) fn reports_taken() -> ObjectBuilder {
    let error = exactly([
        (
            "index",
            count()
                .description(Some(
                    "The item's place in the body, from 0. Blank lines of NDJSON do not count.",
                ))
                .into(),
        ),
        ("detail", text().into()),
    ]);
    exactly([
        ("accepted", count().into()),
        ("stale", count().into()),
        ("refused", count().into()),
        (
            "errors",
            ArrayBuilder::new().items(error).description(Some("The first 1000 refused items.")).into(),
        ),
    ])
}
