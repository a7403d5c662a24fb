//! HTTP without dates, for a machine whose clock shows a time that the `Date` of HTTP can't write: before 1970, or after
//! 9999.
//!
//! At any other time hyper serves the connections. At such a time hyper panics in HTTP/1.1, because it formats a `Date` even
//! if it does not send one (`httpdate`). Operators need health, metrics and status most when a clock is wrong. So this module
//! answers one request on each HTTP/1.1 connection and closes it. In HTTP/2 hyper can do without: such a connection is
//! handed back with what was read of it. It knows nothing of paths and answers, which are the router's.

use std::io::{self, Cursor};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, Method, Request, Response, StatusCode, Version, header},
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

use super::limits::{ANSWER_LEN_MAX, HEAD_LEN_MAX, HEAD_MAX, PARTING_MAX};

/// Most headers of a request, as in hyper.
const HEADERS_MAX: usize = 100;
/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What has become of a connection.
pub(super) enum Served<S> {
    /// Its request is answered.
    Answered,
    /// It is HTTP/2, and nothing is done yet.
    Http2(Again<S>),
}

/// A stream whose first bytes are read once more.
type Again<S> = Join<Chain<Cursor<Vec<u8>>, ReadHalf<S>>, WriteHalf<S>>;

/// What a connection begins with.
enum Opening {
    Request(Box<Request<Body>>),
    /// What refuses it.
    Refused(StatusCode),
    /// These bytes begin with the preface.
    Http2(Vec<u8>),
}

/// Reads one request, has `answer` answer it, and closes. A request's body is not read: no path takes one.
pub(super) async fn serve<S>(
    answer: impl AsyncFnOnce(Request<Body>) -> Response<Body>,
    mut stream: S,
) -> io::Result<Served<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opening = timeout(HEAD_MAX, read(&mut stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (response, is_head) = match opening {
        Opening::Request(request) => {
            let is_head = request.method() == Method::HEAD;
            (answer(*request).await, is_head)
        }
        Opening::Refused(code) => (code.into_response(), false),
        Opening::Http2(begun) => {
            let (reader, writer) = split(stream);
            return Ok(Served::Http2(join(Cursor::new(begun).chain(reader), writer)));
        }
    };
    stream.write_all(&written(response, is_head).await?).await?;
    stream.shutdown().await?;
    // Closing while bytes lie unread would take the answer away from the client.
    let _ = timeout(PARTING_MAX, copy(&mut stream, &mut sink())).await;
    Ok(Served::Answered)
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Opening> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head.starts_with(PREFACE) {
            return Ok(Opening::Http2(head));
        }
        if PREFACE.starts_with(&head) {
            continue;
        }
        match parse(&head) {
            Some(Ok(request)) => return Ok(Opening::Request(Box::new(request))),
            Some(Err(code)) => return Ok(Opening::Refused(code)),
            None if head.len() > HEAD_LEN_MAX => {
                return Ok(Opening::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            }
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
    use axum::{Router, routing::get};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::duplex;

    use super::*;

    /// What comes back for these bytes, sent one by one.
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
        let (served, _, read) =
            tokio::join!(serve(respond, server), send, reader.read_to_string(&mut answer));
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
    async fn http_2_is_handed_back_with_all_that_was_read_of_it() {
        let (mut client, server) = duplex(64);
        let begun = [PREFACE, b"more"].concat();
        let respond = async |_| unreachable!("there is no request");
        let (served, sent) = tokio::join!(serve(respond, server), async {
            for byte in &begun {
                client.write_all(&[*byte]).await.unwrap();
            }
            client.shutdown().await
        });
        sent.unwrap();
        let Ok(Served::Http2(mut stream)) = served else { panic!("it is no HTTP/1.1") };
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, begun);
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
