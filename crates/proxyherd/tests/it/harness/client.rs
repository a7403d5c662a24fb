//! A client of the line protocol.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::wait::{PATIENCE, eventually};

/// One connection. The test fails if a reply does not come.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

/// The parts of a valid reply to WHATSAT.
#[derive(Debug)]
pub(crate) struct Nearby {
    /// The first line of the reply.
    pub(crate) at: String,
    pub(crate) json: Value,
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Client {
        Client::over(TcpStream::connect(to).unwrap(), PATIENCE)
    }

    /// A client on an existing connection. It waits at most this time for each reply.
    pub(crate) fn over(stream: TcpStream, patience: Duration) -> Client {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        stream.set_write_timeout(Some(patience)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The number of bytes that the server's end of this connection has received and not read.
    pub(crate) fn unread(&self) -> u64 {
        let hex_port = |address: SocketAddr| format!(":{:04X}", address.port());
        let (mine, theirs) = (self.stream().local_addr().unwrap(), self.stream().peer_addr().unwrap());
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
        let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut of_server = fields
            .filter(|socket| socket[1].ends_with(&hex_port(theirs)) && socket[2].ends_with(&hex_port(mine)));
        let queues = of_server.next().expect("the connection is open")[4];
        u64::from_str_radix(queues.split_once(':').unwrap().1, 16).unwrap()
    }

    /// Waits until the server has read all bytes that were sent so far.
    pub(crate) fn wait_until_read(&self) {
        eventually("the server has read what was sent", || match self.unread() {
            0 => Ok(()),
            unread => Err(format!("{unread} bytes are unread")),
        });
    }

    /// The next line, as bytes without LF.
    pub(crate) fn line_bytes(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).unwrap();
        assert_eq!(line.pop(), Some(b'\n'), "the connection ended in {:?}", String::from_utf8_lossy(&line));
        line
    }

    /// The next line, without LF.
    pub(crate) fn line(&mut self) -> String {
        String::from_utf8(self.line_bytes()).unwrap()
    }

    /// Sends a line, and returns the next line that comes.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n").as_bytes());
        self.line()
    }

    /// Sends a line to a server that may have ended or may not answer, and returns the reply if a reply comes. After a
    /// missing reply the connection can't be used any more.
    pub(crate) fn try_ask(&mut self, line: &str) -> Option<String> {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes()).ok()?;
        let mut reply = String::new();
        self.reader.read_line(&mut reply).ok()?;
        reply.strip_suffix('\n').map(str::to_owned)
    }

    /// Sends a WHATSAT that must succeed, and returns its reply.
    pub(crate) fn nearby(&mut self, line: &str) -> Nearby {
        self.send(format!("{line}\n").as_bytes());
        self.read_nearby()
    }

    /// The reply to a WHATSAT that has been sent.
    pub(crate) fn read_nearby(&mut self) -> Nearby {
        let at = self.line();
        assert!(at.starts_with("AT "), "{at:?}");
        Nearby { at, json: self.read_places() }
    }

    /// The JSON up to the first empty line, which ends the JSON.
    fn read_places(&mut self) -> Value {
        let mut text = String::new();
        loop {
            match self.line() {
                line if line.is_empty() => return serde_json::from_str(&text).unwrap(),
                line => text += &(line + "\n"),
            }
        }
    }

    /// Shuts down the sending side (half-close).
    pub(crate) fn finish(&mut self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// Everything that still comes until the server closes the connection. The server must close it. A reset counts as
    /// a close.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error} after {rest:?}"),
            _ => rest,
        }
    }
}

/// Sends these bytes, half-closes, and returns everything that comes back. This is the output of `printf … | nc -N`.
pub(crate) fn talk(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(to);
    client.send(bytes);
    client.finish();
    client.rest()
}

/// The AT line that a server returns for `client`, or the server's other answer.
pub(crate) fn at_of(connection: &mut Client, client: &str) -> String {
    ats_of(connection, &[client]).remove(0)
}

/// [`at_of`] for each of these clients, in order.
pub(crate) fn ats_of(connection: &mut Client, clients: &[&str]) -> Vec<String> {
    // This number of questions fits into the buffers of the sockets, even if nobody reads.
    clients.chunks(256).flat_map(|some| ask_at_once(connection, some)).collect()
}

fn ask_at_once(connection: &mut Client, clients: &[&str]) -> Vec<String> {
    let questions: String = clients.iter().map(|client| format!("WHATSAT {client} 10 0\n")).collect();
    connection.send(questions.as_bytes());
    let read = |_: &&str| {
        let first = connection.line();
        if first.starts_with("AT ") {
            connection.read_places();
        }
        first
    };
    clients.iter().map(read).collect()
}
