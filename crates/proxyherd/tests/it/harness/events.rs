//! A reader of `/v1/stream`: reads the events of one connection, one after the other.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write as _},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use serde_json::{Value, json};

use super::PATIENCE;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Event {
    /// The kind and the client's ID, such as `left kiwi`. The kind alone for an event without a client.
    pub(crate) fn brief(&self) -> String {
        self.data["id"].as_str().map_or(self.kind.clone(), |id| format!("{} {id}", self.kind))
    }
}

/// A stream.
#[derive(Debug)]
pub(crate) struct Events {
    reader: BufReader<TcpStream>,
    pub(crate) head: String,
    /// Comments that came before the last event, without their colons.
    pub(crate) comments: Vec<String>,
}

impl Events {
    /// Opens a stream with these parameters and headers. Each header ends with CRLF.
    pub(crate) fn open(http: SocketAddr, query: &str, headers: &str) -> Events {
        let stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        // With version 1.0 the body is not chunked.
        let request = format!("GET /v1/stream{query} HTTP/1.0\r\nHost: {http}\r\n{headers}\r\n");
        reader.get_mut().write_all(request.as_bytes()).unwrap();
        let mut events = Events { reader, head: String::new(), comments: Vec::new() };
        while let Some(line) = events.line().filter(|line| !line.is_empty()) {
            events.head += &format!("{line}\n");
        }
        events
    }

    /// Opens a stream that goes on after an event.
    pub(crate) fn resume(http: SocketAddr, query: &str, last: &Event) -> Events {
        Events::open(http, query, &format!("Last-Event-ID: {}\r\n", last.id))
    }

    /// The next event. `None`: the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.comments.clear();
        let mut event = Event { kind: String::new(), id: String::new(), data: Value::Null };
        let began = Instant::now();
        loop {
            let line = self.line()?;
            // Comments come all the time.
            assert!(began.elapsed() < PATIENCE, "no event came");
            match line.split_once(':') {
                None if line.is_empty() && !event.kind.is_empty() => return Some(event),
                None => {}
                Some(("", comment)) => self.comments.push(comment.trim().to_owned()),
                Some(("event", kind)) => event.kind = kind.trim().to_owned(),
                Some(("id", id)) => event.id = id.trim().to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(("retry", _)) => {}
                Some(_) => panic!("{line}"),
            }
        }
    }

    /// The next event, which must come.
    pub(crate) fn expect(&mut self) -> Event {
        self.next().expect("the stream goes on")
    }

    /// The events up to `synced`, which must begin with `reset`. Returns the clients of the state, sorted.
    pub(crate) fn state(&mut self) -> Vec<String> {
        let reset = self.expect();
        assert_eq!((&*reset.kind, &reset.data), ("reset", &json!({})));
        let mut clients = self.until_synced();
        clients.sort();
        clients
    }

    /// The events before the next `synced`, in brief.
    pub(crate) fn until_synced(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let event = self.expect();
            if event.kind == "synced" {
                return told;
            }
            told.push(event.brief());
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let len = match self.reader.read_line(&mut line) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read.unwrap(),
        };
        (len > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
