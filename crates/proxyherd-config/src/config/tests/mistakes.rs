//! Tests of the messages about wrong settings.

use super::*;

#[test]
fn a_value_that_is_none_is_reported_with_what_is_expected() {
    check_added(
        "max_clients = \"many\"\nclient_ttl_s = -1\nreplicas = 33\nack_timeout_ms = 0.5\ndata = \"\"",
        &[
            "herd.toml:4:15: error: `herd.max_clients` takes a whole number from 1 to 1_000_000_000: \
             found the text \"many\"; the default is 10_000_000",
            "herd.toml:5:16: error: `herd.client_ttl_s` takes a whole number from 0 to 315_360_000: \
             found -1; the default is 0",
            "herd.toml:6:12: error: `herd.replicas` takes a whole number from 0 to 32: found 33; the default is 0",
            "herd.toml:7:18: error: `herd.ack_timeout_ms` takes a whole number from 1 to 600_000: \
             found 0.5; write it without decimals: 1",
            "herd.toml:8:8: error: `herd.data` takes a directory: found the text \"\"; \
             a path cannot be empty; `.` is the directory of herd.toml",
        ],
    );
    check_added(
        "id = \"a b\"\njournal = 1\n[log]\nlevel = \"inof\"\nformat = true\nkeep = 99999999999999999999\n\
         max_mb = 1979-05-27\nlines_per_s = [1]",
        &[
            "herd.toml:4:6: error: `herd.id` takes 1 to 64 letters, digits, `.`, `_` or `-`: \
             found the text \"a b\"; for example \"herd-7f3a9c\"",
            "herd.toml:5:11: error: `herd.journal` takes true or false: found 1; the default is false",
            "herd.toml:7:9: error: `log.level` takes \"error\", \"warn\", \"info\" or \"debug\": \
             found the text \"inof\"; did you mean \"info\"?",
            "herd.toml:8:10: error: `log.format` takes \"text\" or \"json\": found true",
            "herd.toml:9:8: error: `log.keep` takes a whole number from 0 to 10_000: \
             found 99999999999999999999; the default is 4",
            "herd.toml:10:10: error: `log.max_mb` takes a whole number from 1 to 1_000_000: \
             found a date; the default is 64",
            "herd.toml:11:15: error: `log.lines_per_s` takes a whole number from 1 to 10_000_000: \
             found a list; the default is 10_000",
        ],
    );
}

#[test]
fn a_word_that_is_none_of_a_settings_is_answered_with_those_it_takes() {
    check_added(
        "removed = \"leave\"",
        &["herd.toml:4:11: error: `herd.removed` takes \"stop\" or \"stay\": found the text \"leave\""],
    );
    check_added(
        "removed = \"sty\"",
        &[
            "herd.toml:4:11: error: `herd.removed` takes \"stop\" or \"stay\": found the text \"sty\"; did you mean \"stay\"?",
        ],
    );
}

#[test]
fn clients_are_not_forgotten_sooner_than_clocks_may_be_apart() {
    let why = "a server whose clock is that much ahead would forget other servers' clients before it has shown them";
    check_added(
        "client_ttl_s = 60",
        &[&format!(
            "herd.toml:4:16: error: `herd.client_ttl_s` must be greater than `max_clock_offset_s`, which is 60: {why}: \
             found 60; forget clients later, or set max_clock_offset_s below 60 and keep the clocks within that offset"
        )],
    );
    check_added(
        "client_ttl_s = 1\nmax_clock_offset_s = 1",
        &[&format!(
            "herd.toml:4:16: error: `herd.client_ttl_s` must be greater than `max_clock_offset_s`, which is 1: {why}: \
             found 1; a herd whose clocks may differ by a second cannot forget clients after a second"
        )],
    );
    check_added("client_ttl_s = 61", &[]);
    check_added("client_ttl_s = 2\nmax_clock_offset_s = 1", &[]);
    check_added("client_ttl_s = 0\nmax_clock_offset_s = 86400", &[]);
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_or_with_its_section() {
    check_added(
        "max_client = 1\nidle_s = 1\nqqqqqqqq = 1\n[plaecs]\n[limits.x]",
        &[
            "herd.toml:4:1: error: `herd.max_client` is not a known key: did you mean `max_clients`?",
            "herd.toml:5:1: error: `herd.idle_s` is not a known key: `idle_s` belongs to [limits]",
            "herd.toml:6:1: error: `herd.qqqqqqqq` is not a known key: known keys: \
             id, max_clients, client_ttl_s, client_index, flood, link_version, max_clock_offset_s, removed, \
             tls, journal, replicas, ack_timeout_ms, data",
            "herd.toml:7:2: error: `plaecs` is not a known key: did you mean [places]?",
            "herd.toml:8:9: error: `limits.x` is not a known key: known keys: \
             idle_s, line_s, write_s, connections, connections_per_address, lines_per_s_per_address, \
             client_interval_ms, buffers_mb",
        ],
    );
    check(
        "peer = \"127.0.0.1:4\"",
        "per = \"127.0.0.1:4\"",
        &[
            "herd.toml:9:1: error: `peer` of server b is missing: its links with a need an address: \
             peer = \"HOST:PORT\"",
            "herd.toml:12:1: error: `per` of server b is not a known key: did you mean `peer`?",
        ],
    );
}

#[test]
fn rules_of_reports_are_whole_numbers() {
    check_added("[reports]\naccuracy_m_max = 0\nspeed_mps_max = 70\npresence_silent_s = 300", &[]);
    check_added(
        "[reports]\nspeed_mps_max = -1\npresence_silent_s = -5\nspeed = 1",
        &[
            "herd.toml:5:17: error: `reports.speed_mps_max` takes a whole number from 0 to 1_000_000_000: \
             found -1; write 0 to accept any",
            "herd.toml:6:21: error: `reports.presence_silent_s` takes a whole number from 0 to 315_360_000: \
             found -5; the default is 300",
            "herd.toml:7:1: error: `reports.speed` is not a known key: did you mean `speed_mps_max`?",
        ],
    );
}

#[test]
fn a_number_with_decimals_is_told_without_them() {
    check_added(
        "[reports]\naccuracy_m_max = 33.3\nspeed_mps_max = -0.7",
        &[
            "herd.toml:5:18: error: `reports.accuracy_m_max` takes a whole number from 0 to 1_000_000_000: \
             found 33.3; write it without decimals: 33",
            "herd.toml:6:17: error: `reports.speed_mps_max` takes a whole number from 0 to 1_000_000_000: \
             found -0.7; write it without decimals: 0",
        ],
    );
}

#[test]
fn a_section_that_is_not_built_yet_is_refused() {
    check_added(
        "[access]\ntokens = \"off\"\n[engine]\n[webhooks]",
        &[
            "herd.toml:6:1: error: `engine` is not available in this version: \
             leave it out: this version has no regions",
            "herd.toml:7:1: error: `webhooks` is not available in this version: \
             leave it out: this version sends no webhooks",
        ],
    );
}

#[test]
fn what_is_not_built_yet_is_refused_unless_it_is_off() {
    check_added(
        "[database]\nurl = \"s3cret\"",
        &["herd.toml:5:7: error: `database.url` is not available in this version: \
             leave it out: this version keeps records in memory, and with `journal = true` in [herd] on disk, too"],
    );
    check(
        "name = \"b\"",
        "name = \"b\"\nresp = \"127.0.0.1:9000\"\nmqtt = [\"127.0.0.1:1883\"]\ntile38 = []",
        &[
            "herd.toml:11:8: error: `resp` of server b is not available in this version: \
             leave it out: the door for Redis clients is not built yet",
            "herd.toml:12:8: error: `mqtt` of server b is not available in this version: \
             leave it out: the door for MQTT clients is not built yet",
            "herd.toml:13:10: error: `tile38` of server b is not available in this version: \
             leave it out: the door for Tile38 clients is not built yet",
        ],
    );
}

#[test]
fn places_are_asked_of_known_providers_once_each_and_keys_stay_private() {
    check_added(
        "[places]\nprovider = \"osm\"\nfallback = [\"gogle\", \"osm\", \"embedded\"]\n\
         google.key_env = \"AIzaSyD3\"\ngoogle-legacy.base_url = \"http://example.org\"",
        &[
            "herd.toml:6:13: error: `places.fallback[0]` takes the names of providers: found the text \"gogle\"; \
             the providers are \"embedded\", \"google\", \"google-legacy\", \"osm\"",
            "herd.toml:6:22: error: `places.fallback[1]` names a provider that is already asked: \
             a server asks each provider once: leave this provider out",
            "herd.toml:7:18: error: `places.google.key_env` takes the name of an environment variable: \
             found what looks like a key; for example \"GOOGLE_MAPS_API_KEY\"; never the key itself",
            "herd.toml:8:26: error: `places.google-legacy.base_url` takes a URL: found the text \"http://example.org\"; \
             http:// is accepted on loopback only, since it would show the key: write https://",
        ],
    );
    check_added(
        "[places.google]\nkey_env = \"K\"\nkey_file = \"k\"\n[places.google-legacy]\nmask = \"pro\"",
        &[
            "herd.toml:6:12: error: `places.google.key_file` is a second source of the key: \
             leave out this or `places.google.key_env`",
            "herd.toml:8:1: error: `places.google-legacy.mask` is not a known key: \
             `mask` belongs to [places.google]",
        ],
    );
    check_added(
        "[places.google]\nkey_file = \"AIzaSyD3\"",
        &[
            "herd.toml:5:12: error: `places.google.key_file` takes the name of a file: found what looks like a key; \
           for example \"google.key\", with nothing but the key in it; never the key itself",
        ],
    );
    for (url, fits) in [
        ("https://example.org", true),
        ("https://example.org:8443/maps/", true),
        ("http://localhost:1", true),
        ("http://127.0.0.1", true),
        ("http://[::1]:8080", true),
        ("http://10.0.0.1:80", false),
        ("http://127.0.0.1.example.org", false),
        ("http://user@127.0.0.1:80", false),
        ("https://", false),
        ("https://a?b", false),
        ("https://[zz", false),
        ("ftp://a", false),
        ("example.org", false),
    ] {
        let text = format!("{TWO}[places.google]\nbase_url = {url:?}");
        assert_eq!(read(&text).is_ok(), fits, "{url}");
    }
}

#[test]
fn mistakes_outside_the_file_name_the_variable_or_the_flag() {
    let error = read_with(
        TWO,
        &[
            ("PROXYHERD_LOG_LEVEL", "loud"),
            ("PROXYHERD_HERD_JOURNAL", "yes"),
            ("PROXYHERD_LOG_LEVL", "x"),
            ("PROXYHERD_PLACES_OSM_FIL", "x"),
        ],
        &[
            "log.keep=many",
            "places.fallback=osm",
            "places.osm=x",
            "journal=true",
            "server.name=x",
            "herd.journal",
        ],
    )
    .unwrap_err();
    let lines: Vec<String> = error.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "variable PROXYHERD_HERD_JOURNAL: error: `herd.journal` takes true or false: found \"yes\"; \
             the default is false",
            "variable PROXYHERD_LOG_LEVEL: error: `log.level` takes \"error\", \"warn\", \"info\" or \"debug\": \
             found \"loud\"",
            "variable PROXYHERD_LOG_LEVL: warning: PROXYHERD_LOG_LEVL names no setting: \
             did you mean PROXYHERD_LOG_LEVEL?",
            "variable PROXYHERD_PLACES_OSM_FIL: warning: PROXYHERD_PLACES_OSM_FIL names no setting: \
             did you mean PROXYHERD_PLACES_OSM_FILE?",
            "flag --set: error: a setting is written `section.key=value`: there is no `=`; \
             for example `--set log.level=debug`",
            "flag --set: error: `places.osm` cannot be set by a flag: \
             did you mean `places.osm.file`?",
            "flag --set: error: `journal` cannot be set by a flag: \
             did you mean `herd.journal`?",
            "flag --set: error: `server.name` cannot be set by a flag: \
             a flag can set any single value of [herd], [places], [places.google], [places.google-legacy], [places.osm], [tls], [limits], \
             [map], [reports], [log], [access]",
            "flag --set: error: `log.keep` takes a whole number from 0 to 10_000: found \"many\"; \
             the default is 4",
            "flag --set: error: `places.fallback` takes a list of texts: found \"osm\"; \
             a list can only be set in the file",
        ]
    );
    assert_eq!((error.error_count(), error.warning_count()), (8, 2));
}

#[test]
fn mistakes_of_syntax_hide_no_others_where_the_rest_is_plain() {
    check_added(
        "max_clients = 5\nmax_clients = 6\n[log]\nlevel = loud\nkeep = \"x\ndir = 5",
        &[
            "herd.toml:5:1: error: `max_clients` is given twice: leave one of them out",
            "herd.toml:7:9: error: a value is a number, true, false, a list, or a text in quotes: found loud; \
             put it in quotes: \"loud\"",
            "herd.toml:8:10: error: the file is not valid TOML: invalid basic string, expected `\"`",
            "herd.toml:9:7: error: `log.dir` takes a directory: found 5; write a text in quotes",
        ],
    );
    check_added(
        "id = [\"a\", 5\nmax_clients = 0",
        &[
            "herd.toml:5:1: error: the file is not valid TOML: missing comma between array elements, expected `,`: \
           is a `]` missing above?",
        ],
    );
}

#[test]
fn servers_with_single_brackets_are_answered_with_double_ones_and_read_all_the_same() {
    let header = |line| {
        format!(
            "herd.toml:{line}:1: error: `server` must be a list of tables: found a single table; \
             write [[server]], with two brackets"
        )
    };
    assert_eq!(said(&TWO.replace("[[server]]", "[server]")), [header(4), header(9)]);
    assert_eq!(said(&TWO.replacen("[[server]]", "[server]", 1)), [header(4)]);
    let second = TWO.replacen("[[server]]", "[[serve]]", 1).replacen("[[server]]", "[server] # b", 1);
    assert_eq!(said(&second.replace("serve]]", "server]]")), [header(9)]);
    let wrong = TWO.replace("[[server]]", "[server]").replace("name = \"b\"", "name = 5");
    let name =
        "herd.toml:10:8: error: `server[1].name` takes a server's name: found 5; write a text in quotes";
    assert_eq!(said(&wrong), [header(4), header(9), name.to_owned()]);
    let named = TWO
        .replace("[[server]]\nname = \"a\"", "[server.a]")
        .replace("[[server]]\nname = \"b\"", "[server.b]");
    let expected = "herd.toml:4:2: error: `server` must be a list of tables: found a table; \
                    write [[server]], and name = \"a\" below it";
    assert_eq!(said(&named), [expected]);
    // A line of a text is no header.
    let text = format!("{TWO}[log]\ndir = \"\"\"\n[server]\n\"\"\"\n");
    assert_eq!(said(&text), Vec::<String>::new());
}

#[test]
fn servers_under_a_name_that_is_nearly_theirs_are_no_herd_without_servers() {
    let said = said(&TWO.replace("[[server]]", "[[servers]]"));
    assert_eq!(said, ["herd.toml:4:3: error: `servers` is not a known key: did you mean [[server]]?"]);
}

#[test]
fn an_address_without_quotes_is_answered_with_quotes() {
    for (address, column, found) in [
        ("127.0.0.1:1", 10, "127.0.0.1:1"),
        ("127.0.0.1:1 # clients", 10, "127.0.0.1:1"),
        ("127.0.0.1", 10, "127.0.0.1"),
        ("localhost:1", 10, "localhost:1"),
        ("tls://127.0.0.1:1", 10, "tls://127.0.0.1:1"),
        ("[127.0.0.1:1, 127.0.0.1:9]", 11, "127.0.0.1:1"),
        ("[::1]:1", 10, "[::1]:1"),
        (":1", 10, ":1"),
    ] {
        let expected = format!(
            "herd.toml:6:{column}: error: a value is a number, true, false, a list, or a text in quotes: \
             found {found}; put it in quotes: {found:?}"
        );
        check("\"127.0.0.1:1\"", address, &[&expected]);
    }
}

#[test]
fn other_slips_of_syntax_have_a_hint_that_fits() {
    let no_value = "a value is a number, true, false, a list, or a text in quotes";
    check_added(
        "client_ttl_s = 30s\nid = “h”\nmax_clients = \"5\"",
        &[
            &format!(
                "herd.toml:4:16: error: {no_value}: found 30s; write the number alone: the end of the key is its unit"
            ),
            &format!("herd.toml:5:6: error: {no_value}: found “h”; write straight quotes: \"h\""),
            "herd.toml:6:15: error: `herd.max_clients` takes a whole number from 1 to 1_000_000_000: \
             found the text \"5\"; write it without quotes: 5",
        ],
    );
    check_added(
        "id: \"h\"",
        &["herd.toml:4:3: error: a key and its value have a `=` between them: write = instead of :"],
    );
    check_added(
        "[log\n",
        &["herd.toml:4:5: error: the file is not valid TOML: unclosed table, expected `]`: close it with ]"],
    );
}

#[test]
fn a_key_that_is_not_built_yet_is_the_answer_to_a_slip_of_its_own_name() {
    check_added(
        "[database]\nurll = 5\n[places.google]\nkey = 5",
        &[
            "herd.toml:5:1: error: `database.urll` is not a known key: did you mean `url`? \
             It is not available in this version: leave it out",
            "herd.toml:7:1: error: `places.google.key` is not a known key: did you mean `key_env` or `key_file`?",
        ],
    );
}

#[test]
fn what_may_be_secret_is_not_repeated_wherever_it_stands() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 26] = [
        ("[places.google]\nkey = AIzaSyD3", &[], &[]),
        ("[places.google]\nkey = SyD3", &[], &[]),
        ("[places]\ngoogle = { mask = \"pro\", key = \"SyD3\" }", &[], &[]),
        ("[places.google]\nkey_file = \"AIzaSyD3\"", &[], &[]),
        ("database = { url = \"postgres://a:SyD3@b/c\" }", &[], &[]),
        ("[database]\nurl = \"postgres://a:SyD3@b/c\"", &[], &[]),
        ("[places.google]\nbase_url = \"http://a:SyD3@b\"", &[], &[]),
        ("[places.osm]\nurl = \"http://a:SyD3@b\"\nfile = 5", &[], &[]),
        ("[tls]\ncert = \"-----BEGIN PRIVATE KEY-----\\nSyD3\"", &[], &[]),
        ("[places.google]\nkey = \"\"\"\nSyD3\\q\"\"\"", &[], &[]),
        ("[tls]\nkey = \"\"\"-----BEGIN PRIVATE KEY-----\nSyD3 \\q\n\"\"\"", &[], &[]),
        ("[places.google]\nkey = [\n SyD3\n]", &[], &[]),
        ("[places.google]\nkey: \"SyD3\"", &[], &[]),
        ("[places.google]\nkey \"SyD3\"", &[], &[]),
        ("[places.google]\nAPI-KEY = \"SyD3\"", &[], &[]),
        ("[places.google]\nAIzaSyD3 = 1", &[], &[]),
        ("[places.google]\nAIzaSyD3 = 1\nAIzaSyD3 = 1", &[], &[]),
        ("[AIzaSyD3]", &[], &[]),
        ("[places.google]\nkey_env = \"\\u0041IzaSyD3\"", &[], &[]),
        ("", &[], &["places.google.base_url=http://a:SyD3@b"]),
        ("", &[("PROXYHERD_PLACES_GOOGLE_KEY", "SyD3")], &[]),
        ("", &[("PROXYHERD_PLACES_GOOGLE_KEY_ENV", "AIzaSyD3")], &[]),
        ("", &[("PROXYHERD_HERD_TOKEN", "SyD3")], &[]),
        ("", &[], &["places.google.key=SyD3"]),
        ("", &[], &["places.google.key_env=AIzaSyD3"]),
        ("", &[], &["AIzaSyD3"]),
    ];
    for (added, variables, sets) in cases {
        let diagnostics: Vec<Diagnostic> = match read_with(&format!("{TWO}{added}"), variables, sets) {
            Ok(config) => config.warnings,
            Err(diagnostics) => diagnostics.iter().cloned().collect(),
        };
        assert!(!diagnostics.is_empty(), "{added} {variables:?} {sets:?}");
        for diagnostic in diagnostics {
            let told =
                format!("{diagnostic}\n{}\n{diagnostic:?}\n{}", diagnostic.told(), diagnostic.render(100));
            assert!(!told.contains("SyD3"), "{told}");
        }
    }
}
