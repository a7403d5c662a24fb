//! A test that crosses the doors: a report over either door, at any server, is seen over either door of every server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
};

use serde_json::Value;

use super::{Guarded, append};
use crate::harness::{
    Plan,
    certificates::{Certified, Dialed, dial},
    eventually,
};

const SERVERS: [&str; 3] = ["Riley", "Jaquez", "Juzang"];
const DOORS: [Door; 2] = [Door::Line, Door::Http];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Line,
    Http,
}

/// One server's doors, and a token for them.
struct Doors<'a> {
    line: SocketAddr,
    http: SocketAddr,
    token: &'a str,
}

impl Doors<'_> {
    /// Reports a client. Returns the AT line of the answer.
    fn report(&self, door: Door, id: &str) -> String {
        match door {
            Door::Line => {
                self.ask(&format!("IAMAT {id} +34.068930-118.445127 1621464827.959498503")).unwrap()
            }
            Door::Http => {
                let body = r#"{"lat": 34.06893, "lon": -118.445127, "time": "1621464827.959498503"}"#;
                self.at(&format!("PUT /v1/clients/{id}/location"), body).unwrap()
            }
        }
    }

    /// The AT line of a client, or what the door says instead.
    fn look(&self, door: Door, id: &str) -> Result<String, String> {
        match door {
            Door::Line => self.ask(&format!("WHATSAT {id} 10 0")),
            Door::Http => self.at(&format!("GET /v1/clients/{id}"), ""),
        }
    }

    /// The first line of the answer to one line, on a connection of its own.
    fn ask(&self, line: &str) -> Result<String, String> {
        let mut stream = BufReader::new(dial(self.line, None));
        write!(stream.get_mut(), "AUTH {}\n{line}\n", self.token).unwrap();
        let answer = next_line(&mut stream);
        if answer != "AUTH ok" {
            return Err(answer);
        }
        let answer = next_line(&mut stream);
        if answer.starts_with("AT ") { Ok(answer) } else { Err(answer) }
    }

    /// The member `at` of the answer to one request.
    fn at(&self, request: &str, body: &str) -> Result<String, String> {
        let answer = self.answer(request, body);
        let json: Value = answer.split_once("\r\n\r\n").map_or(Value::Null, |(_, body)| {
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
        });
        json["at"].as_str().map(str::to_owned).ok_or(answer)
    }

    /// The whole answer to one request, on a connection of its own.
    fn answer(&self, request: &str, body: &str) -> String {
        let mut stream = dial(self.http, None);
        let (http, token) = (self.http, self.token);
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        // The server may close the connection without the end that TLS has for it.
        let _ = stream.read_to_string(&mut answer);
        answer
    }
}

fn next_line(stream: &mut BufReader<Dialed>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Three servers with encrypted links. Both doors of each server have TLS and ask for tokens.
fn guarded() -> Guarded {
    let plan = Plan::pair().with_server("Juzang", &[]).encrypted();
    let mut guarded = Guarded::prepare(plan);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let door = Certified { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() };
    door.put(guarded.herd.dir(), "door");
    append(&guarded.herd, "[tls]\ncert = \"door.pem\"\nkey = \"door.key\"\n");
    let text = std::fs::read_to_string(guarded.herd.dir().join("herd.toml")).unwrap();
    let text = ["listen", "http"].iter().fold(text, |text, key| {
        text.replace(&format!("{key} = \"127.0.0.1:"), &format!("{key} = \"tls://127.0.0.1:"))
    });
    guarded.herd.write_file("herd.toml", &text);
    guarded.herd.start_all(&SERVERS);
    guarded
}

#[test]
fn a_report_over_either_door_is_seen_over_either_door_of_every_server() {
    let guarded = guarded();
    let addresses = guarded.herd.at("Riley");
    let operator = Doors { line: addresses.line, http: addresses.http, token: guarded.operator };
    let made =
        operator.answer("POST /v1/tokens", r#"{"scopes": ["report:kiwi-*", "read:kiwi-*", "places"]}"#);
    let made: Value = serde_json::from_str(made.split_once("\r\n\r\n").unwrap().1).unwrap();
    let token = made["token"].as_str().unwrap();
    let doors_of = |server: &str| {
        let addresses = guarded.herd.at(server);
        Doors { line: addresses.line, http: addresses.http, token }
    };
    // A server that does not know the token yet is asked again.
    for server in SERVERS {
        eventually(&format!("{server} knows the token"), || {
            match doors_of(server).look(Door::Line, "kiwi-0") {
                Err(answer) if answer == "? WHATSAT kiwi-0 10 0" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    let mut reported = Vec::new();
    for (door, server) in DOORS.into_iter().flat_map(|door| SERVERS.map(|server| (door, server))) {
        let id = format!("kiwi-{door:?}-{server}");
        let at = doors_of(server).report(door, &id);
        assert!(at.starts_with(&format!("AT {server} +")), "{at}");
        assert!(at.contains(&format!(" {id} +34.06893")), "{at}");
        reported.push((id, at));
    }
    for (door, server) in DOORS.into_iter().flat_map(|door| SERVERS.map(|server| (door, server))) {
        for (id, at) in &reported {
            eventually(&format!("{server} tells of {id} over {door:?}"), || {
                let told = doors_of(server).look(door, id);
                if told.as_ref() == Ok(at) { Ok(()) } else { Err(format!("{told:?}, and not {at:?}")) }
            });
        }
    }
    let unknown =
        Doors { token: "phd_nobody_0000000000000000000000000000000000000000000", ..doors_of("Riley") };
    assert_eq!(unknown.look(Door::Line, &reported[0].0), Err("? AUTH".to_owned()));
    assert!(unknown.look(Door::Http, &reported[0].0).unwrap_err().starts_with("HTTP/1.1 401 "));
    assert!(doors_of("Riley").look(Door::Http, "emu").unwrap_err().starts_with("HTTP/1.1 403 "));
}
