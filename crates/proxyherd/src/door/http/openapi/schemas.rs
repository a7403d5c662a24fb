//! The schemas of bodies and parameters.

use proxyherd_core::limits::{
    ATTRIBUTE_NAME_LEN_MAX, CLIENT_ID_LEN_MAX, PLACES_MAX, RADIUS_M_MAX, SCOPES_MAX, SHARE_EXPIRES_S_MAX,
    TOKEN_CLIENTS_MAX, TOKEN_EXPIRES_S_MAX, TOKEN_ID_LEN_MAX, TOKEN_NAME_LEN_MAX, WHERE_LEN_MAX,
};
use serde_json::{Value, json};
use utoipa::openapi::{
    Ref, RefOr,
    schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
};

use super::super::{
    api::{KIND_LEN_MAX, MAX_AGE_S_MAX, RADIUS_M_MAX as SEARCH_RADIUS_M_MAX},
    limits::{CLIENTS_DEFAULT, CLIENTS_MAX},
    live::KINDS as LIVE_KINDS,
};

/// The named schemas.
pub(super) fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("Attributes", attributes().into()),
        ("Client", client().into()),
        ("ClientPage", client_page().into()),
        ("Feature", feature().into()),
        ("FeatureCollection", feature_collection().into()),
        ("NearbySearch", nearby_search().into()),
        ("Problem", problem().into()),
        ("Report", report().into()),
        ("ReportTaken", report_taken().into()),
        ("ReportsTaken", reports_taken().into()),
        ("Reports", reports()),
        ("ReportFeatures", report_features().into()),
        ("Status", status().into()),
        ("NewToken", new_token().into()),
        ("Token", token().into()),
        ("Tokens", tokens().into()),
        ("NewShare", new_share().into()),
        ("Share", share().into()),
        ("Shares", shares().into()),
        ("Shown", shown().into()),
    ]
}

/// A reference to a named schema.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Number)
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

fn count() -> ObjectBuilder {
    integer().minimum(Some(0))
}

/// An object with these members, all of them required, and no others.
fn exactly<const N: usize>(members: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    with_members(object().additional_properties(Some(closed())), members)
}

fn with_members<const N: usize>(object: ObjectBuilder, members: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    members.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

/// No further members.
fn closed() -> utoipa::openapi::schema::AdditionalProperties<Schema> {
    utoipa::openapi::schema::AdditionalProperties::FreeForm(false)
}

fn one_of(texts: &[&str]) -> ObjectBuilder {
    text().enum_values(Some(texts.iter().copied()))
}

/// A client's ID in a path.
pub(super) fn path_id() -> ObjectBuilder {
    text()
        .min_length(Some(1))
        .max_length(Some(CLIENT_ID_LEN_MAX))
        .pattern(Some(r"^(?!\.{1,2}$)[^\t-\r ]+$"))
        .examples(["kiwi"])
}

fn id() -> ObjectBuilder {
    text()
        .min_length(Some(1))
        .description(Some("The client's ID. Bytes that are not UTF-8 are shown as U+FFFD."))
}

fn latitude() -> ObjectBuilder {
    number().minimum(Some(-90)).maximum(Some(90)).description(Some("Degrees."))
}

fn longitude() -> ObjectBuilder {
    number().minimum(Some(-180)).maximum(Some(180)).description(Some("Degrees."))
}

fn instant(description: &str) -> ObjectBuilder {
    text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"))
        .description(Some(description))
}

/// A value of an attribute.
fn attribute() -> Schema {
    AnyOfBuilder::new().item(text()).item(number()).build().into()
}

fn attribute_name() -> Schema {
    text().pattern(Some(format!("^[a-z0-9_]{{1,{ATTRIBUTE_NAME_LEN_MAX}}}$"))).build().into()
}

fn attributes() -> ObjectBuilder {
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
fn client_with<const N: usize>(members: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    let client = exactly([("id", id().into()), ("lat", latitude().into()), ("lon", longitude().into())]);
    with_members(details(client), members)
}

fn client() -> ObjectBuilder {
    client_with([]).description(Some("A client, as its newest report says."))
}

fn report_taken() -> ObjectBuilder {
    let result = one_of(&["accepted", "stale"])
        .description(Some("stale: the herd holds a report of this client that is at least as new."));
    client_with([("result", result.into())])
        .description(Some("This report as a client, and what became of it."))
}

fn client_page() -> ObjectBuilder {
    exactly([("clients", ArrayBuilder::new().items(named("Client")).into())])
        .property("next", next())
        .description(Some("Clients that match."))
}

fn next() -> ObjectBuilder {
    text().description(Some("The value of `after` for the next page. Absent: this is the last page."))
}

fn feature() -> ObjectBuilder {
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

fn feature_collection() -> ObjectBuilder {
    exactly([
        ("type", one_of(&["FeatureCollection"]).into()),
        ("features", ArrayBuilder::new().items(named("Feature")).into()),
    ])
    .property("next", next())
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

fn report() -> ObjectBuilder {
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

fn id_url() -> ObjectBuilder {
    let pattern = Some("^([A-Za-z0-9._~-]|%(2[1-9A-F]|[3-9A-F][0-9A-F]))+$");
    text().min_length(Some(1)).max_length(Some(CLIENT_ID_LEN_MAX)).pattern(pattern)
}

/// What a body of many reports holds. Bad reports in it are refused one by one, so any item is valid.
fn items() -> ArrayBuilder {
    ArrayBuilder::new().items(ObjectBuilder::new().schema_type(any()).build())
}

fn any() -> utoipa::openapi::schema::SchemaType {
    utoipa::openapi::schema::SchemaType::AnyValue
}

fn reports() -> Schema {
    AnyOfBuilder::new()
        .item(items().description(Some("Reports, each with the member `id`, at most 100,000.")))
        .item(named("ReportFeatures"))
        .examples([json!([{"id": "kiwi", "lat": 34.0689, "lon": -118.4452}])])
        .build()
        .into()
}

fn report_features() -> ObjectBuilder {
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

fn reports_taken() -> ObjectBuilder {
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

fn problem() -> ObjectBuilder {
    exactly([
        ("type", one_of(&["about:blank"]).into()),
        ("title", text().into()),
        ("status", integer().minimum(Some(400)).maximum(Some(599)).into()),
        ("detail", text().description(Some("What happened, to what, and what to do.")).into()),
        ("request_id", text().min_length(Some(1)).max_length(Some(128)).into()),
    ])
    .description(Some("Problem details (RFC 9457)."))
}

fn nearby_search() -> ObjectBuilder {
    let texts = || ArrayBuilder::new().items(text());
    object()
        .property("results", ArrayBuilder::new().items(object()))
        .required("results")
        .property("status", text().examples(["OK"]))
        .required("status")
        .property("html_attributions", texts())
        .required("html_attributions")
        .property("info_messages", texts())
        .property("error_message", text())
        .property("next_page_token", text())
        .description(Some("The answer of Google's Nearby Search (Legacy)."))
}

/// The ID of a token in a path.
pub(super) fn token_id() -> ObjectBuilder {
    text().pattern(Some(format!("^[a-z0-9]{{1,{TOKEN_ID_LEN_MAX}}}$"))).examples(["k3xw5r7q2mza"])
}

fn scopes() -> ArrayBuilder {
    let scope = text().pattern(Some(r"^(places|fences|operate|(report|read):([^\t-\r ]{1,100}|\*))$"));
    ArrayBuilder::new().items(scope).min_items(Some(1)).max_items(Some(SCOPES_MAX)).description(Some(
        "What the token allows: report:IDS, read:IDS, places, operate; fences is not used in this version. IDS is a \
         client's ID, or the beginning of IDs and `*`.",
    ))
}

fn token_name() -> ObjectBuilder {
    text().max_length(Some(TOKEN_NAME_LEN_MAX)).description(Some("For people."))
}

/// A schema, or null.
fn or_null(schema: ObjectBuilder) -> Schema {
    AnyOfBuilder::new().item(schema).item(ObjectBuilder::new().schema_type(Type::Null)).build().into()
}

fn flag() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

fn new_token() -> ObjectBuilder {
    exactly([("scopes", scopes().into())])
        .property("name", token_name())
        .property(
            "expires_s",
            limit(TOKEN_EXPIRES_S_MAX, "Seconds until the token ends. Absent or null: it has no end."),
        )
        .property("latest_only", flag().default(Some(json!(false))).description(Some(LATEST_ONLY)))
        .property("clients_max", limit(TOKEN_CLIENTS_MAX, CLIENTS_MAX_OF_TOKEN))
        .property("rate", limit(u32::MAX.into(), RATE))
        .examples([json!({"scopes": ["report:courier-*", "read:courier-*"], "expires_s": 2_592_000})])
}

const LATEST_ONLY: &str = "The holder sees the newest position of clients and no earlier one. This version answers with \
    no earlier positions, so it makes no difference yet.";
const CLIENTS_MAX_OF_TOKEN: &str = "The greatest number of clients that the token may add at each server. A forgotten \
    client counts for a day. Absent or null: a tenth of the server's `max_clients`.";
const RATE: &str = "Reports, deletions and questions about places in a second, all together, at each server. After a \
    pause, as many may come at once. Absent or null: no limit.";

/// A limit of a token, or null.
fn limit(maximum: u64, description: &str) -> Schema {
    let whole = integer().minimum(Some(1)).maximum(Some(maximum));
    let null = ObjectBuilder::new().schema_type(Type::Null);
    AnyOfBuilder::new().item(whole).item(null).description(Some(description)).build().into()
}

fn token() -> ObjectBuilder {
    let time = || {
        or_null(
            text()
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .description(Some("RFC 3339 in UTC.")),
        )
    };
    let text_of_token = text().description(Some("The token. It is shown only here, when it is made."));
    exactly([
        ("id", token_id().into()),
        ("scopes", ArrayBuilder::new().items(text()).into()),
        ("name", text().into()),
        ("made_at", time().into()),
        ("expires_at", time().into()),
        ("latest_only", flag().into()),
        ("clients_max", limit(TOKEN_CLIENTS_MAX, CLIENTS_MAX_OF_TOKEN).into()),
        ("rate", limit(u32::MAX.into(), RATE).into()),
        ("revoked", flag().into()),
    ])
    .property("token", text_of_token)
}

fn tokens() -> ObjectBuilder {
    exactly([("tokens", ArrayBuilder::new().items(named("Token")).into())])
}

fn new_share() -> ObjectBuilder {
    let id =
        text().min_length(Some(1)).max_length(Some(CLIENT_ID_LEN_MAX)).pattern(Some(r"^[^\t-\r ]{1,64}$"));
    let expires_s = integer()
        .minimum(Some(1))
        .maximum(Some(SHARE_EXPIRES_S_MAX))
        .description(Some("Seconds until the share ends. It ends sooner if the token that makes it does."));
    exactly([("id", id.description(Some("The client's ID.")).into()), ("expires_s", expires_s.into())])
        .examples([json!({"id": "kiwi", "expires_s": 3600})])
}

fn share_ends() -> ObjectBuilder {
    instant("When the share ends.")
}

fn share() -> ObjectBuilder {
    let url =
        text().description(Some("The link. The token is only in the fragment, which no browser sends."));
    exactly([
        ("url", url.into()),
        ("token", text().description(Some("The token of the share. It is shown only here.")).into()),
        ("share", token_id().description(Some("The share's ID.")).into()),
        ("id", id().into()),
        ("expires", share_ends().into()),
    ])
}

fn shares() -> ObjectBuilder {
    let made_by = text().description(Some(
        "The ID of the token that has made the share; `operator` for the operator's token; `anybody` where tokens were \
         off.",
    ));
    let share = exactly([
        ("share", token_id().description(Some("The share's ID.")).into()),
        ("id", id().into()),
        ("made", instant("When the share was made.").into()),
        ("expires", share_ends().into()),
        ("made_by", made_by.into()),
    ]);
    exactly([("shares", ArrayBuilder::new().items(share).into())])
}

fn shown() -> ObjectBuilder {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    let client = AnyOfBuilder::new()
        .item(named("Client"))
        .item(null)
        .description(Some("Null if the herd does not know the client at present."));
    exactly([
        ("id", id().into()),
        ("expires", share_ends().into()),
        ("client", RefOr::T(client.build().into())),
    ])
}

fn status() -> ObjectBuilder {
    with_members(
        object(),
        [
            ("server", text().into()),
            ("herd", text().into()),
            ("version", text().into()),
            ("incarnation", text().into()),
            ("uptime_s", number().minimum(Some(0)).into()),
            ("draining", ObjectBuilder::new().schema_type(Type::Boolean).into()),
            ("records", count().into()),
            ("connections", count().into()),
            (
                "reports",
                with_members(
                    object(),
                    [("accepted", count().into()), ("stale", count().into()), ("rejected", count().into())],
                )
                .into(),
            ),
            ("links", ArrayBuilder::new().items(object()).into()),
        ],
    )
    .description(Some("The state of this server. Later versions add members."))
}

/// The schemas of query parameters.
pub(super) mod parameters {
    use super::*;

    const DEGREES_90: &str = r"-?([0-8]?[0-9](\.[0-9]{1,12})?|90(\.0{1,12})?)";
    const DEGREES_180: &str = r"-?([0-9]{1,2}(\.[0-9]{1,12})?|1[0-7][0-9](\.[0-9]{1,12})?|180(\.0{1,12})?)";

    pub(in super::super) fn near() -> ObjectBuilder {
        text().pattern(Some(format!("^{DEGREES_90},{DEGREES_180}$"))).examples(["34.0689,-118.4452"])
    }

    pub(in super::super) fn bounds() -> ObjectBuilder {
        text()
            .pattern(Some(format!("^{DEGREES_90},{DEGREES_180},{DEGREES_90},{DEGREES_180}$")))
            .examples(["33,-119,35,-118"])
    }

    pub(in super::super) fn search_radius_m() -> ObjectBuilder {
        number().minimum(Some(0)).maximum(Some(SEARCH_RADIUS_M_MAX))
    }

    pub(in super::super) fn places_radius_m() -> ObjectBuilder {
        number().minimum(Some(1)).maximum(Some(RADIUS_M_MAX)).default(Some(json!(1000)))
    }

    pub(in super::super) fn places_limit() -> ObjectBuilder {
        integer().minimum(Some(1)).maximum(Some(PLACES_MAX)).default(Some(json!(PLACES_MAX)))
    }

    pub(in super::super) fn kind() -> ObjectBuilder {
        text().min_length(Some(1)).max_length(Some(KIND_LEN_MAX)).pattern(Some("^[a-z0-9_]+$"))
    }

    pub(in super::super) fn ids() -> ArrayBuilder {
        let id =
            text().min_length(Some(1)).max_length(Some(CLIENT_ID_LEN_MAX)).pattern(Some(r"^[^\t-\r ]+$"));
        // No `maxItems`: the length of the header section ends a long list sooner. The parameter's text has the bound.
        ArrayBuilder::new().items(id).examples([json!(["courier-*"])])
    }

    pub(in super::super) fn filter() -> ObjectBuilder {
        let name = format!("[a-z0-9_]{{1,{ATTRIBUTE_NAME_LEN_MAX}}}");
        let number = r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,3})?";
        let string = r#""([^"\\\x00-\x1F]|\\["\\/bfnrt])*""#;
        let comparison = format!("{name} *(=|!=|<|<=|>|>=) *({number}|{string})");
        text()
            .max_length(Some(WHERE_LEN_MAX))
            .pattern(Some(format!("^{comparison}( and {comparison}){{0,15}}$")))
            .examples(["battery_pct < 20 and note != \"charging\""])
    }

    pub(in super::super) fn polygon() -> ObjectBuilder {
        let square =
            "{\"type\":\"Polygon\",\"coordinates\":[[[-119,33],[-118,33],[-118,35],[-119,35],[-119,33]]]}";
        text().content_media_type("application/geo+json").examples([square])
    }

    pub(in super::super) fn kinds() -> ObjectBuilder {
        let kind = LIVE_KINDS.join("|");
        text()
            .pattern(Some(format!("^({kind})(,({kind}))*$")))
            .default(Some(json!("location,left,gone")))
            .examples(["location,gone"])
    }

    pub(in super::super) fn max_age_s() -> ObjectBuilder {
        number().minimum(Some(0)).maximum(Some(MAX_AGE_S_MAX))
    }

    pub(in super::super) fn limit() -> ObjectBuilder {
        integer()
            .minimum(Some(1))
            .maximum(Some(CLIENTS_MAX as u64))
            .default(Some(Value::from(CLIENTS_DEFAULT)))
    }

    pub(in super::super) fn after() -> ObjectBuilder {
        id_url()
    }
}
