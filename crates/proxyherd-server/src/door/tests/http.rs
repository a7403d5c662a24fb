//! HTTP connections come through the same entrance, and have their own limits.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_reports_within_tls_and_counts_at_its_own_door() {
    let house = House::new("");
    let doors = house.door(DoorKind::Phones, &[false, true]).await;
    for (&door, is_tls) in doors.iter().zip([false, true]) {
        let mut phone = house.dial(door, is_tls);
        let target = format!("/?id=phone&lat=1&lon=2&timestamp=100{}", u8::from(is_tls));
        let request = format!("GET {target} HTTP/1.1\r\nHost: {door}\r\nConnection: close\r\n\r\n");
        phone.write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(rest(&mut *phone)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    eventually("both connections are closed", || {
        let counts = house.herd.admission().door(DoorKind::Phones);
        counts.taken == 2 && counts.open == 0
    });
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_within_tls_is_http_and_takes_none_of_the_clients_room() {
    let house = House::new("connections = 1");
    let mut only = tcp(house.line(false).await);
    only.write_all(b"A\n").unwrap();
    assert_eq!(line(&mut only), "? A\n");
    let doors = house.door(DoorKind::Http, &[false, true]).await;
    let ask = |mut client: Box<dyn ClientStream>| {
        let host = client.tcp().peer_addr().unwrap();
        let request = format!("GET /health/livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        String::from_utf8(rest(&mut *client)).unwrap()
    };
    for (&door, is_tls) in doors.iter().zip([false, true]) {
        let answer = ask(house.dial(door, is_tls));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
    let mut agreed = tls_with(house.dir.path(), doors[1], &[b"h3", b"http/1.1"]);
    agreed.flush().unwrap();
    agreed.conn.complete_io(&mut agreed.sock).unwrap();
    assert_eq!(agreed.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut newer = tls_with(house.dir.path(), doors[1], &[b"http/1.1", b"h2"]);
    newer.conn.complete_io(&mut newer.sock).unwrap();
    assert_eq!(newer.conn.alpn_protocol(), Some(&b"h2"[..]), "the best first");
    let refused = tls_with(house.dir.path(), doors[1], &[b"mqtt"]).write_all(b"GET");
    assert!(refused.is_err(), "no protocol in common");
    let mut plain = tcp(doors[1]);
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    rest(&mut plain);
    drop((agreed, newer));
    eventually("all are counted", || {
        let counts = house.herd.admission().door(DoorKind::Http);
        counts.taken == 6 && counts.open == 0 && counts.handshakes_failed == 2
    });
    assert_eq!((house.herd.admission().connections(), house.herd.admission().turned_away()), (1, 0));
    house.stop().await;
}
