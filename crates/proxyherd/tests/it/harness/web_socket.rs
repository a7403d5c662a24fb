//! A client of `/v1/ws`. The handshake is written by hand, and the frames are the library's.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, protocol::Role};

use super::PATIENCE;

/// A WebSocket.
#[derive(Debug)]
pub(crate) struct Ws {
    socket: WebSocket<TcpStream>,
}

/// The end of a WebSocket: the code of the server's close, if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed(pub(crate) Option<u16>);

impl Ws {
    /// Opens a WebSocket with these further headers in the handshake. Each header ends with CRLF. An error: the head of
    /// the answer that refuses it.
    pub(crate) fn open(http: SocketAddr, headers: &str) -> Result<Ws, String> {
        Ws::open_at(http, "/v1/ws", headers)
    }

    /// Like [`Ws::open`], at another path.
    pub(crate) fn open_at(http: SocketAddr, path: &str, headers: &str) -> Result<Ws, String> {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        // The server's first frame may follow the head at once, so nothing after the head is read here.
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(head);
        }
        assert!(
            head.to_ascii_lowercase().contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n")
        );
        Ok(Ws { socket: WebSocket::from_raw_socket(stream, Role::Client, None) })
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends a message to a server that may end, and returns the next message if one comes. After a missing answer the
    /// WebSocket can't be used any more.
    pub(crate) fn try_ask(&mut self, message: &Value) -> Option<Value> {
        self.socket.send(Message::text(message.to_string())).ok()?;
        loop {
            match self.socket.read().ok()? {
                Message::Text(text) => return serde_json::from_str(&text).ok(),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The next message, or how the WebSocket has ended.
    pub(crate) fn next(&mut self) -> Result<Value, Closed> {
        let began = Instant::now();
        loop {
            // Pings come all the time.
            assert!(began.elapsed() < PATIENCE, "nothing came");
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => {
                    // Sends the answer to the close.
                    let _ = self.socket.flush();
                    return Err(Closed(frame.map(|frame| frame.code.into())));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came")
                }
                Err(_) => return Err(Closed(None)),
            }
        }
    }

    /// The number of pongs before the next text.
    pub(crate) fn pongs_until_text(&mut self) -> usize {
        let mut pongs = 0;
        loop {
            match self.socket.read().unwrap() {
                Message::Text(_) => return pongs,
                message => pongs += usize::from(message.is_pong()),
            }
        }
    }

    /// The answer to a message. No event may come before it.
    pub(crate) fn ask(&mut self, message: &Value) -> Value {
        self.send(message);
        self.next().unwrap()
    }

    /// The next event, in brief: its kind, and the client's ID if it has one.
    pub(crate) fn event(&mut self) -> String {
        let event = self.next().unwrap();
        assert!(event["id"].is_string(), "{event}");
        let kind = event["event"].as_str().unwrap();
        event["data"]["id"].as_str().map_or(kind.to_owned(), |id| format!("{kind} {id}"))
    }

    /// The stream under the frames.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}
