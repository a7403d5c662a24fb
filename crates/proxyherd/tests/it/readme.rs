//! README as a newcomer reads it: each line that it shows can be pasted against the demo, and answers as it shows.

use std::{fs, io::Write, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, eventually};

const README: &str = include_str!("../../../../README.md");

/// What is typed into a shell, or into the prompt that a shell has started, and what README shows after it.
#[derive(Debug)]
struct Typed {
    line: String,
    shown: Vec<String>,
}

/// What README shows as typed into one shell: a line that begins with `$ `, and what is typed at the prompt it starts.
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

/// A demo, and a directory where README's lines lead to it: its servers' addresses instead of the classic ones.
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
        let rows: Vec<_> = rows.filter(|row| row.len() == 4 && row[2].starts_with("http://")).collect();
        assert_eq!(rows.len(), 5, "{said}");
        let mut herd = "[herd]\ntls = \"off\"\n".to_owned();
        let mut addresses = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let (name, line, http) = (row[0], row[1], row[2].trim_start_matches("http://"));
            herd += &format!("[[server]]\nname = {name:?}\nlisten = {line:?}\nhttp = {http:?}\n");
            addresses.push((format!("127.0.0.1:{}", 12000 + index), line.to_owned()));
            addresses.push((format!("127.0.0.1:{}", 8000 + index), http.to_owned()));
        }
        fs::write(dir.path().join("herd.toml"), herd).unwrap();
        Newcomer { dir, _demo: demo, addresses }
    }

    /// A line of README for the servers of this demo.
    fn here(&self, line: &str) -> String {
        let separators = [":", " "];
        self.addresses.iter().fold(line.to_owned(), |line, (classic, real)| {
            separators.iter().fold(line, |line, separator| {
                line.replace(&classic.replace(':', separator), &real.replace(':', separator))
            })
        })
    }

    /// Types the lines of a block, and checks what is shown after each.
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

/// Whether what README shows is there, line by line and in order; the error says what is not. Numbers may differ, and
/// the end of a line where README shows an ellipsis.
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

/// A line without what differs each time: each number is a 0, and each run of spaces one.
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
