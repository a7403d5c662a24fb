//! Tests of the whole program: the race runs, writes its report, and renders it again.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the race with these arguments and its report in `out`.
fn race(out: &Path, args: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_proxyherd-bench"));
    let mut command = Command::new(program);
    command.arg("race").arg("--out").arg(out).args(args);
    // If proxyherd is built already, cargo does not have to look for changes.
    let server = program.with_file_name("proxyherd");
    if server.is_file() && !args.contains(&"--render") {
        command.arg("--server-bin").arg(server);
    }
    command.output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_quick_race_of_two_contestants_has_a_report_that_can_be_rendered_again() {
    let home = tempfile::tempdir().expect("a directory for the report");
    let out = home.path().join("bench");
    let ran = race(&out, &["--quick", "--strict", "--only", "throughput", "--peers", "ours,echo"]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let read =
        |name: &str| fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let report = read("REPORT.md");
    for expected in [
        "**This was a quick run (`--quick`)",
        "| proxyherd | `ours` | proxyherd ",
        "| echo server | `echo` |",
        "**no**: it was left out of this run (`--peers`)",
        "![Reports by pipeline depth (per second)](report/depth-rate.svg)",
        "| one server, depth 1: rate, divided by the echo server's | at least 0.95 |",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
    assert!(read("report/depth-rate.svg").contains(">proxyherd</text>"));

    let results: serde_json::Value =
        serde_json::from_str(&read("results.json")).expect("the results are JSON");
    let samples = results["samples"].as_array().expect("there are samples");
    for who in ["ours", "echo"] {
        let mut rates =
            samples.iter().filter(|sample| sample["figure"] == "depth-rate" && sample["who"] == who);
        assert!(rates.all(|sample| sample["value"].as_f64().is_some_and(|rate| rate > 0.0)), "{who}");
        assert!(samples.iter().any(|sample| sample["who"] == who), "{who} was measured");
    }

    let again = home.path().join("again");
    let rendered = race(&again, &["--render", &out.join("results.json").to_string_lossy()]);
    assert!(rendered.status.success(), "{}", text(&rendered.stderr));
    let same = fs::read_to_string(again.join("REPORT.md")).expect("the report is there");
    assert_eq!(same, report, "the results file has everything that the report tells");
}

#[test]
fn a_race_with_an_unknown_contestant_does_not_begin() {
    let home = tempfile::tempdir().expect("a directory for the report");
    let ran = race(home.path(), &["--quick", "--only", "startup", "--peers", "cobol"]);
    assert!(!ran.status.success());
    assert!(text(&ran.stderr).contains("there is no contestant \"cobol\""), "{}", text(&ran.stderr));
}
