//! `/v1/places`: the most prominent places in a box, as the labels of a map.
//!
//! Only sources on this machine are asked, so a label costs no request of the places budget.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use proxyherd_config::clock;
use proxyherd_core::{
    limits::LABELS_MAX,
    places::{Label, Labels},
};
use serde::Serialize;

use super::{JSON, filters};
use crate::{
    caller::Caller,
    door::http::{conditional, limits::LABELS_DEFAULT, media, problem::Problem, query::Query},
    herd::Herd,
};

/// A map asks for the same boxes again and again, and the places of a server change only with its program and its
/// index.
const KEPT: &str = "private, max-age=600";

#[derive(Debug, Serialize)]
struct ShownLabels<'a> {
    places: Vec<ShownLabel<'a>>,
    /// Whom a map must credit, as in the answers about places nearby.
    html_attributions: &'a [std::borrow::Cow<'static, str>],
}

#[derive(Debug, Serialize)]
struct ShownLabel<'a> {
    name: &'a str,
    lat: f64,
    lon: f64,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    population: Option<u32>,
}

/// The labels of a box.
pub(in crate::door::http) async fn get_labels(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    media::accepted(&headers, &[JSON])?;
    let query = Query::of(&uri, &["box", "limit"], &[])?;
    let bounds = filters::bounds(&query)?;
    let bounds = bounds.ok_or_else(|| Problem::invalid("`box` is missing: it takes S,W,N,E in degrees"))?;
    let limit = query.whole("limit", 1..=LABELS_MAX)?.unwrap_or(LABELS_DEFAULT);
    let labels = herd.labels(&caller, clock::now_ns(), bounds, limit)?.await;
    Ok(conditional::answer(&headers, JSON, KEPT, write(&labels)))
}

fn write(labels: &Labels) -> Vec<u8> {
    let shown = ShownLabels {
        places: labels.labels.iter().map(ShownLabel::of).collect(),
        html_attributions: &labels.attributions,
    };
    let mut body = serde_json::to_vec(&shown).expect("texts and numbers are always JSON");
    body.push(b'\n');
    body
}

impl<'a> ShownLabel<'a> {
    fn of(label: &'a Label) -> ShownLabel<'a> {
        ShownLabel {
            name: &label.name,
            lat: label.location.latitude(),
            lon: label.location.longitude(),
            kind: &label.kind,
            population: label.population(),
        }
    }
}
