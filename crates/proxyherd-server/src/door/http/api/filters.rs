//! The filters that several paths share: which clients a search or a stream is about. Each function reads one or two
//! parameters of a query. A message of a WebSocket has the same parameters.

use axum::http::StatusCode;
use proxyherd_core::{codec::where_clause::WhereClause, command::Bounds, places::Point, types::IdPattern};

use crate::door::http::{
    limits::{IDS_MAX, PREFIXES_MAX},
    problem::Problem,
    query::Query,
};

/// The greatest `radius_m`. Half of the Earth's circumference is less.
pub(in crate::door::http) const RADIUS_M_MAX: f64 = 1e8;

/// The surroundings of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::door::http) struct Vicinity {
    pub(in crate::door::http) center: Point,
    /// `None`: no limit.
    pub(in crate::door::http) radius_m: Option<f64>,
}

/// `near` and `radius_m`. `None`: the query does not have `near`.
pub(in crate::door::http) fn vicinity(query: &Query) -> Result<Option<Vicinity>, Problem> {
    let radius_m = query.number("radius_m", 0.0..=RADIUS_M_MAX)?;
    let Some([latitude, longitude]) = query.numbers("near")? else {
        return match radius_m {
            Some(_) => Err(contradiction("`radius_m` needs `near`")),
            None => Ok(None),
        };
    };
    let center = Point::new(latitude, longitude).ok_or_else(|| {
        Problem::invalid("`near` takes LAT,LON in degrees, up to 90 and 180, such as 34.07,-118.44")
    })?;
    Ok(Some(Vicinity { center, radius_m }))
}

/// `box`. It makes no difference which of its latitudes comes first.
pub(in crate::door::http) fn bounds(query: &Query) -> Result<Option<Bounds>, Problem> {
    let Some([south, west, north, east]) = query.numbers("box")? else { return Ok(None) };
    let (south, north) = if south > north { (north, south) } else { (south, north) };
    let bounds = Bounds::new(south, west, north, east).ok_or_else(|| {
        Problem::invalid("`box` takes S,W,N,E in degrees, latitudes up to 90 and longitudes up to 180")
    })?;
    Ok(Some(bounds))
}

/// 409: each parameter is valid, but they contradict each other.
pub(in crate::door::http) fn contradiction(detail: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, detail)
}

/// `ids`, which may be given several times.
pub(in crate::door::http) fn ids(query: &Query) -> Result<Vec<IdPattern>, Problem> {
    let (mut patterns, mut prefixes) = (Vec::new(), 0);
    for text in query.all("ids") {
        if patterns.len() == IDS_MAX {
            return Err(Problem::invalid(format!("`ids` is given at most {IDS_MAX} times")));
        }
        let pattern = IdPattern::parse(text).ok_or_else(|| {
            Problem::invalid(
                "`ids` takes a client ID of 1 to 256 bytes without white space, or the beginning of IDs and `*`",
            )
        })?;
        prefixes += usize::from(pattern.exact().is_none());
        if prefixes > PREFIXES_MAX {
            return Err(Problem::invalid(format!(
                "`ids` takes at most {PREFIXES_MAX} beginnings of IDs with `*`, and {IDS_MAX} IDs"
            )));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

/// `where`.
pub(in crate::door::http) fn clause(query: &Query) -> Result<Option<WhereClause>, Problem> {
    let clause = query.text("where")?.map(WhereClause::parse).transpose();
    clause.map_err(|error| Problem::invalid(error.to_string()))
}
