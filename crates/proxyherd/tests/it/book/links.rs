//! Tests of the links in the project's texts: each link to a file of the project leads to a file, and to a heading if
//! it names one.

use std::{fs, path::Path};

use super::document::{Document, documents, root};

/// Texts outside of the book whose links are checked, too.
const FURTHER: [&str; 3] = ["CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"];

/// The list of the chapters.
const SUMMARY: &str = "book/src/SUMMARY.md";

/// What is wrong with a link of a document.
fn fault(document: &Document, target: &str) -> Option<String> {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    if path.starts_with('/') {
        return Some("the path is absolute, so forges and mdBook do not agree where it leads".to_owned());
    }
    let from = Path::new(&document.name).parent().unwrap();
    let Ok(file) = root().join(from).join(path).canonicalize() else {
        return Some("there is no such file".to_owned());
    };
    let file = if path.is_empty() { root().join(&document.name) } else { file };
    let Ok(inside) = file.strip_prefix(root()) else {
        return Some("the file is outside of the project".to_owned());
    };
    if document.name.starts_with("book/") && !inside.starts_with("book/src") {
        return Some("the file is no chapter, so mdBook cannot show it".to_owned());
    }
    if document.name.starts_with("book/src/") && document.name != SUMMARY && path.ends_with("README.md") {
        return Some("mdBook makes index.html of a README.md, and README.html of a link to it".to_owned());
    }
    let anchor = anchor?;
    if !fs::metadata(&file).is_ok_and(|file| file.is_file()) {
        return Some("a folder has no headings".to_owned());
    }
    let anchors = Document::read(inside.to_str().unwrap()).anchors();
    (!anchors.iter().any(|known| known == anchor))
        .then(|| format!("there is no such heading among {anchors:?}"))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut documents = documents();
    documents.extend(FURTHER.iter().map(|name| Document::read(name)));
    documents.push(Document::read(SUMMARY));
    let (mut checked, mut faults) = (0, Vec::new());
    for document in &documents {
        for (line, target) in document.links() {
            if target.contains("://") {
                continue;
            }
            checked += 1;
            if let Some(fault) = fault(document, &target) {
                faults.push(format!("{}:{line}: {target}: {fault}", document.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 80, "{checked}");
}

#[test]
fn a_link_without_a_target_is_found() {
    let readme = Document::read("README.md");
    for (target, is_right) in [
        ("book/src/README.md", true),
        ("crates", true),
        ("CONTRIBUTING.md#commits", true),
        ("CONTRIBUTING.md#no-such-heading", false),
        ("NO_SUCH_FILE.md", false),
        ("/README.md", false),
        ("../../../../../../../etc/hostname", false),
        ("#no-such-heading", false),
    ] {
        assert_eq!(fault(&readme, target).is_none(), is_right, "{target}");
    }
    let phones = Document::read("book/src/phones/index.md");
    for (target, is_right) in [("owntracks.md", true), ("../README.md", false)] {
        assert_eq!(fault(&phones, target).is_none(), is_right, "{target}");
    }
}
