//! Tests of README as a newcomer uses it: each line that README shows can be run with the demo, and gives the output
//! that README shows.

use std::{fs, io::Write, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, eventually};

const README: &str = include_str!("../../../../README.md");

/// A line that is typed into a shell, or into a prompt that a shell has started, and the output that README shows after
/// the line.
#[derive(Debug)]
struct Typed {
    line: String,
    shown: Vec<String>,
}

/// The input that README shows for one shell: a line that begins with `$ `, and the lines that are typed at the prompt
/// that this line starts.
fn blocks() -> Vec<Vec<Typed>> {
    let console = README.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut blocks: Vec<Vec<Typed>> = Vec::new();
    for text in console {
        for line in text.lines().filter(|line| !line.is_empty()) {
            let prompt = line.split_once("> ").filter(|(address, _)| address.starts_with("127.0.0.1:"));
            if let Some(line) = line.strip_prefix("$ ") {
                blocks.push(vec![Typed { line: line.to_owned(), shown: Vec::new() }]);
            } else if let Some((_, line)) = prompt {
                blocks.last_mut().unwrap().push(Typed { line: line.to_owned(), shown: Vec::new() });
            } else {
                blocks.last_mut().unwrap().last_mut().unwrap().shown.push(line.to_owned());
            }
        }
    }
    blocks
}

/// A demo, and a directory in which README's lines reach this demo, because its servers' addresses replace the classic
/// addresses.
struct Newcomer {
    dir: TempDir,
    _demo: Process,
    addresses: Vec<(String, String)>,
}

impl Newcomer {
    fn new() -> Newcomer {
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
        let is_address = |word: &str| word.parse::<std::net::SocketAddr>().is_ok();
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
        Newcomer { dir, _demo: demo, addresses }
    }

    /// A line of README with the addresses of this demo's servers.
    fn here(&self, line: &str) -> String {
        let separators = [":", " "];
        self.addresses.iter().fold(line.to_owned(), |line, (classic, real)| {
            separators.iter().fold(line, |line, separator| {
                line.replace(&classic.replace(':', separator), &real.replace(':', separator))
            })
        })
    }

    /// Types the lines of a block, and checks the output after each line.
    fn types(&self, block: &[Typed]) {
        let (command, at_prompt) = block.split_first().unwrap();
        let line = format!("PATH=$PWD:$PATH; {}", self.here(&command.line));
        if at_prompt.is_empty() {
            let finished = Process::bash(self.dir.path(), &line).wait(PATIENCE);
            assert_eq!(finished.code, 0, "{line}: {finished:?}");
            check(command, &finished.out).unwrap_or_else(|missing| panic!("{line}: {missing}"));
            return;
        }
        let script = format!("mkfifo keys; TERM=xterm NO_COLOR=1 exec script -qec '{line}' /dev/null < keys");
        let terminal = Process::bash(self.dir.path(), &script);
        let mut keys = eventually("the pipe of keys is there", || open(&self.dir.path().join("keys")));
        let mut before = 0;
        for typed in at_prompt {
            keys.write_all(format!("{}\n", typed.line).as_bytes()).unwrap();
            before = eventually(&format!("{:?} is answered as shown", typed.line), || {
                let shown = terminal.out();
                check(typed, &shown[before..]).map(|()| shown.len())
            });
        }
        keys.write_all(b"\x04").unwrap();
        assert_eq!(terminal.wait(PATIENCE).code, 0);
    }
}

fn open(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().write(true).open(path)
}

/// Checks that the output contains the lines that README shows, in order. The error names a missing line. Numbers may
/// differ. If README shows an ellipsis, the end of the line may differ.
fn check(typed: &Typed, out: &str) -> Result<(), String> {
    let mut lines = out.lines().map(plain);
    for shown in &typed.shown {
        let (expected, is_cut) = match shown.split_once('…') {
            Some((begin, _)) => (plain(begin), true),
            None => (plain(shown), false),
        };
        let fits = |line: String| if is_cut { line.starts_with(&expected) } else { line == expected };
        if !lines.any(fits) {
            return Err(format!("{shown:?} is not in its place in {out}"));
        }
    }
    Ok(())
}

/// A line without the parts that differ each time: each number becomes 0, and each run of spaces becomes one space.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let mut plain = String::new();
        for character in word.chars() {
            match character {
                '0'..='9' if plain.ends_with('0') => {}
                '0'..='9' => plain.push('0'),
                _ => plain.push(character),
            }
        }
        plain
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn each_line_that_readme_shows_answers_as_it_shows() {
    let programs = ["nc", "curl", "script"];
    if let Some(missing) = programs.iter().find(|program| !crate::demo::have(program)) {
        eprintln!("without {missing} README's lines are not tried");
        return;
    }
    let blocks = blocks();
    let lines: usize = blocks.iter().map(Vec::len).sum();
    assert!(
        lines >= 10 && blocks.iter().any(|block| block.len() > 2),
        "README shows how to begin: {blocks:?}"
    );
    let newcomer = Newcomer::new();
    blocks.iter().for_each(|block| newcomer.types(block));
}

#[test]
fn the_first_difference_that_readme_shows_is_of_milliseconds() {
    let differences = README.lines().filter_map(|line| line.strip_prefix("AT Riley ")?.split(' ').next());
    let differences: Vec<f64> = differences.map(|difference| difference.parse().unwrap()).collect();
    assert!(
        differences.len() >= 4 && differences.iter().all(|difference| difference.abs() < 0.1),
        "{differences:?}"
    );
}
