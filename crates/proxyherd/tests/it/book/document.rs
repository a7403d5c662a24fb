//! README and the chapters of the book as text: their code blocks, headings and links.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A Markdown file.
#[derive(Debug)]
pub(super) struct Document {
    /// The path below the root of the project.
    pub(super) name: String,
    pub(super) text: String,
}

/// A block of code.
#[derive(Debug)]
pub(super) struct Fence {
    /// The words behind the opening fence.
    pub(super) info: String,
    pub(super) text: String,
    /// The line of the opening fence, from 1.
    pub(super) line: usize,
}

impl Document {
    pub(super) fn read(name: &str) -> Document {
        let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Document { name: name.to_owned(), text }
    }

    pub(super) fn fences(&self) -> impl Iterator<Item = Fence> + '_ {
        let mut lines = self.text.lines().enumerate();
        std::iter::from_fn(move || {
            let (at, opening) = lines.find(|(_, line)| line.trim_start().starts_with("```"))?;
            let indent = opening.len() - opening.trim_start().len();
            let inside = lines.by_ref().take_while(|(_, line)| line.trim() != "```");
            let text =
                inside.map(|(_, line)| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
            Some(Fence { info: opening.trim().trim_start_matches('`').to_owned(), text, line: at + 1 })
        })
    }

    /// The lines outside of code blocks, with their numbers from 1.
    pub(super) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        self.text.lines().enumerate().filter_map(move |(at, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            (!is_code && !is_fence).then_some((at + 1, line))
        })
    }

    /// The names by which links reach the headings, as forges and mdBook make them.
    pub(super) fn anchors(&self) -> Vec<String> {
        let heading = |line: &str| {
            let text = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
            let kept = text.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            Some(kept.collect::<String>().trim().to_lowercase().replace(' ', "-"))
        };
        self.prose().filter_map(|(_, line)| heading(line)).collect()
    }

    /// Where the links lead, with the numbers of their lines.
    pub(super) fn links(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, line) in self.prose() {
            let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let defined =
                line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
            found.extend(inline.chain(defined).map(|target| (at, target.trim().to_owned())));
        }
        found
    }
}

/// The root of the project.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(super) fn readme() -> Document {
    Document::read("README.md")
}

/// The chapters of the book, in the order of SUMMARY.md.
pub(super) fn chapters() -> Vec<Document> {
    let summary = Document::read("book/src/SUMMARY.md");
    let chapters: Vec<_> =
        summary.links().into_iter().map(|(_, path)| Document::read(&format!("book/src/{path}"))).collect();
    assert!(chapters.len() > 20, "SUMMARY.md lists the chapters");
    chapters
}

/// README, and then the chapters of the book.
pub(super) fn documents() -> Vec<Document> {
    let mut documents = vec![readme()];
    documents.extend(chapters());
    documents
}

#[test]
fn blocks_headings_and_links_are_found() {
    let text = "# One *two*: `three`\n\n[a](b.md#c) and\n[d]: e\n\n- item\n\n  ```sh elsewhere\n  run\n    it\n  ```\n\n\
        ```text\n# no heading [no](link)\n```\n\n### A-b, c_d 2\n";
    let document = Document { name: "x".to_owned(), text: text.to_owned() };
    let fences: Vec<_> = document.fences().map(|fence| (fence.info, fence.text, fence.line)).collect();
    let expected = [("sh elsewhere", "run\n  it\n", 8), ("text", "# no heading [no](link)\n", 13)];
    assert_eq!(fences, expected.map(|(info, text, line)| (info.to_owned(), text.to_owned(), line)));
    assert_eq!(document.anchors(), ["one-two-three", "a-b-c_d-2"]);
    assert_eq!(document.links(), [(3, "b.md#c".to_owned()), (4, "e".to_owned())]);
}
