//! Tests with Google's own client libraries, unmodified: they ask a server and get correct answers.
//!
//! `./test` installs the libraries into target/clients, at the versions that `tests/clients` pins.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    google::{CENTER, Google},
    google_served::prepare_with,
    harness::{Finished, Herd, PATIENCE, Plan, Process, fetch},
};

const HERE: (f64, f64) = (34.068930, -118.445127);

/// The paths of the two installed libraries.
struct Clients(PathBuf);

impl Clients {
    /// If all tests must run (CI), the libraries must be installed.
    fn installed() -> Option<Clients> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients");
        let is_there = ["python", "node"].iter().all(|name| folder.join(name).join("installed").exists());
        assert!(
            is_there || std::env::var("CI").as_deref() != Ok("true"),
            "./test tools installs the clients"
        );
        if !is_there {
            eprintln!("skipped: Google's client libraries are not installed; ./test tools does that");
        }
        is_there.then_some(Clients(folder))
    }

    /// The answers that Python's client gets, question by question. The parameters have the client's own names.
    fn ask_python(&self, herd: &Herd, questions: &Value) -> Vec<Value> {
        let python = self.0.join("python/bin/python");
        told(herd, &python, &[script("nearby.py"), base_url(herd), questions.to_string()])
    }

    /// The answers that Node's client gets, question by question.
    fn ask_node(&self, herd: &Herd, questions: &Value) -> Vec<Value> {
        let modules = self.0.join("node").display().to_string();
        told(herd, Path::new("node"), &[script("nearby.mjs"), modules, base_url(herd), questions.to_string()])
    }
}

fn told(herd: &Herd, program: &Path, arguments: &[String]) -> Vec<Value> {
    let Finished { code, out, err } = Process::other(herd.dir(), program, arguments).wait(PATIENCE);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name).display().to_string()
}

fn base_url(herd: &Herd) -> String {
    format!("http://{}", herd.at("Riley").http)
}

/// The answer that a request without a library gets.
fn told_plainly(herd: &Herd, query: &str) -> Value {
    let path = "/maps/api/place/nearbysearch/json";
    fetch(herd.at("Riley").http, &format!("{path}?location={},{}&{query}", HERE.0, HERE.1), "").json()
}

fn names(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|place| place["name"].as_str().unwrap()).collect()
}

/// Whether the places are in the order of their distance. The distances are computed on a plane, which is accurate
/// enough for a few kilometers.
fn is_by_distance(answer: &Value) -> bool {
    let square = |place: &Value| {
        let location = &place["geometry"]["location"];
        let north = location["lat"].as_f64().unwrap() - HERE.0;
        let east = (location["lng"].as_f64().unwrap() - HERE.1) * HERE.0.to_radians().cos();
        north * north + east * east
    };
    answer["results"].as_array().unwrap().iter().is_sorted_by(|one, two| square(one) <= square(two))
}

#[test]
fn both_clients_find_what_is_near() {
    let Some(clients) = Clients::installed() else { return };
    let herd = Plan::single().start();
    let here = json!([HERE.0, HERE.1]);
    let python = json!([
        { "location": here, "radius": 10000, "type": "locality" },
        { "location": here, "rank_by": "distance", "keyword": "hollywood" },
        { "location": here, "radius": 10000, "open_now": true, "min_price": 1, "max_price": 3, "language": "en" },
    ]);
    let node = json!([
        { "location": here, "radius": 10000, "type": "locality" },
        { "location": { "lat": HERE.0, "lng": HERE.1 }, "rankby": "distance", "keyword": "hollywood" },
        { "location": here, "radius": 10000, "opennow": true, "minprice": 1, "maxprice": 3, "language": "en" },
    ]);
    let expected = [
        told_plainly(&herd, "radius=10000&type=locality"),
        told_plainly(&herd, "rankby=distance&keyword=hollywood"),
        told_plainly(&herd, "radius=1&name=nowhere"),
    ];
    assert_eq!(clients.ask_python(&herd, &python), expected);
    assert_eq!(clients.ask_node(&herd, &node), expected);

    let [near, hollywood, none] = &expected;
    assert_eq!(names(near)[..5], ["Bel Air", "Westwood", "Century City", "Brentwood", "Sawtelle"]);
    assert_eq!((names(near).len(), &near["status"]), (15, &"OK".into()));
    assert!(names(hollywood).len() > 2, "{hollywood}");
    assert!(names(hollywood).iter().all(|name| name.to_lowercase().contains("hollywood")), "{hollywood}");
    assert!(is_by_distance(near) && is_by_distance(hollywood));
    assert_eq!((names(none).len(), &none["status"]), (0, &"ZERO_RESULTS".into()));
}

#[test]
fn both_clients_are_told_what_is_wrong_with_a_question() {
    let Some(clients) = Clients::installed() else { return };
    let herd = Plan::single().start();
    let question = json!([{ "location": [HERE.0, HERE.1], "radius": -1 }]);
    let message = told_plainly(&herd, "radius=-1")["error_message"].clone();
    assert!(message.as_str().unwrap().contains("`radius`"));
    let raised = |by: &str| json!([{ "raised": by, "status": "INVALID_REQUEST", "error_message": message }]);
    assert_eq!(json!(clients.ask_python(&herd, &question)), raised("ApiError"));
    assert_eq!(json!(clients.ask_node(&herd, &question)), raised("AxiosError"));
}

#[test]
fn both_clients_are_told_that_the_herds_own_key_is_refused() {
    let Some(clients) = Clients::installed() else { return };
    for provider in ["google", "google-legacy"] {
        let google = Google::start();
        let mut herd = prepare_with(provider, &google, "AIzaSyNoKeyOfGoogles");
        herd.start("Riley");
        let question = json!([{ "location": [CENTER.0, CENTER.1], "radius": 1000 }]);
        for (told, by) in [
            (clients.ask_python(&herd, &question), "ApiError"),
            (clients.ask_node(&herd, &question), "AxiosError"),
        ] {
            let [told] = &told[..] else { panic!("{told:?}") };
            assert_eq!((&told["raised"], &told["status"]), (&by.into(), &"REQUEST_DENIED".into()), "{told}");
            assert!(!told.to_string().contains("AIza"), "{told}");
        }
        assert!(!google.requests().is_empty(), "Google itself has refused it");
    }
}
