//! The codecs of this crate that are private, for fuzzing alone: nothing but `proxyherd-fuzz` may use them, and they
//! change with what is inside. Those of others are public anyway ([`Config::read`](crate::config::Config::read)).

use proxyherd_core::places::{Point, Query};

pub use crate::client::replies::{NotAReply, Replies, ReplyForm};
use crate::{
    credentials::Facts,
    door::http::parameters::{NearbyRequest, SearchCenter},
};

/// The URI of the server that a certificate (DER) is for; nothing if it is no server's of a herd.
pub fn server_of_certificate(der: &[u8]) -> Option<String> {
    Facts::of(&der.into()).ok()?.member().map(|member| member.uri())
}

/// What the parameters of Nearby Search ask: the question, and which client it is about. One about a client stands at
/// the equator. Nothing if they ask nothing.
pub fn question(parameters: &str) -> Option<(Query, Option<Vec<u8>>)> {
    let NearbyRequest { center, radius_m, wish } = NearbyRequest::parse(parameters).ok()?;
    let (point, client) = match center {
        SearchCenter::Point(point) => (point, None),
        SearchCenter::Client(id) => (Point::new(0.0, 0.0)?, Some(id)),
    };
    let query = Query::within(point, radius_m).expect("what was read is in range");
    Some((query.wishing(wish), client))
}
