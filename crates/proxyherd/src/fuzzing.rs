//! The private codecs of this crate, for fuzzing only. Only `proxyherd-fuzz` may use them, and they change with the
//! program's internals. Other codecs are public anyway ([`Config::read`](crate::config::Config::read)).

use proxyherd_core::places::{Point, Query};

pub use crate::client::replies::{NotAReply, Replies, ReplyForm};
use crate::{
    credentials::Facts,
    door::http::parameters::{NearbyRequest, SearchCenter},
};

/// The URI of the server that a certificate (DER) is for. `None`: the certificate is not for a server of a herd.
pub fn server_of_certificate(der: &[u8]) -> Option<String> {
    Facts::of(&der.into()).ok()?.member().map(|member| member.uri())
}

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
