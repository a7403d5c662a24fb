//! HTTP connections: serving each visitor within the limits, ending them when the server stops.
//!
//! HTTP/1.1 and HTTP/2 come to the same port; the first bytes of a connection say which it is. It knows nothing of paths
//! and answers, which are the router's.

use std::{convert::Infallible, fmt, pin::pin, sync::Arc};

use axum::Router;
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    holder::{Closed, Verdict},
    limits::{
        CONNECTION_WINDOW, ERRORS_MAX, FRAME_LEN_MAX, HEAD_LEN_MAX, HEAD_MAX, PARTING_MAX, PING_INTERVAL,
        PONG_MAX, RESETS_PENDING_MAX, SEND_BUFFER_LEN, STREAM_WINDOW, STREAMS_MAX, WRITE_MAX,
    },
    rooms::Rooms,
    seat::Seat,
    stream::Seated,
    undated::{self, Served},
    visit::Visit,
};
use crate::{
    caller::Caller,
    clock,
    door::entrance::{self, Visitor},
    herd::Herd,
};
use proxyherd_log::{LogLevel, Subject};

/// What all connections of the door have in common.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) herd: Arc<Herd>,
    pub(super) router: Router,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Serves each visitor of the entrance in a task of its own.
pub(super) struct Serving {
    /// Of each listening socket, by what the configuration calls its address.
    pub(super) hosts: Vec<Host>,
    pub(super) rooms: Arc<Rooms>,
}

impl entrance::Host for Serving {
    const ALPN: &'static [&'static [u8]] = &[b"h2", b"http/1.1"];
    const HAS_OWN_ROOM: bool = true;

    type Place = ();

    async fn place(&self) {
        self.rooms.ready().await;
    }

    fn welcome(&self, visitor: Visitor, (): ()) {
        let host = self.hosts[visitor.listener()].clone();
        let caller = *visitor.caller();
        let seat = self.rooms.seat(caller.address.ip(), Instant::now());
        self.hosts[visitor.listener()].tasks.spawn(async move {
            let tell = |why: &dyn fmt::Display| {
                let message = format_args!("the HTTP connection closed: {why}");
                host.herd.log().event(LogLevel::Debug, Subject::Client(caller.address), message);
            };
            // A seat can be needed, or its time be up, before a handshake is over.
            let opened = tokio::select! {
                opened = visitor.open() => opened,
                why = time_is_up(&seat) => return tell(&why),
                () = host.stop.cancelled() => return,
            };
            match opened {
                Ok((stream, _entered)) => serve(host, stream, caller, seat).await,
                Err(failed) => tell(&failed),
            }
        });
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    host: Host,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    caller: Caller,
    seat: Arc<Seat>,
) {
    let mut stream = TimeoutStream::new(Seated::new(stream, Arc::clone(&seat)));
    stream.set_write_timeout(Some(WRITE_MAX));
    let (herd, router) = (Arc::clone(&host.herd), host.router.clone());
    let visit = Visit { herd, router, seat, caller };
    let ended = if clock::has_date() {
        serve_by_hyper(&host, &visit, Box::pin(stream), true).await
    } else {
        serve_undated(&host, &visit, Box::pin(stream)).await
    };
    if let Err(end) = ended {
        let message = format_args!("the HTTP connection closed: {end}");
        host.herd.log().event(LogLevel::Debug, Subject::Client(caller.address), message);
    }
}

/// Why a connection ended before its client closed it.
#[derive(Debug)]
enum End {
    Broken(Box<dyn std::error::Error + Send + Sync>),
    Closed(Closed),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Hyper's own words say only what failed; their cause says why.
            End::Broken(error) => match error.source() {
                Some(source) => write!(f, "{error}: {source}"),
                None => write!(f, "{error}"),
            },
            End::Closed(why) => write!(f, "{why}"),
        }
    }
}

/// Serves a connection by hyper. Where `with_date` is false it has to be HTTP/2: see `undated`.
async fn serve_by_hyper(
    host: &Host,
    visit: &Visit,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    with_date: bool,
) -> Result<(), End> {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answer = visit.clone().answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let builder = builder(&host.tasks, with_date);
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // Whoever has begun a request by then and does not end it is not waited for.
    let mut parting = None;
    loop {
        let wake_at = parting.unwrap_or_else(|| visit.seat.deadline(Instant::now()));
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(End::Broken),
            verdict = visit.seat.told() => match verdict {
                Verdict::Cut(why) => return Err(End::Closed(why)),
                Verdict::Leave => connection.as_mut().graceful_shutdown(),
                Verdict::Stay => {}
            },
            () = host.stop.cancelled(), if parting.is_none() => {
                connection.as_mut().graceful_shutdown();
                parting = Some(Instant::now() + PARTING_MAX);
            }
            () = sleep_until(wake_at) => match visit.seat.overdue(Instant::now()) {
                _ if parting.is_some() => return Ok(()),
                // An HTTP/2 client learns which of its requests, on their way at this moment, were not taken up.
                Some(Closed::Idle(_)) if !visit.seat.is_in_reserve => {
                    connection.as_mut().graceful_shutdown();
                    parting = Some(Instant::now() + PARTING_MAX);
                }
                Some(why) => return Err(End::Closed(why)),
                None => {}
            },
        }
    }
}

/// Serves a connection on a machine whose clock has no date.
async fn serve_undated(
    host: &Host,
    visit: &Visit,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(), End> {
    let served = tokio::select! {
        served = undated::serve(async |request| visit.clone().answer(request).await, stream) => served.map_err(|error| End::Broken(error.into()))?,
        why = time_is_up(&visit.seat) => return Err(End::Closed(why)),
        () = parted(&host.stop) => return Ok(()),
    };
    match served {
        Served::Answered => Ok(()),
        Served::Http2(stream) => serve_by_hyper(host, visit, stream, false).await,
    }
}

/// Waits until the connection with this seat has to end.
async fn time_is_up(seat: &Seat) -> Closed {
    loop {
        tokio::select! {
            verdict = seat.told() => if let Verdict::Cut(why) = verdict { return why },
            () = sleep_until(seat.deadline(Instant::now())) => {
                if let Some(why) = seat.overdue(Instant::now()) { return why }
            }
        }
    }
}

/// Waits until what had begun when the server stopped has had its time.
async fn parted(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(PARTING_MAX).await;
}

fn builder(tasks: &TaskTracker, with_date: bool) -> auto::Builder<Tasks> {
    let mut builder = auto::Builder::new(Tasks(tasks.clone()));
    // Who has closed its end behind its request still wants the answer.
    builder
        .http1()
        .timer(TokioTimer::new())
        .half_close(true)
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_LEN_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(with_date)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_LEN_MAX as u32)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_LEN_MAX)
        .max_send_buf_size(SEND_BUFFER_LEN)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PONG_MAX);
    builder
}

/// Runs each stream of an HTTP/2 connection in a task of its own, which the server waits for when it stops.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
