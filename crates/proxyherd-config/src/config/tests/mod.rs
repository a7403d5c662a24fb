//! Tests with whole files: the values that are read, and the messages about mistakes.

mod doors;
mod durability;
mod herd;
mod mistakes;

use std::{ffi::OsString, fs, num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use proxyherd_log::{LogFormat, LogLevel, LogSettings, escape::is_harmless};
use proxyherd_places::{
    CacheSettings, FieldMask, GoogleSettings, KeySource, ProviderName, RequestSettings, Settings,
};

use super::*;
use crate::door_kind::{DoorKind, NOT_BUILT};

/// A correct herd of two servers. Tests put mistakes into it.
const TWO: &str = r#"
[herd]
tls = "off"
[[server]]
name = "a"
listen = "127.0.0.1:1"
peer = "127.0.0.1:2"
neighbors = ["b"]
[[server]]
name = "b"
listen = "127.0.0.1:3"
peer = "127.0.0.1:4"
"#;

fn read(text: &str) -> Result<Config, Diagnostics> {
    read_with(text, &[], &[])
}

fn read_with(text: &str, variables: &[(&str, &str)], sets: &[&str]) -> Result<Config, Diagnostics> {
    let environment = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    let environment: Vec<(OsString, OsString)> = environment.collect();
    Config::read(
        text,
        Path::new("herd.toml"),
        &Overrides::new(environment, sets.iter().map(ToString::to_string)),
    )
}

/// All errors and warnings of `text`, one line each.
fn said(text: &str) -> Vec<String> {
    match read(text) {
        Ok(config) => config.warnings.iter().map(ToString::to_string).collect(),
        Err(diagnostics) => diagnostics.iter().map(ToString::to_string).collect(),
    }
}

/// Replaces one line of [`TWO`], and expects exactly these messages.
fn check(line: &str, with: &str, expected: &[&str]) {
    assert!(TWO.contains(line), "{line}");
    assert_eq!(said(&TWO.replacen(line, with, 1)), expected, "{with}");
}

/// Adds lines after line 3 of [`TWO`], in its section `[herd]`, and expects exactly these messages.
fn check_added(lines: &str, expected: &[&str]) {
    check("tls = \"off\"\n", &format!("tls = \"off\"\n{lines}\n"), expected);
}

#[test]
fn what_init_writes_is_the_classic_herd() {
    assert_eq!(read(&Config::classic_text("herd")), Ok(Config::classic()));
    let mut expected = Config::classic();
    expected.herd.id = "herd-7f3a9c".to_owned();
    assert_eq!(read(&Config::classic_text("herd-7f3a9c")), Ok(expected.clone()));
    expected.access.operator_token_sha256 = Some([0xa5; 32]);
    assert_eq!(
        read(&Config::with_operator(&Config::classic_text("herd-7f3a9c"), &"a5".repeat(32)).unwrap()),
        Ok(expected)
    );
}

/// Takes the `# ` from every line that is a setting.
fn uncommented(text: &str) -> String {
    let is_setting = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        })
    };
    let uncomment = |line| match str::strip_prefix(line, "# ") {
        Some(setting) if is_setting(setting) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(uncomment).collect()
}

#[test]
fn the_defaults_that_init_shows_are_the_defaults() {
    let text = Config::classic_text("herd");
    let uncommented = uncommented(&text);
    assert!(uncommented.matches(" = ").count() == text.matches(" = ").count());
    assert!(!uncommented.contains("# max_clients") && uncommented.contains("\nlines_per_s"), "{uncommented}");
    let mut expected = Config::classic();
    // `advertise`, `phones`, `operator_token_sha256` and `[tls]` have no default.
    expected.access.operator_token_sha256 = Some([0; 32]);
    expected.servers[0].advertise = expected.servers[0].peer.clone();
    expected.servers[0].doors.push(Door::plain(DoorKind::Phones, "127.0.0.1:5055".parse().unwrap()));
    expected.tls = Some(DoorCertificate { cert: "fullchain.pem".into(), key: "privkey.pem".into() });
    let mut found = read(&uncommented).unwrap();
    let unused = std::mem::take(&mut found.warnings);
    assert!(unused.len() == 1 && unused[0].key.as_deref() == Some("tls"), "{unused:?}");
    assert_eq!(found, expected);
}

#[test]
fn every_setting_is_in_what_init_writes() {
    let text = uncommented(&Config::classic_text("herd"));
    // Tables, and a key that is an alternative to another key.
    let elsewhere = ["google", "google-legacy", "osm", "key_file"];
    let doors = NOT_BUILT.map(|(key, _)| key);
    for key in doors {
        let is_offered = text.contains(&format!("\n{key} = ")) || text.contains(&format!("\n#   {key} "));
        assert!(!is_offered, "{key} is offered and does not exist");
    }
    for kind in DoorKind::ALL {
        assert!(text.contains(&format!("\n#   {:<12}", kind.key())), "{kind:?} is not explained");
    }
    for (section, begin) in [
        ("herd", ""),
        ("places", ""),
        ("places.google", ""),
        ("places.google-legacy", ""),
        ("tls", ""),
        ("access", ""),
        ("map", ""),
        ("limits", ""),
        ("log", ""),
        ("[server]", "name=\"a\"\nlisten=\"a:1\""),
    ] {
        // The hint for a key that is not similar to any other lists all known keys.
        let said = said(&format!("[{section}]\n{begin}\nqqqqqqqqqqqq = 1"));
        let known = said.iter().find_map(|line| line.split_once("known keys: ")).expect("the known keys").1;
        let known: Vec<&str> = known.split(", ").filter(|key| !elsewhere.contains(key)).collect();
        assert!(known.len() >= 2, "{section}: {known:?}");
        let begin = text.find(&format!("\n[{section}]\n")).expect("the section") + 2;
        let end = text[begin..].find("\n[").map_or(text.len(), |end| begin + end);
        for key in known {
            assert!(text[begin..end].contains(&format!("\n{key} = ")), "[{section}] {key}");
        }
    }
}

#[test]
fn every_value_is_read() {
    let text = r#"
        [herd]
        id = "h.1_-"
        tls = "/etc/herd certs"
        journal = true
        replicas = 1
        ack_timeout_ms = 1
        data = "/var"
        max_clients = 5
        client_ttl_s = 60
        client_index = false
        flood = "all"
        link_version = 1
        max_clock_offset_s = 7
        removed = "stay"
        [places]
        provider = "google"
        fallback = ["google-legacy", "osm", "embedded"]
        deadline_ms = 250
        retries = 1
        per_second = 2
        per_day = 3
        per_month = 4
        cache_mb = 5
        fresh_s = 6
        stale_s = 7
        stale_if_error_s = 8
        zero_results_s = 9
        snap_m = 10
        [places.google]
        key_env = "KEY"
        base_url = "http://127.0.0.1:8080/"
        mask = "enterprise"
        [places.google-legacy]
        key_file = "/etc/key"
        base_url = "https://example.org"
        [places.osm]
        file = "/var/places.idx"
        [database]
        [tls]
        cert = "/etc/herd/cert.pem"
        key = "key.pem"
        [limits]
        idle_s = 0x10
        line_s = 2
        write_s = 3
        connections = 1_000
        connections_per_address = 10
        lines_per_s_per_address = 20
        client_interval_ms = 30
        buffers_mb = 40
        [reports]
        accuracy_m_max = 50
        speed_mps_max = 60
        presence_silent_s = 70
        [log]
        dir = "/var/log/herd"
        level = "debug"
        format = "json"
        max_mb = 1
        keep = 0
        lines_per_s = 7
        positions = false
        [access]
        tokens = "on"
        operator_token_sha256 = "00000000000000000000000000000000000000000000000000000000000000FF"
        exposed = true
        open = true
        hosts = ["herd.example.org"]
        origins = ["https://a.example"]
        proxies = ["10.0.0.0/8"]
        public_url = "https://herd.example.org"
        [map]
        tiles = "https://tiles.example.org/{z}/{x}/{y}.png"
        attribution = "© us"
        [[server]]
        name = "Riley"
        listen = ["[::1]:12000", "tls://0.0.0.0:12443"]
        http = "localhost:0"
        phones = "tls://localhost:5055"
        peer = "127.0.0.1:13000"
        neighbors = ["Jaquez"]
        [[server]]
        name = "Jaquez"
        listen = "[::1]:12001"
        peer = "127.0.0.1:13001"
        journal = false
        replicas = 0
        ack_timeout_ms = 2
    "#;
    let config = read(text).unwrap();
    let durability = DurabilitySettings { journal: true, replicas: 1, ack_timeout: Duration::from_millis(1) };
    assert_eq!(
        config.herd,
        HerdSettings {
            id: "h.1_-".into(),
            max_clients: 5,
            data: "/var".into(),
            tls: Tls::Certs("/etc/herd certs".into()),
            client_ttl: Some(Duration::from_secs(60)),
            client_index: false,
            flood: Flood::All,
            link_version: 1,
            clock_offset_max: Duration::from_secs(7),
            removed: Removed::Stay,
        }
    );
    assert_eq!(
        config.reports,
        ReportRules { accuracy_m_max: NonZeroU32::new(50), speed_mps_max: NonZeroU32::new(60) }
    );
    assert_eq!(config.presence_silent, Some(Duration::from_secs(70)));
    assert_eq!(
        config.places,
        Settings {
            provider: ProviderName::Google,
            fallback: vec![ProviderName::GoogleLegacy, ProviderName::Osm, ProviderName::Embedded],
            deadline: Duration::from_millis(250),
            requests: RequestSettings { retries: 1, per_second: 2 },
            cache: CacheSettings {
                max_bytes: 5_000_000,
                fresh: Duration::from_secs(6),
                stale: Duration::from_secs(7),
                stale_if_error: Duration::from_secs(8),
                zero_results: Duration::from_secs(9),
                snap_m: 10,
            },
            google: GoogleSettings {
                key: KeySource::Variable("KEY".into()),
                base_url: "http://127.0.0.1:8080".into(),
                mask: FieldMask::Enterprise,
            },
            google_legacy: GoogleSettings {
                key: KeySource::File("/etc/key".into()),
                base_url: "https://example.org".into(),
                mask: FieldMask::Pro,
            },
            osm_file: "/var/places.idx".into(),
        }
    );
    assert_eq!(config.places_budget, PlacesBudget { per_day: 3, per_month: 4 });
    assert_eq!(
        config.limits,
        Limits {
            idle: Duration::from_secs(16),
            line: Duration::from_secs(2),
            write: Duration::from_secs(3),
            connections: 1000,
            connections_per_address: 10,
            lines_per_s_per_address: 20,
            client_interval: Duration::from_millis(30),
            buffers: 40_000_000,
        }
    );
    assert_eq!(
        config.log,
        LogSettings {
            dir: "/var/log/herd".into(),
            level: LogLevel::Debug,
            format: LogFormat::Json,
            max_bytes: 1_000_000,
            keep: 0,
            lines_per_s: 7,
            positions: false,
        }
    );
    let mut hash = [0; 32];
    hash[31] = 0xff;
    assert_eq!(
        config.access,
        AccessSettings {
            tokens: Tokens::On,
            operator_token_sha256: Some(hash),
            exposed: true,
            open: true,
            hosts: vec!["herd.example.org".to_owned()],
            origins: vec![WebOrigin::parse("https://a.example").unwrap()],
            proxies: vec![Network::parse("10.0.0.0/8").unwrap()],
            public_url: Some("https://herd.example.org".to_owned()),
        }
    );
    let tiles = Some("https://tiles.example.org/{z}/{x}/{y}.png".to_owned());
    assert_eq!(config.map, MapSettings { tiles, attribution: "© us".to_owned() });
    let server = config.server("Riley").unwrap();
    let doors: Vec<_> = server.doors.iter().map(|door| (door.kind, door.to_string())).collect();
    let expected = [
        (DoorKind::Line, "[::1]:12000"),
        (DoorKind::Line, "tls://0.0.0.0:12443"),
        (DoorKind::Http, "localhost:0"),
        (DoorKind::Phones, "tls://localhost:5055"),
    ];
    assert_eq!(doors, expected.map(|(kind, text)| (kind, text.to_owned())));
    let certificate = DoorCertificate { cert: "/etc/herd/cert.pem".into(), key: "key.pem".into() };
    assert_eq!(config.tls, Some(certificate));
    assert_eq!((server.peer.clone(), &server.advertise), ("127.0.0.1:13000".parse().ok(), &None));
    assert_eq!(server.durability, durability);
    let own = DurabilitySettings { journal: false, replicas: 0, ack_timeout: Duration::from_millis(2) };
    let (other, links) = (config.server("Jaquez").unwrap(), config.links_of(&server.name));
    assert_eq!((other.durability, links.len()), (own, 1));
    // Nobody waits at Jaquez.
    assert!(config.warnings.len() == 1, "{:?}", config.warnings);
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let text = format!("{TWO}\n[log]\nlevel = \"warn\"");
    let level = |text: &str, variables: &[_], sets: &[_]| read_with(text, variables, sets).unwrap().log.level;
    let variable = ("PROXYHERD_LOG_LEVEL", "error");
    assert_eq!(level(TWO, &[], &[]), LogLevel::Info);
    assert_eq!(level(&text, &[], &[]), LogLevel::Warn);
    assert_eq!(level(&text, &[variable], &[]), LogLevel::Error);
    assert_eq!(level(&text, &[variable], &["log.level=info", "log.level=debug"]), LogLevel::Debug);
    let config =
        read_with(TWO, &[("PROXYHERD_LIMITS_CONNECTIONS", "1_0")], &["herd.client_ttl_s=99"]).unwrap();
    let url = [("PROXYHERD_PLACES_GOOGLE_LEGACY_BASE_URL", "http://[::1]")];
    assert_eq!(read_with(TWO, &url, &[]).unwrap().places.google_legacy.base_url, "http://[::1]");
    let sets = ["places.osm.file=x.idx"];
    assert_eq!(read_with(TWO, &[], &sets).unwrap().places.osm_file, Path::new("x.idx"));
    assert_eq!(config.limits.connections, 10);
    assert_eq!(config.herd.client_ttl, Some(Duration::from_secs(99)));
    // A value from outside the file replaces the value in the file, even a wrong value.
    let spoilt = TWO.replace("\"off\"", "\"of\"");
    assert!(read(&spoilt).is_err());
    assert!(read_with(&spoilt, &[("PROXYHERD_HERD_TLS", "off")], &[]).is_ok());
}

#[test]
fn paths_of_the_file_are_relative_to_it_and_those_of_the_shell_are_not() {
    let dir = |text: &str, sets: &[&str]| {
        let overrides = Overrides::new([], sets.iter().map(ToString::to_string));
        Config::read(text, Path::new("/etc/herd/herd.toml"), &overrides).unwrap().log.dir
    };
    assert_eq!(dir(TWO, &[]), Path::new("/etc/herd/log"));
    assert_eq!(dir(&format!("{TWO}[log]\ndir = \"a/b\""), &[]), Path::new("/etc/herd/a/b"));
    assert_eq!(dir(&format!("{TWO}[log]\ndir = \"/a\""), &[]), Path::new("/a"));
    assert_eq!(dir(TWO, &["log.dir=a"]), Path::new("a"));
    let tls = |text: &str, sets: &[&str]| {
        let overrides = Overrides::new([], sets.iter().map(ToString::to_string));
        Config::read(text, Path::new("/etc/herd/herd.toml"), &overrides).unwrap().herd.tls
    };
    assert_eq!(tls(TWO, &[]), Tls::Off);
    assert_eq!(tls(TWO, &["herd.tls=a"]), Tls::Certs("a".into()));
    assert_eq!(tls(&TWO.replace("tls = \"off\"", ""), &[]), Tls::Certs("/etc/herd/certs".into()));
    assert_eq!(tls(&TWO.replace("\"off\"", "\"../c\""), &[]), Tls::Certs("/etc/herd/../c".into()));
    let doors = |sets: &[&str]| {
        let text = format!("{TWO}[tls]\ncert = \"a/c.pem\"\nkey = \"/k.pem\"");
        let overrides = Overrides::new([], sets.iter().map(ToString::to_string));
        let tls = Config::read(&text, Path::new("/etc/herd/herd.toml"), &overrides).unwrap().tls.unwrap();
        (tls.cert, tls.key)
    };
    assert_eq!(doors(&[]), ("/etc/herd/a/c.pem".into(), "/k.pem".into()));
    assert_eq!(doors(&["tls.cert=c.pem"]), ("c.pem".into(), "/k.pem".into()));
}

#[test]
fn a_file_that_cannot_be_read_is_told_from_one_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let load = |path: &Path| Config::load(path, &Overrides::none());
    assert!(load(&file("fine.toml", TWO.as_bytes())).is_ok());
    let unreadable =
        [dir.path().join("none.toml"), dir.path().to_owned(), file("long.toml", &[b'#'; 5 << 20])];
    for path in unreadable {
        let error = load(&path).unwrap_err();
        assert!(matches!(error, LoadError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let error = load(&file("latin1.toml", b"[herd]\nid = \"\xe4\"")).unwrap_err();
    assert!(
        error.to_string().ends_with("latin1.toml:2:7: error: the file is not UTF-8: save the file as UTF-8")
    );
}

/// Checks that each message has a place in the text, and can be drawn.
fn check_sites(text: &str) {
    let Err(diagnostics) = read(text) else { return };
    assert!(diagnostics.error_count() > 0);
    for diagnostic in diagnostics.iter() {
        if let ValueSource::Line(_, line) = diagnostic.site.source {
            assert!((1..=text.matches('\n').count() + 1).contains(&line), "{diagnostic}");
        }
        for width in [0, 100] {
            let drawn = anstream::adapter::strip_str(&diagnostic.render(width)).to_string();
            assert!(drawn.contains("-->"), "{drawn}");
            assert!(drawn.lines().all(|line| line.chars().all(is_harmless)), "{drawn:?}");
        }
        assert!(!diagnostic.to_string().contains('\n'), "{diagnostic}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_read_without_a_panic() {
    let text: String = Config::classic_text("herd")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    for end in 0..text.len() {
        check_sites(&text[..end]);
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,60}") {
        check_sites(&text);
    }

    #[test]
    fn any_characters_are_drawn_without_harm(text: String) {
        check_sites(&text);
        check_sites(&format!("[herd]\nid = \"{text}\"\n{text} = 1"));
    }

    #[test]
    fn any_change_of_a_file_is_read_without_a_panic(
        at in 0..TWO.len(),
        len in 0..20usize,
        with in prop_oneof!["[\\[\\]{}=\"'.,#\\n 0a-]{0,4}", "\\PC{0,3}"],
    ) {
        let end = (at + len).min(TWO.len());
        check_sites(&format!("{}{with}{}", &TWO[..at], &TWO[end..]));
    }
}
