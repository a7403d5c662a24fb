//! The doors of a server: one address or a list, with TLS or without.

use super::*;

/// A correct server without doors, which may be anywhere. Tests add doors at line 3 and after. The warning that
/// everybody may do everything is left out.
fn said_of(doors: &str) -> Vec<String> {
    let mut said = said_with(doors, "open = true\nexposed = true");
    said.retain(|said| !said.contains("`access.open`"));
    said
}

#[test]
fn what_frees_doors_or_believes_everybody_is_a_warning() {
    let on = format!("tokens = \"on\"\noperator_token_sha256 = \"{}\"", "0".repeat(64));
    let (near, far) = ("listen = \"127.0.0.1:1\"", "listen = \"10.0.0.1:1\"");
    let http = "listen = \"127.0.0.1:1\"\nhttp = \"10.0.0.1:1\"";
    for (doors, access, expected) in [
        (near, "open = true\nexposed = true", None),
        (
            far,
            "open = true\nexposed = true",
            Some("`access.open` lets everybody who reaches a door do everything"),
        ),
        (near, &*format!("{on}\nexposed = true"), None),
        (http, &*format!("{on}\nexposed = true"), None),
        (
            far,
            &*format!("{on}\nexposed = true"),
            Some("the tokens of AUTH lines cross the network in the clear"),
        ),
        (near, "proxies = [\"10.0.0.1\", \"0.0.0.0/0\"]", Some("`access.proxies[1]` means every address")),
        (near, "proxies = [\"::/0\"]", Some("means every address")),
        (near, "proxies = [\"10.0.0.0/8\"]", None),
    ] {
        let said = said_with(doors, access);
        assert_eq!(said.len(), usize::from(expected.is_some()), "{said:?}");
        for said in said {
            assert!(
                said.contains("warning") && expected.is_some_and(|expected| said.contains(expected)),
                "{said}"
            );
        }
    }
}

/// Like [`said_of`], with these lines in the section `[access]`.
fn said_with(doors: &str, access: &str) -> Vec<String> {
    said(&format!("[[server]]\nname = \"a\"\n{doors}\n[access]\n{access}\n"))
}

/// Expects exactly these messages about the doors.
fn check_doors(doors: &str, expected: &[&str]) {
    assert_eq!(said_of(doors), expected, "{doors}");
}

const CERTIFICATE: &str = "[tls]\ncert = \"c.pem\"\nkey = \"k.pem\"";

#[test]
fn a_door_has_one_address_or_several() {
    for doors in [
        "listen = \"127.0.0.1:1\"",
        "listen = [\"127.0.0.1:1\"]",
        "listen = [\"127.0.0.1:1\", \"[::1]:1\", \"herd.example.org:2\"]",
        "listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]",
        "listen = \"0.0.0.0:1\"\nhttp = [\"127.0.0.1:2\", \"[::1]:2\"]",
        &format!("listen = [\"0.0.0.0:1\", \"tls://0.0.0.0:2\"]\n{CERTIFICATE}"),
        &format!("listen = \"0.0.0.0:1\"\nhttp = \"tls://localhost:2\"\n{CERTIFICATE}"),
    ] {
        check_doors(doors, &[]);
    }
    let order = "http = [\"127.0.0.1:2\"]\nlisten = [\"127.0.0.1:3\", \"127.0.0.1:1\"]";
    let config = read(&format!("[[server]]\nname = \"a\"\n{order}")).unwrap();
    let doors: Vec<String> = config.servers[0].doors.iter().map(ToString::to_string).collect();
    assert_eq!(doors, ["127.0.0.1:3", "127.0.0.1:1", "127.0.0.1:2"], "by kind, and then as they stand");
    assert_eq!(config.servers[0].door(DoorKind::Line).unwrap().to_string(), "127.0.0.1:3");
}

#[test]
fn what_is_no_address_of_a_door_is_answered_with_the_nearest_that_is() {
    let takes = "takes an address: HOST:PORT, [IPv6]:PORT or NAME:PORT";
    check_doors(
        "listen = \"tls:/127.0.0.1:1\"\nhttp = \"https://127.0.0.1:2\"",
        &[
            &format!(
                "herd.toml:3:10: error: `listen` of server a {takes}: found the text \"tls:/127.0.0.1:1\"; \
                 did you mean \"tls://127.0.0.1:1\"?"
            ),
            &format!(
                "herd.toml:4:8: error: `http` of server a {takes}: found the text \"https://127.0.0.1:2\"; \
                 did you mean \"tls://127.0.0.1:2\"?"
            ),
        ],
    );
    check_doors(
        "listen = [\"127.0.0.1:1\", 5, [\"127.0.0.1:2\"], \"http://[::1]:1/\", \"\"]\nhttp = true",
        &[
            &format!(
                "herd.toml:3:26: error: `listen[1]` of server a {takes}: found 5; write a text in quotes"
            ),
            &format!(
                "herd.toml:3:29: error: `listen[2]` of server a {takes}: found a list; \
                 write only one, without square brackets"
            ),
            &format!(
                "herd.toml:3:46: error: `listen[3]` of server a {takes}: found the text \"http://[::1]:1/\"; \
                 did you mean \"[::1]:1\"?"
            ),
            &format!(
                "herd.toml:3:65: error: `listen[4]` of server a {takes}: found the text \"\"; \
                 the port is missing: HOST:PORT"
            ),
            &format!("herd.toml:4:8: error: `http` of server a {takes}: found true; write a text in quotes"),
        ],
    );
}

#[test]
fn an_empty_list_and_one_that_is_too_long_are_mistakes() {
    check_doors(
        "listen = []\nhttp = []",
        &[
            "herd.toml:3:10: error: `listen` of server a is an empty list: \
             a server has an address for its clients: listen = \"127.0.0.1:12000\"",
            "herd.toml:4:8: error: `http` of server a is an empty list: \
             leave the key out if the server has no such door",
        ],
    );
    let list = |count: u16| {
        let addresses: Vec<String> = (1..=count).map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        format!("listen = [{}]", addresses.join(", "))
    };
    check_doors(&list(8), &[]);
    check_doors(
        &list(9),
        &["herd.toml:3:10: error: `listen` of server a has 9 addresses: a door has at most 8"],
    );
}

#[test]
fn no_address_is_used_twice_whichever_doors_have_it() {
    let twice = "leave one of them out, or give it its own port";
    check_doors(
        "listen = [\"127.0.0.1:1\", \"[::1]:1\", \"127.0.0.1:1\"]",
        &[&format!(
            "herd.toml:3:37: error: `listen[2]` of server a is already in use by `listen[0]` of server a: {twice}"
        )],
    );
    check_doors(
        &format!("listen = [\"127.0.0.1:1\", \"tls://0.0.0.0:1\"]\n{CERTIFICATE}"),
        &[&format!(
            "herd.toml:3:26: error: `listen[1]` of server a is already in use by `listen[0]` of server a: {twice}"
        )],
    );
    check_doors(
        "http = [\"127.0.0.1:3\", \"127.0.0.1:2\"]\npeer = \"127.0.0.1:1\"\nlisten = [\"[::]:1\", \"[::]:2\"]",
        &[
            "herd.toml:5:11: error: `listen[0]` of server a is already in use by `peer` of server a: \
             give each door its own port",
            "herd.toml:5:21: error: `listen[1]` of server a is already in use by `http[1]` of server a: \
             give each door its own port",
        ],
    );
    check(
        "\"127.0.0.1:3\"",
        "[\"127.0.0.1:3\", \"127.0.0.1:1\"]",
        &["herd.toml:11:26: error: `listen[1]` of server b is already in use by `listen` of server a: \
           give each door its own port"],
    );
    check(
        "listen = \"127.0.0.1:3\"",
        "listen = [\"127.0.0.1:3\", \"127.0.0.1:5\"]\nadvertise = \"127.0.0.1:5\"",
        &["herd.toml:12:13: error: `advertise` of server b leads to `listen[1]` of server b: \
           `advertise` is the address at which other servers reach this server's `peer`"],
    );
}

#[test]
fn beyond_loopback_tokens_decide_and_tls_hides_unless_the_operator_says_otherwise() {
    let tokens = "must be on loopback: with `access.tokens` \"off\", everybody who reaches the door may do \
                  everything: write";
    let allow = "or let tokens decide: tokens = \"on\" in [access]; open = true allows this";
    let tls = "must be on loopback or have TLS: without TLS, anybody on the way can read and change everything: write";
    let expose = "or exposed = true in [access], if a proxy in front has TLS";
    let line = format!("herd.toml:3:10: error: `listen` of server a {tokens} \"127.0.0.1:1\", {allow}");
    let plain = format!("herd.toml:3:10: error: `listen` of server a {tls} \"tls://0.0.0.0:1\", {expose}");
    let http = format!("herd.toml:4:8: error: `http` of server a {tokens} \"tls://127.0.0.1:2\", {allow}");
    let doors = format!("listen = \"0.0.0.0:1\"\nhttp = \"tls://0.0.0.0:2\"\n{CERTIFICATE}");
    let on = format!("tokens = \"on\"\noperator_token_sha256 = \"{}\"", "aB".repeat(32));
    let open = {
        String::from(
            "herd.toml:9:8: warning: `access.open` lets everybody who reaches a door do everything: tokens are \
             \"off\", and not all doors are on loopback: let tokens decide: tokens = \"on\" in [access]",
        )
    };
    let clear = "herd.toml:3:10: warning: `listen` of server a has no TLS and is not on loopback: the tokens of AUTH lines \
                 cross the network in the clear: write \"tls://0.0.0.0:1\", or put the door on loopback"
        .to_owned();
    for (access, expected) in [
        ("", vec![line.clone(), plain.clone(), http.clone()]),
        ("open = true", vec![plain.clone(), open.clone()]),
        ("exposed = true", vec![line.clone(), http.clone()]),
        ("open = true\nexposed = true", vec![open]),
        (&on, vec![plain.clone()]),
        (&format!("{on}\nexposed = true"), vec![clear]),
    ] {
        assert_eq!(said_with(&doors, access), expected, "{access}");
    }
    let anywhere = "listen = [\"127.0.0.1:1\", \"[::1]:1\", \"localhost:2\"]";
    assert!(said_with(anywhere, "").is_empty(), "on loopback, nothing is needed");
}

#[test]
fn the_section_access_is_read_strictly() {
    let doors = "listen = \"127.0.0.1:1\"";
    let hash = "`proxyherd init` makes a token and writes its hash; for a token of your own, which must have the form \
                phd_operator_ and 64 hexadecimal digits, printf %s TOKEN | sha256sum prints the hash";
    let digits = "operator_token_sha256` takes 64 hexadecimal digits: found";
    let off_or_on = "tokens` takes \"off\" or \"on\": found";
    let missing = "operator_token_sha256` is missing: with tokens \"on\", nobody could make the first token";
    for (access, column, expected) in [
        ("tokens = \"no\"", 10, format!("{off_or_on} the text \"no\"; did you mean \"on\"?")),
        ("tokens = true", 10, format!("{off_or_on} true; did you mean \"on\"?")),
        ("tokens = \"on\"", 10, format!("{missing}: {hash}")),
        ("operator_token_sha256 = \"12\"", 25, format!("{digits} the text \"12\"; {hash}")),
        ("operator_token_sha256 = \"phd_x_0f\"", 25, format!("{digits} what looks like a token; {hash}")),
        ("token = \"on\"", 1, "token` is not a known key: did you mean `tokens`?".to_owned()),
        (
            "hosts = [\"https://a.example/\"]",
            10,
            "hosts[0]` takes host names: found the text \"https://a.example/\"; write the name alone: \"a.example\""
                .to_owned(),
        ),
        (
            "hosts = [\"a.example:80\"]",
            10,
            "hosts[0]` takes host names: found the text \"a.example:80\"; write the name without a port".to_owned(),
        ),
        (
            "origins = [\"https://a.example/\"]",
            12,
            "origins[0]` takes origins of web pages: found the text \"https://a.example/\"; \
             did you mean \"https://a.example\"?"
                .to_owned(),
        ),
        (
            "proxies = [\"10.0.0.1/8\"]",
            12,
            "proxies[0]` takes addresses and networks: found the text \"10.0.0.1/8\"; did you mean \"10.0.0.0/8\"?"
                .to_owned(),
        ),
        (
            "public_url = \"a.example\"",
            14,
            "public_url` takes a URL: found the text \"a.example\"; for example \"https://herd.example.org\"".to_owned(),
        ),
    ] {
        assert_eq!(said_with(doors, access), [format!("herd.toml:5:{column}: error: `access.{expected}")]);
    }
    let given = "tokens = \"off\"\nhosts = [\"Herd.Example.org\", \"10.0.0.1\", \"2001:db8::1\"]\n\
                 origins = [\"https://a.example:8443\"]\nproxies = [\"10.0.0.0/8\", \"::1\"]\n\
                 public_url = \"https://herd.example.org/\"";
    let access = read(&format!("[[server]]\nname = \"a\"\n{doors}\n[access]\n{given}\n")).unwrap().access;
    assert_eq!(access.hosts, ["herd.example.org", "10.0.0.1", "2001:db8::1"]);
    assert_eq!(access.origins, [WebOrigin::parse("https://a.example:8443").unwrap()]);
    assert_eq!(access.proxies, ["10.0.0.0/8", "::1"].map(|network| Network::parse(network).unwrap()));
    assert_eq!(access.public_url.as_deref(), Some("https://herd.example.org"));
}

#[test]
fn the_public_url_is_a_url_to_which_a_path_can_be_added() {
    let doors = "listen = \"127.0.0.1:1\"";
    let access = |url: &str| {
        read(&format!("[[server]]\nname = \"a\"\n{doors}\n[access]\npublic_url = {url:?}\n"))
            .map(|config| config.access.public_url)
    };
    for (url, expected) in [
        ("", None),
        ("https://herd.example.org", Some("https://herd.example.org")),
        ("http://10.0.0.1:8000/", Some("http://10.0.0.1:8000")),
        ("https://[2001:db8::1]:8443", Some("https://[2001:db8::1]:8443")),
        ("https://[2001:db8::1]/herd/", Some("https://[2001:db8::1]/herd")),
        ("https://example.org/herd/a%20b", Some("https://example.org/herd/a%20b")),
    ] {
        assert_eq!(access(url).unwrap().as_deref(), expected, "{url}");
    }
    for url in [
        "herd.example.org",
        "ftp://herd.example.org",
        "https://",
        "https:///herd",
        "https://herd_example..org",
        "https://herd.example.org:port",
        "https://herd.example.org:70000",
        "https://user:secret@herd.example.org",
        "https://herd.example.org/?a=b",
        "https://herd.example.org/#a",
        "https://herd.example.org/a b",
        "https://herd.example.org/\"",
        "https://2001:db8::1",
    ] {
        assert!(access(url).is_err(), "{url}");
    }
}

#[test]
fn links_have_one_address_each_and_no_tls_of_doors() {
    let takes = "takes an address: HOST:PORT, [IPv6]:PORT or NAME:PORT";
    check(
        "peer = \"127.0.0.1:4\"",
        "peer = [\"127.0.0.1:4\"]\nadvertise = \"tls://127.0.0.1:4\"",
        &[
            &format!(
                "herd.toml:12:8: error: `peer` of server b {takes}: found a list; write only one, without square brackets"
            ),
            &format!(
                "herd.toml:13:13: error: `advertise` of server b {takes}: found the text \"tls://127.0.0.1:4\"; \
                 `herd.tls` encrypts the links; tls:// is only for doors: write \"127.0.0.1:4\""
            ),
        ],
    );
}

#[test]
fn a_door_with_tls_has_a_certificate_and_a_certificate_has_such_a_door() {
    let two = "listen = [\"127.0.0.1:1\", \"tls://127.0.0.1:2\"]\nhttp = \"tls://127.0.0.1:3\"";
    let add = "add a section [tls] with cert = \"fullchain.pem\" and key = \"privkey.pem\"";
    let missing = format!(
        "herd.toml:3:26: error: `listen[1]` of server a has TLS, but there is no certificate for it: {add}"
    );
    check_doors(two, &[&missing]);
    check_doors(&format!("{two}\n[tls]"), &[&missing]);
    check_doors(&format!("{two}\n{CERTIFICATE}"), &[]);
    let together = "is missing: a certificate needs its key, and a key needs its certificate";
    check_doors(
        &format!("{two}\n[tls]\ncert = \"c.pem\""),
        &[&format!("herd.toml:5:1: error: `tls.key` {together}: for example key = \"privkey.pem\"")],
    );
    check_doors(
        "listen = \"127.0.0.1:1\"\n[tls]\nkey = \"k.pem\"",
        &[&format!("herd.toml:4:1: error: `tls.cert` {together}: for example cert = \"fullchain.pem\"")],
    );
    check_doors(
        &format!("listen = \"127.0.0.1:1\"\n{CERTIFICATE}"),
        &[
            "herd.toml:4:1: warning: `tls` is for doors with TLS, but no address of a door begins with tls://: \
           write tls:// before the addresses that should have TLS, or leave the section out",
        ],
    );
}

#[test]
fn the_section_tls_names_files_and_holds_no_key() {
    let two = "listen = \"tls://127.0.0.1:1\"";
    let takes = "takes the name of a PEM file";
    check_doors(
        &format!("{two}\n[tls]\ncert = 5\nkey = \"\"\nkeys = 1"),
        &[
            &format!("herd.toml:5:8: error: `tls.cert` {takes}: found 5; write a text in quotes"),
            &format!(
                "herd.toml:6:7: error: `tls.key` {takes}: found the text \"\"; \
                 a path cannot be empty; `.` is the directory of herd.toml"
            ),
            "herd.toml:7:1: error: `tls.keys` is not a known key: did you mean `key`?",
        ],
    );
    let pem = "\"\"\"-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----\"\"\"";
    check_doors(
        &format!("{two}\n[tls]\ncert = \"c.pem\"\nkey = {pem}"),
        &[&format!(
            "herd.toml:6:7: error: `tls.key` {takes}: found what looks like a key; \
             for example \"privkey.pem\"; never the content of the file"
        )],
    );
    let text = format!("[[server]]\nname = \"a\"\n{two}");
    let by_variables = [("PROXYHERD_TLS_CERT", "c.pem"), ("PROXYHERD_TLS_KEY", "k.pem")];
    let config = read_with(&text, &by_variables, &["tls.key=other.pem"]).unwrap();
    assert_eq!(config.tls, Some(DoorCertificate { cert: "c.pem".into(), key: "other.pem".into() }));
}

#[test]
fn no_hint_offers_what_is_not_built() {
    check_doors(
        "listen = \"127.0.0.1:1\"\nrsep = \"127.0.0.1:2\"",
        &["herd.toml:4:1: error: `rsep` of server a is not a known key: \
           did you mean `resp`? It is not available in this version: leave it out"],
    );
    check_doors(
        "listen = \"127.0.0.1:1\"\nlistne = \"127.0.0.1:2\"",
        &["herd.toml:4:1: error: `listne` of server a is not a known key: did you mean `listen`?"],
    );
    let nothing =
        "herd.toml:2:1: error: `database.qqqqqqqq` is not a known key: this version has no settings here";
    assert_eq!(said("[database]\nqqqqqqqq = 1")[0], nothing);
    let said = said("[herd]\nresp = 1\n[database]\nfile = 1");
    assert_eq!(
        said[1],
        "herd.toml:4:1: error: `database.file` is not a known key: `file` belongs to [places.osm]"
    );
    assert!(said[0].contains("`herd.resp` is not a known key: known keys: id, "), "{said:?}");
}

#[test]
fn mistakes_about_the_map_name_the_key_and_the_line() {
    let doors = "listen = \"127.0.0.1:1\"";
    for (map, expected) in [
        (
            "tiles = \"https://a.example/{z}/{x}.png\"",
            "5:9: error: `map.tiles` takes a URL of map tiles: found the text \"https://a.example/{z}/{x}.png\"; {y} is \
             missing; for example \"https://tiles.example.org/{z}/{x}/{y}.png\"",
        ),
        (
            "attribution = \"us\"",
            "5:15: warning: `map.attribution` has no effect without `tiles`: the map shows it beside the tiles; leave it \
             out, or set `tiles`",
        ),
        ("tile = \"\"", "5:1: error: `map.tile` is not a known key: did you mean `tiles`?"),
    ] {
        let text = format!("[[server]]\nname = \"a\"\n{doors}\n[map]\n{map}\n");
        assert_eq!(said(&text), [format!("herd.toml:{expected}")]);
    }
}

#[test]
fn an_http_door_has_an_origin_unless_its_address_means_no_host_or_no_port() {
    let http = "[\"127.0.0.1:8000\", \"tls://Riley.Example.org.:443\", \"[::1]:80\", \"0.0.0.0:8001\", \"localhost:0\"]";
    let text = format!(
        "[access]\nopen = true\nexposed = true\n[tls]\ncert = \"a\"\nkey = \"b\"\n[[server]]\nname = \"a\"\n\
         listen = \"127.0.0.1:1\"\nphones = \"127.0.0.1:5055\"\nhttp = {http}\n"
    );
    let config = read(&text).unwrap();
    let origins: Vec<_> = config.servers[0].http_origins().map(|origin| origin.as_str().to_owned()).collect();
    assert_eq!(origins, ["http://127.0.0.1:8000", "https://riley.example.org", "http://[::1]"]);
}
