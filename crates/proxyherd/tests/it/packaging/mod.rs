//! Tests of what is in `packaging`: the files fit the program that they install, start and watch.
//!
//! The stage `package` of `./soak` installs the Debian package. Nothing here needs a container's engine or a running
//! systemd. herd.toml is read by the program's own reader.

mod container;
mod debian;
mod prometheus;
mod systemd;

use std::{
    fs,
    path::{Path, PathBuf},
};

use proxyherd_config::config::{Config, Overrides};
use serde_json::Value;

use crate::{
    harness::{PATIENCE, Process},
    outside::python_or_skip,
};

/// A file of the project.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name).canonicalize().unwrap()
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// The herd of a file. `hash` is the hash of the operator's token that `init` writes.
fn herd(name: &str) -> Config {
    let text = Config::with_operator(&text(name), &"a5".repeat(32)).unwrap_or_else(|| text(name));
    Config::read(&text, &file(name), &Overrides::none()).unwrap()
}

/// What a YAML file holds. `None`: Python's library for it is not installed, and the test is skipped.
fn yaml(name: &str) -> Option<Value> {
    let python = python_or_skip()?.join("python");
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let path = file(name);
    let read = Process::other(Path::new("/"), &python, &["-c", script, path.to_str().unwrap()]);
    let read = read.wait(PATIENCE);
    assert_eq!(read.code, 0, "{read:?}");
    Some(serde_json::from_str(&read.out).unwrap())
}

/// Fails unless the program knows the command of this command line and each of its options.
fn check_command(line: &[String]) {
    let is_option = |word: &&String| word.starts_with("--");
    let commands: Vec<&str> = line
        .iter()
        .map(String::as_str)
        .take_while(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))
        .collect();
    assert!(!commands.is_empty(), "{line:?}");
    let help = Process::run(Path::new("/"), &[&commands[..], &["--help"]].concat());
    assert_eq!(help.code, 0, "{line:?}: {help:?}");
    for option in line.iter().filter(is_option) {
        assert!(
            help.out.contains(&format!("{option} ")) || help.out.contains(&format!("{option}\n")),
            "{option}"
        );
    }
}

#[test]
fn scripts_are_without_mistakes_of_syntax() {
    for (shell, name) in [
        ("bash", "packaging/build.sh"),
        ("sh", "packaging/debian/postinst"),
        ("sh", "packaging/debian/prerm"),
        ("sh", "packaging/debian/postrm"),
    ] {
        let path = file(name);
        let read = Process::other(Path::new("/"), Path::new(shell), &["-n", path.to_str().unwrap()]);
        let read = read.wait(PATIENCE);
        assert_eq!((read.code, read.err.as_str()), (0, ""), "{name}");
    }
}
