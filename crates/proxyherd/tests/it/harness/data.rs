//! The tests' data, which is not part of the project.

use std::path::{Path, PathBuf};

/// A file of the data. If the file is missing, the test is skipped and prints a message. Under CI the test fails.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = std::env::var_os("PROXYHERD_TEST_DATA").map_or_else(beside, PathBuf::from);
    let path = dir.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} must be there", path.display());
    eprintln!("skipped: {} is not there", path.display());
    None
}
