//! Streaming through a door: a protocol that sends its client what other connections report, with and without TLS.

use proxyherd_config::clock;
use proxyherd_core::{
    flood::Wake,
    replica::{Effort, Offer},
    types::{Attributes, ClientId, Coordinates, IdPattern, Report, Stamp},
};
use proxyherd_streams::{StreamEvent, StreamFilter, StreamKinds};

use super::*;
use crate::{
    caller::Rights,
    door::reactor::{CallContext, Input, NextStep, Protocol, ProtocolEnd, ProtocolEvent, TakeOutput},
    herd::{StreamHandle, StreamRequest, Taken, tests::caller},
};

/// After how many bytes of changes other connections have their turn.
const REPLIES_LEN: usize = 64 * 1024;

/// The protocol. A client sends one line: the prefix of the IDs of the stream. An empty line is for all clients.
#[derive(Default)]
struct StreamProtocol {
    stream: Option<StreamHandle>,
    /// How many bytes follow each change. They are many for a client that wants all clients, so that the sockets'
    /// buffers are soon full.
    padding_len: usize,
}

impl Protocol for StreamProtocol {
    const UNIT: &'static str = "line";
    const UNIT_LEN_MAX: usize = 300;

    fn take(&mut self, context: &CallContext<'_>, input: Input<'_>, out: &mut Vec<u8>) -> TakeOutput {
        let len = input.bytes.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if len > 0 {
            let (prefix, bell) = (ClientId::new(&input.bytes[..len - 1]), context.bell());
            let ids = prefix.map_or_else(IdPattern::all, IdPattern::with_prefix);
            self.padding_len = if prefix.is_none() { 16 * 1024 } else { 0 };
            let filter = StreamFilter { ids: vec![ids], ..StreamFilter::default() };
            let request = StreamRequest { filter, kinds: StreamKinds::default(), last_event_id: None };
            let bell = move || bell.ring();
            self.stream = context.herd.stream(context.caller, clock::now_ns(), request, bell).ok();
        }
        let next = self.tell(out);
        TakeOutput { consumed: len, units_in: u64::from(len > 0), units_out: 0, wake: Wake::default(), next }
    }

    fn resume(&mut self, _context: &CallContext<'_>, _event: ProtocolEvent, out: &mut Vec<u8>) -> NextStep {
        self.tell(out)
    }
}

impl StreamProtocol {
    /// Writes what can be taken. The few clients of these tests are gathered at once.
    fn tell(&self, out: &mut Vec<u8>) -> NextStep {
        let Some(stream) = &self.stream else { return NextStep::ReadMore };
        while out.len() < REPLIES_LEN {
            let taken = stream.take(clock::now_ns(), |event, _| match event {
                StreamEvent::Location(found) => {
                    out.extend_from_slice(found.client);
                    out.extend_from_slice(b" is at ");
                    found.coordinates.write(out);
                    out.resize(out.len() + self.padding_len, b'.');
                    out.push(b'\n');
                }
                StreamEvent::Synced => out.extend_from_slice(b"synced\n"),
                StreamEvent::Gone(client) => out.extend([*client, b" is gone\n"].concat()),
                StreamEvent::Reset | StreamEvent::Left(_) | StreamEvent::Presence(_) => {}
            });
            match taken {
                Taken::Event(()) => {}
                Taken::Gather => stream.gather(clock::now_ns(), Effort::ANY).unwrap(),
                Taken::Empty => return NextStep::Subscribed,
                Taken::Ended(_) => return NextStep::Close(ProtocolEnd::client_fault("the stream has ended")),
            }
        }
        NextStep::WriteFirst
    }
}

fn report_of(name: &str) -> Offer<'_> {
    let (client, stamp) = (ClientId::new(name.as_bytes()).unwrap(), Stamp::Server);
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
    Offer::new(Report { client, coordinates, stamp, attributes: Attributes::NONE })
}

impl House {
    async fn listener(&self, is_tls: bool) -> SocketAddr {
        let (entrance, addresses) = self.entrance(DoorKind::Line, &[is_tls]).await;
        reactor::run(entrance, &self.config.limits, |_: &_| StreamProtocol::default()).unwrap();
        addresses[0]
    }

    /// Whether no stream is open.
    fn is_unread(&self) -> bool {
        self.herd.figures(&caller(Rights::ALL)).unwrap().streams.open == 0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_pushed_what_another_connection_reports_and_what_is_forgotten() {
    for is_tls in [false, true] {
        let house = House::new("");
        let mut reader = house.dial(house.listener(is_tls).await, is_tls);
        reader.write_all(b"kiwi\n").unwrap();
        assert_eq!(line(&mut *reader), "synced\n");
        let mut reporter = tcp(house.line(false).await);
        for (client, latitude, told) in
            [("emu", "+1", None), ("kiwi-2", "+2", Some("+2+3")), ("kiwi", "+3", Some("+3+3"))]
        {
            reporter.write_all(format!("IAMAT {client} {latitude}+3 1000\n").as_bytes()).unwrap();
            assert!(line(&mut reporter).starts_with("AT Riley"));
            if let Some(at) = told {
                assert_eq!(line(&mut *reader), format!("{client} is at {at}\n"));
            }
        }
        reader.end();
        let kiwi = ClientId::new(b"kiwi").unwrap();
        assert_eq!(house.herd.forget(&caller(Rights::ALL), clock::now_ns(), kiwi), Ok(true));
        assert_eq!(line(&mut *reader), "kiwi is gone\n", "also once it has nothing more to say");
        house.stop().await;
        assert_eq!(rest(&mut *reader), b"");
        eventually("nobody reads", || house.is_unread());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_closed_and_holds_up_nobody() {
    for is_tls in [false, true] {
        let house = House::new("write_s = 1");
        let door = house.listener(is_tls).await;
        let (mut lazy, mut other) = (house.dial(door, is_tls), house.dial(door, is_tls));
        lazy.write_all(b"\n").unwrap();
        assert_eq!(line(&mut *lazy), "synced\n");
        other.write_all(b"last\n").unwrap();
        assert_eq!(line(&mut *other), "synced\n");
        let names: Vec<_> = (0..64).map(|number| format!("client-{number}")).collect();
        let mut most = 0;
        eventually("it is closed", || {
            let mut offers: Vec<_> = names.iter().map(|name| report_of(name)).collect();
            let wake = house.herd.report(&caller(Rights::ALL), clock::now_ns(), &mut offers);
            house.herd.wake(wake.unwrap());
            most = most.max(house.herd.admission().buffered());
            house.herd.admission().connections() == 1
        });
        assert!((1..300_000).contains(&most), "{most} bytes waited for it");
        house.wait_for_log("the client did not read its replies for 1 s");
        let tell_last = || {
            let wake = house.herd.report(&caller(Rights::ALL), clock::now_ns(), &mut [report_of("last")]);
            house.herd.wake(wake.unwrap());
        };
        tell_last();
        assert!(line(&mut *other).starts_with("last is at "));
        drop(other);
        // The server learns that the client has gone, and not only ended its sending half, when it sends the client
        // something.
        let is_over = || {
            tell_last();
            house.is_unread()
        };
        eventually("nobody reads", is_over);
    }
}
