//! Tests of the HTTP door with clients of other projects: curl, Python's requests and websockets, a browser, nginx, and
//! Schemathesis. One more test crosses the doors: a report over either door is seen over the other door, at every
//! server.
//!
//! `./test tools` installs the clients. The scripts that run in them are in `tests/outside`. A test whose client is not
//! installed prints that it is skipped. Under CI it fails.

mod browser;
mod crossing;
mod curl;
mod live;
mod map;
mod python;
mod schemathesis;
mod share_page;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::harness::{Herd, OPERATOR_TOKEN, PATIENCE, Plan, Process, Reply, request};

/// A herd whose doors ask for tokens.
struct Guarded {
    herd: Herd,
    operator: &'static str,
}

impl Guarded {
    /// Writes the files of a herd, and starts no server. The operator's token is beside herd.toml.
    fn prepare(plan: Plan) -> Guarded {
        let herd = plan.with_tokens().prepare();
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(herd.dir().join("operator.token"))
            .unwrap();
        writeln!(file, "{OPERATOR_TOKEN}").unwrap();
        Guarded { herd, operator: OPERATOR_TOKEN }
    }

    /// One server, which is ready.
    fn start() -> Guarded {
        Guarded::start_with("")
    }

    /// One server with this line in `[access]`, which is ready.
    fn start_with(access: &str) -> Guarded {
        let mut guarded = Guarded::prepare(Plan::single().access(access));
        guarded.herd.start("Riley");
        guarded
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.herd.at("Riley").http)
    }

    /// A new token with these scopes.
    fn token(&self, scopes: &[&str]) -> String {
        let made = self.ask("POST", "/v1/tokens", self.operator, &json!({ "scopes": scopes }).to_string());
        assert_eq!(made.code, 201, "{made:?}");
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// Riley's answer to a request without a client's library.
    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Reply {
        let http = self.herd.at("Riley").http;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        request(http, format!("{head}{body}").as_bytes())
    }

    /// The client as the operator sees it. `None` if Riley does not know the client.
    fn client(&self, id: &str) -> Option<Value> {
        let reply = self.ask("GET", &format!("/v1/clients/{id}"), self.operator, "");
        assert!([200, 404].contains(&reply.code), "{reply:?}");
        (reply.code == 200).then(|| reply.json())
    }
}

fn append(herd: &Herd, text: &str) {
    let mut file = OpenOptions::new().append(true).open(herd.dir().join("herd.toml")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The file of a script.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside").join(name)
}

/// The folder of the virtual environment into which `./test tools` installs the Python clients. If it is missing, this
/// prints that the test is skipped.
pub(crate) fn python_or_skip() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("outside");
    let is_there = folder.join("installed").exists();
    or_skip(is_there, "Python's clients are not installed; ./test tools does that")?;
    Some(folder.join("bin"))
}

/// Prints that a test is skipped if the client is missing. Under CI the test fails.
pub(crate) fn or_skip(is_there: bool, why: &str) -> Option<()> {
    assert!(is_there || std::env::var("CI").as_deref() != Ok("true"), "{why}");
    if !is_there {
        eprintln!("skipped: {why}");
    }
    is_there.then_some(())
}

/// Whether a program is in one of the folders of PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    let is_program = |path: &Path| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_program(&folder.join(program)))
}

/// Runs a program that must succeed, and returns its standard output.
fn told(herd: &Herd, program: &Path, arguments: &[&str]) -> String {
    let finished = Process::other(herd.dir(), program, arguments).wait(PATIENCE);
    assert_eq!(finished.code, 0, "{arguments:?}: {}{}", finished.out, finished.err);
    finished.out
}
