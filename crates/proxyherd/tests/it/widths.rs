//! Tests of the project's texts: no comment in Rust and no line of prose in Markdown is longer than the project's
//! width.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Maximum number of characters of a line of prose.
const WIDTH: usize = 120;

/// The lines of a source file that are too long, from 1. Only comments that begin their line count, and no tables.
fn long_comments(text: &str) -> Vec<usize> {
    long_lines(text.lines().map(|line| {
        let start = line.trim_start();
        let is_table = start.trim_start_matches(['/', '!', ' ']).starts_with('|');
        (line, start.starts_with("//") && !is_table)
    }))
}

/// The lines of a Markdown file that are too long, from 1. Tables and code have no width, and neither has a line that
/// is little more than one link.
fn long_prose(text: &str) -> Vec<usize> {
    let mut is_code = false;
    long_lines(text.lines().map(|line| {
        let start = line.trim_start();
        let is_fence = start.starts_with("```");
        is_code ^= is_fence;
        let is_link = line.split_whitespace().any(|word| word.chars().count() > WIDTH / 2);
        (line, !is_code && !is_fence && !start.starts_with('|') && !is_link)
    }))
}

fn long_lines<'t>(lines: impl Iterator<Item = (&'t str, bool)>) -> Vec<usize> {
    let is_long = |(line, is_prose): (&str, bool)| is_prose && line.chars().count() > WIDTH;
    lines.enumerate().filter(|(_, line)| is_long(*line)).map(|(at, _)| at + 1).collect()
}

/// The files below `dir` whose names end so. Folders that git does not have are left out.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if !["target", "corpus", "node_modules"].contains(&&*name.to_string_lossy())
                && !name.to_string_lossy().starts_with('.')
            {
                found.extend(files(&path, ending));
            }
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_comment_and_no_line_of_prose_is_wider_than_the_project() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut long = Vec::new();
    for (ending, find) in [("rs", long_comments as fn(&str) -> Vec<usize>), ("md", long_prose)] {
        let found = files(&root, ending);
        assert!(found.len() > 5, "{found:?}");
        for file in found {
            let text = fs::read_to_string(&file).unwrap();
            long.extend(find(&text).into_iter().map(|line| format!("{}:{line}", file.display())));
        }
    }
    assert!(long.is_empty(), "lines of more than {WIDTH} characters:\n{}", long.join("\n"));
}

#[test]
fn code_tables_and_links_have_no_width() {
    let long = "word ".repeat(30);
    assert_eq!(
        long_comments(&format!("//! {long}\nlet x = \"{long}\";\n    /// short\n    // {long}\n")),
        [1, 4]
    );
    assert_eq!(long_comments(&format!("//! | {long} |\n")), [0; 0]);
    assert_eq!(long_comments(&"ä".repeat(120).replacen("ää", "//", 1)), [0; 0], "characters count");
    let link = format!("see [this](https://example.org/{}) {}", "x".repeat(60), "x ".repeat(40));
    let text = format!("{long}\n| {long} |\n```sh\n{long}\n```\n{link}\n   {long}\n");
    assert_eq!(long_prose(&text), [1, 7]);
}
