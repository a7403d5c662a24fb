//! HTTP without dates, for a machine whose clock shows a time that the `Date` of HTTP can't write: before 1970, or after
//! 9999.
//!
//! At any other time hyper serves the connections. At such a time hyper panics, because it formats a `Date` even if it does
//! not send one (`httpdate`). Operators need health, metrics and status most when a clock is wrong. So this module answers
//! one request on each connection and closes it. It knows nothing of paths and answers, which are the router's.

use std::io;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderValue, Method, Request, Response, StatusCode, Version, header},
    response::IntoResponse as _,
};
use httparse::{EMPTY_HEADER, Status};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink},
    time::timeout,
};

use super::limits::{ANSWER_LEN_MAX, HEAD_LEN_MAX, HEAD_MAX, PARTING_MAX};

/// Most headers of a request, as in hyper.
const HEADERS_MAX: usize = 100;

/// Reads one request, has `router` answer it, and closes. A request's body is not read: no path takes one.
pub(super) async fn serve(router: Router, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let request = timeout(HEAD_MAX, read(&mut stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (response, is_head) = match request {
        Ok(request) => {
            let is_head = request.method() == Method::HEAD;
            let Ok(response) = TowerToHyperService::new(router).call(request).await;
            (response, is_head)
        }
        Err(code) => (code.into_response(), false),
    };
    stream.write_all(&written(response, is_head).await?).await?;
    stream.shutdown().await?;
    // Closing while bytes lie unread would take the answer away from the client.
    let _ = timeout(PARTING_MAX, copy(&mut stream, &mut sink())).await;
    Ok(())
}

/// The request without its body, or the code that refuses it.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Request<Body>, StatusCode>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse(&head) {
            Some(request) => return Ok(request),
            None if head.len() > HEAD_LEN_MAX => return Ok(Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
            None => {}
        }
    }
}

/// The request that these bytes hold; `None` while its head is not complete.
fn parse(head: &[u8]) -> Option<Result<Request<Body>, StatusCode>> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(Status::Partial) => return None,
        Ok(Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Some(Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        Err(_) => return Some(Err(StatusCode::BAD_REQUEST)),
    }
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut request = Request::builder().version(version);
    request = request.method(parsed.method.unwrap_or_default()).uri(parsed.path.unwrap_or_default());
    for field in parsed.headers {
        request = request.header(field.name, field.value);
    }
    Some(request.body(Body::empty()).map_err(|_| StatusCode::BAD_REQUEST))
}

/// The bytes of a response that is its connection's last.
async fn written(response: Response<Body>, is_head: bool) -> io::Result<Vec<u8>> {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_LEN_MAX).await.map_err(io::Error::other)?;
    // The answer to HEAD has the length of the body that it leaves out.
    parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(body.len()));
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut bytes = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    if !is_head {
        bytes.extend_from_slice(&body);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::duplex;

    use super::*;

    /// What comes back for these bytes, sent one by one.
    async fn answered(request: &[u8]) -> String {
        let router = Router::new().route("/x", get(async || "yes\n"));
        let (mut client, server) = duplex(1);
        let (mut reader, mut writer) = tokio::io::split(&mut client);
        let mut answer = String::new();
        let send = async {
            let _ = writer.write_all(request).await;
            let _ = writer.shutdown().await;
        };
        let (served, _, read) = tokio::join!(serve(router, server), send, reader.read_to_string(&mut answer));
        let _ = (served, read.unwrap());
        answer
    }

    #[tokio::test]
    async fn a_request_is_answered_once_and_without_a_date() {
        let yes = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 4\r\nconnection: close\r\n\r\n";
        for version in ["1.0", "1.1"] {
            let request = format!("GET /x HTTP/{version}\r\nHost: here\r\n\r\n");
            assert_eq!(answered(request.as_bytes()).await, format!("{yes}yes\n"));
            let twice = format!("{request}{request}");
            assert_eq!(answered(twice.as_bytes()).await, format!("{yes}yes\n"));
        }
        assert_eq!(answered(b"HEAD /x HTTP/1.1\r\n\r\n").await, yes);
    }

    #[tokio::test]
    async fn what_is_no_request_is_answered_with_its_code() {
        let long = format!("GET /x HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(HEAD_LEN_MAX));
        let many = format!("GET /x HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        for (request, code) in [
            ("GET /y HTTP/1.1\r\n\r\n", "404 "),
            ("POST /x HTTP/1.1\r\n\r\n", "405 "),
            ("IAMAT kiwi +1+1 1\r\n\r\n", "400 "),
            ("GET x y HTTP/1.1\r\n\r\n", "400 "),
            (long.as_str(), "431 "),
            (many.as_str(), "431 "),
        ] {
            let answer = answered(request.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{request:.20}: {answer}");
        }
        assert_eq!(answered(b"GET /x HT").await, "", "whoever ends within a request has gone");
    }
}
