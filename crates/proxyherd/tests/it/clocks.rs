//! Tests of servers whose clocks differ from the clocks of the other servers.

use std::{fs, path::PathBuf};

use crate::harness::{Herd, Plan, WHERE_AND_WHEN, eventually, get, http2::Http2, metric, status};

/// The multi-threaded version of the library that shows a process another time. If the library is not installed, the
/// test is skipped with a message. Under CI the test fails.
fn faketime() -> Option<PathBuf> {
    let library = |folder: PathBuf| folder.join("faketime/libfaketimeMT.so.1");
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = folders.map(library).find(|library| library.is_file());
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "libfaketime is not installed: ./test tools does that"
        );
        eprintln!("skipped: libfaketime is not installed");
    }
    found
}

/// Riley, and Jaquez whose clock is ahead.
fn with_jaquez_ahead(ahead_s: i32) -> Option<Herd> {
    let library = faketime()?;
    let mut herd = Plan::pair().prepare();
    herd.start("Riley");
    herd.start_with_clock("Jaquez", ahead_s, &library);
    Some(herd)
}

#[test]
fn a_clock_that_is_minutes_off_keeps_its_links_down_and_the_log_says_where_to_look() {
    let Some(mut herd) = with_jaquez_ahead(90) else { return };
    let told = herd.wait_for_log("Riley", "max_clock_offset_s");
    assert!(
        told.contains("the clock of Jaquez is 90.") || told.contains("the clock of Jaquez is 89."),
        "{told}"
    );
    assert!(told.contains("s ahead of that of Riley"), "{told}");
    assert_eq!(status(herd.at("Riley").http)["links"][0]["up"], false);
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.stop("Jaquez", "TERM");
    herd.start("Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "kiwi"), at);
}

#[test]
fn a_neighbor_that_is_refused_for_its_clock_is_shown_with_its_offset_at_both_ends() {
    let Some(library) = faketime() else { return };
    // Jaquez dials Riley. The columns: whose clock is off, by how many seconds, the offset of Jaquez that Riley shows,
    // and the offset of Riley that Jaquez shows. A server is sure that a clock is behind only after the five seconds
    // that a HELLO may take.
    for (whose, ahead_s, jaquez_s, riley_s) in
        [("Jaquez", 90, 90.0, -90.0), ("Riley", 90, -85.0, 85.0), ("Jaquez", -62, -62.0, 62.0)]
    {
        let mut herd = Plan::pair().prepare();
        for name in ["Riley", "Jaquez"] {
            herd.start_with_clock(name, if name == whose { ahead_s } else { 0 }, &library);
        }
        for (name, neighbor, expected) in [("Riley", "Jaquez", jaquez_s), ("Jaquez", "Riley", riley_s)] {
            eventually("the offset is told", || {
                let http = herd.at(name).http;
                let of_neighbor = format!("proxyherd_link_clock_offset_seconds{{neighbor=\"{neighbor}\"}}");
                let measured = metric(http, &of_neighbor).unwrap();
                let link = &status(http)["links"][0];
                let told = link["clock_offset_s"].as_f64().unwrap();
                let is_near = |offset: f64| (offset - expected).abs() < 4.0;
                let says_why = link["trouble"].as_str().is_some_and(|why| why.contains("max_clock_offset_s"));
                if is_near(measured) && is_near(told) && says_why {
                    Ok(())
                } else {
                    Err(format!("{whose} {ahead_s}: {name} says {measured}, {link}"))
                }
            });
        }
    }
}

#[test]
fn http_answers_where_the_clock_is_before_1970() {
    let Some(library) = faketime() else { return };
    let mut herd = Plan::single().prepare();
    herd.start_at_date("Riley", "1969-07-20 20:17:40", &library);
    let http = herd.at("Riley").http;
    assert_eq!(get(http, "/health/livez"), (200, "ok\n".to_owned()));
    assert_eq!(metric(http, "proxyherd_stuck"), Some(0.0));
    assert!(herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}")).starts_with("AT Riley -"));
    assert_eq!(status(http)["records"], 1);
    let (code, answer) = get(http, "/maps/api/place/nearbysearch/json?client=kiwi&radius=1000");
    assert!(code == 200 && answer.contains("\"status\""), "{code} {answer}");
    assert_eq!(get(http, "/nothing").0, 404);
    let mut client = Http2::connect(http);
    ["/health/livez", "/nothing"].into_iter().zip([1, 3]).for_each(|(path, stream)| client.ask(stream, path));
    let answers = client.answers(2);
    assert_eq!((answers[&1].0, answers[&1].1.as_str(), answers[&3].0), (200, "ok\n", 404));
    drop(client);
    let finished = herd.stop("Riley", "TERM");
    assert_eq!((finished.code, finished.err.as_str()), (0, ""));
}

#[test]
fn a_clock_that_is_seconds_off_is_a_warning_in_log_metrics_and_status() {
    let Some(herd) = with_jaquez_ahead(5) else { return };
    herd.wait_for_links(&["Riley", "Jaquez"]);
    eventually("both are ready", || {
        let ready = ["Riley", "Jaquez"].map(|name| get(herd.at(name).http, "/health/readyz"));
        if ready.iter().all(|(code, _)| *code == 200) { Ok(()) } else { Err(format!("{ready:?}")) }
    });
    herd.wait_for_log("Riley", "s ahead of this server's: check the clocks of both");
    herd.wait_for_log("Jaquez", "s behind this server's: check the clocks of both");
    eventually("metrics and status tell the offset", || {
        let name = "proxyherd_link_clock_offset_seconds{neighbor=\"Jaquez\"}";
        let measured = metric(herd.at("Riley").http, name).unwrap();
        let told = status(herd.at("Riley").http)["links"][0]["clock_offset_s"].as_f64().unwrap();
        let is_about_five = |offset: f64| (4.0..=5.1).contains(&offset);
        if is_about_five(measured) && is_about_five(told) {
            Ok(())
        } else {
            Err(format!("{measured}, {told}"))
        }
    });
}

#[test]
fn a_clock_that_is_seconds_off_does_not_keep_an_empty_herd_from_being_ready() {
    let Some(herd) = with_jaquez_ahead(5) else { return };
    herd.wait_for_links(&["Riley", "Jaquez"]);
    // If its neighbor sends nothing, a server reports that it is ready after a minute. This test waits for a shorter
    // time.
    eventually("both are ready", || {
        for server in ["Riley", "Jaquez"] {
            let (code, text) = get(herd.at(server).http, "/health/readyz");
            if code != 200 {
                return Err(format!("{server}: {code} {text}"));
            }
        }
        Ok(())
    });
}
