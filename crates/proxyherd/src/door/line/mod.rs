//! The line protocol's door: takes connections and keeps count of them.

mod batch;
mod connection;
mod watch;

use std::{net::SocketAddr, sync::Arc, sync::atomic::Ordering::Relaxed};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Limits,
    herd::Herd,
    listen,
    log::{LogLevel, Subject},
};

/// Serves line clients at `listener` until `stop`.
pub fn run(
    herd: &Arc<Herd>,
    limits: &Limits,
    listener: TcpListener,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let (herd, limits) = (Arc::clone(herd), Arc::new(limits.clone()));
    tasks.spawn(accept_all(herd, limits, listener, tasks.clone(), stop.clone()));
}

async fn accept_all(
    herd: Arc<Herd>,
    limits: Arc<Limits>,
    listener: TcpListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    while let Some((stream, client)) = listen::accept(&listener, &herd.log, &stop).await {
        if herd.counts.connections.load(Relaxed) >= limits.connections {
            let most = limits.connections;
            let message =
                format_args!("turned away: {most} connections are open (`connections` in [limits])");
            herd.log.event(LogLevel::Warn, Subject::Client(client), message);
            continue;
        }
        let open = Open::count(&herd);
        tasks.spawn(serve(open, Arc::clone(&limits), stream, client, stop.clone()));
    }
}

async fn serve(
    open: Open,
    limits: Arc<Limits>,
    mut stream: TcpStream,
    client: SocketAddr,
    stop: CancellationToken,
) {
    let herd = &open.0;
    herd.log.event(LogLevel::Debug, Subject::Client(client), format_args!("connected"));
    match connection::serve(herd, &limits, &mut stream, client, &stop).await {
        Ok(()) => herd.log.event(LogLevel::Debug, Subject::Client(client), format_args!("closed")),
        Err(closed) => {
            let level = if closed.is_fault() { LogLevel::Warn } else { LogLevel::Debug };
            herd.log.event(level, Subject::Client(client), format_args!("closed: {closed}"));
        }
    }
}

/// An open connection, counted for as long as it lives.
struct Open(Arc<Herd>);

impl Open {
    fn count(herd: &Arc<Herd>) -> Open {
        herd.counts.connections.fetch_add(1, Relaxed);
        herd.counts.connections_taken.fetch_add(1, Relaxed);
        Open(Arc::clone(herd))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.connections.fetch_sub(1, Relaxed);
    }
}
