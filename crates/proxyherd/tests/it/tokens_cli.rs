//! Tests of tokens as people use them: `init`, `token`, `client`, `status` and `check`, with real servers.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use crate::harness::{
    Finished, Herd, OPERATOR_TOKEN, OPERATOR_TOKEN_SHA256, PATIENCE, Plan, Process, WHERE_AND_WHEN,
    certificates::Certified, eventually, free_ports,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_proxyherd");

fn run(dir: &Path, line: &str) -> Finished {
    Process::run(dir, &line.split(' ').collect::<Vec<_>>())
}

fn bash(dir: &Path, line: &str) -> Finished {
    Process::bash(dir, &format!("set -o pipefail; {line}")).wait(PATIENCE)
}

/// Writes a file that only its owner can read.
fn put_secret(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
}

/// A herd with tokens on, which has operator.token beside herd.toml.
fn herd_with_tokens(plan: Plan) -> Herd {
    let herd = plan.with_tokens().start();
    put_secret(&herd.dir().join("operator.token"), &format!("{OPERATOR_TOKEN}\n"));
    herd
}

/// Makes a token as the operator. Returns the token and its ID.
fn create(dir: &Path, arguments: &str) -> (String, String) {
    let made = run(dir, &format!("token create {arguments}"));
    assert_eq!(made.code, 0, "{made:?}");
    let token = made.out.strip_suffix('\n').unwrap().to_owned();
    let id = token.split('_').nth(1).unwrap().to_owned();
    assert!(token.starts_with("phd_") && !token.contains(char::is_whitespace), "one line, the token");
    assert!(made.err.contains(&format!("token revoke {id}")) && !made.err.contains(&token), "{}", made.err);
    (token, id)
}

/// Pipes lines into a client that has this token in its environment.
fn piped(herd: &Herd, token: &str, lines: &str) -> Finished {
    bash(herd.dir(), &format!("printf '{lines}\\n' | PROXYHERD_TOKEN={token} {PROGRAM} client"))
}

#[test]
fn init_makes_the_operators_token_once_and_shows_it_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), "init");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let path = dir.path().join("operator.token");
    let token = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = token.trim();
    assert!(secret.starts_with("phd_operator_") && secret.len() > 64 && token.lines().count() == 1);
    let herd_toml = fs::read_to_string(dir.path().join("herd.toml")).unwrap();
    assert!(!said.out.contains(secret) && !herd_toml.contains(secret));
    assert!(said.out.contains("operator.token"), "{}", said.out);
    for again in ["init --server Riley", "init --force"] {
        let said = run(dir.path(), again);
        assert_eq!(said.code, 0, "{again}: {said:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), token, "{again}");
    }
    let checked = run(dir.path(), "check --set access.tokens=on");
    assert_eq!((checked.code, checked.err.as_str()), (0, ""), "one word turns tokens on: {checked:?}");
}

#[test]
fn check_finds_an_operators_token_that_others_can_read_or_that_is_not_the_herds() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), "init").code, 0);
    let path = dir.path().join("operator.token");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for (set, code) in [("", 0), (" --set access.tokens=on", 78)] {
        let checked = run(dir.path(), &format!("check{set}"));
        assert_eq!(checked.code, code, "{checked:?}");
        assert!(checked.err.contains("can be used by others (mode 0644)"), "{}", checked.err);
        assert!(checked.err.contains("chmod 600"), "{}", checked.err);
    }
    put_secret(&path, "another\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let checked = run(dir.path(), "check --set access.tokens=on");
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.err.contains("does not hold a token that servers accept"), "{}", checked.err);
    let another = format!("phd_operator_{}", "c7".repeat(32));
    put_secret(&path, &another);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let checked = run(dir.path(), "check --set access.tokens=on");
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.err.contains("is not the token whose hash herd.toml has"), "{}", checked.err);
    assert!(!checked.err.contains(&another), "{}", checked.err);
}

#[test]
fn a_token_is_made_listed_used_and_revoked() {
    let herd = herd_with_tokens(Plan::pair());
    let (token, id) = create(
        herd.dir(),
        "--scope report:courier-* --scope read:* --scope places --expires 30d --name couriers",
    );
    let (limited, _) = create(herd.dir(), "--scope read:kiwi --latest-only --clients-max 5 --rate 2");

    let report = format!("IAMAT courier-1 {WHERE_AND_WHEN}");
    let answered =
        piped(&herd, &token, &format!("{report}\\nIAMAT kiwi {WHERE_AND_WHEN}\\nWHATSAT courier-1 10 0"));
    assert_eq!((answered.code, answered.err.as_str()), (0, ""), "{answered:?}");
    let lines: Vec<&str> = answered.out.lines().collect();
    assert!(lines[0].starts_with("AT Riley ") && lines[2].starts_with("AT Riley "), "{lines:?}");
    assert_eq!(lines[1], format!("? IAMAT kiwi {WHERE_AND_WHEN}"));
    let refused = piped(&herd, &limited, &report);
    assert_eq!(refused.out, format!("? {report}\n"));

    let listed = run(herd.dir(), "token list");
    assert_eq!((listed.code, listed.err.as_str()), (0, ""), "{listed:?}");
    let row = listed.out.lines().find(|line| line.starts_with(&id)).unwrap();
    assert!(
        row.contains(" couriers ") && row.ends_with("read:* report:courier-* places")
            || row.ends_with("report:courier-* read:* places"),
        "{row}"
    );
    assert!(listed.out.contains("latest only, 5 clients, 2/s"), "{}", listed.out);
    let json = run(herd.dir(), "token list --json");
    let all: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    for shown in [&listed.out, &json.out] {
        assert!(!shown.contains(&token) && !shown.contains(token.rsplit('_').next().unwrap()));
    }

    let revoked = run(herd.dir(), &format!("token revoke {id}"));
    assert!(revoked.code == 0 && revoked.out.starts_with(&format!("Revoked {id}.")), "{revoked:?}");
    let refused = eventually("both servers refuse the token", || {
        let refused = piped(&herd, &token, &report);
        if refused.code == 1 { Ok(refused) } else { Err(format!("{refused:?}")) }
    });
    let said = "none of the 2 servers accepts the token of PROXYHERD_TOKEN: the token is wrong, revoked or past its end";
    assert!(refused.err.contains(said) && refused.out.is_empty(), "{refused:?}");
    assert!(!refused.err.contains(&token), "{}", refused.err);
    let listed = run(herd.dir(), "token list");
    assert!(
        listed.out.lines().any(|line| line.starts_with(&id) && line.contains("revoked")),
        "{}",
        listed.out
    );
}

#[test]
fn what_is_wrong_with_a_request_for_a_token_is_told() {
    let herd = herd_with_tokens(Plan::single());
    let (reader, _) = create(herd.dir(), "--scope read:*");
    let (http, dir) = (herd.at("Riley").http, herd.dir());
    let token = |line: &str| format!("{PROGRAM} token {line}");
    for (line, code, said) in [
        (token("create --scope reports:x"), 2, "\"reports:x\" is no scope; did you mean \"report:x\"?"),
        (token("create"), 2, "--scope"),
        (token("create --scope read:x --expires 30"), 2, "such as 30d, 12h or 90m"),
        (token("create --scope read:x --rate 0"), 2, "--rate"),
        (token("revoke operator"), 2, "this is the operator's token"),
        (token("revoke nobody"), 1, "no token has this ID"),
        (token("list --at http://192.0.2.1:8000"), 2, "use https://"),
        (token("list --at http://192.0.2.1:8000"), 2, "--insecure-token"),
        (token("list --insecure-token --at http://127.0.0.1:1"), 1, "no server answers"),
        (format!("{PROGRAM} client --token-file operator.token 192.0.2.1:12000"), 2, "--insecure-token"),
        (
            format!(
                "sed 's/^http = .*/http = \"192.0.2.1:8000\"/; s/^.access.$/[access]\\nexposed = true/' herd.toml > \
                 far.toml; {PROGRAM} status --config far.toml"
            ),
            2,
            "--insecure-token",
        ),
        (
            token("list --at http://127.0.0.1:1"),
            1,
            "no server answers: http://127.0.0.1:1: connection refused",
        ),
        (token("list --config nowhere.toml"), 78, "nowhere.toml"),
        (
            format!("PROXYHERD_TOKEN=phd_x_y {}", token("list")),
            1,
            "does not accept the token of PROXYHERD_TOKEN",
        ),
        (
            format!("PROXYHERD_TOKEN='two words' {}", token("list")),
            2,
            "PROXYHERD_TOKEN is set and holds no token",
        ),
        (format!("PROXYHERD_TOKEN={reader} {}", token("list")), 1, "operate"),
        (
            format!("mv operator.token elsewhere; {}", token("list")),
            1,
            "asks for a token: set PROXYHERD_TOKEN",
        ),
        (format!("PROXYHERD_TOKEN=$(cat elsewhere) {}", token(&format!("list --at http://{http}"))), 0, ""),
    ] {
        let refused = bash(dir, &line);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.err.contains(said), "{said} is not in {}", refused.err);
        assert!(!refused.err.contains(&reader) && !refused.err.contains(OPERATOR_TOKEN), "{}", refused.err);
    }
}

#[test]
fn with_tokens_off_the_operators_token_makes_tokens_and_the_hint_says_so() {
    let herd = Plan::single().access(&format!("operator_token_sha256 = \"{OPERATOR_TOKEN_SHA256}\"")).start();
    let refused = run(herd.dir(), "token create --scope read:*");
    assert!(refused.code == 1 && refused.err.contains("asks for a token"), "{refused:?}");
    put_secret(&herd.dir().join("operator.token"), &format!("{OPERATOR_TOKEN}\n"));
    let made = run(herd.dir(), "token create --scope read:*");
    assert!(made.code == 0 && made.out.starts_with("phd_"), "{}", made.err);
    assert!(made.err.contains("Tokens are off in this herd"), "{}", made.err);
}

#[test]
fn the_client_shows_its_token_on_every_connection() {
    let mut herd = herd_with_tokens(Plan::pair());
    let (riley, jaquez) = (herd.line("Riley"), herd.line("Jaquez"));
    let (token, _) = create(herd.dir(), "--scope report:*");
    put_secret(&herd.dir().join("mine"), &token);
    let report = format!("IAMAT kiwi {WHERE_AND_WHEN}");
    let input = format!("echo '{report}'; until [ -e go ]; do sleep 0.01; done; echo '{report}'");
    // The operator's token beside herd.toml, a file, and a line of the input.
    let clients = [
        format!("{PROGRAM} client"),
        format!("{PROGRAM} client --token-file mine {riley} {jaquez}"),
        format!("{{ echo AUTH $(cat mine); cat; }} | {PROGRAM} client {riley} {jaquez}"),
    ];
    let clients = clients.map(|client| Process::bash(herd.dir(), &format!("{{ {input}; }} | {client}")));
    for client in &clients {
        eventually("the first server answers", || {
            if client.out().contains("AT Riley ") {
                Ok(())
            } else {
                Err(format!("{}{}", client.out(), client.err()))
            }
        });
    }
    eventually("the tokens reach Jaquez", || {
        let client = format!("echo '{report}' | {PROGRAM} client --token-file mine {jaquez}");
        let answered = bash(herd.dir(), &client);
        if answered.out.starts_with("AT ") { Ok(()) } else { Err(format!("{answered:?}")) }
    });
    herd.kill_all(&["Riley"]);
    fs::write(herd.dir().join("go"), "").unwrap();
    for client in clients {
        let finished = client.wait(PATIENCE);
        assert_eq!(finished.code, 0, "{finished:?}");
        let replies: Vec<&str> = finished.out.lines().filter(|line| *line != "AUTH ok").collect();
        let [first, second] = replies[..] else { panic!("{finished:?}") };
        assert!(first.starts_with("AT Riley ") && second.starts_with("AT Jaquez "), "{finished:?}");
        assert!(!format!("{finished:?}").contains(&token), "{finished:?}");
    }
}

#[test]
fn the_prompt_keeps_no_line_with_a_token() {
    let herd = herd_with_tokens(Plan::single());
    let (token, _) = create(herd.dir(), "--scope report:*");
    let riley = herd.line("Riley");
    let client = format!("env XDG_STATE_HOME=$PWD/state NO_COLOR=1 TERM=xterm {PROGRAM} client {riley}");
    let typed = format!("AUTH {token}\\nIAMAT kiwi +34.068930-118.445127 1\\n AUTH {token}\\nquit\\n");
    let finished = bash(herd.dir(), &format!("printf '{typed}' | script -qec \"{client}\" /dev/null"));
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(finished.out.contains("AUTH ok") && finished.out.contains("\nAT Riley +"), "{finished:?}");
    let kept = fs::read_to_string(herd.dir().join("state/proxyherd/history")).unwrap();
    assert!(kept.contains("IAMAT kiwi") && !kept.contains("AUTH") && !kept.contains("phd_"), "{kept}");
}

#[test]
fn status_shows_the_operators_token_and_says_what_to_do_without_it() {
    let herd = herd_with_tokens(Plan::pair());
    let shown = run(herd.dir(), "status");
    assert!(shown.code == 0 && shown.out.contains("2 of 2 servers answer"), "{shown:?}");
    let (reader, _) = create(herd.dir(), "--scope read:*");
    let refused = bash(herd.dir(), &format!("PROXYHERD_TOKEN={reader} {PROGRAM} status"));
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.out.contains("does not have the scope `operate`"), "{}", refused.out);
    fs::remove_file(herd.dir().join("operator.token")).unwrap();
    let refused = run(herd.dir(), "status");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(refused.out.matches("refused  ").count(), 2, "{}", refused.out);
    assert!(
        refused
            .out
            .contains("Riley, Jaquez do not show their status: a token is needed: set PROXYHERD_TOKEN"),
        "{}",
        refused.out
    );
    assert!(refused.err.contains("2 of 2 servers do not show their status"), "{}", refused.err);
}

#[test]
fn every_command_shows_its_token_at_doors_with_tls() {
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(2);
    let [line, http] = [0, 1].map(|index| SocketAddr::from(([127, 0, 0, 1], ports[index])));
    let made = rcgen::generate_simple_self_signed(["herd.example".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Certified { certificate, key }.put(dir.path(), "door");
    put_secret(&dir.path().join("operator.token"), OPERATOR_TOKEN);
    let text = format!(
        "[herd]\ntls = \"off\"\n[tls]\ncert = \"door.pem\"\nkey = \"door.key\"\n[access]\ntokens = \"on\"\n\
         operator_token_sha256 = \"{OPERATOR_TOKEN_SHA256}\"\n[[server]]\nname = \"Riley\"\nlisten = \"tls://{line}\"\nhttp = \"tls://{http}\"\n"
    );
    fs::write(dir.path().join("herd.toml"), text).unwrap();
    let server = Process::proxyherd(dir.path(), &["serve", "--name", "Riley"]);
    eventually("Riley is ready", || {
        if server.out().starts_with("ready") {
            Ok(())
        } else {
            Err(format!("{}{}", server.out(), server.err()))
        }
    });
    let (token, id) = create(dir.path(), "--scope report:kiwi");
    let report = format!("IAMAT kiwi {WHERE_AND_WHEN}");
    for client in
        [format!("{PROGRAM} client"), format!("PROXYHERD_TOKEN={token} {PROGRAM} client tls://{line}")]
    {
        let answered = bash(dir.path(), &format!("echo '{report}' | {client}"));
        assert!(answered.code == 0 && answered.out.starts_with("AT Riley "), "{answered:?}");
    }
    let shown = run(dir.path(), "status");
    assert_eq!(shown.code, 0, "{shown:?}");
    let revoked = run(dir.path(), &format!("token revoke {id} --at https://{http}"));
    assert_eq!(revoked.code, 0, "{revoked:?}");
    // Without the configuration's certificate, the server is not trusted, and it does not see the token.
    let elsewhere = tempfile::tempdir().unwrap();
    let line = format!("PROXYHERD_TOKEN={OPERATOR_TOKEN} {PROGRAM} token list --at https://{http}");
    let refused = bash(elsewhere.path(), &line);
    assert!(refused.code == 1 && refused.err.contains("its certificate is"), "{refused:?}");
}
