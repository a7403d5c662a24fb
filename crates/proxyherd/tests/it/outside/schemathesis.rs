//! A test with Schemathesis, which makes requests from `/openapi.json`, valid ones and invalid ones, and checks the
//! answers against that document.
//!
//! The seed is fixed, so a finding comes again in the next run. `./soak` sets `PROXYHERD_TEST_API_SEED` to another
//! seed, and `PROXYHERD_TEST_API_EXAMPLES` to a higher number of requests for each operation and phase.

use std::{fs, time::Duration};

use super::{Guarded, python_or_skip, script};
use crate::harness::Process;

/// Requests for each operation and phase in `./test`.
const EXAMPLES: &str = "50";
const SEED: &str = "1";
/// Maximum time of a run. `./soak` makes runs of many minutes.
const TIME_MAX: Duration = Duration::from_secs(3600);

#[test]
fn schemathesis_finds_nothing() {
    let Some(python) = python_or_skip() else { return };
    let guarded = Guarded::start();
    let set = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let examples = set("PROXYHERD_TEST_API_EXAMPLES", EXAMPLES);
    let seed = set("PROXYHERD_TEST_API_SEED", SEED);
    let dir = guarded.herd.dir();
    fs::copy(script("schemathesis.toml"), dir.join("schemathesis.toml")).unwrap();
    let header = format!("Authorization: Bearer {}", guarded.operator);
    let document = format!("{}/openapi.json", guarded.base_url());
    let arguments = [
        "--no-color",
        "run",
        "--checks=all",
        // Their responses never end. Other tests read them.
        "--exclude-path=/v1/stream",
        "--exclude-path=/v1/ws",
        "--phases=examples,coverage,fuzzing,stateful",
        "--seed",
        &seed,
        "--generation-database=none",
        "--continue-on-failure",
        "--max-examples",
        &examples,
        "--header",
        &header,
        &document,
    ];
    let finished = Process::other(dir, &python.join("schemathesis"), &arguments).wait(TIME_MAX);
    eprintln!("{}", finished.out);
    assert_eq!(finished.code, 0, "Schemathesis has found something: {}", finished.err);
    let alive = guarded.ask("GET", "/v1/status", guarded.operator, "");
    assert_eq!(alive.code, 200, "the operator's token still holds: {alive:?}");
}
