//! Tests of the container image and of the herd of compose.yaml.

use std::{collections::BTreeSet, fs, path::Path};

use proxyherd_config::{config::Config, door_kind::DoorKind};
use serde_json::Value;

use super::{check_command, file, herd, text, yaml};
use crate::harness::Process;

const HERD: &str = "packaging/container/herd.toml";
const COMPOSE: &str = "packaging/container/compose.yaml";

/// The instructions of the Dockerfile with this name, without continued lines.
fn instructions(name: &str) -> Vec<String> {
    let dockerfile = text("packaging/container/Dockerfile").replace("\\\n", " ");
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(str::to_owned).collect()
}

fn only(name: &str) -> String {
    let found = instructions(name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found.into_iter().next().unwrap()
}

fn words(list: &str) -> Vec<String> {
    serde_json::from_str(&list[list.find('[').unwrap()..]).unwrap()
}

#[test]
fn the_image_runs_the_program_as_the_program_is() {
    let entrypoint = words(&only("ENTRYPOINT"));
    assert_eq!(entrypoint, ["/usr/bin/proxyherd"]);
    check_command(&words(&only("CMD")));
    let health = words(&only("HEALTHCHECK"));
    assert_eq!(health[..1], entrypoint[..]);
    check_command(&health[1..]);
    // The server handles this signal: `stopping` tests it.
    assert_eq!(only("STOPSIGNAL"), "SIGTERM");
    let user = only("USER");
    assert!(user.split(':').all(|id| id.parse::<u32>().unwrap() > 0), "{user}: a number, and not root");
    let exposed: BTreeSet<u16> = only("EXPOSE").split(' ').map(|port| port.parse().unwrap()).collect();
    let config = herd(HERD);
    for server in &config.servers {
        let ports = server.doors.iter().map(|door| &door.address).chain(&server.peer);
        ports.for_each(|address| assert!(exposed.contains(&address.port()), "{address}"));
    }
    assert!(exposed.contains(&5055), "the usual port of phones");
    let volumes = words(&only("VOLUME"));
    for dir in [&config.herd.data, &config.log.dir] {
        assert!(volumes.iter().any(|volume| Path::new(volume) == dir), "{}", dir.display());
    }
    for server in &config.servers {
        let links = &instructions("RUN").join("\n");
        assert!(links.contains("ln -s /dev/stdout") && links.contains(server.name.as_str()), "{links}");
    }
}

#[test]
fn the_herd_of_compose_passes_check_with_what_init_makes() {
    let dir = tempfile::tempdir().unwrap();
    let from = file(HERD);
    let init = |more: &[&str]| {
        let line = [&["init", "--from", from.to_str().unwrap(), "made"], more].concat();
        Process::run(dir.path(), &line)
    };
    let made = init(&[]);
    assert_eq!((made.code, made.err.as_str()), (0, ""), "{made:?}");
    let read = |name: &str| fs::read(dir.path().join("made").join(name)).unwrap();
    let files = ["herd.toml", "operator.token", "certs/ca.pem", "certs/Riley.key"];
    let before = files.map(read);
    let check = Process::run(dir.path(), &["check", "--config", "made/herd.toml"]);
    assert_eq!(check.code, 0, "{check:?}");
    // compose runs `init` before each `up`.
    let again = init(&["--force"]);
    assert_eq!((again.code, files.map(read) == before), (0, true), "{again:?}");
    assert_eq!(init(&[]).code, 1, "without --force nothing is replaced");
}

/// The services that are servers: those with a name of a server.
fn servers(compose: &Value) -> Vec<(&str, &str, &Value)> {
    let services = compose["services"].as_object().unwrap();
    let servers = services.iter().filter_map(|(service, about)| {
        Some((service.as_str(), about["environment"]["PROXYHERD_NAME"].as_str()?, about))
    });
    servers.collect()
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn compose_runs_each_server_of_its_herd_with_what_the_server_needs() {
    let Some(compose) = yaml(COMPOSE) else { return };
    let config = herd(HERD);
    let services = compose["services"].as_object().unwrap();
    services.values().for_each(|about| check_command(&list(&about["command"])));
    let servers = servers(&compose);
    let named: BTreeSet<&str> = servers.iter().map(|(_, name, _)| *name).collect();
    let expected: BTreeSet<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(named, expected);
    let mut published = Vec::new();
    for (service, name, about) in servers {
        let server = config.server(name).unwrap();
        let dialed = server.advertise.as_ref().unwrap();
        assert_eq!((dialed.host().as_str(), dialed.port()), (service, server.peer.as_ref().unwrap().port()));
        assert!(about["read_only"] == true && list(&about["cap_drop"]) == ["ALL"], "{about}");
        let ready = &about["depends_on"]["init"]["condition"];
        assert_eq!(ready, "service_completed_successfully");
        check_volumes(&compose, &config, service, about);
        let http = server.door(DoorKind::Http).unwrap().address.port();
        published.extend(list(&about["ports"]).into_iter().map(|port| (port, http)));
    }
    let [(port, http)] = &published[..] else { panic!("one door is published: {published:?}") };
    assert_eq!(port, &format!("127.0.0.1:{http}:{http}"));
}

/// Each server writes to volumes of its own, and reads the files that `init` has made.
fn check_volumes(compose: &Value, config: &Config, service: &str, about: &Value) {
    let volumes = list(&about["volumes"]);
    let has = |volume: String| assert!(volumes.contains(&volume), "{volume}: {volumes:?}");
    has("herd:/etc/proxyherd:ro".to_owned());
    for (what, dir) in [("data", &config.herd.data), ("log", &config.log.dir)] {
        has(format!("{service}-{what}:{}", dir.display()));
        assert!(compose["volumes"].as_object().unwrap().contains_key(&format!("{service}-{what}")));
    }
}

#[test]
fn compose_makes_the_files_of_its_herd_where_the_servers_look() {
    let Some(compose) = yaml(COMPOSE) else { return };
    let init = &compose["services"]["init"];
    let command = list(&init["command"]);
    assert_eq!(command.last().unwrap(), "/etc/proxyherd", "the directory of PROXYHERD_CONFIG");
    let config = instructions("ENV").join("\n");
    assert!(config.contains("PROXYHERD_CONFIG=/etc/proxyherd/herd.toml"), "{config}");
    let volumes = list(&init["volumes"]);
    assert_eq!(volumes, ["./herd.toml:/from/herd.toml:ro", "herd:/etc/proxyherd"]);
    assert!(command.windows(2).any(|words| words == ["--from", "/from/herd.toml"]), "{command:?}");
    let context = file("packaging/container").join(init["build"]["context"].as_str().unwrap());
    let dockerfile = context.join(init["build"]["dockerfile"].as_str().unwrap());
    assert_eq!(dockerfile.canonicalize().unwrap(), file("packaging/container/Dockerfile"));
}
