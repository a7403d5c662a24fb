//! What the entrance and the reactor do for every protocol: limits, rates, stopping and counts, with and without TLS.

use super::*;
use crate::admission::DoorCounts;

fn greeted(house: &House, door: SocketAddr, is_tls: bool) -> Box<dyn ClientStream> {
    let mut client = house.dial(door, is_tls);
    assert_eq!(reply(&mut *client).0, 'h');
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_silent_or_ends_in_the_middle_of_a_message_is_closed() {
    for is_tls in [false, true] {
        let house = House::new("idle_s = 2\nline_s = 3");
        let door = house.toy(is_tls).await;
        let (mut silent, mut half) = (greeted(&house, door, is_tls), greeted(&house, door, is_tls));
        half.write_all(&[message(b'e', b"x"), b"\x40".to_vec()].concat()).unwrap();
        assert_eq!(reply(&mut *half), ('e', b"x".to_vec()));
        // A client that sends its message byte by byte is not silent, and still gets no more time for the message.
        let mut next_at = Instant::now();
        eventually("it is closed", || {
            // Slowly: the message must not be whole in time.
            let is_due = Instant::now() >= next_at;
            if is_due {
                next_at += Duration::from_millis(300);
            }
            let is_closed = is_due && half.write_all(b"y").and_then(|()| half.flush()).is_err();
            is_closed || house.log().contains("the client did not finish a message within 3 s")
        });
        house.wait_for_log("the client did not finish a message within 3 s");
        assert_eq!(rest(&mut *silent), b"");
        house.wait_for_log("closed: the client was silent for 2 s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_connections_at_all_doors_and_each_door_is_counted() {
    let house = House::new("connections_per_address = 3");
    let (toy, line_door) = (house.toy(true).await, house.line(false).await);
    let [one, _two] = [0; 2].map(|_| greeted(&house, toy, true));
    let mut three = tcp(line_door);
    three.write_all(b"A\n").unwrap();
    assert_eq!(line(&mut three), "? A\n");
    assert_eq!(rest(&mut tcp(line_door)), b"");
    assert_eq!(rest(&mut house.tls(toy)), b"");
    house.wait_for_log("turned away: 3 connections of this address are open");
    let counts = house.herd.admission().door(DoorKind::Line);
    assert_eq!(counts, DoorCounts { open: 3, taken: 3, turned_away: 2, handshakes_failed: 0 });
    drop(one);
    eventually("there is room again", || house.herd.admission().connections() == 2);
    greeted(&house, toy, true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_over_its_rate_is_answered_later_and_loses_nothing() {
    for is_tls in [false, true] {
        let house = House::new("lines_per_s_per_address = 200");
        let mut client = greeted(&house, house.toy(is_tls).await, is_tls);
        let began = Instant::now();
        for round in 0..3 {
            let messages: Vec<_> = (0..200).map(|number| vec![round, number]).collect();
            client
                .write_all(&messages.iter().flat_map(|body| message(b'e', body)).collect::<Vec<_>>())
                .unwrap();
            for body in messages {
                assert_eq!(reply(&mut *client), ('e', body));
            }
        }
        assert!(began.elapsed() >= Duration::from_millis(1900), "after {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_come_before_a_stop_is_answered_and_then_all_is_closed() {
    for is_tls in [false, true] {
        let house = House::new("");
        let door = house.toy(is_tls).await;
        let mut idle = greeted(&house, door, is_tls);
        let mut asking = greeted(&house, door, is_tls);
        let mut in_handshake = tcp(door);
        in_handshake.write_all(b"\x16\x03\x01").unwrap();
        asking.write_all(&message(b'e', b"x").repeat(20_000)).unwrap();
        asking.flush().unwrap();
        eventually("it has come", || rustix::io::ioctl_fionread(asking.tcp()).unwrap() > 0);
        let began = Instant::now();
        let reader = std::thread::spawn(move || {
            (0..20_000).for_each(|_| assert_eq!(reply(&mut *asking).0, 'e'));
            assert_eq!(rest(&mut *asking), b"");
        });
        house.stop().await;
        assert!(began.elapsed() < Duration::from_secs(3), "nothing had to be cut off");
        reader.join().unwrap();
        assert_eq!(rest(&mut *idle), b"");
        assert!(TcpStream::connect(door).is_err(), "nobody listens any more");
        assert_eq!(house.herd.admission().connections(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_what_one_client_sent_ends_its_connection_alone() {
    let house = House::new("");
    let door = house.toy(false).await;
    let (mut one, mut other) = (greeted(&house, door, false), greeted(&house, door, false));
    one.write_all(&message(b'p', b"")).unwrap();
    assert_eq!(rest(&mut *one), b"");
    house.wait_for_log("closed: this server panicked at input that the client sent");
    other.write_all(&[message(b'e', b"x"), message(b'q', b"")].concat()).unwrap();
    assert_eq!(reply(&mut *other), ('e', b"x".to_vec()));
    assert_eq!(rest(&mut *other), b"");
    house.wait_for_log("closed: it said goodbye");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_at_several_addresses_takes_from_each_encrypted_or_not() {
    let house = House::new("");
    let doors = house.door(DoorKind::Line, &[false, true, true]).await;
    // Many connections that wait at one address do not delay those at the others.
    let _waiting: Vec<_> = (0..50).map(|_| tcp(doors[0])).collect();
    for (&door, is_tls) in doors.iter().zip([false, true, true]) {
        let mut client = house.dial(door, is_tls);
        client.write_all(b"A\n").unwrap();
        assert_eq!(line(&mut *client), "? A\n");
    }
}
