//! TLS of doors: failed handshakes, which cost little and are counted, broken records, and new certificates.

use std::iter::repeat_with;

use proxyherd_config::credentials;
use rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite,
    crypto::cipher::{OutboundChunks, OutboundPlainMessage},
};

use super::*;
use crate::door::entrance::HANDSHAKE_MAX;

fn failed(house: &House) -> u64 {
    house.herd.admission().door(DoorKind::Line).handshakes_failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_no_tls_is_told_so_in_the_log_and_closed() {
    let house = House::new("");
    let door = house.line(true).await;
    for (index, bytes) in
        [&b"IAMAT kiwi +34-118 1000\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 5000]].iter().enumerate()
    {
        let mut client = tcp(door);
        client.write_all(bytes).unwrap();
        let answer = rest(&mut client);
        assert!(!answer.starts_with(b"AT "), "{answer:?}");
        eventually("it is counted", || failed(&house) == index as u64 + 1);
    }
    house.wait_for_log("closed: the client does not use TLS, but this address requires TLS (`tls://`)");
    assert_eq!(house.herd.replica().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_is_not_ended_is_given_up() {
    let house = House::new("");
    let door = house.line(true).await;
    let mut hello = Vec::new();
    house.tls(door).conn.write_tls(&mut hello).unwrap();
    // This client hangs up.
    let mut gone = tcp(door);
    gone.write_all(&hello[..hello.len() / 2]).unwrap();
    drop(gone);
    house.wait_for_log("closed: the client ended the TLS handshake");
    // These clients send no more, or nothing at all.
    let began = Instant::now();
    let mut halves = [hello.len() / 2, 0, hello.len()].map(|len| {
        let mut half = tcp(door);
        half.write_all(&hello[..len]).unwrap();
        half
    });
    halves.iter_mut().for_each(|half| drop(rest(half)));
    assert!(began.elapsed() >= HANDSHAKE_MAX, "after {:?}", began.elapsed());
    house.wait_for_log("closed: the TLS handshake took more than 2 s");
    // The fifth is the client at the top that gave its first bytes to the others and hung up.
    eventually("all are counted", || failed(&house) == 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_without_end_is_given_up() {
    let house = House::new("");
    let mut client = tcp(house.line(true).await);
    // A ClientHello that says it is as long as one may be, in many records.
    let mut stream = b"\x16\x03\x01\x40\x00\x01\x00\xff\x00".to_vec();
    stream.resize(5 + 0x4000, 0);
    for _ in 0..4 {
        stream.extend_from_slice(b"\x16\x03\x01\x40\x00");
        stream.resize(stream.len() + 0x4000, 0);
    }
    let _ = client.write_all(&stream);
    rest(&mut client);
    house.wait_for_log("closed: the client's TLS handshake is too long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_in_handshakes_keep_nobody_out() {
    let house = House::new("");
    let door = house.line(true).await;
    let mut early = house.tls(door);
    early.write_all(b"A\n").unwrap();
    assert_eq!(line(&mut early), "? A\n");
    // Twice as many as a thread takes at once.
    let mut strangers: Vec<_> = repeat_with(|| tcp(door)).take(32).collect();
    let mut client = house.tls(door);
    client.write_all(b"B\n").unwrap();
    assert_eq!(line(&mut client), "? B\n");
    assert_eq!(rest(&mut strangers[0]), b"", "the oldest gave way");
    house.wait_for_log(
        "the client's TLS handshake was dropped: too many newer TLS handshakes were in progress",
    );
    early.write_all(b"C\n").unwrap();
    assert_eq!(line(&mut early), "? C\n", "who is done with it does not give way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_longer_what_the_client_has_encrypted_ends_its_connection() {
    let house = House::new("");
    let mut client = house.tls(house.line(true).await);
    client.write_all(b"A\n").unwrap();
    assert_eq!(line(&mut client), "? A\n");
    let mut record = Vec::new();
    client.conn.writer().write_all(b"B\nIAMAT kiwi +34-118 1000\n").unwrap();
    client.conn.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    client.sock.write_all(&record).unwrap();
    assert_eq!(rest(&mut client), b"");
    house.wait_for_log("closed: TLS: cannot decrypt peer's message");
    assert_eq!((house.herd.replica().len(), failed(&house)), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_of_tls_that_brings_no_data_ends_its_connection() {
    let house = House::new("");
    let mut client = tls_by(house.dir.path(), house.line(true).await, |config| {
        config.enable_secret_extraction = true;
    });
    client.write_all(b"A\n").unwrap();
    assert_eq!(line(&mut client), "? A\n");
    let Some(SupportedCipherSuite::Tls13(suite)) = client.conn.negotiated_cipher_suite() else {
        panic!("both ends know TLS 1.3")
    };
    let (session, mut stream) = client.into_parts();
    let mut key_update = vec![24, 0, 0xff, 0];
    key_update.resize(0xff04, 0);
    // The library must have nothing left to write, since the test uses its keys and counters from here on.
    assert!(!session.wants_write());
    let (mut seq, secrets) = session.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("the library knows these ciphers")
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    // One message of the handshake protocol, whose end never comes.
    for piece in key_update[..3 * 16 * 1024].chunks(16 * 1024) {
        let (typ, version) = (ContentType::Handshake, ProtocolVersion::TLSv1_2);
        let message = OutboundPlainMessage { typ, version, payload: OutboundChunks::Single(piece) };
        let record = encrypter.encrypt(message, seq).unwrap().encode();
        seq += 1;
        if stream.write_all(&record).is_err() {
            break;
        }
    }
    rest(&mut stream);
    house.wait_for_log("closed: the client sent more than 32 KiB within TLS without data");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_once_its_files_have_settled_and_a_bad_one_never() {
    let house = House::new("");
    let door = house.line(true).await;
    let stop = CancellationToken::new();
    let watch = credentials::watch(Arc::clone(&house.tls), house.herd.log().clone(), stop.clone());
    let watching = tokio::spawn(watch);
    let ask = |dir: &Path| {
        let mut client = tls_with(dir, door, &[]);
        client.write_all(b"A\n").and_then(|()| client.read_exact(&mut [0; 4]))
    };
    let copied = || {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(house.dir.path().join("cert.pem"), copy.path().join("cert.pem")).unwrap();
        copy
    };
    let old = copied();
    let mut before = house.tls(door);
    before.write_all(b"A\n").unwrap();
    assert_eq!(line(&mut before), "? A\n");

    fs::write(house.dir.path().join("cert.pem"), "no certificate").unwrap();
    house.wait_for_log("the new certificates of the doors are not taken, the old ones stay in use");
    assert!(ask(old.path()).is_ok());

    certify(house.dir.path());
    house.wait_for_log("certificates of the doors read anew");
    assert!(ask(house.dir.path()).is_ok());
    assert!(ask(old.path()).is_err(), "the old one is shown no more");
    let new = copied();
    before.write_all(b"B\n").unwrap();
    assert_eq!(line(&mut before), "? B\n", "who is connected stays so");

    // The key of another certificate; a key that others can read; an expired certificate.
    let other = tempfile::tempdir().unwrap();
    certify(other.path());
    let key = house.dir.path().join("key.pem");
    let good = fs::read(&key).unwrap();
    fs::copy(other.path().join("key.pem"), &key).unwrap();
    house.wait_for_log("is not the key of");
    fs::write(&key, &good).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    house.wait_for_log("can be read by others than its owner");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = rcgen::KeyPair::generate().unwrap();
    put(house.dir.path(), &params.self_signed(&expired).unwrap().pem(), &expired.serialize_pem());
    house.wait_for_log("cert.pem expired on 2020-01-01: put a new certificate there");
    assert!(ask(new.path()).is_ok(), "the one before is still shown");
    stop.cancel();
    watching.await.unwrap();
}

#[test]
fn what_doors_show_is_opened_with_words_for_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let error = || DoorTls::open(&certificate, &key).unwrap_err().to_string();
    assert!(error().contains("`cert` in [tls] names the certificate"), "{}", error());
    certify(dir.path());
    DoorTls::open(&certificate, &key).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(error().starts_with(&format!("there is no {}", key.display())), "{}", error());
    fs::write(&key, "nothing").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(error().contains("holds no private key"), "{}", error());
}
