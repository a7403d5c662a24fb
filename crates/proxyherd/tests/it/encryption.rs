//! Tests of encrypted links: members of the herd get a link, and every other caller is refused.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    thread,
};

use proxyherd_core::{
    codec::link::{Frame, decode},
    limits::HANDSHAKES_MAX,
};
use rustls::{ServerConnection, Stream};

use crate::{
    harness::{
        Herd, NAMES, PATIENCE, Plan, Process, WHERE_AND_WHEN,
        certificates::{self, Authority, Certified},
        eventually_metric, get, metric, neighbor, status, talk,
    },
    links::records,
};

fn certs(herd: &Herd) -> PathBuf {
    herd.dir().join("certs")
}

/// A herd with certificates that the test made. No server runs yet.
fn prepared(plan: Plan) -> (Herd, Authority) {
    let herd = plan.encrypted().prepare();
    let authority = Authority::new();
    authority.fill(&certs(&herd), &NAMES);
    (herd, authority)
}

/// Riley and Jaquez, linked, and a client's record that must stay as it is.
fn linked() -> (Herd, Authority, String) {
    let (mut herd, authority) = prepared(Plan::pair());
    herd.start_all(&["Riley", "Jaquez"]);
    herd.wait_for_links(&["Riley", "Jaquez"]);
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.agreed(&["Riley", "Jaquez"], "kiwi");
    (herd, authority, at)
}

/// Everything that an impostor sends: HELLO as Jaquez, and records.
fn all_there_is_to_say() -> Vec<u8> {
    [neighbor::bytes_of(&neighbor::hello("Jaquez")), records(50)].concat()
}

/// Sends everything, ignores errors, and returns the answer.
fn say_it_all(stream: &mut (impl Read + Write)) -> Vec<u8> {
    let _ = stream.write_all(&all_there_is_to_say()).and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Dials as Riley's neighbor would, sends everything, and expects a refusal with this text in Riley's log.
fn must_be_refused(herd: &Herd, what: &str, shown: Option<&Certified>, reason: &str) -> Vec<u8> {
    let mut stream = certificates::dial(herd.at("Riley").peer, shown);
    let address = stream.sock.local_addr().unwrap();
    let answer = say_it_all(&mut stream);
    let line = herd.wait_for_log("Riley", &format!("no link with {address}, "));
    assert!(line.contains(reason) && line.contains("  !  "), "{what}: {line}");
    answer
}

#[test]
fn nobody_else_gets_past_the_handshake_and_nobody_notices() {
    let (herd, authority, at) = linked();
    let (peer, uri) = (herd.at("Riley").peer, Some("proxyherd://test/Jaquez"));

    let mut plain = neighbor::dial(peer, b"");
    let address = plain.local_addr().unwrap();
    // If anything comes back, it is a TLS alert.
    assert!(say_it_all(&mut plain).len() < 16);
    let line = herd.wait_for_log("Riley", &format!("no link with {address}, "));
    assert!(line.contains("the other end does not speak TLS") && line.contains("\"off\""), "{line}");

    let other = Authority::new();
    let strangers = [
        ("no certificate", None, "the other end shows no certificate"),
        (
            "another authority's",
            Some(other.server("Jaquez")),
            "the certificate is of another authority than ca.pem",
        ),
        (
            "another authority's old one",
            Some(other.certify(uri, 2000, 2001)),
            "the certificate is of another authority than ca.pem",
        ),
        (
            "an expired one",
            Some(authority.certify(uri, 2000, 2001)),
            "the certificate of Jaquez expired on 2001-01-01: renew it with `proxyherd init --server Jaquez`",
        ),
        (
            "one of the future",
            Some(authority.certify(uri, 2100, 2101)),
            "the certificate of Jaquez begins on 2100-01-01",
        ),
        (
            "one without a name",
            Some(authority.certify(None, 2000, 2100)),
            "the certificate names no server of a herd",
        ),
        (
            "another herd's",
            Some(authority.certify(Some("proxyherd://other/Jaquez"), 2000, 2100)),
            "the certificate is for the herd \"other\", but this server is in the herd \"test\"",
        ),
        (
            "one of a name that is none",
            Some(authority.certify(Some("proxyherd://test/a b"), 2000, 2100)),
            "the certificate names no server of a herd",
        ),
    ];
    for (what, shown, reason) in &strangers {
        assert_eq!(must_be_refused(&herd, what, shown.as_ref(), reason), b"", "{what}: nothing is told");
    }
    // Members of the herd get the reason in the link protocol.
    for (name, reason) in [
        ("Campbell", "the other end says that it is Jaquez, but shows the certificate of Campbell"),
        ("Eve", "the other end says that it is Jaquez, but shows the certificate of Eve"),
    ] {
        let answer = must_be_refused(&herd, name, Some(&authority.server(name)), reason);
        match decode(&answer) {
            Ok(Some((Frame::Refusal(told), _))) => assert!(told.contains(reason), "{told}"),
            other => panic!("{name}: {other:?}"),
        }
    }

    for name in ["Riley", "Jaquez"] {
        let link = &status(herd.at(name).http)["links"][0];
        assert_eq!((&link["up"], &link["times_up"]), (&true.into(), &1.into()), "{link}");
        assert_eq!(metric(herd.at(name).http, "proxyherd_records"), Some(1.0));
    }
    assert_eq!(herd.located("Riley", &["kiwi"]), [at]);
    let refused = metric(herd.at("Riley").http, "proxyherd_peers_refused_total");
    assert_eq!(refused, Some(strangers.len() as f64 + 3.0));
}

#[test]
fn a_server_of_the_herd_that_is_no_neighbor_is_refused_by_its_own_name() {
    let (mut herd, authority) = prepared(Plan::pair());
    herd.start("Riley");
    let mut stream = certificates::dial(herd.at("Riley").peer, Some(&authority.server("Eve")));
    stream.write_all(&neighbor::bytes_of(&neighbor::hello("Eve"))).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(
        matches!(decode(&answer), Ok(Some((Frame::Refusal(told), _))) if told.contains("Eve is no neighbor"))
    );
    herd.wait_for_log("Riley", "Eve is no neighbor of Riley");
}

/// Accepts one connection in Riley's place with this TLS configuration. Returns the bytes that the dialing end sends
/// inside TLS, if any.
fn be_riley(listener: &TcpListener, shown: &Certified) -> Vec<u8> {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut connection = ServerConnection::new(certificates::server_config(shown)).unwrap();
    let mut said = Vec::new();
    let _ = Stream::new(&mut connection, &mut stream).read_to_end(&mut said);
    said
}

#[test]
fn a_dialing_server_says_nothing_to_whoever_is_not_its_neighbor() {
    let (mut herd, authority) = prepared(Plan::pair());
    let listener = TcpListener::bind(herd.at("Riley").peer).unwrap();
    herd.start("Jaquez");
    let old = authority.certify(Some("proxyherd://test/Riley"), 2000, 2001);
    for (shown, reason) in [
        (
            Authority::new().server("Riley"),
            "this server refuses the other end's certificate: the certificate is of another authority than ca.pem",
        ),
        (
            old,
            "the certificate of Riley expired on 2001-01-01: renew it with `proxyherd init --server Riley`",
        ),
        (authority.server("Campbell"), "Campbell answers at the address of Riley"),
    ] {
        assert_eq!(be_riley(&listener, &shown), b"", "{reason}");
        let line = herd.wait_for_log("Jaquez", reason);
        assert!(line.contains("link   Riley") && line.contains("still trying"), "{line}");
    }
    // A server that closes the connection at the TLS handshake, as a server without TLS does, gives another message
    // than a server that does not run.
    drop(listener.accept().unwrap());
    herd.wait_for_log("Jaquez", "is its `tls` \"off\"?");
    drop(listener);
    herd.start("Riley");
    herd.wait_for_links(&["Riley", "Jaquez"]);
}

#[test]
fn a_server_whose_certificate_is_refused_is_told_so() {
    let (mut herd, _) = prepared(Plan::pair());
    Authority::new().server("Jaquez").put(&certs(&herd), "Jaquez");
    let refused = Process::run(herd.dir(), &["serve", "--name", "Jaquez"]);
    assert_eq!((refused.code, refused.out.as_str()), (78, ""), "{refused:?}");
    assert!(
        refused.err.contains("Jaquez.pem: the certificate is of another authority than ca.pem"),
        "{}",
        refused.err
    );

    // Each of the two herds is correct by itself.
    let other = herd.dir().join("other");
    Authority::new().fill(&other, &["Jaquez"]);
    herd.start("Riley");
    herd.start_with(&["Jaquez"], &["--set", "herd.tls=other"]);
    herd.wait_for_log("Riley", "the other end refuses this server's certificate");
    herd.wait_for_log("Jaquez", "this server refuses the other end's certificate: the certificate is of another authority than ca.pem");
}

/// The certificate that a server presents now.
fn shown_at(peer: SocketAddr, to: &Certified) -> Vec<u8> {
    let mut stream = certificates::dial(peer, Some(to));
    stream.conn.complete_io(&mut stream.sock).unwrap();
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_renewed_certificate_is_shown_from_the_next_handshake_on() {
    let (herd, authority, _) = linked();
    let (peer, eve) = (herd.at("Riley").peer, authority.server("Eve"));
    let left_s = metric(herd.at("Riley").http, "proxyherd_certificate_left_seconds").unwrap();
    assert!(left_s > 2e9, "{left_s}");

    let soon = authority.certify(Some("proxyherd://test/Riley"), 2020, 2500);
    soon.put(&certs(&herd), "Riley");
    herd.wait_for_log("Riley", "certificates read anew: this server's expires on 2500-01-01");
    assert_eq!(shown_at(peer, &eve), soon.der().to_vec());
    let soon_s = metric(herd.at("Riley").http, "proxyherd_certificate_left_seconds").unwrap();
    assert!((soon_s - left_s).abs() > 1e6, "{soon_s} {left_s}");

    fs::write(certs(&herd).join("Riley.pem"), "-----BEGIN").unwrap();
    let line = herd.wait_for_log("Riley", "the new certificates are not taken, the old ones stay in use");
    assert!(line.contains("Riley.pem holds no certificate that can be read"), "{line}");
    assert_eq!(shown_at(peer, &eve), soon.der().to_vec());
    // A key that belongs to another certificate is as bad as a missing key.
    fs::write(certs(&herd).join("Riley.pem"), authority.server("Riley").certificate).unwrap();
    herd.wait_for_log("Riley", "Riley.key is not the key of ");

    let link = &status(herd.at("Riley").http)["links"][0];
    assert_eq!((&link["up"], &link["times_up"]), (&true.into(), &1.into()), "{link}");
    let told = Process::run(herd.dir(), &["status"]);
    assert!(told.out.contains("The first certificate to expire is Jaquez's, in "), "{}", told.out);
}

#[test]
fn init_renews_what_a_server_is_running_with() {
    let mut herd = Plan::pair().encrypted().start();
    let read = |file: &str| fs::read_to_string(certs(&herd).join(file)).unwrap();
    let before = read("Riley.pem");
    let renewed = Process::run(herd.dir(), &["init", "--server", "Riley", "--days", "20"]);
    assert_eq!((renewed.code, renewed.err.as_str()), (0, ""), "{renewed:?}");
    assert!(renewed.out.contains("Renewed ./certs/Riley.pem") && renewed.out.contains("certs/Riley.key"));
    assert_ne!(before, read("Riley.pem"));
    herd.wait_for_log("Riley", "certificates read anew");
    let line = herd.wait_for_log("Riley", "this server's certificate expires on ");
    assert!(line.contains("(19 days left): renew it with `proxyherd init --server Riley`"), "{line}");
    herd.stop("Jaquez", "TERM");
    herd.start("Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
}

#[test]
fn a_server_whose_certificate_has_expired_serves_its_clients_and_says_why_it_is_alone() {
    let (mut herd, authority) = prepared(Plan::pair());
    authority.certify(Some("proxyherd://test/Jaquez"), 2000, 2001).put(&certs(&herd), "Jaquez");
    herd.start_all(&["Riley", "Jaquez"]);
    let line = herd.wait_for_log("Jaquez", "this server's certificate expired on 2001-01-01");
    assert!(line.contains("proxyherd init --server Jaquez") && line.contains("  !  "), "{line}");
    herd.wait_for_log("Riley", "the certificate of Jaquez expired on 2001-01-01");
    assert!(herd.client("Jaquez").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}")).starts_with("AT Jaquez "));
    let (code, metrics) = get(herd.at("Jaquez").http, "/metrics");
    assert!(code == 200 && metrics.contains("proxyherd_certificate_left_seconds -"), "{metrics}");
    authority.server("Jaquez").put(&certs(&herd), "Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
}

#[test]
fn check_looks_at_the_certificates() {
    let (herd, authority) = prepared(Plan::pair());
    let dir = certs(&herd);
    let run = |line: &str| Process::run(herd.dir(), &line.split(' ').collect::<Vec<_>>());
    let fine = run("check --name Riley");
    assert_eq!((fine.code, fine.err.as_str()), (0, ""), "{fine:?}");
    assert!(fine.out.ends_with("; Riley can start here\n"), "{fine:?}");
    let refused = |what: &str, said: &str, line: &str| {
        let refused = run(line);
        assert_eq!((refused.code, refused.out.as_str()), (78, ""), "{what}: {refused:?}");
        assert!(refused.err.contains(said), "{what}: {}", refused.err);
        authority.fill(&dir, &["Riley", "Jaquez"]);
    };
    fs::set_permissions(dir.join("Riley.key"), fs::Permissions::from_mode(0o644)).unwrap();
    refused("others can read it", "can be read by others than its owner (mode 0644): chmod 600 ", "check");
    fs::set_permissions(dir.join("Riley.key"), fs::Permissions::from_mode(0o604)).unwrap();
    refused("so it is not used", "can be read by others than its owner", "serve --name Riley");
    fs::remove_file(dir.join("ca.pem")).unwrap();
    refused("no authority", "there is no certs/ca.pem: `proxyherd init` makes", "check");
    authority.server("Riley").put(&dir, "Jaquez");
    refused("another's", "Jaquez.pem is the certificate of Riley, not of Jaquez", "check");
    fs::write(dir.join("Riley.pem"), authority.server("Riley").certificate).unwrap();
    refused("another key", "Riley.key is not the key of certs/Riley.pem", "check");
    Authority::new().server("Riley").put(&dir, "Riley");
    refused("another authority's", "Riley.pem: the certificate is of another authority than ca.pem", "check");
    authority.certify(Some("proxyherd://test/Riley"), 2000, 2001).put(&dir, "Riley");
    refused(
        "expired",
        "Riley.pem expired on 2001-01-01: renew it with `proxyherd init --server Riley`",
        "check",
    );
    for file in ["Riley.pem", "Riley.key"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    let elsewhere = run("check");
    assert_eq!((elsewhere.code, elsewhere.err.as_str()), (0, ""), "Riley may run elsewhere: {elsewhere:?}");
    refused("not here", "there is no certs/Riley.pem: `proxyherd init --server Riley`", "check --name Riley");
    for file in ["Riley.key", "Jaquez.key"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    refused("none at all", "certs has no server's certificate with its key", "check");
}

#[test]
fn strangers_that_hold_on_to_the_peer_port_keep_no_neighbor_away() {
    let (mut herd, _) = prepared(Plan::pair());
    herd.start("Riley");
    let peer = herd.at("Riley").peer;
    let strangers: Vec<_> = (0..3 * HANDSHAKES_MAX).map(|_| neighbor::dial(peer, b"\x16")).collect();
    herd.wait_for_log("Riley", "more than 64 handshakes were in progress");
    herd.start("Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    // The first connections were closed, and the log was not flooded with messages about them.
    assert_eq!(neighbor::rest(&strangers[0]), b"");
    drop(strangers);
    let refused = 3.0 * HANDSHAKES_MAX as f64;
    eventually_metric(
        "all of them are counted",
        herd.at("Riley").http,
        "proxyherd_peers_refused_total",
        refused..=refused,
    );
    let lines = |log: &str| log.lines().filter(|line| line.contains("no link with")).count();
    let log = herd.log("Riley");
    assert_eq!(lines(&log), 20, "{log}");
    assert!(
        log.contains("further connections from this address are counted and not logged for a minute"),
        "{log}"
    );
}

#[test]
fn another_implementation_of_tls_sees_the_same() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: there is no openssl");
        return;
    }
    let herd = Plan::pair().encrypted().start();
    let peer = herd.at("Riley").peer;
    let client = |arguments: &str| {
        let line = format!(
            "openssl s_client -connect {peer} -CAfile certs/ca.pem -verify_return_error -tls1_3 {arguments} < /dev/null 2>&1"
        );
        Process::bash(herd.dir(), &line).wait(PATIENCE)
    };
    let member = client("-cert certs/Jaquez.pem -key certs/Jaquez.key -alpn proxyherd/1");
    for said in ["Verification: OK", "TLSv1.3", "ALPN protocol: proxyherd/1", "CN = Riley"] {
        assert!(member.out.contains(said), "{said}: {}", member.out);
    }
    let text = Process::bash(herd.dir(), "openssl x509 -in certs/Riley.pem -noout -text").wait(PATIENCE).out;
    assert!(text.contains("URI:proxyherd://herd-") && text.contains("/Riley"), "{text}");
    herd.wait_for_log("Riley", "the other end closed the connection");
    client("");
    herd.wait_for_log("Riley", "the other end shows no certificate");
    let old = Process::bash(
        herd.dir(),
        &format!("openssl s_client -connect {peer} -tls1_2 -CAfile certs/ca.pem < /dev/null 2>&1"),
    );
    assert_ne!(old.wait(PATIENCE).code, 0);
    herd.wait_for_log("Riley", "the other end does not speak TLS 1.3");
    herd.wait_for_links(&["Riley", "Jaquez"]);
}

/// The reports of many clients, one each, as lines of the line protocol.
fn reports(count: usize) -> String {
    (0..count).map(|client| format!("IAMAT client-{client} +1+1 1000\n")).collect()
}

fn wait_for_records(herd: &Herd, name: &str, count: usize) {
    eventually_metric(
        &format!("{name} has {count} records"),
        herd.at(name).http,
        "proxyherd_records",
        count as f64..=count as f64,
    );
}

#[test]
fn much_goes_over_an_encrypted_link_and_a_server_that_ends_leaves_nothing_unsaid() {
    const CLIENTS: usize = 60_000;
    let (mut herd, _) = prepared(Plan::pair().log("level = \"warn\""));
    herd.start("Riley");
    talk(herd.line("Riley"), reports(CLIENTS).as_bytes());
    herd.start("Jaquez");
    wait_for_records(&herd, "Jaquez", CLIENTS);

    // More bytes than the sockets hold are sent to a server that does not read at the moment. Then the only server that
    // knows the reports ends.
    herd.process("Jaquez").signal("STOP");
    let more = reports(2 * CLIENTS);
    talk(herd.line("Riley"), &more.as_bytes()[reports(CLIENTS).len()..]);
    herd.process("Riley").signal("TERM");
    herd.process("Jaquez").signal("CONT");
    assert_eq!(herd.stop("Riley", "CONT").code, 0);
    wait_for_records(&herd, "Jaquez", 2 * CLIENTS);
}

#[test]
fn what_is_told_over_an_encrypted_link_is_not_to_be_read_on_its_way() {
    let (mut herd, _) = prepared(Plan::pair());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let between = listener.local_addr().unwrap();
    let riley = herd.at("Riley").peer;
    let file = herd.dir().join("herd.toml");
    let text = fs::read_to_string(&file).unwrap();
    let advertise = format!("peer = \"{riley}\"\nadvertise = \"{between}\"");
    fs::write(&file, text.replace(&format!("peer = \"{riley}\""), &advertise)).unwrap();
    herd.start_all(&["Riley", "Jaquez"]);
    let (jaquez, _) = listener.accept().unwrap();
    let upstream = TcpStream::connect(riley).unwrap();
    let seen = [pump(jaquez.try_clone().unwrap(), upstream.try_clone().unwrap()), pump(upstream, jaquez)];
    herd.wait_for_links(&["Riley", "Jaquez"]);
    for name in ["Riley", "Jaquez"] {
        herd.client(name).ask(&format!("IAMAT a.client.of.{name} {WHERE_AND_WHEN}"));
        herd.agreed(&["Riley", "Jaquez"], &format!("a.client.of.{name}"));
    }
    herd.kill_all(&["Riley", "Jaquez"]);
    for seen in seen.map(|pump| pump.join().unwrap()) {
        assert!(seen.len() > 1000, "{}", seen.len());
        for word in [&b"a.client.of"[..], b"Riley", b"Jaquez"] {
            assert!(
                !seen.windows(word.len()).any(|bytes| bytes == word),
                "{}",
                String::from_utf8_lossy(word)
            );
        }
    }
}

/// Copies bytes in one direction until the end of the stream. Returns the bytes.
fn pump(mut from: TcpStream, mut to: TcpStream) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(len @ 1..) = from.read(&mut piece) {
            seen.extend_from_slice(&piece[..len]);
            if to.write_all(&piece[..len]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
        seen
    })
}
