//! HTTP connections: serving each visitor within the limits, ending them when the server stops.
//!
//! It knows nothing of paths and answers, which are the router's.

use std::{fmt::Display, net::SocketAddr, pin::pin, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    limits::{CONNECTIONS_MAX, HEAD_LEN_MAX, HEAD_MAX, PARTING_MAX, WRITE_MAX},
    undated,
};
use crate::{
    clock,
    door::entrance::{Entrance, Host, Stream, Visitor},
    herd::Herd,
    log::{LogLevel, Subject},
};

/// Serves each visitor in a task of its own.
pub(super) struct Serving {
    herd: Arc<Herd>,
    /// Of each listening socket, by what the configuration calls its address.
    routers: Vec<Router>,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Serving {
    /// Answers by the router of each listening socket, until the stop of `entrance`.
    pub(super) fn new(entrance: &Entrance, routers: Vec<Router>) -> Serving {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let giving_way = |router: Router| router.layer(from_fn_with_state(Arc::clone(&room), give_way));
        let routers = routers.into_iter().map(giving_way).collect();
        let (tasks, stop) = (entrance.tasks.clone(), entrance.stop.clone());
        Serving { herd: Arc::clone(&entrance.herd), routers, room, tasks, stop }
    }
}

impl Host for Serving {
    const ALPN: &'static [&'static [u8]] = &[b"http/1.1"];
    const HAS_OWN_ROOM: bool = true;

    type Place = OwnedSemaphorePermit;

    async fn place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.room).acquire_owned().await.expect("the room is never closed")
    }

    fn welcome(&self, visitor: Visitor, place: OwnedSemaphorePermit) {
        let router = self.routers[visitor.listener()].clone();
        let (herd, stop) = (Arc::clone(&self.herd), self.stop.clone());
        self.tasks.spawn(async move {
            let client = visitor.caller().address;
            match stop.run_until_cancelled(visitor.open()).await {
                Some(Ok((stream, _ticket))) => serve(&herd, router, stream, client, &stop).await,
                Some(Err(failed)) => tell_end(&herd, client, Err(failed)),
                None => {}
            }
            drop(place);
        });
    }
}

/// Where there is no room for one more, a connection ends with the answer that it waits for: however busy those are that
/// are here, the next has its turn.
async fn give_way(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if room.available_permits() == 0 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn serve(herd: &Herd, router: Router, stream: Stream, client: SocketAddr, stop: &CancellationToken) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_MAX));
    if !clock::has_date() {
        let served = stop_after(stop, undated::serve(router, Box::pin(stream))).await;
        return tell_end(herd, client, served.unwrap_or(Ok(())));
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // Whoever has begun a request and does not end it is not waited for.
            timeout(PARTING_MAX, connection).await.unwrap_or(Ok(()))
        }
    };
    tell_end(herd, client, ended);
}

/// Waits for `served`, but no longer than [`PARTING_MAX`] after `stop`; `None` if that time is over.
async fn stop_after<T>(stop: &CancellationToken, served: impl Future<Output = T>) -> Option<T> {
    let overdue = async {
        stop.cancelled().await;
        sleep(PARTING_MAX).await;
    };
    tokio::select! {
        served = served => Some(served),
        () = overdue => None,
    }
}

fn tell_end(herd: &Herd, client: SocketAddr, ended: Result<(), impl Display>) {
    if let Err(error) = ended {
        let message = format_args!("the HTTP connection closed: {error}");
        herd.log.event(LogLevel::Debug, Subject::Client(client), message);
    }
}
