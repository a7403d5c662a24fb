//! Tests of the settings that the texts show: `proxyherd check` accepts the parts of herd.toml, promtool the files of
//! Prometheus, and nginx its own.

use std::fs;

use super::{document::documents, programs_are_there};
use crate::{
    demo::have,
    harness::{OPERATOR_TOKEN_SHA256, PATIENCE, Process, free_ports},
};

/// A server for parts of herd.toml that have none.
const SERVER: &str =
    "[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:12000\"\nhttp = \"127.0.0.1:8000\"\n";

/// What the parts of herd.toml in the texts name: the certificate of the doors, and Google's key.
const PREPARATION: &str = "mkdir -p letsencrypt && cd letsencrypt && openssl req -x509 -newkey ec \
    -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -keyout privkey.pem -out fullchain.pem -subj /CN=localhost";

/// The whole of a herd.toml of which a text shows a part.
fn whole(part: &str, dir: &str) -> String {
    let mut text = part
        .replace("/etc/letsencrypt/live/herd.example.org", &format!("{dir}/letsencrypt"))
        .replace("\"…\"", &format!("{OPERATOR_TOKEN_SHA256:?}"));
    // The certificates of links are not there.
    let herd = "[herd]\ntls = \"off\"\n";
    text = if text.contains("[herd]") { text.replace("[herd]\n", herd) } else { format!("{herd}\n{text}") };
    // A part with doors that are not on loopback, and without the section that allows them.
    if text.contains("0.0.0.0") {
        if !text.contains("[access]") {
            text = format!(
                "[access]\ntokens = \"on\"\noperator_token_sha256 = {OPERATOR_TOKEN_SHA256:?}\n\n{text}"
            );
        }
        if !text.contains("[tls]") {
            let tls = format!(
                "cert = \"{dir}/letsencrypt/fullchain.pem\"\nkey = \"{dir}/letsencrypt/privkey.pem\""
            );
            text = format!("[tls]\n{tls}\n\n{text}");
        }
    }
    if !text.contains("[[server]]") {
        text += SERVER;
    } else if !text.contains("listen") {
        text += "listen = \"127.0.0.1:12000\"\n";
    }
    text
}

#[test]
fn check_accepts_every_part_of_herd_toml_that_the_texts_show() {
    if !programs_are_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    assert_eq!(Process::bash(dir.path(), PREPARATION).wait(PATIENCE).code, 0);
    let mut checked = 0;
    for document in documents() {
        for fence in document.fences().filter(|fence| fence.info == "toml") {
            let text = whole(&fence.text, at);
            fs::write(dir.path().join("herd.toml"), &text).unwrap();
            let line = format!("GOOGLE_MAPS_API_KEY=AIza {} check", env!("CARGO_BIN_EXE_proxyherd"));
            let told = Process::bash(dir.path(), &line).wait(PATIENCE);
            assert_eq!(told.code, 0, "{}:{}: {text}\n{told:?}", document.name, fence.line);
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

#[test]
fn promtool_accepts_every_file_of_prometheus_that_the_texts_show() {
    if !have("promtool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("proxyherd.token"), "phd_x\n").unwrap();
    let mut checked = 0;
    for document in documents() {
        for fence in document.fences().filter(|fence| fence.info == "yaml") {
            let kind = if fence.text.starts_with("groups:") { "rules" } else { "config" };
            let text = fence.text.replace("/etc/prometheus", dir.path().to_str().unwrap());
            fs::write(dir.path().join("prometheus.yml"), text).unwrap();
            let told =
                Process::bash(dir.path(), &format!("promtool check {kind} prometheus.yml")).wait(PATIENCE);
            assert_eq!(told.code, 0, "{}:{}: {told:?}", document.name, fence.line);
            checked += 1;
        }
    }
    assert!(checked >= 1, "{checked}");
}

#[test]
fn nginx_accepts_every_part_of_its_settings_that_the_texts_show() {
    if !have("nginx") || !programs_are_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    assert_eq!(Process::bash(dir.path(), PREPARATION).wait(PATIENCE).code, 0);
    let mut checked = 0;
    for document in documents() {
        for fence in document.fences().filter(|fence| fence.info == "nginx") {
            let part = fence
                .text
                .replace("/etc/letsencrypt/live/herd.example.org", &format!("{at}/letsencrypt"))
                .replace("/var/log/nginx", &at.to_string())
                .replace("listen 443", &format!("listen 127.0.0.1:{}", free_ports(1)[0]));
            let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let folders: String =
                folders.iter().map(|name| format!("{name}_temp_path {at}/{name};\n")).collect();
            let text = format!("pid {at}/pid; error_log stderr;\nevents {{}}\nhttp {{\n{folders}{part}}}\n");
            fs::write(dir.path().join("nginx.conf"), text).unwrap();
            let told = Process::bash(dir.path(), "nginx -t -p . -c $PWD/nginx.conf").wait(PATIENCE);
            assert_eq!(told.code, 0, "{}:{}: {told:?}", document.name, fence.line);
            checked += 1;
        }
    }
    assert!(checked >= 1, "{checked}");
}
