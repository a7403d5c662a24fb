//! The schemas of bodies and parameters. `clients`, `herd`, `reports`, `tokens`, `shares` and `streams` have the
//! schemas of one resource each, and `parameters` has those of queries. Here are the parts that they share, and the
//! bodies that belong to none of them.

mod clients;
mod herd;
pub(super) mod parameters;
mod reports;
mod shares;
mod streams;
mod tokens;

use proxyherd_core::limits::{CLIENT_ID_LEN_MAX, LABELS_MAX};
use utoipa::openapi::{
    Ref, RefOr,
    schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
};

pub(super) use self::{clients::path_id, tokens::token_id};

/// The named schemas.
pub(super) fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("Attributes", clients::attributes().into()),
        ("Client", clients::client().into()),
        ("ClientPage", clients::client_page().into()),
        ("Feature", clients::feature().into()),
        ("FeatureCollection", clients::feature_collection().into()),
        ("Herd", herd::herd().into()),
        ("Labels", labels().into()),
        ("Map", herd::map().into()),
        ("Rights", herd::rights().into()),
        ("NearbySearch", nearby_search().into()),
        ("Problem", problem().into()),
        ("Report", reports::report().into()),
        ("ReportTaken", reports::report_taken().into()),
        ("ReportsTaken", reports::reports_taken().into()),
        ("Reports", reports::reports()),
        ("ReportFeatures", reports::report_features().into()),
        ("Status", status().into()),
        ("NewToken", tokens::new_token().into()),
        ("Token", tokens::token().into()),
        ("Tokens", tokens::tokens().into()),
        ("NewShare", shares::new_share().into()),
        ("Share", shares::share().into()),
        ("Shares", shares::shares().into()),
        ("Shown", shares::shown().into()),
        ("StreamEventLocation", streams::location().into()),
        ("StreamEventLeft", streams::left().into()),
        ("StreamEventGone", streams::gone().into()),
        ("StreamEventPresence", streams::presence().into()),
        ("SocketMessage", streams::message_in()),
        ("SocketEvent", streams::event_out().into()),
        ("SocketAnswer", streams::answer_out()),
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

fn id() -> ObjectBuilder {
    text()
        .min_length(Some(1))
        .description(Some("The client's ID. Bytes that are not UTF-8 are shown as U+FFFD."))
}

fn instant(description: &str) -> ObjectBuilder {
    text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"))
        .description(Some(description))
}

fn id_url() -> ObjectBuilder {
    let pattern = Some("^([A-Za-z0-9._~-]|%(2[1-9A-F]|[3-9A-F][0-9A-F]))+$");
    text().min_length(Some(1)).max_length(Some(CLIENT_ID_LEN_MAX)).pattern(pattern)
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

/// The labels of a map.
fn labels() -> ObjectBuilder {
    let label = exactly([
        ("name", text().into()),
        ("lat", clients::latitude().into()),
        ("lon", clients::longitude().into()),
        ("kind", text().examples(["locality"]).into()),
    ])
    .property("population", count().description(Some("How many people live there, if this is known.")));
    exactly([
        ("places", ArrayBuilder::new().items(label).max_items(Some(LABELS_MAX)).into()),
        ("html_attributions", ArrayBuilder::new().items(text()).into()),
    ])
    .description(Some("The most prominent places of a box. Show the attributions where you show the places."))
}

fn flag() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

fn places_counts() -> ObjectBuilder {
    let outcomes = ["hit", "stale", "joined", "fetched", "fallback", "failed"];
    with_members(object(), outcomes.map(|outcome| (outcome, count().into())))
        .description(Some("Questions about places since the start, by how they were answered."))
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
            ("places", places_counts().into()),
            ("links", ArrayBuilder::new().items(object()).into()),
        ],
    )
    .description(Some("The state of this server. Later versions add members."))
}
