//! Tests of commands within a sentence: the commands and their options exist.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, documents};
use crate::harness::Process;

/// The commands that have commands of their own.
const GROUPS: [&str; 3] = ["data", "places", "token"];

/// The code spans of the prose that are commands of the program, as words. A span may go on in the next line.
fn commands(document: &Document) -> Vec<Vec<String>> {
    let prose: Vec<&str> = document.prose().map(|(_, line)| line).collect();
    let prose = prose.join("\n");
    let spans = prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    let commands = spans.filter_map(|span| span.strip_prefix("proxyherd ")).map(str::split_whitespace);
    commands.map(|words| words.map(str::to_owned).collect()).collect()
}

#[test]
fn every_command_within_a_sentence_exists_with_its_options() {
    let dir = tempfile::tempdir().unwrap();
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for document in documents() {
        for words in commands(&document) {
            let len = if GROUPS.contains(&words[0].as_str()) && words.len() > 1 { 2 } else { 1 };
            let command = words[..len].to_vec();
            let help = helps.entry(command.clone()).or_insert_with(|| {
                let arguments: Vec<_> = ["help".to_owned()].into_iter().chain(command.clone()).collect();
                let told = Process::run(dir.path(), &arguments);
                assert_eq!(told.code, 0, "{}: {command:?}: {}", document.name, told.err);
                told.out
            });
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{}: {command:?} has no {option}", document.name);
            }
            seen.insert(command);
        }
    }
    assert!(seen.len() > 8, "{seen:?}");
}
