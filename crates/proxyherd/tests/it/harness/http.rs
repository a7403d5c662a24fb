//! A client of a server's HTTP door: one request for each connection.

use std::{
    fmt::Debug,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    ops::RangeBounds,
};

use serde_json::Value;

use super::{
    OPERATOR_TOKEN,
    wait::{PATIENCE, eventually},
};

/// The parts of an answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Status code and body of `GET path`.
pub(crate) fn get(http: SocketAddr, path: &str) -> (u16, String) {
    let reply = fetch(http, path, "");
    (reply.code, reply.body)
}

/// The answer to `GET path` with additional headers. Each header ends with CRLF.
pub(crate) fn fetch(http: SocketAddr, path: &str, headers: &str) -> Reply {
    // With version 1.0 the body is not chunked, and it ends with the connection.
    request(http, format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n{headers}\r\n").as_bytes())
}

/// The answer to these bytes. The server must close the connection after the answer.
pub(crate) fn request(http: SocketAddr, bytes: &[u8]) -> Reply {
    try_request(http, bytes).unwrap()
}

/// Like [`request`], but returns an error if the server has closed the connection without an answer.
pub(crate) fn try_request(http: SocketAddr, bytes: &[u8]) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Reply { code, head: head.to_owned(), body: body.to_owned() })
}

/// The header that shows a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// `/v1/status`, as the operator sees it.
pub(crate) fn status(http: SocketAddr) -> Value {
    let reply = fetch(http, "/v1/status", &bearer(OPERATOR_TOKEN));
    assert_eq!(reply.code, 200, "{reply:?}");
    reply.json()
}

/// The value of one metric. `name` includes the labels, as they are printed.
pub(crate) fn metric(http: SocketAddr, name: &str) -> Option<f64> {
    let metrics = fetch(http, "/metrics", &bearer(OPERATOR_TOKEN)).body;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    metrics.lines().find_map(value)
}

/// Waits until the value of a metric is in `range`. `what` describes the condition.
pub(crate) fn eventually_metric(
    what: &str,
    http: SocketAddr,
    name: &str,
    range: impl RangeBounds<f64> + Debug,
) {
    eventually(what, || match metric(http, name) {
        Some(value) if range.contains(&value) => Ok(()),
        other => Err(format!("{name} is {other:?}, and not in {range:?}")),
    });
}

/// Sends a byte again and again, with the stream's read timeout in between, until the server closes the connection.
pub(crate) fn drip_until_closed(mut stream: &TcpStream) {
    eventually("the server closes the connection", || {
        // The close may first become visible in either direction.
        if stream.write_all(b"x").is_err() {
            return Ok(());
        }
        match stream.read(&mut [0; 64]) {
            Ok(0) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
