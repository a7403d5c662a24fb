//! Counts what proxyherd is made of: lines of code, and libraries on which it depends directly. The counts are of the
//! sources from which this program was built, and there are none if the sources are not there any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates of the workspace that are not part of the program: they test and measure it.
const NOT_SHIPPED: [&str; 3] = ["proxyherd-bench", "proxyherd-fuzz", "proxyherd-sim"];

/// Lines of code, and direct dependencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ease {
    pub(super) lines: u64,
    pub(super) dependencies: u64,
}

/// The counts of proxyherd. `None`: its sources are not there.
pub(super) fn of_ours() -> Option<Ease> {
    of_crates(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
}

/// The counts of all crates in a folder that are part of the program.
fn of_crates(crates: &Path) -> Option<Ease> {
    let (mut lines, mut names) = (0, BTreeSet::new());
    for entry in fs::read_dir(crates).ok()?.filter_map(Result::ok) {
        if NOT_SHIPPED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        names.extend(dependencies(&manifest));
        for file in sources(&entry.path().join("src")) {
            lines += code_lines(&fs::read_to_string(file).unwrap_or_default());
        }
    }
    (lines > 0).then_some(Ease { lines, dependencies: names.len() as u64 })
}

/// The files of Rust in a folder and in the folders in it, without files of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Number of lines that are neither blank nor comments. A module of tests is the last item of its file, so nothing from
/// there on counts.
fn code_lines(source: &str) -> u64 {
    let source = source.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    source.lines().filter(is_code).count() as u64
}

/// The names of the libraries in the section `[dependencies]` of a manifest, without this project's own crates.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split([' ', '.', '=']).next());
    let is_other = |name: &&str| {
        !name.is_empty() && !name.starts_with(['#', '}', ']']) && !name.starts_with("proxyherd")
    };
    names.filter(is_other).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_tests_are_no_code() {
        let source =
            "//! A head.\n\nfn one() {\n    // Why.\n}\n\n#[cfg(test)]\nmod tests {\n    fn two() {}\n}\n";
        assert_eq!(code_lines(source), 2);
        assert_eq!(code_lines(""), 0);
    }

    #[test]
    fn dependencies_are_those_of_other_projects() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# Why.\nanyhow.workspace = true\n\
                        mio = { workspace = true }\nproxyherd-core.workspace = true\n\n[dev-dependencies]\nserde = \"1\"\n";
        assert_eq!(dependencies(manifest), ["anyhow", "mio"]);
    }

    #[test]
    fn the_program_has_lines_and_dependencies() {
        let ease = of_ours().unwrap();
        assert!(ease.lines > 10_000 && (20..200).contains(&ease.dependencies), "{ease:?}");
        assert_eq!(of_crates(Path::new("/nowhere")), None);
    }
}
