//! The private codecs of this crate, for fuzzing only. Only `proxyherd-fuzz` may use them, and they change with the
//! program's internals.

use proxyherd_core::places::{Point, Query};

use crate::door::http::parameters::{NearbyRequest, SearchCenter};

/// The query in the parameters of Nearby Search, and the client that the query is about. A query about a client has its
/// center on the equator. `None`: the parameters are not a valid query.
pub fn question(parameters: &str) -> Option<(Query, Option<Vec<u8>>)> {
    let NearbyRequest { center, radius_m, wish } = NearbyRequest::parse(parameters).ok()?;
    let (point, client) = match center {
        SearchCenter::Point(point) => (point, None),
        SearchCenter::Client(id) => (Point::new(0.0, 0.0)?, Some(id)),
    };
    let query = Query::within(point, radius_m).expect("what was read is in range");
    Some((query.wishing(wish), client))
}
