//! A relay between two servers: it passes on what each sends, counts it, and can cut the link and let it return.
//!
//! While the link is cut nobody listens, so that whoever dials is refused at once, as by a machine whose server is
//! gone. It does not know what passes through it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result};

/// The buffer of each direction, bytes.
const BUFFER_LEN: usize = 256 * 1024;

/// Listens in the place of one server.
pub(crate) struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    passed: Arc<AtomicU64>,
    open: Option<Open>,
}

/// What there is while the link is not cut.
struct Open {
    accepting: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    dialled: mpsc::Receiver<Instant>,
}

impl Relay {
    /// A relay before `server`.
    pub(crate) fn before(server: SocketAddr) -> Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("the relay finds no free port on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let passed = Arc::new(AtomicU64::new(0));
        let open = Some(Open::listen(listener, server, &passed));
        Ok(Relay { address, server, passed, open })
    }

    /// Where to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that have been passed on so far, both ways together.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    /// Closes all connections and refuses new ones.
    pub(crate) fn cut(&mut self) {
        let Some(open) = self.open.take() else { return };
        open.is_over.store(true, Relaxed);
        // The listener notices when somebody comes. Should it be gone already, nobody has to.
        let _ = TcpStream::connect(self.address);
        let _ = open.accepting.join();
        for stream in open.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // The other end may have closed it before.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again, from the moment on that is returned.
    pub(crate) fn restore(&mut self) -> Result<Instant> {
        let address = self.address;
        let listener = TcpListener::bind(address)
            .with_context(|| format!("the relay cannot listen at {address} again"))?;
        let now = Instant::now();
        self.open = Some(Open::listen(listener, self.server, &self.passed));
        Ok(now)
    }

    /// When somebody dialled for the first time since the link returned, if it is not cut.
    pub(crate) fn dialled(&self) -> Option<Instant> {
        self.open.as_ref()?.dialled.try_recv().ok()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Open {
    fn listen(listener: TcpListener, server: SocketAddr, passed: &Arc<AtomicU64>) -> Open {
        let (is_over, streams) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (sender, dialled) = mpsc::channel();
        let accepting = {
            let (is_over, streams, passed) = (Arc::clone(&is_over), Arc::clone(&streams), Arc::clone(passed));
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if is_over.load(Relaxed) {
                        return;
                    }
                    // Nobody may have asked when that was.
                    let _ = sender.send(Instant::now());
                    if let Err(error) = pass_between(stream, server, &streams, &passed) {
                        eprintln!("relay: {server}: {error}");
                    }
                }
            })
        };
        Open { accepting, is_over, streams, dialled }
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

/// Ends with either of the two connections, and ends the other.
fn pass(mut from: TcpStream, mut to: TcpStream, passed: &AtomicU64) {
    let mut buffer = vec![0; BUFFER_LEN];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        // Counted before it is passed on, so that nothing is seen to arrive that is not counted.
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
    fn a_link_passes_is_counted_cut_and_returns() {
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
        assert_eq!(relay.dialled(), None);
        let (mut caller, mut answerer) = through(&relay, &server);
        assert!(relay.dialled().unwrap() >= returned);
        caller.write_all(b"again").unwrap();
        answerer.read_exact(&mut bytes).unwrap();
        assert_eq!((&bytes, relay.passed()), (b"again", 14));
    }
}
