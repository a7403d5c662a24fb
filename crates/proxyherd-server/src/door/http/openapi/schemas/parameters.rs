//! The schemas of query parameters.

use proxyherd_core::limits::{
    ATTRIBUTE_NAME_LEN_MAX, CLIENT_ID_LEN_MAX, LABELS_MAX, PLACES_MAX, RADIUS_M_MAX, WHERE_LEN_MAX,
};
use serde_json::{Value, json};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder};

use super::{id_url, integer, number, text};
use crate::door::http::{
    api::{KIND_LEN_MAX, MAX_AGE_S_MAX, RADIUS_M_MAX as SEARCH_RADIUS_M_MAX},
    limits::{CLIENTS_DEFAULT, CLIENTS_MAX, LABELS_DEFAULT},
    live::KINDS as LIVE_KINDS,
};

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
    let id = text().min_length(Some(1)).max_length(Some(CLIENT_ID_LEN_MAX)).pattern(Some(r"^[^\t-\r ]+$"));
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
    integer().minimum(Some(1)).maximum(Some(CLIENTS_MAX as u64)).default(Some(Value::from(CLIENTS_DEFAULT)))
}

pub(in super::super) fn labels_limit() -> ObjectBuilder {
    integer().minimum(Some(1)).maximum(Some(LABELS_MAX as u64)).default(Some(Value::from(LABELS_DEFAULT)))
}

pub(in super::super) fn after() -> ObjectBuilder {
    id_url()
}
