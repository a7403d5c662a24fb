//! The codecs of this crate that are private, for fuzzing alone: nothing but `proxyherd-fuzz` may use them, and they
//! change with what is inside. Those of others are public anyway ([`Config::read`](crate::config::Config::read)).

use proxyherd_core::places::{Answer, Point, Query};
use reqwest::{StatusCode, Url};

pub use crate::client::replies::{Form, NotAReply, Replies};
pub use crate::provider::osm::fuzzing::{directory_again, is_open, kinds_checksum, record_again};
pub use crate::provider::osm::pbf::fuzzing::{Seen, extract, extract_block};
use crate::{
    credentials::Facts,
    door::http::parameters::{NearbyRequest, SearchCenter},
    provider::{Failure, google, google_legacy, http::Reply, room::Body},
};

/// The URI of the server that a certificate (DER) is for; nothing if it is no server's of a herd.
pub fn server_of_certificate(der: &[u8]) -> Option<String> {
    Facts::of(&der.into()).ok()?.member().map(|member| member.uri())
}

/// What a reply of Places API (New) says.
pub fn google(status: u16, body: &[u8]) -> Result<Answer, Failure> {
    google::answer::read(reply(status, body)?, &str::to_owned)
}

/// What a reply of Nearby Search (Legacy) says.
pub fn google_legacy(status: u16, body: &[u8]) -> Result<Answer, Failure> {
    google_legacy::answer::read(reply(status, body)?, None, &str::to_owned)
}

fn reply(status: u16, bytes: &[u8]) -> Result<Reply, Failure> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut body = Body::new();
    body.push(bytes)?;
    Ok(Reply { status, retry_after: None, body })
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

/// A question as Google's parameters, so that [`question`] reads it again.
pub fn parameters(query: &Query) -> String {
    let mut url = Url::parse("http://localhost/").expect("this is a URL");
    google_legacy::append(&mut url, query);
    url.query().unwrap_or_default().to_owned()
}
