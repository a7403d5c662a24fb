//! The server of `http` with a handler that does nothing: axum on hyper, with the settings of the herd's HTTP door. No
//! HTTP server on these crates can answer a request with less work.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use axum::{Router, routing::put};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::{ServerProcess, own_server};

/// These are the settings of the HTTP door for HTTP/1.1.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(12);
const HEADER_SECTION_LEN_MAX: usize = 32 * 1024;

/// Starts this program again as the server with the idle handler. Returns the process and its address.
pub(crate) fn start(workers: Option<usize>) -> Result<(ServerProcess, SocketAddr)> {
    own_server::start("handler-server", workers)
}

/// Serves until standard input ends.
pub(crate) fn serve() -> Result<()> {
    own_server::serve(accept)
}

async fn accept(listener: TcpListener) {
    let router = Router::new().route("/v1/clients/{id}/location", put(async || ()));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(answer(stream, router.clone()));
            }
            Err(error) => eprintln!("idle handler: cannot accept: {error}"),
        }
    }
}

/// Serves one connection until it is closed.
async fn answer(stream: TcpStream, router: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("idle handler: {error}");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .half_close(true)
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(HEADER_SECTION_LEN_MAX);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        eprintln!("idle handler: {error}");
    }
}
