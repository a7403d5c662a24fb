//! Tests of doors with several addresses: every address serves clients, and the server prints all addresses at its
//! start.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
};

use crate::harness::{
    Finished, Herd, PATIENCE, Plan, Process, WHERE_AND_WHEN, certificates::Certified, eventually, free_ports,
    get, metric, talk,
};

fn run(dir: &Path, line: &str) -> Finished {
    Process::run(dir, &line.split(' ').collect::<Vec<_>>())
}

/// Riley, with these lines for its doors in the configuration.
fn with_doors(doors: &str) -> Herd {
    let herd = Plan::single().prepare();
    herd.write_file("herd.toml", &text_with(doors));
    herd
}

fn text_with(doors: &str) -> String {
    format!("[herd]\ntls = \"off\"\n[[server]]\nname = \"Riley\"\n{doors}\n")
}

/// Two ports that are free on both loopback addresses, of IPv4 and of IPv6.
fn on_both_loopbacks() -> [SocketAddr; 2] {
    let is_free = |port: &u16| TcpListener::bind(("::1", *port)).is_ok();
    let port = eventually("a port is free for IPv6 too", || {
        free_ports(1).into_iter().find(is_free).ok_or("it is taken")
    });
    [([127, 0, 0, 1], port).into(), ([0, 0, 0, 0, 0, 0, 0, 1], port).into()]
}

#[test]
fn a_door_serves_at_each_of_its_addresses_and_names_them_all() {
    let ([line, line_6], [http, http_6]) = (on_both_loopbacks(), on_both_loopbacks());
    let doors = format!("listen = [\"{line}\", \"{line_6}\"]\nhttp = [\"{http}\", \"{http_6}\"]");
    let mut herd = with_doors(&doors);
    herd.start("Riley");
    let both = format!("clients at {line}, {line_6}; HTTP at {http}, {http_6}");
    assert_eq!(herd.process("Riley").out(), format!("ready: Riley takes {both}\n"));
    herd.wait_for_log("Riley", &format!("started: {both}; 0 links"));

    let said = talk(line_6, format!("IAMAT kiwi {WHERE_AND_WHEN}\n").as_bytes());
    assert!(said.starts_with(b"AT Riley "), "{said:?}");
    for at in [line, line_6] {
        let said = String::from_utf8(talk(at, b"WHATSAT kiwi 10 1\nHELLO\n")).unwrap();
        assert!(said.starts_with("AT Riley ") && said.ends_with("\n? HELLO\n"), "{at}: {said}");
    }
    for at in [http, http_6] {
        assert_eq!(get(at, "/health/livez"), (200, "ok\n".to_owned()), "{at}");
    }
    let seen = run(herd.dir(), "status --json");
    let expected = format!("\"http\": \"{http}\"");
    assert!(seen.code == 0 && seen.out.contains(&expected) && seen.out.contains("\"status\""), "{seen:?}");

    let checked = run(herd.dir(), "check --name Riley");
    for at in [line, line_6, http, http_6] {
        assert!(checked.err.contains(&format!("can't listen at {at} (")), "{checked:?}");
    }
    let ended = herd.stop("Riley", "TERM");
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn no_server_starts_while_one_address_of_a_list_is_taken() {
    let ports = free_ports(2);
    let [first, second] = [ports[0], ports[1]].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let herd = with_doors(&format!("listen = [\"{first}\", \"{second}\"]"));
    let _taken = TcpListener::bind(second).unwrap();
    let refused = run(herd.dir(), "serve --name Riley");
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    let said = format!("can't listen at {second} (`listen` of server Riley)");
    assert!(refused.err.contains(&said), "{}", refused.err);
}

#[test]
fn a_changed_list_of_addresses_waits_for_the_next_start() {
    let ports = free_ports(2);
    let doors = format!("listen = \"127.0.0.1:{}\"", ports[0]);
    let mut herd = with_doors(&doors);
    herd.start("Riley");
    let more = format!("listen = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]", ports[0], ports[1]);
    herd.write_file("herd.toml", &text_with(&more));
    let line = herd.wait_for_log("Riley", "server.listen");
    assert!(line.contains("start"), "{line}");
}

#[test]
fn a_door_with_tls_serves_what_the_other_addresses_serve() {
    let ports = free_ports(4);
    let [line, line_tls, http, http_tls] =
        [0, 1, 2, 3].map(|index| SocketAddr::from(([127, 0, 0, 1], ports[index])));
    let mut herd = with_doors(&format!(
        "listen = [\"tls://{line_tls}\", \"{line}\"]\nhttp = [\"tls://{http_tls}\", \"{http}\"]\n\
         [tls]\ncert = \"door.pem\"\nkey = \"door.key\""
    ));
    for line in ["serve --name Riley", "check --name Riley"] {
        let refused = run(herd.dir(), line);
        assert_eq!(refused.code, 78, "{line}: {refused:?}");
        assert!(
            refused.err.contains("door.pem: `cert` in [tls] names the certificate"),
            "{line}: {}",
            refused.err
        );
    }
    let elsewhere = run(herd.dir(), "check");
    assert!(elsewhere.code == 0 && elsewhere.err.contains("there is no door.pem"), "{elsewhere:?}");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Certified { certificate: key.clone(), key: certificate.clone() }.put(herd.dir(), "door");
    let swapped = run(herd.dir(), "check");
    let said = "door.pem holds a private key and no certificate that can be read: has somebody swapped";
    assert!(swapped.code == 78 && swapped.err.contains(said), "{swapped:?}");
    Certified { certificate, key }.put(herd.dir(), "door");
    let checked = run(herd.dir(), "check");
    assert!(
        checked.code == 0 && checked.out.contains("; the certificate of the doors expires on "),
        "{checked:?}"
    );
    herd.start("Riley");
    let addresses = format!("clients at tls://{line_tls}, {line}; HTTP at tls://{http_tls}, {http}");
    assert_eq!(herd.process("Riley").out(), format!("ready: Riley takes {addresses}\n"));
    herd.wait_for_log("Riley", &format!("started: {addresses}; 0 links"));
    assert!(talk(line, format!("IAMAT kiwi {WHERE_AND_WHEN}\n").as_bytes()).starts_with(b"AT Riley "));
    // The client connects to the first address in the file, and trusts the certificate that the file names.
    let client = format!("printf 'WHATSAT kiwi 10 1\\n' | {} client", env!("CARGO_BIN_EXE_proxyherd"));
    let asked = Process::bash(herd.dir(), &client).wait(PATIENCE);
    assert!(asked.code == 0 && asked.out.starts_with("AT Riley "), "{asked:?}");
    // The client trusts the same certificate at an address from the command line.
    let asked = Process::bash(herd.dir(), &format!("{client} tls://{line_tls}")).wait(PATIENCE);
    assert!(asked.code == 0 && asked.out.starts_with("AT Riley "), "{asked:?}");
    let plain = String::from_utf8(talk(line_tls, b"WHATSAT kiwi 10 1\n")).unwrap_or_default();
    assert!(!plain.contains("AT Riley"), "{plain}");
    let seen = run(herd.dir(), "status --json");
    assert!(seen.code == 0 && seen.out.contains("\"status\""), "{seen:?}");
    let failed = metric(http, "proxyherd_door_handshakes_failed_total{door=\"line\"}");
    assert_eq!(failed, Some(1.0), "the one that spoke no TLS");
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
}
