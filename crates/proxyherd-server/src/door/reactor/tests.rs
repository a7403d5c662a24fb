//! Tests of one connection's turns, at times that the test chooses.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Poll, Token};
use proxyherd_config::{clock, config::Limits, door_kind::DoorKind};
use proxyherd_core::flood::Wake;

use super::{
    CallContext, Connection, Inbox, Input, NextStep, Protocol, ProtocolEvent, Socket, TakeOutput,
    connection::Phase,
    turn::{Scratch, TurnContext},
};
use crate::{
    caller::Rights,
    herd::tests::{alone_with, caller},
    wait::eventually,
};

/// A protocol whose units end with a dot. It sends no replies.
struct Dots;

impl Protocol for Dots {
    const UNIT: &'static str = "dot";
    const UNIT_LEN_MAX: usize = 16;

    fn take(&mut self, _context: &CallContext<'_>, input: Input<'_>, _out: &mut Vec<u8>) -> TakeOutput {
        let ends: Vec<_> =
            (1..).zip(input.bytes).filter(|(_, byte)| **byte == b'.').map(|(end, _)| end).collect();
        let units_in = (ends.len() as u64).min(input.units_max);
        let consumed = if units_in == 0 { 0 } else { ends[units_in as usize - 1] };
        let next = if units_in == ends.len() as u64 { NextStep::ReadMore } else { NextStep::WriteFirst };
        TakeOutput { consumed, units_in, units_out: 0, wake: Wake::default(), next }
    }

    fn resume(&mut self, _context: &CallContext<'_>, _event: ProtocolEvent, _out: &mut Vec<u8>) -> NextStep {
        NextStep::ReadMore
    }
}

/// A client, and its connection at the server.
fn connect(herd: &crate::herd::Herd) -> (TcpStream, Connection<Dots>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, address) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let admission = herd.admission();
    let ticket = admission.admit(DoorKind::Line, SocketAddr::ip(&address), clock::monotonic_ns()).unwrap();
    let entered = admission.enter(DoorKind::Line);
    let socket = Socket::new(stream, None).unwrap();
    (client, Connection::new(Dots, caller(Rights::ALL), (ticket, entered), socket))
}

#[tokio::test]
async fn the_time_for_which_an_address_is_over_its_rate_is_not_its_clients_time() {
    let herd = alone_with("[limits]\nlines_per_s_per_address = 1000");
    let (mut client, mut connection) = connect(&herd);
    client.write_all(&[".".repeat(1001).as_bytes(), b"half"].concat()).unwrap();
    let (poll, mut scratch) = (Poll::new().unwrap(), Scratch::new(Dots::UNIT_LEN_MAX));
    let inbox = Arc::new(Inbox::new(poll.registry(), Token(0)).unwrap());
    let (limits, mut now) = (Limits::default(), Instant::now());
    let mut was_paced = false;
    eventually("half a unit is left", || {
        connection.socket.expect_input();
        connection.turn(&TurnContext { herd: &herd, inbox: &inbox, slot: 0, now }, &mut scratch);
        assert!(matches!(connection.phase, Phase::Serving));
        if connection.throttled_until.is_some() && !was_paced {
            (was_paced, now) = (true, now + 2 * limits.line);
        }
        !connection.may_hold_units && !connection.held.is_empty()
    });
    assert_eq!(connection.held, b"half");
    assert_eq!(connection.deadline(&limits), Some(now + limits.line));
}

#[tokio::test]
async fn who_was_silent_for_too_long_within_a_unit_is_told_which_limit_that_was() {
    let herd = alone_with("");
    let (mut client, mut connection) = connect(&herd);
    client.write_all(b"half").unwrap();
    let (poll, mut scratch) = (Poll::new().unwrap(), Scratch::new(Dots::UNIT_LEN_MAX));
    let inbox = Arc::new(Inbox::new(poll.registry(), Token(0)).unwrap());
    let now = Instant::now();
    while connection.held.is_empty() {
        connection.socket.expect_input();
        connection.turn(&TurnContext { herd: &herd, inbox: &inbox, slot: 0, now }, &mut scratch);
    }
    let [short, long] = [1, 2].map(Duration::from_secs);
    for (idle, line, said) in [
        (short, long, "the client was silent for 1 s"),
        (long, short, "the client did not finish a dot within 1 s"),
    ] {
        let limits = Limits { idle, line, ..Limits::default() };
        assert_eq!(connection.deadline(&limits), Some(now + short));
        assert_eq!(connection.passed_limit(&limits).to_string(), said);
    }
}
