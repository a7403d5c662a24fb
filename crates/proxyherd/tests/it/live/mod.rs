//! Tests of live streams: server-sent events (`events`), WebSocket (`sockets`), and what holds for both across servers
//! and over time (`crossing`).

mod crossing;
mod events;
mod sockets;

use std::net::SocketAddr;

use crate::harness::{Reply, request};

/// A report of a client at this position, over HTTP.
fn put(http: SocketAddr, id: &str, lat: f64, lon: f64, more: &str) -> Reply {
    let body = format!("{{\"lat\":{lat},\"lon\":{lon}{more}}}");
    let head = format!(
        "PUT /v1/clients/{id}/location HTTP/1.0\r\nHost: {http}\r\nContent-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    let reply = request(http, format!("{head}\r\n\r\n{body}").as_bytes());
    assert_eq!(reply.code, 200, "{reply:?}");
    reply
}

/// Forgets a client.
fn forget(http: SocketAddr, id: &str) {
    let reply = request(http, format!("DELETE /v1/clients/{id} HTTP/1.0\r\nHost: {http}\r\n\r\n").as_bytes());
    assert_eq!(reply.code, 204, "{reply:?}");
}
