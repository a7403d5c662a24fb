//! The line protocol with TLS: lines, replies and the end of a connection are the same as without TLS.

use std::process::{Command, Stdio};

use super::*;

const WHERE_AND_WHEN: &str = "+34.068930-118.445127 1621464827.959498503";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_lines_at_once_are_answered_in_order_however_they_are_cut_into_records() {
    let house = House::new("");
    let door = house.line(true).await;
    let lines: String = (0..30_000).map(|number| format!("LINE {number}\n")).collect();
    for write_len in [lines.len(), 16 * 1024, 1000, 17] {
        let mut client = house.tls(door);
        let expected: String = lines.lines().map(|line| format!("? {line}\n")).collect();
        let (mut reading, mut writing) = (Vec::new(), lines.as_bytes().chunks(write_len));
        // The client's library keeps what it has not read, so the test reads and writes in turns.
        client.sock.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        eventually("all lines are answered", || {
            for chunk in writing.by_ref().take(64) {
                client.write_all(chunk).unwrap();
            }
            let mut piece = [0; 64 * 1024];
            while reading.len() < expected.len()
                && let Ok(len @ 1..) = client.read(&mut piece)
            {
                reading.extend_from_slice(&piece[..len]);
                if writing.len() > 0 {
                    break;
                }
            }
            let is_read = reading.len() >= expected.len();
            if is_read { Ok(()) } else { Err(format!("{} of {} bytes", reading.len(), expected.len())) }
        });
        assert!(reading == expected.as_bytes(), "records of {write_len} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cut_of_the_first_bytes_is_taken() {
    let house = House::new("");
    let door = house.line(true).await;
    // The client's first bytes, cut in two at many places.
    for cut in (0..700).step_by(23) {
        let mut client = house.tls(door);
        let mut hello = Vec::new();
        client.conn.write_tls(&mut hello).unwrap();
        let cut = cut.min(hello.len());
        client.sock.write_all(&hello[..cut]).unwrap();
        std::thread::yield_now();
        client.sock.write_all(&hello[cut..]).unwrap();
        client.write_all(b"A\nB").unwrap();
        assert_eq!(line(&mut client), "? A\n");
        client.write_all(b"C\n").unwrap();
        assert_eq!(line(&mut client), "? BC\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_come_with_the_end_of_the_handshake_are_answered() {
    let house = House::new("");
    let mut client = house.tls(house.line(true).await);
    let (mut out, lines) = (Vec::new(), b"A\n".repeat(5000));
    client.conn.writer().write_all(&lines).unwrap();
    client.conn.write_tls(&mut out).unwrap();
    client.sock.write_all(&out).unwrap();
    out.clear();
    while client.conn.is_handshaking() {
        client.conn.read_tls(&mut client.sock).unwrap();
        client.conn.process_new_packets().unwrap();
    }
    // The end of the handshake and all lines in one write.
    while client.conn.wants_write() {
        client.conn.write_tls(&mut out).unwrap();
    }
    client.sock.write_all(&out).unwrap();
    (0..5000).for_each(|_| assert_eq!(line(&mut client), "? A\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_said_its_last_line_gets_every_reply_and_the_end_of_tls() {
    let house = House::new("");
    let door = house.line(true).await;
    let mut client = house.tls(door);
    let questions = format!("IAMAT kiwi {WHERE_AND_WHEN}\n") + &"WHATSAT kiwi 50 20\n".repeat(300) + "HALF";
    client.write_all(questions.as_bytes()).unwrap();
    client.end();
    let mut replies = Vec::new();
    client.read_to_end(&mut replies).expect("the server ends TLS before it closes");
    assert!(replies.len() > 1024 * 1024, "{} bytes", replies.len());
    assert!(replies.ends_with(b"? HALF\n"), "the last line needs no end");
    eventually("it is over", || house.herd.admission().connections() == 0);
    assert_eq!(house.herd.admission().buffered(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_turned_out_is_told_why_and_that_tls_ends() {
    let house = House::new("");
    let door = house.line(true).await;
    for (said, answer, why) in [
        (
            vec![b'x'; 100_000],
            [b"? ", &[b'x'; 64][..], b"\n"].concat(),
            "the client sent a line of more than 8192 bytes",
        ),
        (b"GET / HTTP/1.1\n".to_vec(), b"? GET / HTTP/1.1\n".to_vec(), "the client sent an HTTP request"),
    ] {
        let mut client = house.tls(door);
        client.write_all(&said).unwrap();
        client.flush().unwrap();
        let mut replies = Vec::new();
        client.read_to_end(&mut replies).expect("the server ends TLS before it closes");
        assert_eq!(replies, answer);
        client.end();
        house.wait_for_log(&format!("closed: {why}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_line_is_no_line_where_the_network_ends_the_connection() {
    let house = House::new("");
    let door = house.line(true).await;
    let mut client = house.tls(door);
    client.write_all(b"IAMAT kiwi +34-118 1000\nIAMAT kiwi +34.5-118 1001").unwrap();
    client.flush().unwrap();
    assert!(line(&mut client).starts_with("AT Riley +"));
    client.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), b"", "no reply to a line that may have been longer");
    house.wait_for_log("the connection ended without TLS's close_notify");
    let mut other = house.tls(door);
    other.write_all(b"WHATSAT kiwi 1 0\n").unwrap();
    let at = line(&mut other);
    assert!(at.ends_with("kiwi +34-118 1000\n"), "{at}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_all_and_holds_little() {
    const QUESTIONS: usize = 1000;
    let house = House::new("");
    let door = house.line(true).await;
    let mut once = house.tls(door);
    once.write_all(format!("IAMAT kiwi {WHERE_AND_WHEN}\n").as_bytes()).unwrap();
    line(&mut once);
    once.write_all(b"WHATSAT kiwi 50 20\n").unwrap();
    once.end();
    let expected = rest(&mut once);
    let mut client = house.tls(door);
    client.write_all(&b"WHATSAT kiwi 50 20\n".repeat(QUESTIONS)).unwrap();
    client.flush().unwrap();
    let buffered = || house.herd.admission().buffered();
    let mut most = eventually("no more fits on the way", || Some(buffered()).filter(|&len| len > 0));
    for number in 0..QUESTIONS {
        let mut reply = vec![0; expected.len()];
        for piece in reply.chunks_mut(1500) {
            client.read_exact(piece).unwrap();
            most = most.max(buffered());
        }
        assert!(reply == expected, "reply {number}");
    }
    assert!(most < 300_000, "{most} bytes waited for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_speaks_with_it_by_tls_1_2_and_1_3() {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let house = House::new("");
    let door = house.line(true).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let mut openssl = Command::new("openssl")
            .args(["s_client", "-connect", &door.to_string(), version, "-quiet", "-servername", "localhost"])
            .args(["-verify_return_error", "-CAfile"])
            .arg(house.dir.path().join("cert.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut to, mut from) = (openssl.stdin.take().unwrap(), openssl.stdout.take().unwrap());
        let lines: String = (0..3000).map(|number| format!("LINE {number}\n")).collect();
        to.write_all(lines.as_bytes()).unwrap();
        for sent in lines.lines() {
            assert_eq!(line(&mut from), format!("? {sent}\n"), "{version}");
        }
        drop(to);
        openssl.kill().unwrap();
        openssl.wait().unwrap();
    }
}
