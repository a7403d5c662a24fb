//! Serves HTTP connections. Each connection has one task, from the entrance until the connection is closed.
//!
//! HTTP/1.1 and HTTP/2 use the same port. The first bytes of a connection tell the version (`version`). hyper speaks
//! both versions. The task closes the connection when its slot says so
//! ([`ConnectionState`](super::connection_state::ConnectionState)) and when the server stops.
//!
//! The invariant: a request whose header section has arrived completely is answered, unless a timeout, a limit or the
//! server's stop closes the connection. A connection that is closed because it is idle has no unanswered request.
//!
//! The task does not know paths and responses. The router handles these.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use proxyherd_config::clock;
use proxyherd_log::{LogLevel, Subject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection_state::{CloseReason, Directive, SlotKind},
    dateless::{self, DatelessEnd},
    handler::{RequestHandler, Routers},
    limits::{
        CONNECTION_WINDOW, DRAIN_DURABLE_MAX, DRAIN_TIMEOUT, FRAME_LEN_MAX, HEADER_SECTION_LEN_MAX,
        HEADER_SECTION_TIME_MIN, IDLE_TIMEOUT, PING_INTERVAL, PING_TIMEOUT, RESETS_PENDING_MAX,
        SEND_BUFFER_LEN, SOCKET_UNSENT_LEN_MAX, STREAM_ERRORS_MAX, STREAM_WINDOW, STREAMS_MAX,
    },
    metered_stream::MeteredStream,
    origin::OriginPolicy,
    slot::ConnectionSlot,
    slots::Slots,
    version::{self, HttpVersion},
};
use crate::{
    caller::Caller,
    door::entrance::{self, DoorTasks, Visitor},
    herd::Herd,
};

/// What the connections of one listening socket share.
#[derive(Clone)]
pub(super) struct ListenerContext {
    pub(super) herd: Arc<Herd>,
    pub(super) routers: Routers,
    pub(super) origins: Arc<OriginPolicy>,
    pub(super) tasks: DoorTasks,
    pub(super) stop: CancellationToken,
}

/// Serves each connection from the entrance in a task of its own.
pub(super) struct HttpService {
    /// One for each listening socket, in the order of the entrance's listeners.
    pub(super) listeners: Vec<ListenerContext>,
    pub(super) slots: Arc<Slots>,
}

impl entrance::Service for HttpService {
    const ALPN: &'static [&'static [u8]] = &[b"h2", b"http/1.1"];
    const HAS_OWN_ADMISSION: bool = true;
    const UNSENT_LEN_MAX: Option<u32> = Some(SOCKET_UNSENT_LEN_MAX);

    async fn ready(&self) {
        self.slots.ready().await;
    }

    fn serve(&self, visitor: Visitor) {
        let context = self.listeners[visitor.listener()].clone();
        let caller = visitor.caller().clone();
        let slot = self.slots.open(caller.address.ip(), Instant::now());
        self.listeners[visitor.listener()].tasks.spawn(async move {
            // Before the TLS handshake is over, the connection may time out, or another connection may need the slot.
            let opened = tokio::select! {
                opened = visitor.open() => opened,
                why = time_is_up(&slot) => return log_close(&context.herd, &caller, &why),
                () = context.stop.cancelled() => return,
            };
            match opened {
                Ok((stream, entered)) => {
                    slot.keep(entered);
                    serve(context, stream, caller, slot).await;
                }
                Err(failed) => log_close(&context.herd, &caller, &failed),
            }
        });
    }
}

fn log_close(herd: &Herd, caller: &Caller, why: &dyn fmt::Display) {
    let message = format_args!("the HTTP connection closed: {why}");
    herd.log().event(LogLevel::Debug, Subject::Client(caller.address), message);
}

/// Serves one connection until it is closed.
pub(super) async fn serve(
    context: ListenerContext,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    caller: Caller,
    slot: Arc<ConnectionSlot>,
) {
    let stream = MeteredStream::new(stream, Arc::clone(&slot));
    let (herd, routers) = (Arc::clone(&context.herd), context.routers.clone());
    let handler =
        RequestHandler { herd, routers, origins: Arc::clone(&context.origins), slot, caller: caller.clone() };
    let served = if clock::has_date() {
        serve_by_hyper(&context, &handler, Box::pin(stream), DateHeader::Sent).await
    } else {
        serve_dateless(&context, &handler, Box::pin(stream)).await
    };
    if let Err(end) = served {
        log_close(&context.herd, &caller, &end);
    }
}

/// Why a connection ended before its client closed it.
#[derive(Debug)]
enum ConnectionEnd {
    Failed(Box<dyn std::error::Error + Send + Sync>),
    Closed(CloseReason),
}

impl fmt::Display for ConnectionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A hyper error says only what failed. Its source says why.
            ConnectionEnd::Failed(error) => match error.source() {
                Some(source) => write!(f, "{error}: {source}"),
                None => write!(f, "{error}"),
            },
            ConnectionEnd::Closed(why) => write!(f, "{why}"),
        }
    }
}

/// Whether responses have the header Date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DateHeader {
    Sent,
    /// For HTTP/2 only. See `dateless`.
    Omitted,
}

/// The step that the server has begun in order to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    None,
    /// The connection was idle. The server has sent GOAWAY to an HTTP/2 client, so the client learns which of its
    /// requests will not be handled. The client has until this time to reply. A request that arrives before this time
    /// is answered.
    Idle(Instant),
    /// The server stops. Requests in progress have until this time.
    Stop(Instant),
}

async fn serve_by_hyper(
    context: &ListenerContext,
    handler: &RequestHandler,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    date: DateHeader,
) -> Result<(), ConnectionEnd> {
    // No request is in progress, so the connection may be closed at any time.
    let first = tokio::select! {
        first = version::read(stream) => first.map_err(|error| ConnectionEnd::Failed(error.into()))?,
        why = time_is_up(&handler.slot) => return Err(ConnectionEnd::Closed(why)),
        () = context.stop.cancelled() => return Ok(()),
    };
    let Some((version, stream)) = first else { return Ok(()) };
    let service = service_fn(|request: hyper::Request<Incoming>| {
        // hyper keeps room for this future as long as the connection lives. The box is given back with the response.
        let response = Box::pin(handler.clone().handle(request));
        async move { Ok::<_, Infallible>(response.await) }
    });
    let io = TokioIo::new(stream);
    match version {
        HttpVersion::One => {
            let connection = http1_builder().serve_connection(io, service).with_upgrades();
            drive(context, handler, pin!(connection), http1::UpgradeableConnection::graceful_shutdown).await
        }
        HttpVersion::Two => {
            let connection = http2_builder(&context.tasks, date).serve_connection(io, service);
            drive(context, handler, pin!(connection), http2::Connection::graceful_shutdown).await
        }
    }
}

/// Runs a connection of hyper to its end. `shut_down` asks the connection to answer the requests in progress, take no
/// others, and end.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    context: &ListenerContext,
    handler: &RequestHandler,
    mut connection: Pin<&mut C>,
    shut_down: impl Fn(Pin<&mut C>),
) -> Result<(), ConnectionEnd> {
    let failed = |error: hyper::Error| ConnectionEnd::Failed(error.into());
    let slot = &handler.slot;
    let is_general = slot.slot_kind == SlotKind::General;
    let mut shutdown = Shutdown::None;
    loop {
        let wake_at = match shutdown {
            Shutdown::None => slot.deadline(Instant::now()),
            Shutdown::Idle(until) => until.max(slot.deadline(Instant::now())),
            Shutdown::Stop(until) => until,
        };
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(failed),
            directive = slot.directive() => match directive {
                Directive::Close(why) => return Err(ConnectionEnd::Closed(why)),
                Directive::Drain => shut_down(connection.as_mut()),
                Directive::Serve => {}
            },
            () = context.stop.cancelled(), if !matches!(shutdown, Shutdown::Stop(_)) => {
                shut_down(connection.as_mut());
                shutdown = Shutdown::Stop(Instant::now() + stop_timeout(context));
            }
            () = sleep_until(wake_at) => {
                // The task reads a request that has arrived at the same time before it checks the timeout. The select
                // is not `biased`, because a client that never stops sending could then prevent polls of the other
                // branches.
                let polled = poll_fn(|context| Poll::Ready(connection.as_mut().poll(context))).await;
                if let Poll::Ready(ended) = polled {
                    return ended.map_err(failed);
                }
                match (shutdown, slot.overdue(Instant::now())) {
                    (Shutdown::Stop(_), _) => return Ok(()),
                    (Shutdown::None, Some(CloseReason::IdleTimeout(_))) if is_general => {
                        shut_down(connection.as_mut());
                        shutdown = Shutdown::Idle(Instant::now() + DRAIN_TIMEOUT);
                    }
                    (_, Some(why)) => return Err(ConnectionEnd::Closed(why)),
                    (_, None) => {}
                }
            }
        }
    }
}

/// Serves a connection on a machine whose clock shows no date that HTTP can write.
async fn serve_dateless(
    context: &ListenerContext,
    handler: &RequestHandler,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(), ConnectionEnd> {
    let respond = async |request| handler.clone().handle(request).await;
    let end = tokio::select! {
        end = dateless::serve(respond, stream) => end.map_err(|error| ConnectionEnd::Failed(error.into()))?,
        why = time_is_up(&handler.slot) => return Err(ConnectionEnd::Closed(why)),
        () = drained(context) => return Ok(()),
    };
    match end {
        DatelessEnd::Answered => Ok(()),
        DatelessEnd::Http2(stream) => serve_by_hyper(context, handler, stream, DateHeader::Omitted).await,
    }
}

/// Waits until the connection with this slot has to be closed.
async fn time_is_up(slot: &ConnectionSlot) -> CloseReason {
    loop {
        tokio::select! {
            directive = slot.directive() => if let Directive::Close(why) = directive { return why },
            () = sleep_until(slot.deadline(Instant::now())) => {
                if let Some(why) = slot.overdue(Instant::now()) { return why }
            }
        }
    }
}

/// Waits until the server stops and the time for requests in progress has passed.
async fn drained(context: &ListenerContext) {
    context.stop.cancelled().await;
    sleep(stop_timeout(context)).await;
}

/// Maximum time for requests in progress when the server stops.
fn stop_timeout(context: &ListenerContext) -> Duration {
    let patience = context.herd.durability().map_or(DRAIN_TIMEOUT, |durability| durability.patience());
    patience.clamp(DRAIN_TIMEOUT, DRAIN_DURABLE_MAX)
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // A client that has shut down its sending side still wants its response.
        .half_close(true)
        // The slot has its own timeout. hyper's timeout would close a connection whose header section has just begun to
        // arrive.
        .header_read_timeout(IDLE_TIMEOUT + 2 * HEADER_SECTION_TIME_MIN)
        .max_buf_size(HEADER_SECTION_LEN_MAX);
    builder
}

fn http2_builder(tasks: &DoorTasks, date: DateHeader) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(Tasks(tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .auto_date_header(date == DateHeader::Sent)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_SECTION_LEN_MAX as u32)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(STREAM_ERRORS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_LEN_MAX)
        .max_send_buf_size(SEND_BUFFER_LEN)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Runs each stream of an HTTP/2 connection in a task of its own. When the server stops, it waits for these tasks.
#[derive(Clone)]
struct Tasks(DoorTasks);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
