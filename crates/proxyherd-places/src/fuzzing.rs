//! The codecs of this crate that are private, for fuzzing alone. Only `proxyherd-fuzz` may use these functions. They
//! change together with the code that they expose.

use proxyherd_core::places::{Answer, Query};
use reqwest::{StatusCode, Url};

pub use crate::provider::osm::fuzzing::{directory_again, is_open, kinds_checksum, record_again};
pub use crate::provider::osm::pbf::fuzzing::{Seen, extract, extract_block};
use crate::provider::{Failure, google, google_legacy, http::HttpReply, room::AnswerBody};

/// Reads a reply of Places API (New).
pub fn google(status: u16, body: &[u8]) -> Result<Answer, Failure> {
    google::answer::read(reply(status, body)?, &str::to_owned)
}

/// Reads a reply of Nearby Search (Legacy).
pub fn google_legacy(status: u16, body: &[u8]) -> Result<Answer, Failure> {
    google_legacy::answer::read(reply(status, body)?, None, &str::to_owned)
}

fn reply(status: u16, bytes: &[u8]) -> Result<HttpReply, Failure> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut body = AnswerBody::new();
    body.push(bytes)?;
    Ok(HttpReply { status, retry_after: None, body })
}

/// Writes a question as the parameters of Nearby Search (Legacy).
pub fn parameters(query: &Query) -> String {
    let mut url = Url::parse("http://localhost/").expect("this is a URL");
    google_legacy::append(&mut url, query);
    url.query().unwrap_or_default().to_owned()
}
