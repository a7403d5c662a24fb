//! `/`, `/share` and `/map/NAME`: the built pages and the files that they load.
//!
//! A page keeps its name, so a browser must ask whether it still holds. The name of a file has a hash of its content,
//! so a browser may keep the file for ever. Files are sent as the program holds them, compressed with gzip. They are
//! unpacked only for a client that does not accept gzip.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use proxyherd_web::WebFile;

use super::policy;
use crate::{
    door::http::{compression, conditional, paths, problem::Problem, query::Query},
    herd::Herd,
};

const PAGE_KEPT: HeaderValue = HeaderValue::from_static("no-cache");
const FILE_KEPT: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The map.
pub(in crate::door::http) async fn get_page(
    State(herd): State<Arc<Herd>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    page(&herd, "index.html", &headers).await
}

/// The page of a share. It is the same for every share: its script takes the token from the fragment of the page's own
/// URL, and leaves it there, so that a reload shows the share again.
pub(in crate::door::http) async fn get_share_page(
    State(herd): State<Arc<Herd>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    page(&herd, "share.html", &headers).await
}

/// A file that a page loads.
pub(in crate::door::http) async fn get_file(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    let file = paths::id_segment(uri.path()).and_then(proxyherd_web::file);
    let file = file.ok_or_else(|| {
        let detail = "this version of the map has no such file; reload the page, which names the files of this version";
        Problem::new(StatusCode::NOT_FOUND, detail)
    })?;
    Ok(answer(&headers, file, FILE_KEPT, policy::of_files()).await)
}

/// A page. The query of its URL does not matter: messengers and mail programs add parameters of their own to the links
/// that they show.
async fn page(herd: &Herd, name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let page = proxyherd_web::page(name);
    let page = page.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "this program was built without its web pages; /docs describes the API",
        )
    })?;
    let tiles = herd.map_settings().tile_origin();
    let policy = policy::of_page(&herd.doors_of_herd().now(), tiles.as_ref());
    Ok(answer(headers, page, PAGE_KEPT, policy).await)
}

/// The file, or 304 if the client holds it.
async fn answer(
    headers: &HeaderMap,
    file: &'static WebFile,
    cache_control: HeaderValue,
    policy: HeaderValue,
) -> Response {
    let etag = HeaderValue::from_static(file.etag);
    let mut response = if conditional::is_held(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(headers, file).await
    };
    let sent = response.headers_mut();
    sent.insert(header::ETAG, etag);
    sent.insert(header::CACHE_CONTROL, cache_control);
    sent.insert(header::CONTENT_SECURITY_POLICY, policy);
    sent.extend(policy::SAFETY);
    response
}

async fn content(headers: &HeaderMap, file: &'static WebFile) -> Response {
    let is_packed = compression::accepts_gzip(headers);
    let body = if is_packed {
        Bytes::from_static(file.gzip)
    } else {
        compression::unpacked(file.gzip, file.len as usize).await.into()
    };
    let mut response = Response::new(Body::from(body));
    let sent = response.headers_mut();
    sent.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    // The handler adds `Vary` to texts that it could have compressed.
    if is_packed {
        sent.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        sent.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_file_of_the_program_unpacks_to_its_length() {
        let all = || proxyherd_web::pages().iter().chain(proxyherd_web::files());
        assert!(all().count() > 2);
        for file in all() {
            let unpacked = compression::unpacked(file.gzip, file.len as usize).await;
            assert_eq!(unpacked.len(), file.len as usize, "{}", file.name);
        }
    }
}
