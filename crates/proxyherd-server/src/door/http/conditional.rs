//! Conditional GET (RFC 9110, section 13): a client that holds an answer asks whether it is still the same.
//!
//! The ETag is a hash of the answer. It is weak, because the same answer may be sent compressed. Equal answers have
//! equal ETags at every server of one version, so a client may ask another server.

use std::hash::{DefaultHasher, Hasher as _};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// An answer of this media type. 304 (Not Modified) if the request names the answer's ETag.
pub(super) fn answer(
    headers: &HeaderMap,
    content_type: &'static str,
    cache_control: &'static str,
    body: Vec<u8>,
) -> Response {
    let etag = etag_of(&body);
    let mut response = if is_held(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    };
    response.headers_mut().insert(header::ETAG, etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    response
}

fn etag_of(body: &[u8]) -> HeaderValue {
    // This hasher has fixed keys. An ETag need not withstand an attacker: who can choose the answer needs no forgery.
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    let text = format!("W/\"{:016x}\"", hasher.finish());
    HeaderValue::from_str(&text).expect("hexadecimal digits and quotes are printable")
}

/// Whether `If-None-Match` names this ETag. The comparison is weak, as the RFC asks for GET.
pub(super) fn is_held(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let own = opaque(etag.as_bytes());
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tags.any(|tag| tag.trim_ascii() == b"*" || opaque(tag.trim_ascii()) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(none_match: Option<&str>, body: &str) -> (u16, String) {
        let mut headers = HeaderMap::new();
        if let Some(tags) = none_match {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(tags).unwrap());
        }
        let response = answer(&headers, "text/plain", "no-cache", body.into());
        (response.status().as_u16(), response.headers()[header::ETAG].to_str().unwrap().to_owned())
    }

    #[test]
    fn an_answer_that_the_client_holds_is_not_sent_again() {
        let (code, etag) = status(None, "kiwi");
        assert_eq!(code, 200);
        let strong = etag.strip_prefix("W/").unwrap();
        for tags in [&etag, strong, "*", &format!("\"x\", {etag}"), &format!("{strong},\"x\"")] {
            assert_eq!(status(Some(tags), "kiwi"), (304, etag.clone()), "{tags}");
        }
        for tags in ["\"x\"", "", "W/\"\"", "x"] {
            assert_eq!(status(Some(tags), "kiwi").0, 200, "{tags}");
        }
        assert_ne!(status(Some(&etag), "kiwi elsewhere").0, 304);
    }
}
