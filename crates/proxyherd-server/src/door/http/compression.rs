//! Compresses responses with gzip for clients that accept it.
//!
//! A response is compressed as a whole, so its length is known. The caller counts a response against the buffers before
//! it calls this module. At most [`COMPRESSIONS_MAX`] long responses are compressed at once, and further ones wait. So
//! the number of packed copies that do not count against the buffers is bounded. Streams, short responses, and media
//! types that gain nothing are sent as they are. The server unpacks its own files for clients that do not accept gzip
//! ([`unpacked`]), and nothing that a client sends.

use std::io::{Read as _, Write as _};

use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use tokio::sync::Semaphore;

use super::limits::{COMPRESSED_LEN_MIN, COMPRESSIONS_MAX};

/// The turns to compress a response that is longer than a piece. Nobody waits for a client while having a turn.
static TURNS: Semaphore = Semaphore::const_new(COMPRESSIONS_MAX);

/// Length of the pieces between which other tasks have their turn, bytes.
const PIECE_LEN: usize = 64 * 1024;

/// Whether a request accepts gzip (RFC 9110, section 12.5.3).
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut any) = (None, None);
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=");
        let is_accepted = weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                gzip = Some(is_accepted);
            }
            "*" => any = Some(is_accepted),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

/// The response, compressed if `accepts_gzip` and if the compressed response is shorter. Tells caches that the response
/// depends on what the request accepts.
pub(super) async fn compressed(mut response: Response, accepts_gzip: bool) -> Response {
    let Some(len) = compressible_len(&response) else { return response };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !accepts_gzip {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, len).await else {
        // A body of known length is in memory, so it cannot fail. If it did, the client must not take it for complete.
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        return Response::from_parts(parts, Body::empty());
    };
    // In a box of its own, so that requests without compression hold no memory for it while they wait.
    let Some(packed) = Box::pin(gzip(&bytes)).await else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(packed))
}

/// The length of a response that is worth compressing, bytes.
fn compressible_len(response: &Response) -> Option<usize> {
    if response.status() != StatusCode::OK || response.headers().contains_key(header::CONTENT_ENCODING) {
        return None;
    }
    let len = response.body().size_hint().exact().and_then(|len| usize::try_from(len).ok())?;
    let kind = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let is_text = kind.starts_with("text/") || kind.contains("json") || kind.contains("openmetrics");
    (is_text && len >= COMPRESSED_LEN_MIN).then_some(len)
}

/// The packed bytes. `None`: they would not be shorter.
async fn gzip(bytes: &Bytes) -> Option<Vec<u8>> {
    let is_long = bytes.len() > PIECE_LEN;
    let _turn =
        if is_long { Some(TURNS.acquire().await.expect("nobody closes this semaphore")) } else { None };
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    for piece in bytes.chunks(PIECE_LEN) {
        encoder.write_all(piece).ok()?;
        if is_long {
            tokio::task::yield_now().await;
        }
    }
    encoder.finish().ok().filter(|packed| packed.len() < bytes.len())
}

/// A file of the program, which is compressed, for a client that does not accept gzip. `len`: its length, bytes.
pub(super) async fn unpacked(file: &'static [u8], len: usize) -> Vec<u8> {
    let _turn = TURNS.acquire().await.expect("nobody closes this semaphore");
    let mut unpacked = Vec::with_capacity(len);
    let mut decoder = GzDecoder::new(file);
    loop {
        let piece = decoder.by_ref().take(PIECE_LEN as u64).read_to_end(&mut unpacked);
        if piece.expect("a test unpacks each file of the program") == 0 {
            return unpacked;
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn a_client_says_whether_it_accepts_gzip() {
        for (accept, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.1", true),
            ("*", true),
            ("x-gzip", true),
            ("identity, *;q=0", false),
            ("gzip;q=0, *", false),
            ("gzip; q=0.0", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_gzip(&headers), expected, "{accept}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn only_long_texts_are_compressed() {
        let text = "a text that repeats itself; ".repeat(10_000);
        let response = compressed(text.clone().into_response(), true).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
        let packed = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let mut unpacked = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut unpacked).unwrap();
        assert!(packed.len() < text.len() / 10 && unpacked == text);

        let plain = compressed(text.clone().into_response(), false).await;
        assert_eq!(plain.headers()[header::VARY], "Accept-Encoding");
        let image = ([(header::CONTENT_TYPE, "image/png")], text).into_response();
        for response in
            [plain, compressed("short".into_response(), true).await, compressed(image, true).await]
        {
            assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
        }
    }
}
