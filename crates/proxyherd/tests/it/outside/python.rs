//! A test with Python's requests: sessions, batches, pages, searches, rights and errors.

use super::{Guarded, python_or_skip, script, told};

#[test]
fn requests_of_python_reports_searches_and_understands_errors() {
    let Some(python) = python_or_skip() else { return };
    let guarded = Guarded::start();
    let courier = guarded.token(&["report:courier-*", "read:courier-*"]);
    let script = script("reports.py").display().to_string();
    let arguments = [script.as_str(), &guarded.base_url(), guarded.operator, &courier];
    let parts = told(&guarded.herd, &python.join("python"), &arguments);
    assert_eq!(parts, "one_client\na_batch_and_its_pages\nsearches\nrights\nwhat_is_wrong\n");
}
