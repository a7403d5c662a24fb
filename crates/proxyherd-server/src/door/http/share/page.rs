//! `/share`: the page that a browser shows to whoever has the link of a share. It loads nothing from elsewhere.
//!
//! The page is the same for every share. Its script takes the token from the fragment of the page's own URL, and leaves
//! it there, so that a reload shows the share again. No cache keeps the page, and its policy lets it run no other
//! script and talk to no other server.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse as _, Response},
};

use crate::door::http::{conditional, problem::Problem, query::Query};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// The page's contents come from this server alone, and no other page may show it in a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
const SAFETY: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// Caches may keep the style and the script, which are equal for all shares, but must ask whether they still hold.
const SHARED: &str = "public, no-cache";

/// The page.
pub(in crate::door::http) async fn get_page(uri: Uri) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((SAFETY, headers, PAGE).into_response())
}

pub(in crate::door::http) async fn get_style(headers: HeaderMap) -> Response {
    file(&headers, "text/css; charset=utf-8", STYLE)
}

pub(in crate::door::http) async fn get_script(headers: HeaderMap) -> Response {
    file(&headers, "text/javascript; charset=utf-8", SCRIPT)
}

fn file(headers: &HeaderMap, content_type: &'static str, text: &str) -> Response {
    let mut response = conditional::answer(headers, content_type, SHARED, text.into());
    response.headers_mut().extend(SAFETY);
    response
}
