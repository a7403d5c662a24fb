//! Tests of a server whose places come from Google: the answers that its clients get, and the secrecy of the key.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    google::{Behavior, CENTER, Google, meters_between},
    harness::{Finished, Herd, Plan, Process, WHERE_AND_WHEN, get},
};

const PROVIDERS: [&str; 2] = ["google", "google-legacy"];

/// One server that is not started yet, and a file with the stand-in's key. Only the owner may read the file.
fn prepare(provider: &str, google: &Google) -> Herd {
    prepare_with(provider, google, google.key())
}

/// The same server and file, with any key.
pub(crate) fn prepare_with(provider: &str, google: &Google, key_text: &str) -> Herd {
    let herd = Plan::single().log("level = \"debug\"").prepare();
    let key = herd.dir().join("google.key");
    fs::write(&key, format!("{key_text}\n")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let places = format!(
        "[places]\nprovider = \"{provider}\"\n\
         [places.{provider}]\nkey_file = \"google.key\"\nbase_url = \"{}\"\n",
        google.url()
    );
    append(&herd, &places);
    herd
}

fn append(herd: &Herd, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(herd.dir().join("herd.toml")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The JSON of a WHATSAT about a client in the middle of the stand-in's places.
fn asked(herd: &Herd) -> Value {
    let mut riley = herd.client("Riley");
    riley.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    riley.nearby("WHATSAT kiwi 1 5").json
}

#[test]
fn a_client_sees_what_google_knows_whichever_interface_is_asked() {
    for provider in PROVIDERS {
        let google = Google::start();
        let mut herd = prepare(provider, &google);
        herd.start("Riley");
        let answer = asked(&herd);
        assert_eq!(answer["status"], "OK", "{answer}");
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 5);
        for result in results {
            let location = &result["geometry"]["location"];
            let at = (location["lat"].as_f64().unwrap(), location["lng"].as_f64().unwrap());
            assert!(meters_between(CENTER, at) <= 1000.0, "{result}");
            assert!(result["name"].as_str().unwrap().starts_with("Westwood "), "{result}");
            assert_eq!(result["place_id"], result["reference"]);
        }
        let [request] = &google.requests()[..] else { panic!("{:?}", google.requests()) };
        match provider {
            "google" => assert_eq!(request.body["maxResultCount"], 20, "twenty cost as much as five"),
            _ => assert_eq!(request.parameters["radius"], "1000"),
        }
    }
}

#[test]
fn whatever_google_does_the_answer_is_well_formed_and_the_key_is_nowhere() {
    for provider in PROVIDERS {
        // Each failure gets its own server, so that no case is affected by what a server has learned about Google in
        // another case.
        std::thread::scope(|scope| {
            for (behavior, status) in [
                (Behavior::TellsTheKey, "REQUEST_DENIED"),
                (Behavior::TooMany(Some("7")), "OVER_QUERY_LIMIT"),
                (Behavior::Fails(400), "INVALID_REQUEST"),
                (Behavior::Fails(503), "UNKNOWN_ERROR"),
                (Behavior::HalfJson, "UNKNOWN_ERROR"),
                (Behavior::Reset, "UNKNOWN_ERROR"),
                (Behavior::Held, "UNKNOWN_ERROR"),
                (Behavior::Redirect(302, "http://127.0.0.1:1/".to_owned()), "UNKNOWN_ERROR"),
            ] {
                scope.spawn(move || check_failure(provider, &behavior, status));
            }
        });
    }
}

/// Asks a server whose provider fails, and searches the server's whole output for the key.
fn check_failure(provider: &str, behavior: &Behavior, status: &str) {
    let google = Google::start();
    google.behave(behavior.clone());
    let mut herd = prepare(provider, &google);
    // This deadline is long enough for a request, and not much longer than the test must wait.
    herd.start_with(&["Riley"], &["--set", "places.deadline_ms=2000"]);
    let answer = asked(&herd);
    assert_eq!(answer["status"], status, "{provider} {behavior:?}: {answer}");
    assert!(answer["error_message"].is_string(), "{answer}");
    let http = herd.at("Riley").http;
    let told = ["/metrics", "/v1/status"].map(|path| get(http, path).1).concat();
    let Finished { out, err, code } = herd.stop("Riley", "TERM");
    assert_eq!(code, 0, "{err}");
    let log = herd.log("Riley");
    assert!(log.contains("kiwi"), "{log}");
    assert!(google.requests().iter().all(|request| request.key.as_deref() == Some(google.key())));
    assert!(google.count() > 0);
    for text in [answer.to_string(), told, out, err, log] {
        assert!(!text.contains(google.key()), "{provider} {behavior:?}: {text}");
    }
}

/// The end of a server that is configured to ask Google but has no usable key. `check` reports the same error.
fn not_started(herd: &Herd) -> Finished {
    let finished = Process::run(herd.dir(), &["serve", "--config", "herd.toml", "--name", "Riley"]);
    let checked = Process::run(herd.dir(), &["check", "--config", "herd.toml", "--name", "Riley"]);
    assert_eq!(checked.code, finished.code, "{checked:?}");
    assert!(checked.err.contains(finished.err.trim_end()), "{checked:?} {finished:?}");
    let elsewhere = Process::run(herd.dir(), &["check", "--config", "herd.toml"]);
    assert_eq!(elsewhere.code, 0, "the key is where the servers are: {elsewhere:?}");
    finished
}

#[test]
fn a_server_without_its_key_does_not_start_and_says_what_to_do() {
    for provider in PROVIDERS {
        let herd = Plan::single().prepare();
        append(&herd, &format!("[places]\nprovider = \"{provider}\"\n"));
        let Finished { code, out, err } = not_started(&herd);
        assert_eq!((code, out.as_str()), (78, ""), "{err}");
        let expected = format!(
            "the places provider \"{provider}\" has no key: the environment variable GOOGLE_MAPS_API_KEY is not \
             set; set it, or name a file with `key_file`"
        );
        assert!(err.contains(&expected), "{err}");
    }
}

#[test]
fn a_key_that_everybody_can_read_is_refused_and_not_shown() {
    let google = Google::start();
    let herd = prepare("google", &google);
    let key = herd.dir().join("google.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let Finished { code, err, .. } = not_started(&herd);
    assert_eq!(code, 78, "{err}");
    assert!(
        err.contains(&format!("chmod 600 {}", key.display())) || err.contains("chmod 600 google.key"),
        "{err}"
    );
    assert!(!err.contains(google.key()), "{err}");
    assert_eq!(google.count(), 0);
}
