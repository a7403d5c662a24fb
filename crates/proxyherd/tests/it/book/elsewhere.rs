//! The blocks of the texts that no shell of these tests can run, and the tests that have them.

use std::fs;

use super::document::{documents, root};

/// A block whose info string ends in `elsewhere`.
struct Elsewhere {
    document: &'static str,
    /// The beginning of the block's first line.
    first: &'static str,
    /// The tests: a file below the root of the project, and the test or stage in it.
    tests: &'static [(&'static str, &'static str)],
}

/// Pages of allowed origins read, follow and report.
const IN_A_BROWSER: &[(&str, &str)] = &[
    (
        "crates/proxyherd/tests/it/outside/browser.rs",
        "fn a_page_of_an_allowed_origin_watches_by_event_source_and_web_socket_and_any_other_page_does_not",
    ),
    (
        "crates/proxyherd/tests/it/outside/browser.rs",
        "fn a_page_of_an_allowed_origin_reports_and_reads_and_any_other_page_does_not",
    ),
];

/// Google's own clients ask a herd.
const GOOGLE_CLIENTS: &[(&str, &str)] =
    &[("crates/proxyherd/tests/it/google_clients.rs", "fn both_clients_find_what_is_near")];

/// The Debian package is built, installed, started, upgraded, restored from a backup and removed.
const PACKAGE: &[(&str, &str)] = &[
    ("soak", "stage_package()"),
    ("packaging/debian/try.sh", "packaging/build.sh --deb"),
    ("packaging/debian/try.sh", "$unit"),
    ("packaging/debian/try.sh", "runuser --user proxyherd -- proxyherd data restore - "),
];

const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        document: "book/src/operating/backup.md",
        first: "$ cd /etc/proxyherd && runuser --user proxyherd",
        tests: PACKAGE,
    },
    Elsewhere {
        document: "book/src/operating/install.md",
        first: "cargo install --locked cargo-deb",
        tests: PACKAGE,
    },
    Elsewhere {
        document: "book/src/operating/install.md",
        first: "$ apt install ./proxyherd_0.1.0-1_amd64.deb",
        tests: PACKAGE,
    },
    Elsewhere {
        document: "book/src/operating/install.md",
        first: "$ proxyherd init herd",
        tests: &[
            (
                "crates/proxyherd/tests/it/command_line.rs",
                "fn init_writes_a_configuration_that_check_finds_fine",
            ),
            (
                "crates/proxyherd/tests/it/packaging/systemd.rs",
                "fn the_unit_fits_the_program_and_the_configuration_of_the_package",
            ),
        ],
    },
    Elsewhere {
        document: "book/src/operating/install.md",
        first: "$ apt install ./proxyherd_0.2.0-1_amd64.deb",
        tests: PACKAGE,
    },
    Elsewhere {
        document: "book/src/operating/install.md",
        first: "$ docker compose",
        tests: &[
            (
                "crates/proxyherd/tests/it/packaging/container.rs",
                "fn compose_runs_each_server_of_its_herd_with_what_the_server_needs",
            ),
            (
                "crates/proxyherd/tests/it/packaging/container.rs",
                "fn compose_makes_the_files_of_its_herd_where_the_servers_look",
            ),
        ],
    },
    Elsewhere {
        document: "book/src/operating/install.md",
        first: "cargo install --locked --path crates/proxyherd --profile dist",
        tests: &[("packaging/build.sh", "PROXYHERD_PROFILE:-dist")],
    },
    Elsewhere {
        document: "README.md",
        first: "cargo run --release -- demo",
        tests: &[("crates/proxyherd/tests/it/demo.rs", "fn the_lines_to_paste_show_real_places")],
    },
    Elsewhere {
        document: "README.md",
        first: "const stream = new EventSource(\"http://127.0.0.1:8001/v1/stream?box=33,-119,35,-118\");",
        tests: IN_A_BROWSER,
    },
    // These tests run in it.
    Elsewhere { document: "README.md", first: "./test", tests: &[("test", "stage_tests()")] },
    Elsewhere {
        document: "book/src/reference/streams.md",
        first: "const stream = new EventSource(\"http://127.0.0.1:8001/v1/stream?box=33,-119,35,-118\");",
        tests: IN_A_BROWSER,
    },
    Elsewhere {
        document: "book/src/reference/streams.md",
        first: "const socket = new WebSocket(\"ws://127.0.0.1:8001/v1/ws\");",
        tests: IN_A_BROWSER,
    },
    Elsewhere {
        document: "book/src/reference/streams.md",
        first: "// A page of https://app.example.org, where origins = [\"https://app.example.org\"].",
        tests: IN_A_BROWSER,
    },
    Elsewhere {
        document: "book/src/operating/internet.md",
        first: "// A page of https://app.example.org. No cookies are involved.",
        tests: IN_A_BROWSER,
    },
    Elsewhere {
        document: "book/src/reference/places.md",
        first: "proxyherd places import monaco-latest.osm.pbf",
        tests: &[
            ("crates/proxyherd/tests/it/places_osm.rs", "fn an_extract_is_imported_and_looked_at"),
            ("crates/proxyherd/tests/it/places_osm.rs", "fn a_server_tells_the_places_of_an_index"),
        ],
    },
    Elsewhere {
        document: "book/src/reference/nearby.md",
        first: "googlemaps.Client(key=\"AIza\", base_url=\"http://127.0.0.1:8000\")",
        tests: GOOGLE_CLIENTS,
    },
    Elsewhere {
        document: "book/src/reference/nearby.md",
        first: "client.placesNearby({ params, url: \"http://127.0.0.1:8000/maps/api/place/nearbysearch/json\" })",
        tests: GOOGLE_CLIENTS,
    },
];

#[test]
fn each_block_that_is_tested_elsewhere_names_its_test() {
    let mut left: Vec<&Elsewhere> = ELSEWHERE.iter().collect();
    for document in documents() {
        for fence in document.fences().filter(|fence| fence.info.ends_with(" elsewhere")) {
            let first = fence.text.lines().next().unwrap_or_default();
            let at =
                left.iter().position(|row| row.document == document.name && first.starts_with(row.first));
            let at = at.unwrap_or_else(|| {
                panic!("{}:{}: no test is named for {first:?}", document.name, fence.line)
            });
            let row = left.remove(at);
            for (file, test) in row.tests {
                let text =
                    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(text.contains(test), "{file} has no {test}");
            }
        }
    }
    let left: Vec<_> = left.iter().map(|row| (row.document, row.first)).collect();
    assert!(left.is_empty(), "these blocks are gone: {left:?}");
}
