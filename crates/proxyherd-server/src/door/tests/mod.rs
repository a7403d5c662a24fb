//! Tests of doors with real sockets and real TLS. Some use the line protocol, and others a small protocol of their own
//! (`toy`).

mod frames;
mod http;
mod limits;
mod line;
mod streaming;
mod tls;
mod toy;
mod waiting;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proxyherd_config::{
    config::{Address, Config, Overrides},
    door_kind::DoorKind,
};
use proxyherd_log::ServerLog;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName as HostName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{
    frames::{message, reply},
    toy::Toy,
};
use super::{
    Doors,
    entrance::{DoorListener, DoorTasks, DoorTls, Entrance},
    reactor::{self, Bell},
};
use crate::{
    herd::{Herd, Internals},
    places::{self, Places, Unlimited},
    wait::{PATIENCE, eventually},
};

/// The news that subscribers of the toy protocol are sent.
#[derive(Debug, Default)]
pub(super) struct NewsBoard {
    /// How many pieces of news there are.
    pub(super) news: u32,
    /// No news will follow.
    pub(super) is_over: bool,
    /// The subscribers' bells.
    pub(super) bells: Vec<Bell>,
}

type SharedBoard = Arc<Mutex<NewsBoard>>;

/// A server's doors, without the rest of the server.
struct House {
    config: Config,
    herd: Arc<Herd>,
    board: SharedBoard,
    tls: Arc<DoorTls>,
    tasks: DoorTasks,
    stop: CancellationToken,
    /// The last field, because it must be dropped last.
    dir: TempDir,
}

impl House {
    fn new(limits: &str) -> House {
        House::with(limits, |config, log| places::open(&config.places, Arc::new(Unlimited), log).unwrap())
    }

    fn with(limits: &str, places: impl FnOnce(&Config, ServerLog) -> Arc<Places>) -> House {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[herd]\ntls = \"off\"\n[limits]\n{limits}\n[log]\ndir = {:?}\nlevel = \"debug\"\n\
             [[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:0\"",
            dir.path().join("log")
        );
        let config = Config::read(&text, &dir.path().join("herd.toml"), &Overrides::none()).unwrap();
        let log = ServerLog::open(&config.log, &config.servers[0].name).unwrap();
        let places = places(&config, log.clone());
        certify(dir.path());
        let tls = DoorTls::open(&dir.path().join("cert.pem"), &dir.path().join("key.pem")).unwrap();
        House {
            herd: Herd::new(&config, &config.servers[0], None, places, None, log),
            dir,
            config,
            board: Arc::default(),
            tls: Arc::new(tls),
            tasks: DoorTasks::default(),
            stop: CancellationToken::new(),
        }
    }

    /// An entrance with one listening socket for each value of `is_tls`, and the addresses of these sockets.
    async fn entrance(&self, kind: DoorKind, is_tls: &[bool]) -> (Entrance, Vec<SocketAddr>) {
        let mut listeners = Vec::new();
        for &is_tls in is_tls {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (at, tls) = (socket.local_addr().unwrap(), is_tls.then(|| Arc::clone(&self.tls)));
            listeners.push(DoorListener { own: Address::new(at.ip(), at.port()), socket, tls });
        }
        let addresses = listeners.iter().map(|listener| listener.socket.local_addr().unwrap()).collect();
        let (herd, tasks, stop) = (Arc::clone(&self.herd), self.tasks.clone(), self.stop.clone());
        (Entrance { herd, kind, listeners, tasks, stop }, addresses)
    }

    async fn door(&self, kind: DoorKind, is_tls: &[bool]) -> Vec<SocketAddr> {
        let (entrance, addresses) = self.entrance(kind, is_tls).await;
        Doors::new(&self.herd).open(entrance, &self.config.limits).unwrap();
        addresses
    }

    async fn line(&self, is_tls: bool) -> SocketAddr {
        self.door(DoorKind::Line, &[is_tls]).await[0]
    }

    async fn toy(&self, is_tls: bool) -> SocketAddr {
        let (entrance, addresses) = self.entrance(DoorKind::Line, &[is_tls]).await;
        let board = Arc::clone(&self.board);
        let make = move |_: &_| Toy { board: Arc::clone(&board), told: None, alarm: None };
        reactor::run(entrance, &self.config.limits, make).unwrap();
        addresses[0]
    }

    fn log(&self) -> String {
        self.herd.log().flush(Instant::now() + PATIENCE);
        fs::read_to_string(self.dir.path().join("log/Riley.log")).unwrap()
    }

    fn wait_for_log(&self, said: &str) {
        eventually(&format!("the log says {said:?}"), || {
            let log = self.log();
            if log.contains(said) { Ok(()) } else { Err(log) }
        });
    }

    /// Stops the doors as a server does.
    async fn stop(&self) {
        self.herd.drain();
        self.stop.cancel();
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.expect("the doors close");
    }
}

impl Drop for House {
    /// Waits until nothing writes into the directory any more.
    fn drop(&mut self) {
        self.herd.drain();
        self.stop.cancel();
        self.tasks.close();
        if !std::thread::panicking() {
            eventually("the doors close", || self.tasks.is_empty());
            self.herd.log().flush(Instant::now() + PATIENCE);
        }
    }
}

/// Makes a certificate for localhost.
fn certify(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    put(dir, &made.cert.pem(), &made.signing_key.serialize_pem());
}

fn put(dir: &Path, certificate: &str, key: &str) {
    fs::write(dir.join("key.pem"), key).unwrap();
    fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(dir.join("cert.pem"), certificate).unwrap();
}

/// A client's connection, with or without TLS.
trait ClientStream: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
    /// Ends the client's sending half.
    fn end(&mut self);
}

impl ClientStream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn end(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

type TlsClient = StreamOwned<ClientConnection, TcpStream>;

impl ClientStream for TlsClient {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }

    fn end(&mut self) {
        self.conn.send_close_notify();
        self.flush().unwrap();
    }
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A client that trusts only the certificate in `dir`, and speaks `alpn`.
fn tls_with(dir: &Path, address: SocketAddr, alpn: &[&[u8]]) -> TlsClient {
    tls_by(dir, address, |config| config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect())
}

/// A client that trusts only the certificate in `dir`. `change` changes its configuration.
fn tls_by(dir: &Path, address: SocketAddr, change: impl FnOnce(&mut ClientConfig)) -> TlsClient {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    change(&mut config);
    let session = ClientConnection::new(Arc::new(config), HostName::try_from("localhost").unwrap()).unwrap();
    StreamOwned::new(session, tcp(address))
}

impl House {
    fn tls(&self, address: SocketAddr) -> TlsClient {
        tls_with(self.dir.path(), address, &[])
    }

    fn dial(&self, address: SocketAddr, is_tls: bool) -> Box<dyn ClientStream> {
        if is_tls { Box::new(self.tls(address)) } else { Box::new(tcp(address)) }
    }
}

/// Reads everything until the connection ends in any way.
fn rest(stream: &mut (impl Read + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// Reads one line, with its newline.
fn line(stream: &mut (impl Read + ?Sized)) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') && stream.read(&mut byte).unwrap() == 1 {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}
