//! The places budgets of real processes: what is written down outlives whatever ends them.

use std::fs;

use serde_json::Value;

use crate::harness::{Herd, Plan, eventually, metric, status};

/// Two servers, twenty requests of a month each.
fn start() -> Herd {
    Plan::pair().places("per_month = 40").start()
}

fn month(herd: &Herd, name: &str) -> Option<Value> {
    status(herd.at(name).http)["places_budgets"].get(0).cloned()
}

/// Waits until the server has so much left by itself, and knows the herd to have spent so much.
fn wait_for(herd: &Herd, name: &str, own_left: u64, spent: u64) {
    eventually(&format!("{name} has {own_left} left, and the herd has spent {spent}"), || {
        let month = month(herd, name).ok_or("its month has not begun")?;
        let is_so = month["own_left"] == own_left && month["spent"] == spent && month["left"] == 40 - spent;
        if is_so { Ok(()) } else { Err(month.to_string()) }
    });
}

fn file(herd: &Herd, name: &str) -> std::path::PathBuf {
    herd.dir().join("data").join(name).join("budget")
}

#[test]
fn a_server_that_is_killed_counts_what_it_had_at_hand_as_spent_and_one_that_ends_does_not() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    wait_for(&herd, "Jaquez", 20, 0);
    let left = metric(herd.at("Riley").http, "proxyherd_places_budget_left{period=\"month\"}");
    assert_eq!(left, Some(40.0));
    assert_eq!(status(herd.at("Riley").http)["places_budgets"].as_array().unwrap().len(), 1);

    herd.kill_all(&["Riley", "Jaquez"]);
    herd.start_all(&["Riley", "Jaquez"]);
    wait_for(&herd, "Riley", 12, 16);
    wait_for(&herd, "Jaquez", 12, 16);

    herd.stop("Riley", "TERM");
    herd.start("Riley");
    wait_for(&herd, "Riley", 12, 16);
}

#[test]
fn a_server_whose_file_was_removed_spends_nothing_more_that_month() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    eventually("Jaquez hears of Riley's month", || {
        match status(herd.at("Jaquez").http)["records"].as_u64() {
            Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    herd.kill_all(&["Riley"]);
    fs::remove_file(file(&herd, "Riley")).unwrap();
    herd.start("Riley");
    herd.wait_for_log("Riley", "it spends nothing more of the places budget of 2");
    wait_for(&herd, "Riley", 0, 0);
}

#[test]
fn what_neighbors_know_counts_where_an_older_file_is_put_back_after_a_kill() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    let older = fs::read(file(&herd, "Riley")).unwrap();
    // With each kill what was at hand counts as spent, whatever the file says that is put back.
    eventually("Jaquez hears of Riley's month", || {
        let records = status(herd.at("Jaquez").http)["records"].as_u64();
        if records == Some(2) { Ok(()) } else { Err(format!("{records:?}")) }
    });
    for (own_left, spent) in [(12, 8), (4, 16), (0, 20), (0, 20)] {
        herd.kill_all(&["Riley"]);
        fs::write(file(&herd, "Riley"), &older).unwrap();
        herd.start("Riley");
        wait_for(&herd, "Riley", own_left, spent);
        wait_for(&herd, "Jaquez", 20, spent);
    }
    herd.wait_for_log("Riley", "as an older file does that was put back");
}

#[test]
fn a_server_that_no_neighbor_answers_goes_on_by_its_file() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    herd.kill_all(&["Riley", "Jaquez"]);
    herd.start("Riley");
    herd.wait_for_log("Riley", "no neighbor answers, so the places budget goes on by");
    wait_for(&herd, "Riley", 12, 8);
}

#[test]
fn a_damaged_file_is_no_start() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    herd.kill_all(&["Riley"]);
    fs::write(file(&herd, "Riley"), "what is this").unwrap();
    let serve = ["serve", "--config", "herd.toml", "--name", "Riley"];
    let finished = crate::harness::Process::run(herd.dir(), &serve);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.err.contains("it is damaged. Put back what this server wrote last"), "{}", finished.err);
    assert_eq!(finished.err.matches("damaged").count(), 1, "{}", finished.err);
}
