//! The conversation over one WebSocket: the client's token, its reports, and the events of its stream.
//!
//! One task reads messages and writes events, one after the other. Events are written in batches. While a batch is on
//! its way, nothing else is taken from the herd or from the client. While a report waits until it is durable, no
//! further message is read, and events go on.
//!
//! The invariant: a client without rights does nothing but show a token, within [`WS_TOKEN_TIMEOUT`]. A message that is
//! not understood is answered with an error and changes nothing.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use proxyherd_config::clock;
use proxyherd_core::{
    codec::json::{self, Incoming, Message as Told},
    types::AttributesBuf,
};
use proxyherd_streams::EventId;
use tokio::{
    io::{AsyncRead, AsyncWrite, copy, sink},
    sync::Notify,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    Live,
    events::{self, EventBatch, EventForm, EventSource, GatherTask},
    wanted::{PARAMETERS, REPEATED, WantedStream},
};
use crate::{
    access::WrongToken,
    caller::{Caller, Rights},
    door::http::{
        api, durability,
        limits::{
            DRAIN_TIMEOUT, EVENTS_LEN, WS_MESSAGE_LEN_MAX, WS_PING_INTERVAL, WS_READ_BUFFER_LEN,
            WS_SILENCE_MAX, WS_TOKEN_TIMEOUT, WS_WRITE_BUFFER_LEN_MAX,
        },
        problem::Problem,
        query::Query,
        searches::NoResult,
        slot::ConnectionSlot,
    },
    herd::{Herd, StreamEnd},
};

/// What a conversation begins with.
pub(super) struct Begun {
    pub(super) herd: Arc<Herd>,
    pub(super) caller: Caller,
    pub(super) live: Live,
    pub(super) slot: Arc<ConnectionSlot>,
    /// The last event that the client has received of an earlier stream. The first subscription resumes it.
    pub(super) last_event_id: Option<Box<[u8]>>,
}

/// Usual number of bytes of an event.
const EVENT_LEN_USUAL: usize = 512;

/// A reason that says how long a message may be.
const MESSAGE_TOO_LONG: &str = {
    assert!(WS_MESSAGE_LEN_MAX == 64 * 1024, "the reason names the length");
    "a message has at most 65,536 bytes"
};

/// Why the server ends a conversation. `None` where the client has ended it, or the connection has failed.
type End = Option<CloseFrame>;

/// Talks with the client until one of both ends the conversation.
pub(super) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, begun: Begun) {
    let config = WebSocketConfig::default()
        .read_buffer_size(WS_READ_BUFFER_LEN)
        .write_buffer_size(2 * EVENTS_LEN)
        .max_write_buffer_size(WS_WRITE_BUFFER_LEN_MAX)
        .max_message_size(Some(WS_MESSAGE_LEN_MAX))
        .max_frame_size(Some(WS_MESSAGE_LEN_MAX));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let now = Instant::now();
    let needs_token = !begun.caller.rights.are_valid(clock::now_ns());
    let mut conversation = Conversation {
        socket,
        herd: begun.herd,
        caller: begun.caller,
        live: begun.live,
        last_event_id: begun.last_event_id,
        subscription: None,
        answering: None,
        heard_at: now,
        token_until: needs_token.then(|| now + WS_TOKEN_TIMEOUT),
        pings: pings(now),
    };
    let end = conversation.run().await.err().flatten();
    if let Some(Subscription { source, .. }) = &conversation.subscription
        && begun.slot.is_cut()
    {
        source.is_cut(&conversation.herd);
    }
    let Conversation { mut socket, .. } = conversation;
    // If the client does not do its part, the connection just ends.
    let _ = timeout(DRAIN_TIMEOUT, say_goodbye(&mut socket, end)).await;
}

/// Closes the WebSocket, and waits until the client has done so, too.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, end: End) {
    if let Some(close) = end
        && socket.close(Some(close)).await.is_err()
    {
        return;
    }
    while let Some(message) = socket.next().await {
        if message.is_err() {
            // If the server closed the connection while bytes are unread, TCP would reset it, and the client could lose
            // the reason.
            let _ = copy(socket.get_mut(), &mut sink()).await;
            return;
        }
    }
}

fn pings(now: Instant) -> Interval {
    let mut pings = interval_at(now + WS_PING_INTERVAL, WS_PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// A conversation.
struct Conversation<S> {
    socket: WebSocketStream<S>,
    herd: Arc<Herd>,
    caller: Caller,
    live: Live,
    last_event_id: Option<Box<[u8]>>,
    subscription: Option<Subscription>,
    /// The answer to the last report, once the report is durable.
    answering: Option<Pin<Box<dyn Future<Output = String> + Send>>>,
    /// When the client's last bytes arrived.
    heard_at: Instant,
    /// Until then, the client must show a token.
    token_until: Option<Instant>,
    pings: Interval,
}

/// The stream of a conversation.
struct Subscription {
    source: EventSource,
    bell: Arc<Notify>,
    gathering: Option<GatherTask>,
    /// Whether there may be more events to take without a ring of the bell.
    has_more: bool,
}

thread_local! {
    /// The attributes of the report that is being read, in memory that is used again and again.
    static ATTRIBUTES: Cell<AttributesBuf> = Cell::default();
}

/// What happens next.
enum Next {
    Message(Option<Result<Message, tungstenite::Error>>),
    Events,
    Gathered(Result<(), NoResult>),
    Answer(String),
    Ping,
    NoToken,
    Stop,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    async fn run(&mut self) -> Result<(), End> {
        loop {
            match self.next().await {
                Next::Message(message) => self.hear(message).await?,
                Next::Events => self.tell().await?,
                Next::Gathered(gathered) => self.gathered(gathered)?,
                Next::Answer(answer) => {
                    self.answering = None;
                    self.send(vec![text(answer)]).await?;
                }
                Next::Ping => self.ping().await?,
                Next::NoToken => return Err(close(CloseCode::Policy, "no token was shown")),
                Next::Stop => return Err(close(CloseCode::Away, "this server is stopping")),
            }
        }
    }

    /// Waits for what happens next.
    async fn next(&mut self) -> Next {
        let Conversation { socket, subscription, answering, token_until, .. } = self;
        let (is_answering, has_deadline) = (answering.is_some(), token_until.is_some());
        let events = async {
            match subscription {
                Some(subscription) => subscription.next().await,
                None => std::future::pending().await,
            }
        };
        let answer = async {
            match answering {
                Some(answering) => answering.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = socket.next(), if !is_answering => Next::Message(message),
            next = events => next,
            answer = answer => Next::Answer(answer),
            _ = self.pings.tick() => Next::Ping,
            () = sleep_until(token_until.unwrap_or_else(Instant::now)), if has_deadline => Next::NoToken,
            // A report that waits until it is durable is answered first, or refused in time.
            () = self.live.stop.cancelled(), if !is_answering => Next::Stop,
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<(), End> {
        let message = message.ok_or(None)?.map_err(|error| violation(&error))?;
        self.heard_at = Instant::now();
        match message {
            Message::Text(told) => self.obey(&told).await,
            Message::Binary(_) => {
                self.check_rights()?;
                self.answer(None, Err("a message is a text, and no binary data")).await
            }
            Message::Close(_) => Err(None),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    /// Does what a message says.
    async fn obey(&mut self, told: &Utf8Bytes) -> Result<(), End> {
        let mut attributes = ATTRIBUTES.take();
        let Incoming { reference, message } = json::parse_message(told.as_bytes(), &mut attributes);
        // A client whose token has ended may show another one.
        if !matches!(message, Ok(Told::Token(_))) {
            self.check_rights()?;
        }
        let obeyed = match message {
            Ok(Told::Token(token)) => return self.show_token(reference, token.as_bytes()).await,
            Ok(Told::Subscribe(parameters)) => {
                let pairs = parameters.iter().map(|each| (&*each.name, each.value.as_bytes()));
                match Query::given(pairs, &PARAMETERS, &REPEATED).and_then(|query| self.subscribe(&query)) {
                    // The events say that it worked.
                    Ok(()) if reference.is_none() => return Ok(()),
                    done => done.map(|()| "accepted"),
                }
            }
            Ok(Told::Report(body)) => {
                let now_ns = clock::now_ns();
                let client = body.client().expect("a report in a message names its client");
                let report = body.report(client, attributes.borrow());
                let offered = api::offer(&self.herd, &self.caller, now_ns, report);
                let offered = offered.map(|(offer, result)| (api::positions_of(&offer), result));
                match offered {
                    Ok((positions, result)) if self.herd.durability().is_some() => {
                        ATTRIBUTES.set(attributes);
                        let (herd, reference) = (Arc::clone(&self.herd), reference.map(str::to_owned));
                        self.answering = Some(Box::pin(async move {
                            let durable = durability::wait(&herd, positions).await;
                            answer_of(reference.as_deref(), &durable.map(|()| result))
                        }));
                        return Ok(());
                    }
                    offered => offered.map(|(_, result)| result),
                }
            }
            Err(error) => {
                if matches!(error, json::MessageError::Report(_)) {
                    self.herd.count_unreadable(self.caller.door);
                }
                Err(Problem::invalid(error.to_string()))
            }
        };
        ATTRIBUTES.set(attributes);
        let obeyed = answer_of(reference, &obeyed);
        self.send(vec![text(obeyed)]).await
    }

    /// Takes the rights of a token in place of the present ones. The stream of the earlier rights ends.
    async fn show_token(&mut self, reference: Option<&str>, token: &[u8]) -> Result<(), End> {
        const WRONG: &str = "the token is wrong, revoked or past its end";
        self.subscription = None;
        let Caller { door, address, .. } = self.caller;
        match self.herd.authenticate(clock::now_ns(), door, address, token) {
            Ok(rights) => {
                self.caller.rights = rights;
                self.token_until = None;
                match reference {
                    Some(_) => self.answer(reference, Ok("accepted")).await,
                    None => Ok(()),
                }
            }
            Err(WrongToken { delay }) => {
                self.caller.rights = Rights::None;
                let wait = sleep(delay.unwrap_or(Duration::ZERO));
                if self.live.stop.run_until_cancelled(wait).await.is_none() {
                    return Err(close(CloseCode::Away, events::reason(StreamEnd::ShuttingDown)));
                }
                self.answer(reference, Err(WRONG)).await?;
                Err(close(CloseCode::Policy, WRONG))
            }
        }
    }

    /// Opens a stream in place of the present one, which goes on if the request for the new one is refused. Only if the
    /// server has no room for the new one, there is none afterwards.
    fn subscribe(&mut self, query: &Query) -> Result<(), Problem> {
        let wanted = WantedStream::parse(query)?;
        self.herd.check_ids(&self.caller, clock::now_ns(), &wanted.filter.ids)?;
        // A caller who has as many streams as it may can replace one.
        self.subscription = None;
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let (caller, last_event_id) = (self.caller.clone(), self.last_event_id.as_deref());
        let source = EventSource::open(&self.herd, caller, wanted, last_event_id, move || ring.notify_one())?;
        self.last_event_id = None;
        self.subscription = Some(Subscription { source, bell, gathering: None, has_more: true });
        Ok(())
    }

    /// Writes the next batch of events.
    async fn tell(&mut self) -> Result<(), End> {
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        let mut form = WsForm::default();
        let batch = subscription.source.next(&mut form);
        subscription.has_more = matches!(batch, EventBatch::More | EventBatch::Gather);
        if batch == EventBatch::Gather {
            subscription.gathering = Some(subscription.source.gather(&self.live));
        }
        self.send(form.messages).await?;
        match batch {
            EventBatch::More | EventBatch::Last | EventBatch::Gather => Ok(()),
            EventBatch::End(why) => {
                let code = match why {
                    StreamEnd::RightsEnded | StreamEnd::TooLarge => CloseCode::Policy,
                    StreamEnd::ShuttingDown => CloseCode::Away,
                    StreamEnd::TakenOver => CloseCode::Normal,
                    StreamEnd::ServerFull => CloseCode::Again,
                    StreamEnd::Failed => CloseCode::Error,
                };
                Err(close(code, events::reason(why)))
            }
        }
    }

    fn gathered(&mut self, gathered: Result<(), NoResult>) -> Result<(), End> {
        if let Some(subscription) = &mut self.subscription {
            subscription.gathering = None;
        }
        gathered.map_err(|why| close(CloseCode::Again, events::search_reason(why)))
    }

    /// Asks whether the client is still there.
    async fn ping(&mut self) -> Result<(), End> {
        if self.heard_at.elapsed() >= WS_SILENCE_MAX {
            return Err(None);
        }
        self.check_rights()?;
        self.send(vec![Message::Ping(tungstenite::Bytes::new())]).await
    }

    /// A client that must still show its first token has no rights, which each of its messages is told.
    fn check_rights(&self) -> Result<(), End> {
        if self.token_until.is_some() || self.caller.rights.are_valid(clock::now_ns()) {
            return Ok(());
        }
        Err(close(CloseCode::Policy, events::reason(StreamEnd::RightsEnded)))
    }

    async fn answer(&mut self, reference: Option<&str>, result: Result<&str, &str>) -> Result<(), End> {
        let mut out = Vec::new();
        json::write_answer(&mut out, reference, result);
        self.send(vec![text(String::from_utf8(out).expect("JSON of texts is UTF-8"))]).await
    }

    /// Writes messages, and waits until the connection has taken them.
    async fn send(&mut self, messages: Vec<Message>) -> Result<(), End> {
        let written = async {
            // Answers to the client's pings can have filled the buffer.
            self.socket.flush().await?;
            for message in messages {
                self.socket.feed(message).await?;
            }
            self.socket.flush().await
        };
        let mut written = pin!(written);
        let mut has_waited = false;
        let written = poll_fn(|context| {
            let polled = written.as_mut().poll(context);
            has_waited |= polled.is_pending();
            polled
        });
        let written = if self.live.stop.is_cancelled() {
            // The answer to a report that has just become durable is still sent.
            timeout(DRAIN_TIMEOUT, written).await.ok()
        } else {
            self.live.stop.run_until_cancelled(written).await
        };
        if has_waited && matches!(written, Some(Ok(()))) {
            // The connection has taken what it did not take before, so the client lives. Its answers to pings come
            // late, because it first reads what was sent before the pings.
            self.heard_at = Instant::now();
        }
        match written {
            Some(written) => written.map_err(|_| None),
            None => Err(close(CloseCode::Away, events::reason(StreamEnd::ShuttingDown))),
        }
    }
}

impl Subscription {
    async fn next(&mut self) -> Next {
        if let Some(gathering) = &mut self.gathering {
            return Next::Gathered(gathering.await);
        }
        if !self.has_more {
            self.bell.notified().await;
        }
        Next::Events
    }
}

/// The messages of one batch of events.
#[derive(Default)]
struct WsForm {
    messages: Vec<Message>,
    len: usize,
}

impl EventForm for WsForm {
    fn write(&mut self, kind: &'static str, id: EventId, write_data: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::with_capacity(EVENT_LEN_USUAL);
        json::write_event(&mut out, kind, id, write_data);
        self.len += out.len();
        self.messages.push(text(String::from_utf8(out).expect("the JSON of an event is UTF-8")));
    }

    fn len(&self) -> usize {
        self.len
    }
}

fn text(text: String) -> Message {
    Message::Text(text.into())
}

/// The answer to a message.
fn answer_of(reference: Option<&str>, result: &Result<&str, Problem>) -> String {
    let mut out = Vec::new();
    json::write_answer(&mut out, reference, result.as_ref().copied().map_err(Problem::detail));
    String::from_utf8(out).expect("JSON of texts is UTF-8")
}

fn close(code: CloseCode, reason: &'static str) -> End {
    Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
}

/// How the server ends a conversation after an error of the client or of the connection.
fn violation(error: &tungstenite::Error) -> End {
    match error {
        tungstenite::Error::Capacity(_) => close(CloseCode::Size, MESSAGE_TOO_LONG),
        tungstenite::Error::Protocol(_) => close(CloseCode::Protocol, "this is not WebSocket"),
        tungstenite::Error::Utf8(_) => close(CloseCode::Invalid, "a text is UTF-8"),
        _ => None,
    }
}
