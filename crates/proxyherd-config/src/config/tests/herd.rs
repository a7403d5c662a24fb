//! Tests of the checks between servers.

use super::*;

#[test]
fn encryption_is_off_only_by_that_word_and_only_on_loopback() {
    for (with, port) in [("0.0.0.0:4", 4), ("10.0.0.1:4", 4), ("[::]:4", 4), ("b.example.org:9", 9)] {
        let on_loopback = format!(
            "herd.toml:12:8: error: `peer` of server b must be on loopback, since `herd.tls` is \"off\": \
             for example \"127.0.0.1:{port}\"; or encrypt the links: tls = \"certs\""
        );
        let said = said(&TWO.replace("127.0.0.1:4", with));
        assert!(said.contains(&on_loopback), "{said:?}");
    }
    for with in ["127.9.9.9:4", "[::1]:4", "localhost:4"] {
        check("\"127.0.0.1:4\"", &format!("{with:?}"), &[]);
    }
    check(
        "peer = \"127.0.0.1:4\"",
        "peer = \"127.0.0.1:4\"\nadvertise = \"herd.example.org:4\"",
        &[
            "herd.toml:13:13: error: `advertise` of server b must be on loopback, since `herd.tls` is \"off\": \
             for example \"127.0.0.1:4\"; or encrypt the links: tls = \"certs\"",
        ],
    );
    let takes = "takes the directory that `proxyherd init` has made, or \"off\": found the text";
    for (with, help) in
        [("Off", "did you mean \"off\"?"), ("none", "did you mean \"off\"?"), ("on", "for example \"certs\"")]
    {
        let expected = format!("herd.toml:3:7: error: `herd.tls` {takes} {with:?}; {help}");
        check("\"off\"", &format!("{with:?}"), &[&expected]);
    }
}

#[test]
fn encrypted_links_lead_anywhere_and_machines_may_be_alike() {
    let herd = |doors: [&str; 2]| {
        let [one, two] = doors;
        let mut said = said(&format!(
            "[[server]]\nname = \"a\"\n{one}\nneighbors = [\"b\"]\n[[server]]\nname = \"b\"\n{two}\n\
             [access]\nopen = true\nexposed = true\n"
        ));
        said.retain(|said| !said.contains("`access.open`"));
        said
    };
    let doors = "listen = \"0.0.0.0:1\"\npeer = \"0.0.0.0:2\"\nhttp = \"127.0.0.1:3\"";
    let at = |advertise: &str| format!("{doors}\nadvertise = \"{advertise}\"");
    let none: [&str; 0] = [];
    assert_eq!(herd([&at("10.0.0.1:2"), &at("b.example.org:9")]), none, "two machines");
    assert_eq!(herd([doors, &at("10.0.0.2:2")]), none, "nobody has to dial the first");
    assert_eq!(
        herd([&at("10.0.0.1:2"), doors]),
        [
            "herd.toml:11:8: error: `peer` of server b means all addresses of its machine, so no server can dial \
             this address: a must dial this server: add advertise = \"HOST:2\""
        ]
    );
    let same = herd([&at("10.0.0.1:2"), &at("10.0.0.1:2")]);
    assert_eq!(same.len(), 5, "one machine has each port once: {same:#?}");
    let named_ca = said("[[server]]\nname = \"ca\"\nlisten = \"127.0.0.1:1\"");
    assert_eq!(
        named_ca,
        [
            "herd.toml:2:8: error: `name` of server ca is the name of the authority's files, ca.pem and ca.key: \
          give the server another name"
        ]
    );
}

#[test]
fn names_and_addresses_are_one_servers_alone() {
    check(
        "name = \"b\"",
        "name = \"a\"",
        &["herd.toml:10:8: error: `name` of server a is another server's name too: \
             give one of them another name"],
    );
    check(
        "\"127.0.0.1:3\"",
        "\"localhost:2\"",
        &["herd.toml:11:10: error: `listen` of server b is already in use by `peer` of server a: \
           give each door its own port"],
    );
    check(
        "\"127.0.0.1:3\"",
        "\"127.0.0.1:4\"",
        &["herd.toml:12:8: error: `peer` of server b is already in use by `listen` of server b: \
           give each door its own port"],
    );
    check(
        "peer = \"127.0.0.1:4\"",
        "peer = \"127.0.0.1:4\"\nadvertise = \"127.0.0.1:2\"",
        &["herd.toml:13:13: error: `advertise` of server b leads to `peer` of server a: \
           `advertise` is the address at which other servers reach this server's `peer`"],
    );
    check("\"127.0.0.1:3\"", "\"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"", &[]);
    check("peer = \"127.0.0.1:4\"", "peer = \"127.0.0.1:4\"\nadvertise = \"127.0.0.1:4\"", &[]);
}

#[test]
fn a_link_leads_to_another_server_of_the_herd() {
    check(
        "[\"b\"]",
        "[\"a\", \"b\", \"b\", \"c d\", 5]",
        &[
            "herd.toml:8:14: error: `neighbors[0]` of server a is the server itself: leave it out",
            "herd.toml:8:24: warning: `neighbors[2]` of server a is in the list already: leave it out",
            "herd.toml:8:29: error: `neighbors[3]` of server a takes servers' names: found the text \"c d\"; \
             a server's name is 1 to 64 letters, digits, `-`, `_` or `.`, and begins with a letter or a digit",
            "herd.toml:8:36: error: `neighbors[4]` of server a takes servers' names: found 5; write a text in quotes",
        ],
    );
    let riley = "Riley\"]";
    let text = Config::classic_text("herd").replacen("Campbell\", \"Bernard\"]", riley, 1);
    assert_eq!(said(&text), Vec::<String>::new(), "both ends may name a link");
    let said = said(&text.replacen(riley, "Rily\"]", 1));
    assert!(said[0].ends_with("names no server of this herd: did you mean \"Riley\"?"), "{said:?}");
}

#[test]
fn a_server_with_links_has_an_address_that_can_be_dialed() {
    check(
        "peer = \"127.0.0.1:2\"\n",
        "",
        &["herd.toml:4:1: error: `peer` of server a is missing: its links with b need an address: \
           peer = \"HOST:PORT\""],
    );
    check(
        "peer = \"127.0.0.1:2\"",
        "advertise = \"127.0.0.1:2\"",
        &["herd.toml:7:13: error: `advertise` of server a is set, but `peer` is missing: \
           add peer = …, the address where this server listens for other servers; they dial `advertise`"],
    );
    check("\"127.0.0.1:2\"", "\"127.0.0.1:0\"", &[]);
    check(
        "\"127.0.0.1:4\"",
        "\"127.0.0.1:0\"",
        &["herd.toml:12:8: error: `peer` of server b has port 0, which no server can dial: \
           a must dial this server: write a port number"],
    );
}

#[test]
fn a_server_has_no_more_than_32_links() {
    let herd = |count: usize| {
        let server = |index| {
            let (listen, peer) = (1000 + index, 2000 + index);
            let neighbors = if index == 0 { "" } else { "neighbors = [\"s0\"]" };
            format!(
                "[[server]]\nname = \"s{index}\"\nlisten = \"127.0.0.1:{listen}\"\n\
                 peer = \"127.0.0.1:{peer}\"\n{neighbors}\n"
            )
        };
        format!("[herd]\ntls = \"off\"\n{}", (0..count).map(server).collect::<String>())
    };
    assert_eq!(said(&herd(LINKS_PER_SERVER_MAX + 1)), Vec::<String>::new());
    assert_eq!(
        said(&herd(LINKS_PER_SERVER_MAX + 2)),
        ["herd.toml:4:8: error: server s0 has 33 links, including links that only the other server names: \
          a server has at most 32 links; reports travel over several links"]
    );
}

#[test]
fn a_herd_without_servers_is_refused() {
    let advice = "begin each server with a line [[server]]; `proxyherd init` writes an example";
    let expected = [format!("herd.toml: error: the herd has no server: {advice}")];
    assert_eq!(said("[herd]\ntls = \"off\""), expected);
    assert_eq!(said("server = []\n[herd]\ntls = \"off\""), expected);
    assert_eq!(
        said("server = 1\n[herd]\ntls = \"off\""),
        [
            "herd.toml:1:10: error: `server` must be a list of tables: found 1; begin each with a line [[server]]"
        ]
    );
    assert_eq!(
        said("[herd]\ntls = \"off\"\n[[server]]"),
        [
            "herd.toml:3:1: error: `server[0].name` is missing: a server has a name: name = \"Riley\"",
            "herd.toml:3:1: error: `server[0].listen` is missing: \
             a server has an address for its clients: listen = \"127.0.0.1:12000\"",
        ]
    );
}

#[test]
fn servers_in_a_section_with_another_header_are_one_mistake_each() {
    let server = |name: &str, port: u16| format!("name = \"{name}\"\nlisten = \"127.0.0.1:{port}\"\n");
    let two = format!("[server]\n{}[server]\n{}", server("a", 1), server("b", 2));
    let expected = [1, 4].map(|line| {
        format!(
            "herd.toml:{line}:1: error: `server` must be a list of tables: found a single table; \
             write [[server]], with two brackets"
        )
    });
    assert_eq!(said(&two), expected);
    for header in ["[servers]", "[[servers]]"] {
        let said = said(&format!("{header}\n{}", server("a", 1)));
        let expected = "error: `servers` is not a known key: did you mean [[server]]?";
        assert!(said.len() == 1 && said[0].ends_with(expected), "{said:?}");
    }
}

#[test]
fn servers_that_cannot_hear_of_each_other_are_a_warning() {
    check(
        "neighbors = [\"b\"]\n",
        "",
        &["herd.toml:9:8: warning: server b has no link, so it hears of no other server's clients: \
           name a neighbor: neighbors = [\"…\"]"],
    );
    let text = Config::classic_text("herd");
    let cut = text.replacen("[\"Jaquez\", \"Juzang\"]", "[\"Jaquez\"]", 1).replacen("[\"Bernard\"]", "[]", 1);
    let said = said(&cut);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(
            "warning: server Riley and its neighbors have no path to the rest of the herd: Riley, Jaquez"
        ),
        "{said:?}"
    );
}

#[test]
fn a_link_has_one_end_that_dials() {
    let config = Config::classic();
    let mut links = Vec::new();
    for server in &config.servers {
        for neighbor in config.links_of(&server.name) {
            let back = config.links_of(&neighbor.name);
            let back = back.iter().find(|back| back.name == server.name).expect("the link's other end");
            assert_ne!(neighbor.dial, back.dial, "{} {}", server.name, neighbor.name);
            assert_eq!(Some(&neighbor.address), config.server(neighbor.name.as_str()).unwrap().peer.as_ref());
            if neighbor.dial {
                links.push(format!("{}-{}", server.name, neighbor.name));
            }
        }
    }
    links.sort();
    assert_eq!(
        links,
        [
            "Bernard-Campbell",
            "Bernard-Jaquez",
            "Bernard-Juzang",
            "Campbell-Juzang",
            "Jaquez-Riley",
            "Juzang-Riley"
        ]
    );
    let text = TWO.replace("peer = \"127.0.0.1:4\"", "peer = \"127.0.0.1:4\"\nadvertise = \"localhost:9\"");
    let config = read(&text).unwrap();
    let links = config.links_of(&config.servers[0].name);
    assert_eq!(links[0].address.to_string(), "localhost:9", "what is advertised is dialed");
    assert!(config.links_of(&ServerName::new("c").unwrap()).is_empty());
}

#[test]
fn a_herd_has_at_most_256_servers() {
    let servers = |count: usize| {
        let server = |number| {
            format!("[[server]]\nname = \"s{number}\"\nlisten = \"127.0.0.1:{}\"\n", 10_000 + number)
        };
        format!("[herd]\ntls = \"off\"\n{}", (0..count).map(server).collect::<String>())
    };
    let errors =
        |text: &str| said(text).into_iter().filter(|said| said.contains("error")).collect::<Vec<_>>();
    assert_eq!(errors(&servers(256)), [""; 0]);
    let expected = "herd.toml:771:1: error: server s256 is one server too many: a herd has at most 256: \
                    divide the clients among several herds";
    assert_eq!(errors(&servers(257)), [expected]);
}
