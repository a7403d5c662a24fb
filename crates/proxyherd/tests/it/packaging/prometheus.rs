//! Tests of the rules of Prometheus and of the dashboard of Grafana.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use super::{file, text, yaml};
use crate::{
    harness::{PATIENCE, Plan, Process, eventually, get},
    outside::{is_installed, or_skip},
};

const RULES: &str = "packaging/prometheus/proxyherd.rules.yaml";
const TESTS: &str = "packaging/prometheus/proxyherd.test.yaml";
const DASHBOARD: &str = "packaging/grafana/proxyherd.json";

/// The names of metrics of the program in an expression.
fn names_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("proxyherd_")).map(str::to_owned);
    names.collect()
}

/// All expressions of the dashboard: of its panels, and of its variables.
fn expressions(dashboard: &Value) -> Vec<String> {
    match dashboard {
        Value::Object(fields) => {
            let own = ["expr", "definition"].iter().filter_map(|key| fields.get(*key)?.as_str());
            own.map(str::to_owned).chain(fields.values().flat_map(expressions)).collect()
        }
        Value::Array(values) => values.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

fn rules(rules: &Value) -> Vec<&Value> {
    let groups = rules["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect()
}

/// The names of the metrics that a server shows which has everything that can have a metric.
fn shown_by_a_server() -> BTreeSet<String> {
    let mut herd = Plan::pair().encrypted().herd("journal = true").prepare();
    herd.start_all(&["Riley", "Jaquez"]);
    herd.wait_for_links(&["Riley", "Jaquez"]);
    let metrics = eventually("the link has told its clock", || {
        let (_, metrics) = get(herd.at("Riley").http, "/metrics");
        if metrics.contains("\nproxyherd_link_clock_offset_seconds{") { Ok(metrics) } else { Err(metrics) }
    });
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter_map(|line| line.split(['{', ' ']).next());
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    samples.chain(families).map(str::to_owned).collect()
}

#[test]
fn every_metric_of_the_rules_and_of_the_dashboard_exists() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 20, "{expressions:?}");
    let comments = |line: &&str| !line.trim_start().starts_with('#');
    let rules = text(RULES);
    let rules = rules.lines().filter(comments).filter(|line| line.trim_start().starts_with("expr: "));
    let rules: Vec<String> = rules.map(str::to_owned).collect();
    assert!(rules.len() > 15, "{rules:?}");
    let shown = shown_by_a_server();
    for expression in expressions.iter().chain(&rules) {
        for name in names_in(expression) {
            assert!(shown.contains(&name), "{name} in {expression}: {shown:?}");
        }
    }
}

#[test]
fn promtool_finds_the_rules_right() {
    let told = or_skip(is_installed("promtool"), "there is no promtool; ./test tools installs it");
    if told.is_none() {
        return;
    }
    for (check, name) in [("check", RULES), ("test", TESTS)] {
        let path = file(name);
        let (folder, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        let checked = Process::other(folder, Path::new("promtool"), &[check, "rules", name]).wait(PATIENCE);
        assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
        assert!(checked.out.contains("SUCCESS"), "{checked:?}");
    }
}

#[test]
fn every_rule_has_a_text_and_tests_in_which_it_fires_and_does_not() {
    let (Some(all), Some(tests)) = (yaml(RULES), yaml(TESTS)) else { return };
    let all = rules(&all);
    assert!(all.len() > 15, "{all:?}");
    let tests: Vec<&Value> = tests["tests"].as_array().unwrap().iter().collect();
    let of = |alert: &str| {
        let expected = tests.iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
        expected.filter(|test| test["alertname"] == alert).map(|test| !test["exp_alerts"].is_null()).collect()
    };
    for rule in all {
        let alert = rule["alert"].as_str().unwrap();
        let fires: BTreeSet<bool> = of(alert);
        assert_eq!(fires, BTreeSet::from([true, false]), "{alert}");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{alert} has no {text}");
        }
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{alert}");
    }
}

#[test]
fn the_panels_of_the_dashboard_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut cells = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
}
