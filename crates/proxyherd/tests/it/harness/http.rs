//! A server's HTTP door, asked as simply as can be.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use super::wait::PATIENCE;

/// Status code and body of `GET path`.
pub(crate) fn get(http: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Version 1.0, so that the body is not chunked and its end is the connection's.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, body.to_owned())
}

/// `/v1/status`
pub(crate) fn status(http: SocketAddr) -> Value {
    let (code, body) = get(http, "/v1/status");
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The value of one metric; `name` with its labels, as it is printed.
pub(crate) fn metric(http: SocketAddr, name: &str) -> Option<f64> {
    let (_, metrics) = get(http, "/metrics");
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    metrics.lines().find_map(value)
}
