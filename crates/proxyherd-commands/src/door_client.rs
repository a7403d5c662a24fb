//! Sends requests of the commands `status` and `token` to the HTTP doors of a herd.
//!
//! A request goes only to the named door: redirects are not followed, so no token reaches another server. What fails is
//! described without URLs and tokens.

use std::{path::Path, time::Duration};

use proxyherd_config::config::Door;
use proxyherd_places::http_client;
use reqwest::{Client, Response};

use crate::door_trust;

/// Maximum time until an answer is complete.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A client for HTTP doors. If a door has TLS, `certificate` is the file that `[tls]` names.
pub fn client(has_tls: bool, certificate: Option<&Path>) -> reqwest::Result<Client> {
    let tls = if has_tls { door_trust::client_config(certificate) } else { http_client::plain() };
    http_client::builder(tls).timeout(ANSWER_MAX).build()
}

/// The URL of a door.
pub fn url(http: &Door) -> String {
    let scheme = if http.tls { "https" } else { "http" };
    format!("{scheme}://{}", http.address)
}

/// The body of an answer. `None` if it is longer than `len_max`.
pub(crate) async fn body(mut response: Response, len_max: usize) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + piece.len() > len_max {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// Why a request has no answer.
pub(crate) fn failure(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ANSWER_MAX.as_secs());
    }
    match http_client::tls_error(error) {
        Some(error) => door_trust::tls_trouble(error).to_owned(),
        None => http_client::trouble(error),
    }
}
