//! A TCP relay between two servers, which counts the bytes that it passes on, and can cut the link and restore it.
//!
//! While the link is cut, the relay does not listen. The operating system then refuses a connection at once, as if the
//! server had ended. The relay does not know what the bytes mean.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result};

/// Length of the buffer of each direction, bytes.
const BUFFER_LEN: usize = 256 * 1024;

/// A relay in front of one server.
pub(crate) struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    passed: Arc<AtomicU64>,
    open: Option<OpenRelay>,
}

/// The relay's listener and connections while the link is not cut.
struct OpenRelay {
    accepting: JoinHandle<()>,
    is_cut: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    first_dial: mpsc::Receiver<Instant>,
}

impl Relay {
    /// A relay in front of `server`.
    pub(crate) fn before(server: SocketAddr) -> Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("the relay finds no free port on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let passed = Arc::new(AtomicU64::new(0));
        let open = Some(OpenRelay::listen(listener, server, &passed));
        Ok(Relay { address, server, passed, open })
    }

    /// The relay's address. Servers dial this address instead of the server's own address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of bytes that have been passed on so far, in both directions together.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    /// Closes all connections and refuses new ones.
    pub(crate) fn cut(&mut self) {
        let Some(open) = self.open.take() else { return };
        open.is_cut.store(true, Relaxed);
        // A connection wakes the thread that accepts connections. Connecting fails if that thread has ended.
        let _ = TcpStream::connect(self.address);
        let _ = open.accepting.join();
        for stream in open.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // This fails if the other end has already closed the connection.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again. Returns the time at which the relay began to listen.
    pub(crate) fn restore(&mut self) -> Result<Instant> {
        let address = self.address;
        let listener = TcpListener::bind(address)
            .with_context(|| format!("the relay cannot listen at {address} again"))?;
        let now = Instant::now();
        self.open = Some(OpenRelay::listen(listener, self.server, &self.passed));
        Ok(now)
    }

    /// The time at which the first connection after the last restore was accepted. `None` if there was no connection,
    /// or if the link is cut.
    pub(crate) fn first_dial(&self) -> Option<Instant> {
        self.open.as_ref()?.first_dial.try_recv().ok()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

impl OpenRelay {
    fn listen(listener: TcpListener, server: SocketAddr, passed: &Arc<AtomicU64>) -> OpenRelay {
        let (is_cut, streams) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (sender, first_dial) = mpsc::channel();
        let accepting = {
            let (is_cut, streams, passed) = (Arc::clone(&is_cut), Arc::clone(&streams), Arc::clone(passed));
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if is_cut.load(Relaxed) {
                        return;
                    }
                    // This fails if the link is being cut.
                    let _ = sender.send(Instant::now());
                    if let Err(error) = pass_between(stream, server, &streams, &passed) {
                        eprintln!("relay: {server}: {error}");
                    }
                }
            })
        };
        OpenRelay { accepting, is_cut, streams, first_dial }
    }
}

fn pass_between(
    caller: TcpStream,
    server: SocketAddr,
    streams: &Mutex<Vec<TcpStream>>,
    passed: &Arc<AtomicU64>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&caller, &server] {
        stream.set_nodelay(true)?;
        streams.lock().unwrap_or_else(PoisonError::into_inner).push(stream.try_clone()?);
    }
    for (from, to) in [(caller.try_clone()?, server.try_clone()?), (server, caller)] {
        let passed = Arc::clone(passed);
        thread::spawn(move || pass(from, to, &passed));
    }
    Ok(())
}

/// Passes on the bytes of one direction until either connection ends, and then ends the other connection.
fn pass(mut from: TcpStream, mut to: TcpStream, passed: &AtomicU64) {
    let mut buffer = vec![0; BUFFER_LEN];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        // The bytes are counted before they are sent, so that no byte arrives uncounted.
        passed.fetch_add(len as u64, Relaxed);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection through the relay, and its other end at the server.
    fn through(relay: &Relay, server: &TcpListener) -> (TcpStream, TcpStream) {
        let caller = TcpStream::connect(relay.address()).unwrap();
        (caller, server.accept().unwrap().0)
    }

    #[test]
    fn bytes_are_passed_on_and_counted_before_and_after_a_cut() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut relay = Relay::before(server.local_addr().unwrap()).unwrap();
        let (mut caller, mut answerer) = through(&relay, &server);
        let mut bytes = [0; 5];
        caller.write_all(b"there").unwrap();
        answerer.read_exact(&mut bytes).unwrap();
        answerer.write_all(b"back").unwrap();
        caller.read_exact(&mut bytes[..4]).unwrap();
        assert_eq!(relay.passed(), 9);

        relay.cut();
        assert_eq!(caller.read(&mut bytes).unwrap(), 0, "the caller sees the end");
        assert_eq!(answerer.read(&mut bytes).unwrap(), 0, "the server sees the end");
        assert!(TcpStream::connect(relay.address()).is_err());

        let returned = relay.restore().unwrap();
        assert_eq!(relay.first_dial(), None);
        let (mut caller, mut answerer) = through(&relay, &server);
        assert!(relay.first_dial().unwrap() >= returned);
        caller.write_all(b"again").unwrap();
        answerer.read_exact(&mut bytes).unwrap();
        assert_eq!((&bytes, relay.passed()), (b"again", 14));
    }
}
