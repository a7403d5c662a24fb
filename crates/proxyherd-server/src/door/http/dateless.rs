//! Serves HTTP on a machine whose clock shows a time before 1970 or after 9999. The header Date can't hold such a time.
//!
//! At any other time hyper serves all connections. At such a time hyper panics in HTTP/1.1, because hyper formats a
//! date even if it sends no date (`httpdate`). Operators need health, metrics and status most when a clock is wrong. So
//! [`serve`] answers one request on each HTTP/1.1 connection, without a date, and closes the connection. [`serve`]
//! returns an HTTP/2 connection with all bytes that were read, because in HTTP/2 hyper can omit the date.
//!
//! This module does not know paths and responses. The router handles these.

use std::io::{self, Cursor};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header},
    response::IntoResponse as _,
};
use httparse::{EMPTY_HEADER, Status};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Chain, Join, ReadHalf, WriteHalf, copy,
        join, sink, split,
    },
    time::timeout,
};

use super::{
    limits::{
        DATELESS_RESPONSE_LEN_MAX, DRAIN_TIMEOUT, HEADER_SECTION_LEN_MAX, HEADER_SECTION_TIME_MIN,
        IDLE_TIMEOUT,
    },
    problem::{self, Problem},
    request_id::RequestId,
};

/// Maximum number of header fields of a request, as in hyper.
const FIELDS_MAX: usize = 100;
/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The answer to a request with a body.
const NO_BODIES: &str = "the clock of this server shows no date that HTTP can write, so it takes no bodies over HTTP/1; set the clock";

/// How [`serve`] ended.
pub(super) enum DatelessEnd<S> {
    /// The request is answered and the connection closed.
    Answered,
    /// The connection speaks HTTP/2 and must still be served.
    Http2(Replayed<S>),
}

/// A stream that returns its first bytes a second time.
type Replayed<S> = Join<Chain<Cursor<Vec<u8>>, ReadHalf<S>>, WriteHalf<S>>;

/// The beginning of a connection.
enum Opening {
    Request(Box<Request<Body>>),
    /// An invalid request, with the status code of the response.
    Invalid(StatusCode),
    /// HTTP/2, with the bytes that were read. They begin with HTTP/2's preface.
    Http2(Vec<u8>),
}

/// Reads one request, answers with the result of `respond`, and closes the connection. A request with a body is
/// answered 503, because operators' paths take no body, and a report could get no time here.
pub(super) async fn serve<S>(
    respond: impl AsyncFnOnce(Request<Body>) -> Response<Body>,
    mut stream: S,
) -> io::Result<DatelessEnd<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // The slot's timeout is shorter. This timeout is for callers without a slot.
    let time_max = IDLE_TIMEOUT + 2 * HEADER_SECTION_TIME_MIN;
    let opening = timeout(time_max, read(&mut stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (response, method) = match opening {
        Opening::Request(request) if has_body(request.headers()) => {
            let mut response = Problem::unavailable(NO_BODIES).into_response();
            problem::render(&mut response, &RequestId::of(request.headers()));
            (response, request.method().clone())
        }
        Opening::Request(request) => {
            let method = request.method().clone();
            (respond(*request).await, method)
        }
        Opening::Invalid(code) => (code.into_response(), Method::GET),
        Opening::Http2(bytes) => {
            let (reader, writer) = split(stream);
            return Ok(DatelessEnd::Http2(join(Cursor::new(bytes).chain(reader), writer)));
        }
    };
    stream.write_all(&encode(response, &method).await?).await?;
    stream.shutdown().await?;
    // If the server closed the socket while bytes are unread, TCP would reset the connection. The client could lose the
    // response.
    let _ = timeout(DRAIN_TIMEOUT, copy(&mut stream, &mut sink())).await;
    Ok(DatelessEnd::Answered)
}

fn has_body(headers: &HeaderMap) -> bool {
    let len = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || len.is_some_and(|len| len.as_bytes() != b"0")
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Opening> {
    let mut received = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if received.starts_with(PREFACE) {
            return Ok(Opening::Http2(received));
        }
        if PREFACE.starts_with(&received) {
            continue;
        }
        match parse(&received) {
            Some(Ok(request)) => return Ok(Opening::Request(Box::new(request))),
            Some(Err(code)) => return Ok(Opening::Invalid(code)),
            None if received.len() > HEADER_SECTION_LEN_MAX => {
                return Ok(Opening::Invalid(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            }
            None => {}
        }
    }
}

/// The request in these bytes. `None` while its header section is not complete.
fn parse(received: &[u8]) -> Option<Result<Request<Body>, StatusCode>> {
    let mut headers = [EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(received) {
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

/// The bytes of the response to a request with this method. The caller closes the connection after these bytes.
async fn encode(response: Response<Body>, method: &Method) -> io::Result<Vec<u8>> {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, DATELESS_RESPONSE_LEN_MAX).await.map_err(io::Error::other)?;
    // The response to HEAD has the length of the body that it omits.
    parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(body.len()));
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut bytes = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    if method != Method::HEAD {
        bytes.extend_from_slice(&body);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::duplex;

    use super::*;

    /// The response to these bytes, which are sent one by one.
    async fn answered(request: &[u8]) -> String {
        let router = Router::new().route("/x", get(async || "yes\n"));
        let (mut client, server) = duplex(1);
        let (mut reader, mut writer) = split(&mut client);
        let mut answer = String::new();
        let send = async {
            let _ = writer.write_all(request).await;
            let _ = writer.shutdown().await;
        };
        let respond = async |request| {
            let Ok(response) = TowerToHyperService::new(router).call(request).await;
            response
        };
        let (end, _, read) = tokio::join!(serve(respond, server), send, reader.read_to_string(&mut answer));
        let _ = (end, read.unwrap());
        answer
    }

    #[tokio::test]
    async fn a_connection_has_one_request_answered_without_a_date() {
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
    async fn http_2_is_returned_with_all_that_was_read_of_it() {
        let (mut client, server) = duplex(64);
        let sent_bytes = [PREFACE, b"more"].concat();
        let respond = async |_| unreachable!("there is no request");
        let (end, sent) = tokio::join!(serve(respond, server), async {
            for byte in &sent_bytes {
                client.write_all(&[*byte]).await.unwrap();
            }
            client.shutdown().await
        });
        sent.unwrap();
        let Ok(DatelessEnd::Http2(mut stream)) = end else { panic!("the connection speaks HTTP/2") };
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, sent_bytes);
    }

    #[tokio::test]
    async fn an_invalid_request_is_answered_with_its_status_code() {
        let long = format!("GET /x HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(HEADER_SECTION_LEN_MAX));
        let many = format!("GET /x HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
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
        assert_eq!(
            answered(b"GET /x HT").await,
            "",
            "a client that closes within its request gets no response"
        );
    }
}
