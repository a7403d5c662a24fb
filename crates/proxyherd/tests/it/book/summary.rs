//! Tests of what mdBook reads in addition to the chapters: book.toml and SUMMARY.md. mdBook itself builds the book in
//! the stage `book` of `./soak`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::document::{Document, chapters, root};

/// The Markdown files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn summary_lists_every_chapter_once() {
    let listed = Document::read("book/src/SUMMARY.md").links();
    let listed: Vec<String> = listed.into_iter().map(|(_, path)| path).collect();
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "SUMMARY.md lists a chapter twice: {listed:?}");
    let src = root().join("book/src");
    let there: BTreeSet<String> = files(&src)
        .into_iter()
        .map(|path| path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned())
        .filter(|path| path != "SUMMARY.md" && path.ends_with(".md"))
        .collect();
    assert_eq!(once, there, "SUMMARY.md lists what there is");
}

#[test]
fn every_chapter_is_named_as_summary_names_it_and_is_of_a_size_to_read() {
    let summary = Document::read("book/src/SUMMARY.md").text;
    for chapter in chapters() {
        let title = chapter.text.lines().next().unwrap().strip_prefix("# ").unwrap_or_default();
        let path = chapter.name.strip_prefix("book/src/").unwrap();
        assert!(summary.contains(&format!("[{title}]({path})")), "{}: its title is {title:?}", chapter.name);
        let lines = chapter.text.lines().count();
        assert!((10..=300).contains(&lines), "{}: it has {lines} lines", chapter.name);
    }
}

#[test]
fn the_settings_of_mdbook_name_folders_that_fit() {
    let text = Document::read("book/book.toml").text;
    let settings = [
        "src = \"src\"",
        // What mdBook makes is beside what cargo makes, so git ignores it.
        "build-dir = \"../target/book\"",
        // mdBook would otherwise make an empty chapter for a wrong line of SUMMARY.md.
        "create-missing = false",
    ];
    for setting in settings {
        assert!(text.lines().any(|line| line == setting), "book.toml lacks {setting}");
    }
}
