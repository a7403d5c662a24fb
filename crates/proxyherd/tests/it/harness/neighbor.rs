//! Lets a test act as a neighbor, which dials a peer port and sends frames.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use proxyherd_core::{
    codec::link::{Encoder, Hello},
    limits::SHARDS,
    types::{Origin, ServerName},
};

use super::wait::PATIENCE;

/// The HELLO of a server with this name in the test's herd.
pub(crate) fn hello(name: &str) -> Hello {
    let server = ServerName::new(name).unwrap();
    let origin = Origin { server, incarnation: 7 };
    let shards = SHARDS as u8;
    Hello { lowest: 1, highest: 1, features: 0, herd: "herd".into(), origin, shards, clock_ns: None }
}

pub(crate) fn bytes_of(hello: &Hello) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.hello(hello);
    encoder.bytes().to_vec()
}

pub(crate) fn dial(peer: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(peer).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Everything that arrives until the other end closes the connection. The other end must close it.
pub(crate) fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error} after {rest:?}"),
        _ => rest,
    }
}
