//! Tests of the texts for users: README and the chapters of the book. What a text tells a reader to type is run, and a
//! link leads somewhere.
//!
//! The first word of a code block's info string is the language. The word after it says how the block is tested:
//!
//! | info string | test |
//! |---|---|
//! | `console` | typed into a shell beside a running demo (`newcomer`) |
//! | `console herd` | typed into a shell in the directory of a running herd with tokens, a journal and TLS (`owner`) |
//! | `toml` | read by `proxyherd check` (`settings`) |
//! | `yaml` | read by promtool (`settings`) |
//! | `nginx` | read by nginx (`settings`) |
//! | any language and `elsewhere` | another test has the block: the table in `elsewhere` names this test |
//! | `text` | nothing to run |
//!
//! There are no other info strings. So no command is left out without a word.

mod document;
mod elsewhere;
mod inline;
mod links;
mod newcomer;
mod owner;
mod settings;
mod shell;
mod summary;

use self::{
    document::{Document, documents},
    newcomer::Newcomer,
    owner::Owner,
    shell::Shell,
};

/// The programs that the texts show, apart from those that every system has.
const PROGRAMS: [&str; 4] = ["nc", "curl", "script", "openssl"];

/// Whether the programs are installed that the texts show. The stage `tools` of `./test` installs them.
fn programs_are_there() -> bool {
    let missing = PROGRAMS.iter().find(|program| !crate::demo::have(program));
    if let Some(missing) = missing {
        println!("skipped: without {missing} the lines of README and the book are not tried");
    }
    missing.is_none()
}

/// Types the blocks with this info string of these documents, and returns the number of typed lines.
fn type_all(shell: &Shell, documents: &[Document], info: &str) -> usize {
    let mut lines = 0;
    for document in documents {
        let typed = shell::typed(document, info);
        lines += typed.len();
        shell.types(&document.name, &typed);
    }
    lines
}

#[test]
fn each_line_that_readme_shows_answers_as_it_shows() {
    if programs_are_there() {
        let newcomer = Newcomer::new();
        let lines = type_all(newcomer.shell(), &[document::readme()], "console");
        assert!(lines >= 10, "README shows how to begin, with {lines} lines");
    }
}

#[test]
fn each_line_that_the_book_shows_beside_a_demo_answers_as_it_shows() {
    if programs_are_there() {
        let newcomer = Newcomer::new();
        let lines = type_all(newcomer.shell(), &document::chapters(), "console");
        assert!(lines >= 10, "the book shows the protocols, with {lines} lines");
    }
}

#[test]
fn each_line_that_the_texts_show_for_a_herd_of_ones_own_answers_as_they_show() {
    if programs_are_there() {
        let owner = Owner::new();
        let lines = type_all(owner.shell(), &documents(), "console herd");
        assert!(lines >= 20, "the book shows how to run a herd, with {lines} lines");
    }
}

#[test]
fn every_block_says_how_it_is_tested() {
    let documents = documents();
    let fences = documents.iter().flat_map(|document| document.fences().map(move |fence| (document, fence)));
    let mut count = 0;
    for (document, fence) in fences {
        let info = fence.info.as_str();
        let is_known = ["console", "console herd", "toml", "yaml", "nginx", "text"].contains(&info)
            || info.ends_with(" elsewhere");
        let at = format!("{}:{}", document.name, fence.line);
        assert!(is_known, "{at}: nothing tests a block with the info string {info:?}");
        let shows_a_command = fence.text.lines().any(|line| line.starts_with("$ "));
        assert!(info != "text" || !shows_a_command, "{at}: a block of text shows a command");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[test]
fn the_first_difference_that_readme_shows_is_of_milliseconds() {
    let readme = document::readme();
    let differences =
        readme.text.lines().filter_map(|line| line.strip_prefix("AT Riley ")?.split(' ').next());
    let differences: Vec<f64> = differences.map(|difference| difference.parse().unwrap()).collect();
    assert!(
        differences.len() >= 4 && differences.iter().all(|difference| difference.abs() < 0.1),
        "{differences:?}"
    );
}
