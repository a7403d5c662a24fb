//! Tests of OpenStreetMap's places: one command imports them, another command shows them, and a server returns them.

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::Value;

use crate::harness::{Finished, PATIENCE, Plan, Process, data, eventually, fetch};

const MUENCHEN: &str = "muenchen-valhalla-2020-07-20.osm.pbf";
const ANDORRA: &str = "andorra-planetiler-2021-04-14.osm.pbf";
const MONACO: &str = "monaco-planetiler-2021-04-21.osm.pbf";
const MONACO_LZ4: &str = "monaco-lz4-negative-test.osm.pbf";

/// The coordinates of Marienplatz, as a client reports them.
const MARIENPLATZ: &str = "+48.137400+011.575500 1621464827.959498503";

fn import(dir: &Path, extract: &Path) -> Finished {
    Process::run(dir, &["places", "import", extract.to_str().unwrap(), "--out", "places.idx"])
}

fn near(dir: &Path, rest: &str) -> Finished {
    Process::run(dir, &[&["places", "near"], &rest.split(' ').collect::<Vec<_>>()[..]].concat())
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_extract_is_imported_and_looked_at() {
    let Some(extract) = data(MONACO) else { return };
    let dir = tempfile::tempdir().unwrap();
    let done = import(dir.path(), &extract);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("Wrote places.idx: 692 places in "), "{}", done.out);
    assert!(done.out.contains("615 from nodes, 71 from ways, 6 from relations\n"), "{}", done.out);
    assert_eq!(done.err.lines().count(), 5, "a line for each part of the work: {}", done.err);
    assert!(!done.err.contains(['\r', '\x1b']), "no bar where nobody looks: {:?}", done.err);
    assert_eq!(files(dir.path()), ["places.idx"]);

    let table = near(dir.path(), "43.7396,7.4277 --limit 5");
    assert_eq!((table.code, table.err.as_str(), table.out.lines().count()), (0, "", 8), "{}", table.out);
    assert!(table.out.trim_start().starts_with("DISTANCE"), "{}", table.out);
    assert!(table.out.ends_with("© OpenStreetMap contributors\n"), "{}", table.out);
    let told = near(dir.path(), "43.7396,7.4277 --radius-km 1 --type restaurant --json");
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), 20);
    for place in told {
        assert!(place["types"].as_array().unwrap().contains(&"restaurant".into()), "{place}");
        assert!(place["distance_m"].as_f64().unwrap() <= 1000.0, "{place}");
        assert!(place["place_id"].as_str().unwrap().starts_with("osm"), "{place}");
    }
    let far = near(dir.path(), "-33.86,151.2");
    assert_eq!((far.code, far.out.as_str()), (0, "places.idx has no such place within that distance\n"));
}

#[test]
fn whatever_is_wrong_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = near(dir.path(), "48.1,11.5 --file nowhere.idx");
    assert_eq!(missing.code, 1, "{missing:?}");
    let help = "`proxyherd places import FILE.osm.pbf --out nowhere.idx` writes it";
    assert!(missing.err.contains("nowhere.idx") && missing.err.contains(help), "{}", missing.err);
    assert_eq!(near(dir.path(), "48.1").code, 2);
    assert_eq!(near(dir.path(), "48.1,11.5 --radius-km 51").code, 2);
    assert_eq!(near(dir.path(), "48.1,11.5 --limit 21").code, 2);
    let absent = import(dir.path(), Path::new("absent.osm.pbf"));
    assert_eq!(absent.code, 1);
    assert!(absent.err.contains("cannot read absent.osm.pbf: No such file"), "{}", absent.err);

    let (Some(monaco), Some(lz4)) = (data(MONACO), data(MONACO_LZ4)) else { return };
    assert_eq!(import(dir.path(), &monaco).code, 0);
    let index = fs::read(dir.path().join("places.idx")).unwrap();
    let refused = import(dir.path(), &lz4);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    let helps = refused.err.contains("compressed with LZ4") && refused.err.contains("pbf_compression=zlib");
    assert!(helps, "{}", refused.err);
    assert_eq!(fs::read(dir.path().join("places.idx")).unwrap(), index, "the old index is as it was");
    fs::write(dir.path().join("places.idx"), &index[..index.len() / 2]).unwrap();
    let cut = near(dir.path(), "43.7396,7.4277");
    assert_eq!(cut.code, 1);
    assert!(cut.err.contains("it is damaged") && cut.err.contains("places import"), "{}", cut.err);
    assert_eq!(files(dir.path()), ["places.idx"]);
}

#[test]
fn an_index_replaces_only_what_may_be_replaced() {
    let Some(monaco) = data(MONACO) else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let extract = fs::read(monaco).unwrap();
    fs::write(at("x.osm.pbf"), &extract).unwrap();
    fs::create_dir(at("sub")).unwrap();
    symlink("x.osm.pbf", at("link.osm.pbf")).unwrap();
    let import = |out: &str| Process::run(dir.path(), &["places", "import", "x.osm.pbf", "--out", out]);
    for (out, why) in [
        ("x.osm.pbf", "the extract itself"),
        ("link.osm.pbf", "the extract itself"),
        ("sub", "a directory"),
        (".", "a directory"),
        ("/dev/null", "a device"),
    ] {
        let refused = import(out);
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{out}: {refused:?}");
        let told = refused.err.contains(&format!("cannot write {out}: ")) && refused.err.contains(why);
        assert!(told && !refused.err.contains("Reading"), "{out}: {}", refused.err);
    }
    assert_eq!(fs::read(at("x.osm.pbf")).unwrap(), extract);
    assert_eq!(files(dir.path()), ["link.osm.pbf", "sub", "x.osm.pbf"]);

    symlink("sub/places.idx", at("places.idx")).unwrap();
    assert_eq!(import("places.idx").code, 0);
    assert_eq!(fs::read_link(at("places.idx")).unwrap(), Path::new("sub/places.idx"));
    assert_eq!(files(&at("sub")), ["places.idx"]);
    assert_eq!(near(dir.path(), "43.7396,7.4277 --limit 1").code, 0);
}

#[test]
fn an_extract_that_ends_behind_its_header_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let header = b"\0\0\0\x0d\x0a\x09OSMHeader\x18\x1e\x0a\x1c\x22\x0eOsmSchema-V0.6\x22\x0aDenseNodes";
    fs::write(dir.path().join("cut.osm.pbf"), header).unwrap();
    let refused = import(dir.path(), Path::new("cut.osm.pbf"));
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    assert!(refused.err.contains("cut.osm.pbf holds no data"), "{}", refused.err);
    assert_eq!(files(dir.path()), ["cut.osm.pbf"]);
}

#[test]
fn hours_that_nobody_can_evaluate_cost_their_place_nothing_else_and_are_logged_once() {
    let Some(extract) = data("osm-faults/hours-panic.osm.pbf") else { return };
    let mut herd = Plan::single().places("provider = \"osm\"").prepare();
    assert_eq!(import(herd.dir(), &extract).code, 0);
    let told = near(herd.dir(), "48.137,11.575 --json");
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{told:?}");
    herd.start("Riley");
    let mut client = herd.client("Riley");
    client.ask("IAMAT kiwi +48.137000+011.575000 1621464827.959498503");
    for _ in 0..3 {
        let answer = client.nearby("WHATSAT kiwi 0.5 20").json;
        assert_eq!(answer["results"][0]["name"], "x", "{answer}");
        assert!(answer["results"][0].get("opening_hours").is_none(), "{answer}");
    }
    let what = "the opening hours of osmn1 make the evaluator fail";
    let line = herd.wait_for_log("Riley", what);
    assert!(line.ends_with(": (dusk+05:00)-25:00"), "{line}");
    let done = herd.stop("Riley", "TERM");
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
    assert_eq!(herd.log("Riley").matches(what).count(), 1);
}

#[test]
fn a_date_that_does_not_exist_closes_nothing() {
    let Some(extract) = data("osm-faults/hours-sep31.osm.pbf") else { return };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(import(dir.path(), &extract).code, 0);
    let told = near(dir.path(), "48.137,11.575 --open-now --json");
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told[0]["open_now"], true, "{told}");
}

#[test]
fn an_import_that_is_killed_leaves_the_old_index_and_the_next_one_succeeds() {
    let (Some(monaco), Some(andorra)) = (data(MONACO), data(ANDORRA)) else { return };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(import(dir.path(), &monaco).code, 0);
    let index = fs::read(dir.path().join("places.idx")).unwrap();
    // One file may contain several extracts, one after the other. With this number of extracts the import takes long
    // enough to be interrupted.
    let long = dir.path().join("long.osm.pbf");
    fs::write(&long, fs::read(andorra).unwrap().repeat(30)).unwrap();
    let arguments = ["places", "import", "long.osm.pbf", "--out", "places.idx"];
    let importing = Process::proxyherd(dir.path(), &arguments);
    eventually("the import is at work", || {
        if importing.err().contains("Reading ways") { Ok(()) } else { Err(importing.err()) }
    });
    let busy = import(dir.path(), &monaco);
    assert!(busy.code == 1 && busy.err.contains("another import is writing this file"), "{busy:?}");
    let killed = importing.kill();
    assert_eq!((killed.code, killed.out.as_str()), (128 + 9, ""), "it was at work still");
    assert_eq!(fs::read(dir.path().join("places.idx")).unwrap(), index, "the old index is as it was");
    assert_eq!(files(dir.path()), [".places.idx.part", "long.osm.pbf", "places.idx"]);
    assert_eq!(import(dir.path(), &monaco).code, 0);
    assert_eq!(fs::read(dir.path().join("places.idx")).unwrap(), index, "the same extract, the same index");
    assert_eq!(files(dir.path()), ["long.osm.pbf", "places.idx"]);
}

#[test]
fn a_server_tells_the_places_of_an_index() {
    let Some(extract) = data(MUENCHEN) else { return };
    let mut herd = Plan::single().places("provider = \"osm\"").prepare();
    let serve = ["serve", "--config", "herd.toml", "--name", "Riley"];
    let without = Process::proxyherd(herd.dir(), &serve).wait(PATIENCE);
    assert!(without.code == 78 && without.err.contains("`proxyherd places import"), "{without:?}");

    assert_eq!(import(herd.dir(), &extract).code, 0);
    herd.start("Riley");
    let mut client = herd.client("Riley");
    client.ask(&format!("IAMAT kiwi {MARIENPLATZ}"));
    let first = client.nearby("WHATSAT kiwi 0.5 20").json;
    assert_eq!(first["status"], "OK");
    let credit = first["html_attributions"][0].as_str().unwrap();
    assert!(credit.contains("OpenStreetMap contributors"), "{credit}");
    let told = near(herd.dir(), "48.1374,11.5755 --radius-km 0.5 --config herd.toml --json");
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let ids = |places: &Value| -> Vec<Value> {
        places.as_array().unwrap().iter().map(|place| place["place_id"].clone()).collect()
    };
    assert_eq!(ids(&first["results"]), ids(&told));
    assert_eq!(ids(&first["results"]).len(), 20);
    // The answer from memory is the same, and has no more places than the question wants.
    assert_eq!(client.nearby("WHATSAT kiwi 0.5 20").json["results"], first["results"]);
    let few = client.nearby("WHATSAT kiwi 0.5 3").json;
    assert_eq!(few["results"].as_array().unwrap()[..], first["results"].as_array().unwrap()[..3]);
    // The labels of a map are the city and its sights.
    let labels = fetch(herd.at("Riley").http, "/v1/places?box=48.12,11.55,48.15,11.60&limit=50", "").json();
    let kinds: Vec<_> =
        labels["places"].as_array().unwrap().iter().map(|place| place["kind"].clone()).collect();
    assert_eq!(kinds.len(), 50, "{labels}");
    assert_eq!(labels["places"][0]["name"], "Munich", "{labels}");
    assert!(kinds.contains(&"museum".into()) && !kinds.contains(&"restaurant".into()), "{labels}");
    assert_eq!(labels["html_attributions"].as_array().unwrap().len(), 2, "{labels}");
    client.ask("IAMAT far +34.068930-118.445127 1621464827.959498503");
    assert_eq!(client.nearby("WHATSAT far 50 20").json["status"], "ZERO_RESULTS");
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
}
