//! Tests of the keys that decide when reports are acknowledged.

use super::*;

/// The durability of each server of a file, in the order of the file.
fn durability(herd: &str, first: &str, second: &str) -> Vec<DurabilitySettings> {
    let config = read(&text(herd, first, second)).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    config.servers.iter().map(|server| server.durability).collect()
}

/// A herd of two neighbors. The first line of what is set in `[herd]` is line 3, of the first server line 9, and of the
/// second server line 15, if each of the others is one line.
fn text(herd: &str, first: &str, second: &str) -> String {
    let server = |name: &str, port: u16, keys: &str, neighbors: &str| {
        format!(
            "[[server]]\nname = \"{name}\"\nlisten = \"127.0.0.1:{}\"\npeer = \"127.0.0.1:{port}\"\n\
             neighbors = [{neighbors}]\n{keys}\n",
            port + 1000
        )
    };
    let (one, two) = (server("a", 1, first, "\"b\""), server("b", 2, second, ""));
    format!("[herd]\ntls = \"off\"\n{herd}\n{one}{two}")
}

#[test]
fn a_server_waits_as_the_herd_says_unless_it_says_otherwise_itself() {
    let default = DurabilitySettings::default();
    assert_eq!(
        default,
        DurabilitySettings { journal: false, replicas: 0, ack_timeout: Duration::from_secs(5) }
    );
    assert_eq!(durability("", "", ""), [default; 2]);
    let both = DurabilitySettings { journal: true, replicas: 1, ..default };
    assert_eq!(durability("journal = true\nreplicas = 1", "", ""), [both; 2]);
    assert_eq!(
        durability("journal = true\nreplicas = 1", "journal = false", "replicas = 0\nack_timeout_ms = 700"),
        [
            DurabilitySettings { journal: false, ..both },
            DurabilitySettings { replicas: 0, ack_timeout: Duration::from_millis(700), ..both },
        ]
    );
    assert_eq!(durability("", "replicas = 1", ""), [DurabilitySettings { replicas: 1, ..default }, default]);
}

#[test]
fn a_server_cannot_wait_for_more_neighbors_than_it_has() {
    let said = |herd: &str, first: &str| said(&text(herd, first, ""));
    let help = "or give a more neighbors";
    assert_eq!(
        said("", "replicas = 2"),
        [format!(
            "herd.toml:9:12: error: `replicas` of server a is more than server a can have: a has only 1 neighbor: \
             found 2; write at most 1, {help}"
        )]
    );
    let inherited = said("replicas = 2", "");
    assert_eq!(inherited.len(), 2, "{inherited:?}");
    assert_eq!(
        inherited[0],
        format!(
            "herd.toml:3:12: error: `herd.replicas` is more than server a can have: a has only 1 neighbor: \
             found 2; write replicas = 1 below the [[server]] a, {help}"
        )
    );
    let alone = "[[server]]\nname = \"a\"\nlisten = \"127.0.0.1:1\"\nreplicas = 1";
    assert_eq!(
        super::said(alone),
        ["herd.toml:4:12: error: `replicas` of server a is more than server a can have: a has no neighbor: \
          found 1; write at most 0, or give a more neighbors"]
    );
}

#[test]
fn a_time_that_nobody_waits_is_a_warning() {
    let warned = |herd: &str, first: &str| -> Vec<String> {
        let config = read(&text(herd, first, "")).unwrap();
        config.warnings.iter().map(ToString::to_string).collect()
    };
    let why = "has no effect: without `journal` and `replicas`, a report is acknowledged at once: \
               leave it out, or write journal = true or replicas = 1";
    assert_eq!(
        warned("ack_timeout_ms = 70", ""),
        [format!("herd.toml:3:18: warning: `herd.ack_timeout_ms` {why}")]
    );
    assert_eq!(
        warned("", "ack_timeout_ms = 70"),
        [format!("herd.toml:9:18: warning: `ack_timeout_ms` of server a {why}")]
    );
    assert!(warned("ack_timeout_ms = 70", "journal = true").is_empty());
    assert!(warned("ack_timeout_ms = 5000", "").is_empty(), "that is the default");
}

#[test]
fn a_change_of_durability_waits_for_the_next_start_of_the_servers_that_it_concerns() {
    let config = |herd: &str, second: &str| read(&text(herd, "", second)).unwrap();
    let plain = config("", "");
    let changed = config("journal = true\nreplicas = 1\nack_timeout_ms = 7", "journal = false");
    let [journal, replicas, timeout] =
        ["journal", "replicas", "ack_timeout_ms"].map(|key| format!("herd.{key} or server.{key}"));
    assert_eq!(plain.waiting(&changed, "a"), [&*journal, &*replicas, &*timeout]);
    assert_eq!(plain.waiting(&changed, "b"), [&*replicas, &*timeout]);
    assert!(plain.waiting(&plain, "a").is_empty());
}
