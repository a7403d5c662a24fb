//! One server: the real core, and around it the work of a server's sockets and timers. It returns actions, and the
//! world carries them out.
//!
//! A crash drops a [`Life`], and all memory with it. The next start makes another life with a new incarnation.

use std::collections::BTreeMap;

use proxyherd_core::{
    codec::link::{Encoder, Frame, check::Check, decode, numbering::Named},
    flood::{LinkId, Rules, Wake},
    journal::StoreIdentity,
    limits::{HANDSHAKE_MAX, LINK_SILENCE_MAX, ORIGINS_NAMED_MAX},
    link::{Backoff, HIGHEST, Identity, Incoming, LinkError, Refused},
    replica::{Agreed, Replica, ReplicaSettings, shard_index},
    types::{Origin, ServerName},
};

use crate::{
    acks::Acks,
    disk::SimDisk,
    follower::Follower,
    liar::Saying,
    network::ConnId,
    presence::PresenceReader,
    scenario::{CLOCK_OFFSET_MAX_NS, Durability},
    store::{Opened, Store},
    streaming::Streaming,
    timeline::Nanos,
};

/// The ID of the simulated herd.
const HERD: &str = "sim";

/// An action that a server wants.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send these bytes.
    Write(ConnId, Vec<u8>),
    /// The writer of this connection has something to do.
    Flush(ConnId),
    /// Close this end of the connection.
    Close(ConnId),
    /// Dial the neighbor at this place again, after a while.
    Redial(usize),
    /// The link at this place came up.
    Up(usize),
    /// This many records have come.
    Received(u64),
    /// A link ends because the clocks are too far apart.
    ClocksApart,
    /// This connection broke the protocol. That never happens between servers that keep to the protocol.
    Broken(ConnId, String),
}

/// One life of one server.
#[derive(Debug)]
pub(crate) struct Life {
    /// The replica.
    pub(crate) replica: Replica,
    /// A fast follower and a slow follower.
    pub(crate) followers: [Option<Follower>; 2],
    /// The live streams.
    pub(crate) streaming: Streaming,
    /// The presence of clients.
    pub(crate) presence_reader: PresenceReader,
    /// The store, if the server has a journal.
    pub(crate) store: Option<Store>,
    /// The acknowledgements that wait. `None`: they wait for nothing.
    pub(crate) acks: Option<Acks>,
    /// What became of the store at the start.
    pub(crate) opened: Option<Opened>,
    identity: Identity,
    neighbors: Vec<(ServerName, bool)>,
    links: Vec<Link>,
    sessions: BTreeMap<ConnId, Session>,
    /// Whether this life keeps received frames, so that it can repeat them when it turns bad.
    listens: bool,
    /// The frames that this life has received since the last call of [`Life::take_heard`].
    heard: Vec<Saying>,
    /// Whether the sums in this life's checks are wrong.
    pub(crate) has_wrong_sums: bool,
    /// The number of origins that one numbering of this life's links names.
    origins_max: usize,
}

/// A limit so small that links begin new numberings all the time. Otherwise only a flood of lies causes new numberings.
const FEW_ORIGINS: usize = 24;

/// The settings of a life.
#[derive(Debug)]
pub(crate) struct LifeSettings {
    /// This life of the server.
    pub(crate) me: Origin,
    /// The time on the server's clock.
    pub(crate) clock_ns: u64,
    /// The seed of the tables' hashes.
    pub(crate) seed: u64,
    /// The neighbors by name, each with whether this server dials it. A neighbor's place here is its link's number.
    pub(crate) neighbors: Vec<(ServerName, bool)>,
    /// Whether this server is the one that dials, for each neighbor.
    pub(crate) dials: Vec<bool>,
    /// The time after its receipt at which a report is forgotten.
    pub(crate) client_ttl: Option<Nanos>,
    /// Whether changes go along a spanning tree.
    pub(crate) has_tree: bool,
    /// Whether this life speaks an earlier version of the protocol.
    pub(crate) is_old: bool,
    /// Whether this life may turn bad.
    pub(crate) may_lie: bool,
    /// The rules of the flood. One of them may be broken.
    pub(crate) rules: Rules,
    /// What acknowledgements wait for.
    pub(crate) durability: Durability,
    /// The disk of the store, and a number for the store that clients cannot know.
    pub(crate) disk: (SimDisk, u64),
}

impl LifeSettings {
    /// Opens the store, if the server has one, and reads it into the replica.
    fn open_store(&self, now: Nanos, replica: &Replica) -> Option<(Store, Opened)> {
        let identity = StoreIdentity { herd: HERD.to_owned(), server: self.me.server.clone() };
        let (disk, salt) = self.disk.clone();
        let open = || Store::open(disk, identity, replica, (now, self.clock_ns), salt);
        self.durability.has_journal.then(open)
    }
}

#[derive(Debug)]
struct Link {
    dials: bool,
    backoff: Backoff,
    /// The connection on which the link is up.
    up: Option<ConnId>,
}

/// One end of one connection.
#[derive(Debug)]
struct Session {
    phase: Phase,
    received: Vec<u8>,
    encoder: Encoder,
    began_at: Nanos,
    heard_at: Nanos,
    /// The time on this server's clock when it dialed.
    clock_at_begin_ns: u64,
    /// The origins that the other end has named.
    introduced: Named<Origin>,
}

#[derive(Debug)]
enum Phase {
    /// HELLO is sent to the neighbor at this place.
    Dialed(usize),
    /// Another server has dialed and will send HELLO.
    Answered,
    /// The link is up.
    Up(Incoming, LinkId),
}

impl Life {
    /// A server that has just started.
    pub(crate) fn new(now: Nanos, settings: LifeSettings) -> Life {
        let replica = empty_replica(settings.me.clone(), settings.seed, settings.client_ttl, settings.rules);
        // As in a real server, the store is read before anybody is served.
        let (store, opened) = settings.open_store(now, &replica).unzip();
        let acks = Acks::new(settings.durability, &replica);
        let streaming = Streaming::new(&replica, settings.seed);
        let presence_reader =
            PresenceReader::new(&replica, settings.clock_ns, settings.seed, settings.client_ttl);
        let link = |dials| Link { dials, backoff: Backoff::default(), up: None };
        Life {
            replica,
            followers: [None, None],
            streaming,
            presence_reader,
            store,
            acks,
            opened,
            identity: Identity {
                herd: HERD.into(),
                me: settings.me,
                // The seed decides which of the earlier versions the server speaks.
                link_version: if settings.is_old {
                    1 + settings.seed as u16 % (HIGHEST - 1)
                } else {
                    HIGHEST
                },
                has_tree: settings.has_tree,
                clock_offset_max_ns: CLOCK_OFFSET_MAX_NS,
            },
            neighbors: settings.neighbors,
            links: settings.dials.into_iter().map(link).collect(),
            sessions: BTreeMap::new(),
            listens: settings.may_lie,
            heard: Vec::new(),
            has_wrong_sums: false,
            // The seed's lowest bits have already decided the version.
            origins_max: if settings.seed >> 32 & 1 == 0 { FEW_ORIGINS } else { ORIGINS_NAMED_MAX },
        }
    }

    /// Makes this life count as having had a link, for a server that is restored from a snapshot.
    pub(crate) fn had_a_link(&self) {
        let (Some(link), Some((neighbor, _))) = (LinkId::new(0), self.neighbors.first()) else { return };
        let agreed = Agreed { version: HIGHEST, has_tree: false };
        let _ = self.replica.agree(link, neighbor, agreed, &mut Encoder::default());
        let _ = self.replica.link_down(link);
    }

    /// Another empty replica of this server, as its next life begins with.
    pub(crate) fn next_replica(&self, client_ttl: Option<Nanos>) -> Replica {
        let me = self.replica.origin();
        let me = Origin { incarnation: me.incarnation + 1, ..me };
        empty_replica(me, 0, client_ttl, Rules::default())
    }

    fn session(&self, now: Nanos, phase: Phase) -> Session {
        Session::new(now, phase, Encoder::default().with_origins_max(self.origins_max))
    }

    /// The frames that this life has received since the last call.
    pub(crate) fn take_heard(&mut self) -> Vec<Saying> {
        std::mem::take(&mut self.heard)
    }

    /// The connections whose links are up.
    pub(crate) fn linked(&self) -> impl Iterator<Item = ConnId> {
        self.links.iter().filter_map(|link| link.up)
    }

    /// Sends all these bytes on a connection.
    pub(crate) fn say(&mut self, conn: ConnId, sayings: &[Saying], out: &mut Vec<Action>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        sayings.iter().for_each(|saying| saying.encode(&mut session.encoder));
        session.write(conn, out);
    }

    /// The number of origins that one numbering of this life's links names.
    pub(crate) fn origins_max(&self) -> usize {
        self.origins_max
    }

    /// The connections that have not ended here.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnId> {
        self.sessions.keys().copied()
    }

    /// The number of links, up or down.
    pub(crate) fn links_len(&self) -> usize {
        self.links.len()
    }

    /// Dials the neighbor at `place` with this connection.
    pub(crate) fn dial(
        &mut self,
        now: Nanos,
        clock_ns: u64,
        conn: ConnId,
        place: usize,
        out: &mut Vec<Action>,
    ) {
        let mut session = self.session(now, Phase::Dialed(place));
        session.clock_at_begin_ns = clock_ns;
        session.encoder.hello(&self.identity.hello(clock_ns));
        session.write(conn, out);
        self.sessions.insert(conn, session);
    }

    /// Notes that another server has dialed this server.
    pub(crate) fn answer(&mut self, now: Nanos, conn: ConnId) {
        let session = self.session(now, Phase::Answered);
        self.sessions.insert(conn, session);
    }

    /// The delay after which a neighbor is dialed again.
    pub(crate) fn redial_delay(&mut self, place: usize, random: u64) -> Nanos {
        self.links[place].backoff.next_delay(random).as_nanos() as Nanos
    }

    /// Takes bytes that have come. Returns the shards that the bytes were about, one bit each.
    pub(crate) fn receive(
        &mut self,
        now: Nanos,
        clock_ns: u64,
        conn: ConnId,
        bytes: &[u8],
        out: &mut Vec<Action>,
    ) -> u32 {
        let Some(session) = self.sessions.get_mut(&conn) else { return 0 };
        session.heard_at = now;
        session.received.extend_from_slice(bytes);
        let is_new = !matches!(session.phase, Phase::Up(..));
        if is_new && !self.handshake(clock_ns, conn, out) {
            return 0;
        }
        let session =
            self.sessions.get_mut(&conn).expect("the handshake has just continued on this connection");
        let Phase::Up(incoming, _) = &mut session.phase else { return 0 };
        let (mut wake, before) = (Wake::default(), incoming.records());
        let received = incoming.receive(&self.replica, clock_ns, &session.received, &mut wake);
        out.push(Action::Received(incoming.records() - before));
        // A link that comes up may show that the clock is right. Then the server corrects the records that it has
        // issued.
        let shards = if is_new { u32::MAX } else { shards_of(&session.received) };
        if self.listens {
            session.listen(&mut self.heard);
        }
        if let Ok(len) = received {
            session.received.drain(..len);
        }
        self.wake(wake, out);
        if let Err(error) = received {
            out.push(match error {
                LinkError::Clock(_) => Action::ClocksApart,
                error => Action::Broken(conn, error.to_string()),
            });
            self.end(conn, out);
        }
        shards
    }

    /// Continues the handshake. Returns whether the link is up.
    fn handshake(&mut self, clock_ns: u64, conn: ConnId, out: &mut Vec<Action>) -> bool {
        let session = self.sessions.get_mut(&conn).expect("the caller has just found this session");
        let (hello, len) = match decode(&session.received) {
            Ok(Some((Frame::Hello(hello), len))) => (hello, len),
            Ok(None) => return false,
            other => {
                out.push(Action::Broken(conn, format!("the neighbor sent {other:?} instead of HELLO")));
                self.end(conn, out);
                return false;
            }
        };
        session.received.drain(..len);
        let agreed = match session.phase {
            Phase::Dialed(place) => {
                let (dialed_ns, name) = (session.clock_at_begin_ns, &self.neighbors[place].0);
                self.identity.confirm(clock_ns, dialed_ns, &hello, name).map(|()| (place, None))
            }
            _ => {
                let answered = self.identity.answer(clock_ns, &hello, &self.neighbors);
                answered.map(|(place, answer)| (place, Some(answer)))
            }
        };
        match agreed {
            Ok((place, answer)) => {
                if let Some(answer) = answer {
                    session.encoder.hello(&answer);
                }
                let agreed = self.identity.agreed(&hello);
                self.up(clock_ns, conn, place, agreed, out);
                true
            }
            Err(Refused::Clock(..)) => {
                out.push(Action::ClocksApart);
                self.end(conn, out);
                false
            }
            Err(refused) => {
                out.push(Action::Broken(conn, refused.to_string()));
                self.end(conn, out);
                false
            }
        }
    }

    fn up(&mut self, clock_ns: u64, conn: ConnId, place: usize, agreed: Agreed, out: &mut Vec<Action>) {
        // The other end may have given up a connection that looks alive from here.
        if let Some(old) = self.links[place].up.take() {
            self.drop_session(old, out);
        }
        let link = LinkId::new(place).expect("each scenario has fewer neighbors than links");
        let wake = self.replica.link_down(link).and(self.replica.trust_clock(link, clock_ns));
        self.links[place].up = Some(conn);
        self.links[place].backoff.reset();
        let session = self.sessions.get_mut(&conn).expect("this connection has just agreed");
        let incoming = Incoming::new(link).with_version(agreed.version);
        session.phase = Phase::Up(incoming.with_clock_offset_max(CLOCK_OFFSET_MAX_NS), link);
        let wake = wake.and(self.replica.agree(link, &self.neighbors[place].0, agreed, &mut session.encoder));
        session.write(conn, out);
        self.wake(wake, out);
        out.push(Action::Up(place));
    }

    /// One look at the link states and at the received frames. `members` are the herd's servers.
    pub(crate) fn look(&self, clock_ns: u64, members: &[ServerName], out: &mut Vec<Action>) {
        self.replica.set_members(members);
        let wake = self.replica.look_at_tree(clock_ns, members);
        self.wake(wake.and(self.replica.mend(clock_ns)), out);
    }

    /// Passes a wake to the writers. A link that is down has no writer, so its wake is lost, as it may be in a real
    /// server.
    pub(crate) fn wake(&self, wake: Wake, out: &mut Vec<Action>) {
        out.extend(wake.links().filter_map(|link| self.links[link.index()].up).map(Action::Flush));
    }

    /// Writes the next batch of records that the neighbor needs. Returns whether there are more.
    pub(crate) fn flush(&mut self, conn: ConnId, out: &mut Vec<Action>) -> bool {
        let Some(session) = self.sessions.get_mut(&conn) else { return false };
        let Phase::Up(_, link) = session.phase else { return false };
        let is_all = self.replica.flush(link, &mut session.encoder);
        session.write(conn, out);
        if session.encoder.is_exhausted() {
            out.push(Action::Broken(conn, "a link has to name more origins than it has indices".to_owned()));
            self.end(conn, out);
        }
        !is_all
    }

    /// Notes that time has passed: closes the connection if it has been silent for too long, and otherwise sends a
    /// heartbeat. Returns whether the connection continues.
    pub(crate) fn tick(
        &mut self,
        now: Nanos,
        clock_ns: u64,
        conn: ConnId,
        can_write: bool,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&conn) else { return false };
        let is_up = matches!(session.phase, Phase::Up(..));
        let (since, longest) =
            if is_up { (session.heard_at, LINK_SILENCE_MAX) } else { (session.began_at, HANDSHAKE_MAX) };
        if u128::from(now - since) > longest.as_nanos() {
            self.end(conn, out);
            return false;
        }
        if let Phase::Up(_, link) = session.phase
            && can_write
        {
            self.replica.write_heartbeat(link, clock_ns, &mut session.encoder);
            if self.replica.is_ready(link) {
                // A server flushes whenever it writes, so it wakes no writer for what a heartbeat finds.
                out.push(Action::Flush(conn));
            }
            if self.has_wrong_sums {
                let spoiled = spoiled(session.encoder.bytes());
                session.encoder.clear();
                out.push(Action::Write(conn, spoiled));
            }
            session.write(conn, out);
        }
        true
    }

    /// Ends the connection at this end.
    pub(crate) fn end(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        let Some(place) = self.drop_session(conn, out) else { return };
        if self.links[place].dials {
            out.push(Action::Redial(place));
        }
    }

    /// Drops a session. Returns the place of the session's link, which is down now.
    fn drop_session(&mut self, conn: ConnId, out: &mut Vec<Action>) -> Option<usize> {
        let session = self.sessions.remove(&conn)?;
        out.push(Action::Close(conn));
        match session.phase {
            Phase::Answered => None,
            Phase::Dialed(place) => Some(place),
            Phase::Up(_, link) => {
                self.links[link.index()].up.take_if(|up| *up == conn);
                let wake = self.replica.link_down(link);
                self.wake(wake, out);
                Some(link.index())
            }
        }
    }
}

impl Session {
    fn new(now: Nanos, phase: Phase, encoder: Encoder) -> Session {
        Session {
            phase,
            received: Vec::new(),
            encoder,
            began_at: now,
            heard_at: now,
            clock_at_begin_ns: 0,
            introduced: Named::default(),
        }
    }

    /// Notes the content of the complete frames that have come.
    fn listen(&mut self, heard: &mut Vec<Saying>) {
        let mut bytes = &self.received[..];
        while let Ok(Some((frame, len))) = decode(bytes) {
            bytes = &bytes[len..];
            if let Frame::Origin { index, origin } = &frame {
                self.introduced.introduce(*index, origin.clone());
            }
            heard.extend(Saying::heard(&frame, &self.introduced));
        }
    }

    fn write(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        if !self.encoder.is_empty() {
            out.push(Action::Write(conn, self.encoder.bytes().to_vec()));
            self.encoder.clear();
        }
    }
}

/// A replica that holds nothing.
fn empty_replica(me: Origin, seed: u64, client_ttl: Option<Nanos>, rules: Rules) -> Replica {
    Replica::new(ReplicaSettings {
        me,
        seed,
        max_clients: u64::MAX,
        client_ttl_ns: client_ttl,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: CLOCK_OFFSET_MAX_NS,
        client_index: true,
        rules,
    })
}

/// Returns these frames with other sums in their checks.
fn spoiled(mut bytes: &[u8]) -> Vec<u8> {
    let (mut encoder, mut spoiled) = (Encoder::default(), Vec::new());
    while let Ok(Some((frame, len))) = decode(bytes) {
        if let Frame::Check(check) = frame {
            encoder.check(&Check { root: !check.root, ..check });
            spoiled.extend_from_slice(encoder.bytes());
            encoder.clear();
        } else {
            spoiled.extend_from_slice(&bytes[..len]);
        }
        bytes = &bytes[len..];
    }
    spoiled
}

/// The shards that complete frames at the front of `bytes` may have changed.
fn shards_of(mut bytes: &[u8]) -> u32 {
    let mut shards = 0;
    while let Ok(Some((frame, len))) = decode(bytes) {
        bytes = &bytes[len..];
        match frame {
            Frame::Record { record, .. } => shards |= 1 << shard_index(record.key),
            Frame::Marker(covered) => shards |= 1u32.checked_shl(covered.shard.into()).unwrap_or(0),
            // A check must not move a vector.
            Frame::Check(check) => shards |= 1u32.checked_shl(check.shard.into()).unwrap_or(0),
            Frame::Heartbeat(_) => shards = u32::MAX,
            _ => {}
        }
    }
    shards
}
