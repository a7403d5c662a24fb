//! Tests of live streams with clients of other projects: curl, Python's websockets, and nginx in front of the door.

use std::{net::SocketAddr, path::Path};

use serde_json::json;

use super::{Guarded, is_installed, or_skip, python_or_skip, script, told};
use crate::harness::{Events, Herd, Plan, Process, Ws, eventually, free_ports, request};

fn report(http: SocketAddr, id: &str) {
    let body = r#"{"lat":34,"lon":-118}"#;
    let head =
        format!("PUT /v1/clients/{id}/location HTTP/1.0\r\nHost: {http}\r\nContent-Type: application/json");
    let sent = request(http, format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    assert_eq!(sent.code, 200, "{sent:?}");
}

#[test]
fn curl_shows_events_as_they_come() {
    let Some(()) = or_skip(is_installed("curl"), "there is no curl; ./test tools installs it") else {
        return;
    };
    let guarded = Guarded::start();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let id = format!("kiwi{version}");
        let url = format!("{}/v1/stream?ids={id}", guarded.base_url());
        let header = format!("Authorization: Bearer {}", guarded.operator);
        let arguments = ["-sN", version, "--compressed", "-D", "-", "-H", &header, &url];
        let curl = Process::other(guarded.herd.dir(), Path::new("curl"), &arguments);
        let shows = |text: &str| {
            eventually(&format!("curl {version} shows {text:?}"), || {
                let shown = curl.out();
                if shown.contains(text) { Ok(shown) } else { Err(format!("{shown} {}", curl.err())) }
            })
        };
        let shown = shows("\nevent: synced\ndata: {}\n\n");
        assert!(!shown.to_ascii_lowercase().contains("content-encoding"), "{shown}");
        let path = format!("/v1/clients/{id}/location");
        for lat in [1, 2] {
            let body = format!("{{\"lat\":{lat},\"lon\":2}}");
            assert_eq!(guarded.ask("PUT", &path, guarded.operator, &body).code, 200);
            shows(&format!("\nevent: location\ndata: {{\"id\":\"{id}\",\"lat\":{lat},"));
        }
        guarded.ask("DELETE", &format!("/v1/clients/{id}"), guarded.operator, "");
        shows(&format!("\nevent: gone\ndata: {{\"id\":\"{id}\"}}\n\n"));
    }
}

#[test]
fn websockets_of_python_watches_reports_and_understands_errors() {
    let Some(python) = python_or_skip() else { return };
    let guarded = Guarded::start();
    let courier = guarded.token(&["report:courier-*", "read:courier-*"]);
    let script = script("live.py").display().to_string();
    let arguments = [script.as_str(), &guarded.base_url(), guarded.operator, &courier];
    let parts = told(&guarded.herd, &python.join("python"), &arguments);
    assert_eq!(parts, "a_stream_and_reports\na_token_as_a_message\nwhat_is_wrong\n");
}

/// nginx with its default buffering in front of a server's HTTP door.
fn nginx(herd: &Herd) -> Option<(Process, SocketAddr)> {
    or_skip(is_installed("nginx"), "there is no nginx; ./test tools installs it")?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_ports(1)[0]));
    let (dir, door) = (herd.dir().display(), herd.at("Riley").http);
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders: String = folders.iter().map(|name| format!("{name}_temp_path {dir}/{name};\n")).collect();
    // Without this, nginx as root would run its workers as a user who cannot reach the folder.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let text = format!(
        "{user} daemon off; pid {dir}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{folders}\
         server {{ listen {address};\n\
         location /v1/ws {{ proxy_pass http://{door}; proxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}\n\
         location / {{ proxy_pass http://{door}; }}\n}}\n}}\n"
    );
    herd.write_file("nginx.conf", &text);
    let file = herd.dir().join("nginx.conf").display().to_string();
    let nginx = Process::other(herd.dir(), Path::new("nginx"), &["-p", &dir.to_string(), "-c", &file]);
    eventually("nginx listens", || {
        std::net::TcpStream::connect(address).map_err(|error| format!("{error} {}", nginx.err()))
    });
    Some((nginx, address))
}

#[test]
fn nginx_passes_events_on_as_they_come() {
    let herd = Plan::single().start();
    let Some((_nginx, front)) = nginx(&herd) else { return };
    let http = herd.at("Riley").http;
    let mut events = Events::open(front, "", "");
    assert_eq!(events.state(), [""; 0]);
    for id in ["a", "b"] {
        report(http, id);
        assert_eq!(events.expect().brief(), format!("location {id}"));
    }
    let mut ws = Ws::open(front, "").unwrap();
    ws.send(&json!({ "subscribe": { "ids": ["a"] } }));
    assert_eq!([ws.event(), ws.event(), ws.event()], ["reset", "location a", "synced"]);
    report(http, "a");
    assert_eq!(ws.event(), "location a");
}
