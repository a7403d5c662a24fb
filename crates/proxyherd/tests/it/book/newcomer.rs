//! A reader who has started the demo.

use std::{fs, net::SocketAddr, os::unix::fs::symlink};

use tempfile::TempDir;

use super::Shell;
use crate::harness::{Process, eventually};

/// A demo, and a directory in which the lines of the texts reach this demo, because its servers' addresses replace the
/// classic addresses.
pub(super) struct Newcomer {
    _dir: TempDir,
    _demo: Process,
    shell: Shell,
}

impl Newcomer {
    pub(super) fn new() -> Newcomer {
        let dir = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_proxyherd"), dir.path().join("proxyherd")).unwrap();
        let demo = Process::proxyherd(dir.path(), &["demo", "--any-ports"]);
        let said = eventually("the demo has introduced itself", || {
            let said = demo.out();
            if said.contains("Ctrl-C ends it all.\n") {
                Ok(said)
            } else {
                Err(format!("{said}{}", demo.err()))
            }
        });
        eventually("all clients walk", || {
            let said = demo.out();
            if said.contains("each knows 36 clients") { Ok(()) } else { Err(said) }
        });
        let rows = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let is_address = |word: &str| word.parse::<SocketAddr>().is_ok();
        let rows: Vec<_> = rows.filter(|row| row.len() >= 3 && is_address(row[1])).collect();
        assert_eq!(rows.len(), 5, "{said}");
        let mut herd = "[herd]\ntls = \"off\"\n".to_owned();
        let mut addresses = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let (name, line, http) = (row[0], row[1], row[2].trim_start_matches("http://"));
            herd += &format!("[[server]]\nname = {name:?}\nlisten = {line:?}\nhttp = {http:?}\n");
            addresses.push((format!("127.0.0.1:{}", 12000 + index), line.to_owned()));
            addresses.push((format!("127.0.0.1:{}", 8000 + index), http.to_owned()));
        }
        let (phones, _) = said.split_once("/?id=my-phone").unwrap();
        let (_, phones) = phones.rsplit_once("http://").unwrap();
        addresses.push(("127.0.0.1:5055".to_owned(), phones.to_owned()));
        fs::write(dir.path().join("herd.toml"), herd).unwrap();
        // The file that `init` makes for a herd of one's own.
        let (_, token) = said.split_once("PROXYHERD_TOKEN=$(cat ").unwrap();
        let (token, _) = token.split_once(')').unwrap();
        fs::copy(token, dir.path().join("operator.token")).unwrap();
        let shell = Shell::new(dir.path(), &addresses);
        Newcomer { _dir: dir, _demo: demo, shell }
    }

    pub(super) fn shell(&self) -> &Shell {
        &self.shell
    }
}
