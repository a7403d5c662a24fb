//! Tests of the requests to Google's two interfaces over real HTTP, and of every kind of failure.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use proxyherd_core::{
    limits::PLACES_MAX,
    places::{Answer, AnswerStatus, Point, Query, Rank, Wish},
};
use proxyherd_log::ServerLog;
use proxyherd_places::{
    FieldMask, GoogleSettings, KeySource, ProviderName, Settings,
    provider::{self, Failure, Provider},
};
use proxyherd_server::places;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::google::{Behavior, CENTER, Google};

/// A provider that sends its requests to a stand-in for Google.
struct Asking {
    google: Google,
    provider: Arc<dyn Provider>,
    _dir: TempDir,
}

impl Asking {
    fn new(name: ProviderName) -> Asking {
        Asking::with(name, FieldMask::Enterprise, None, Duration::from_secs(20))
    }

    fn with(name: ProviderName, mask: FieldMask, key: Option<&str>, deadline: Duration) -> Asking {
        let (google, dir) = (Google::start(), tempfile::tempdir().unwrap());
        let key = key_file(dir.path(), key.unwrap_or(google.key()));
        let asked = GoogleSettings { key, base_url: google.url(), mask };
        let settings =
            Settings { google: asked.clone(), google_legacy: asked, deadline, ..Settings::default() };
        let provider = provider::open(name, &settings, &places::environment(ServerLog::discard())).unwrap();
        Asking { google, provider, _dir: dir }
    }

    async fn ask(&self, wish: Wish) -> Result<Answer, Failure> {
        let center = Point::new(CENTER.0, CENTER.1).unwrap();
        self.provider.nearby(&Query::within(center, 1510.0).unwrap().wishing(wish)).await
    }

    async fn fails(&self, behavior: Behavior) -> Failure {
        self.google.behave(behavior);
        self.ask(Wish::default()).await.unwrap_err()
    }
}

fn key_file(dir: &Path, key: &str) -> KeySource {
    let path = dir.join("google.key");
    fs::write(&path, format!("{key}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    KeySource::File(path)
}

/// The results that the caller of the provider gets.
fn results(answer: &Answer) -> Vec<Value> {
    let mut told = Vec::new();
    answer.write_json(PLACES_MAX.into(), &mut told);
    let told: Value = serde_json::from_slice(&told).unwrap();
    told["results"].as_array().unwrap().clone()
}

const BOTH: [ProviderName; 2] = [ProviderName::Google, ProviderName::GoogleLegacy];

#[tokio::test]
async fn one_question_is_one_request_with_nothing_in_it_that_need_not_be() {
    for name in BOTH {
        let asking = Asking::new(name);
        assert!(asking.provider.is_remote());
        assert_eq!(asking.provider.name(), name.as_str());
        let answer = asking.ask(Wish::default()).await.unwrap();
        assert_eq!((answer.status, results(&answer).len()), (AnswerStatus::Ok, 20));
        let [asked] = &asking.google.requests()[..] else { panic!("{:?}", asking.google.requests()) };
        assert_eq!(asked.key.as_deref(), Some(asking.google.key()));
        let mut headers: Vec<&str> = asked.headers.keys().map(String::as_str).collect();
        headers.retain(|name| !["accept", "content-length", "content-type", "host"].contains(name));
        let expected: &[&str] = match name {
            ProviderName::Google => &["user-agent", "x-goog-api-key", "x-goog-fieldmask"],
            _ => &["user-agent"],
        };
        assert_eq!(headers, expected);
        assert_eq!(asked.headers["user-agent"], concat!("proxyherd/", env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn both_interfaces_tell_the_same_places_alike() {
    let wish = Wish { kind: Some("cafe".into()), rank: Rank::Distance, ..Wish::default() };
    let [new, legacy] = BOTH.map(Asking::new);
    let (new, legacy) = (new.ask(wish.clone()).await.unwrap(), legacy.ask(wish).await.unwrap());
    let (new, legacy) = (results(&new), results(&legacy));
    assert_eq!(new.len(), 10, "rankby=distance looks farther, but there is nothing more nearby");
    for (new, mut expected) in new.into_iter().zip(legacy) {
        // The fields that the newer interface does not return.
        for name in ["icon", "scope"] {
            assert!(expected.as_object_mut().unwrap().remove(name).is_some());
        }
        assert_eq!(new, expected);
    }
}

#[tokio::test]
async fn the_dear_fields_are_asked_for_only_where_they_are_paid_for() {
    for (mask, is_dear) in [(FieldMask::Pro, false), (FieldMask::Enterprise, true)] {
        let asking = Asking::with(ProviderName::Google, mask, None, Duration::from_secs(20));
        let place = asking.ask(Wish::default()).await.unwrap().places.remove(0);
        assert_eq!(place.rating.is_some(), is_dear);
        assert_eq!(place.open_now.is_some(), is_dear);
        let refused = asking.ask(Wish { is_open: true, ..Wish::default() }).await;
        assert_eq!(matches!(refused, Err(Failure::BadQuery(_))), !is_dear, "{refused:?}");
        assert_eq!(asking.google.count(), if is_dear { 2 } else { 1 }, "a refused question costs nothing");
    }
}

#[tokio::test]
async fn wishes_are_kept_by_either_interface() {
    for name in BOTH {
        let asking = Asking::new(name);
        let open = asking.ask(Wish { is_open: true, ..Wish::default() }).await.unwrap();
        let open = results(&open);
        assert!(!open.is_empty() && open.iter().all(|place| place["opening_hours"]["open_now"] == true));
        let named = asking.ask(Wish { name: Some("MUSEUM".into()), ..Wish::default() }).await.unwrap();
        let named = results(&named);
        assert!(
            !named.is_empty() && named.iter().all(|place| place["name"].as_str().unwrap().contains("museum"))
        );
        let cheap = Wish { price_min: Some(1), price_max: Some(2), ..Wish::default() };
        let cheap = results(&asking.ask(cheap).await.unwrap());
        assert!(
            !cheap.is_empty()
                && cheap.iter().all(|place| place["price_level"] == 1 || place["price_level"] == 2)
        );
        let no_kind = asking.ask(Wish { kind: Some("volcano".into()), ..Wish::default() }).await;
        match name {
            ProviderName::Google => {
                let answer = no_kind.unwrap();
                assert_eq!((answer.status, results(&answer).len()), (AnswerStatus::ZeroResults, 0));
                assert_eq!(answer.info_messages, ["Unsupported types: volcano."]);
            }
            _ => assert_eq!(no_kind.unwrap().status, AnswerStatus::ZeroResults),
        }
    }
}

#[tokio::test]
async fn the_older_interface_turns_pages() {
    let asking = Asking::new(ProviderName::GoogleLegacy);
    let mut answer = asking.ask(Wish::default()).await.unwrap();
    let mut counts = vec![results(&answer).len()];
    while let Some(token) = answer.next_page_token {
        answer = asking.ask(Wish { page_token: Some(token.into()), ..Wish::default() }).await.unwrap();
        counts.push(results(&answer).len());
    }
    assert_eq!(counts, [20, 20, 10]);
    let stale = asking.ask(Wish { page_token: Some("stale".into()), ..Wish::default() }).await;
    let expected = "there is no such `pagetoken`, or it is not valid yet: a token becomes valid a few seconds after its page";
    assert_eq!(stale, Err(Failure::BadQuery(expected.into())));
}

#[tokio::test]
async fn nothing_found_is_an_answer() {
    for name in BOTH {
        let asking = Asking::new(name);
        asking.google.behave(Behavior::Nothing);
        let answer = asking.ask(Wish::default()).await.unwrap();
        assert_eq!((answer.status, results(&answer).len()), (AnswerStatus::ZeroResults, 0));
    }
}

/// Each failure, by the name of its variant.
fn kind(failure: &Failure) -> &'static str {
    match failure {
        Failure::BadQuery(_) => "bad query",
        Failure::Denied(_) => "denied",
        Failure::OverLimit { .. } => "over limit",
        Failure::Unavailable(_) => "unavailable",
        Failure::Unreadable(_) => "unreadable",
        Failure::Late(_) => "late",
        Failure::NoRoom => "no room",
    }
}

#[tokio::test]
async fn each_way_to_fail_says_whose_fault_it_is_and_never_the_key() {
    for name in BOTH {
        let asking = Asking::new(name);
        let is_new = name == ProviderName::Google;
        for (behavior, expected) in [
            (Behavior::Fails(400), "bad query"),
            (Behavior::Fails(401), "denied"),
            (Behavior::Fails(403), "denied"),
            (Behavior::Fails(404), "unavailable"),
            (Behavior::Fails(500), "unavailable"),
            (Behavior::Fails(503), "unavailable"),
            (Behavior::TooMany(None), "over limit"),
            (Behavior::TellsTheKey, "denied"),
            (Behavior::Says(if is_new { "INVALID_ARGUMENT" } else { "INVALID_REQUEST" }), "bad query"),
            (Behavior::Says(if is_new { "PERMISSION_DENIED" } else { "REQUEST_DENIED" }), "denied"),
            (Behavior::Says(if is_new { "RESOURCE_EXHAUSTED" } else { "OVER_QUERY_LIMIT" }), "over limit"),
            (Behavior::Says(if is_new { "UNAVAILABLE" } else { "UNKNOWN_ERROR" }), "unavailable"),
            (Behavior::Body(String::new()), "unreadable"),
            (Behavior::Html, "unreadable"),
            (Behavior::HalfJson, "unreadable"),
            (Behavior::Blanks(64 << 20), "unreadable"),
            (Behavior::CutOff, "unavailable"),
            (Behavior::Reset, "unavailable"),
        ] {
            let before = asking.google.count();
            let failure = asking.fails(behavior.clone()).await;
            assert_eq!(kind(&failure), expected, "{name:?} {behavior:?}: {failure}");
            assert_eq!(asking.google.count() - before, 1, "{behavior:?} is asked once");
            let said = format!("{failure} {failure:?} {:?}", Answer::from(&failure));
            assert!(!said.contains(asking.google.key()), "{said}");
            assert!(!said.contains("127.0.0.1"), "{said}");
            asking.google.behave(Behavior::Good);
            assert!(asking.ask(Wish::default()).await.is_ok(), "after {behavior:?} all is well again");
        }
    }
}

#[tokio::test]
async fn what_google_says_is_passed_on_without_the_key() {
    for name in BOTH {
        let asking = Asking::new(name);
        let Failure::Denied(said) = asking.fails(Behavior::TellsTheKey).await else { panic!() };
        assert!(said.contains("?key=[key] is not for [key]"), "{said}");
        let too_much = asking.fails(Behavior::Blanks(64 << 20)).await;
        assert_eq!(too_much, Failure::Unreadable("it is longer than 4194304 bytes".into()));
        let reset = asking.fails(Behavior::Reset).await;
        assert_eq!(reset, Failure::Unavailable("connection reset".into()));
    }
}

#[tokio::test]
async fn a_result_that_repeats_the_key_is_shown_to_nobody() {
    let asking = Asking::new(ProviderName::GoogleLegacy);
    let key = asking.google.key();
    let body = format!(
        r#"{{"status":"OK","results":[{{"name":"A"}},{{"name":"B","url":"http://x/?key={key}"}},{{"name":"C"}}]}}"#
    );
    asking.google.behave(Behavior::Body(body));
    let answer = asking.ask(Wish::default()).await.unwrap();
    assert_eq!(results(&answer), [json!({"name": "A"}), json!({"name": "C"})]);
}

#[tokio::test]
async fn ranking_by_distance_alone_is_answered_by_either_interface() {
    for name in BOTH {
        let asking = Asking::new(name);
        let answer = asking.ask(Wish { rank: Rank::Distance, ..Wish::default() }).await.unwrap();
        assert_eq!((answer.status, results(&answer).len()), (AnswerStatus::Ok, 20));
    }
}

#[tokio::test]
async fn google_says_how_long_it_wants_to_be_left_alone() {
    for name in BOTH {
        let asking = Asking::new(name);
        for (after, seconds) in [(Some("7"), Some(7)), (None, None), (Some("soon"), None)] {
            let expected = Failure::OverLimit { retry_after: seconds.map(Duration::from_secs) };
            assert_eq!(asking.fails(Behavior::TooMany(after)).await, expected);
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_the_operator_s_fault() {
    for name in BOTH {
        let key = Some("AIzaSyWrong-key_0123456789");
        let asking = Asking::with(name, FieldMask::Pro, key, Duration::from_secs(20));
        let Err(Failure::Denied(said)) = asking.ask(Wish::default()).await else { panic!() };
        assert!(said.contains("valid") && !said.contains("AIza"), "{said}");
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_given_up() {
    let deadline = Duration::from_millis(300);
    for name in BOTH {
        let asking = Asking::with(name, FieldMask::Pro, None, deadline);
        for behavior in [Behavior::Held, Behavior::Drip(Duration::from_millis(10))] {
            assert_eq!(asking.fails(behavior).await, Failure::Late(deadline));
        }
    }
}

#[tokio::test]
async fn who_is_not_there_is_out_of_reach() {
    for name in BOTH {
        let asking = Asking::new(name);
        let Asking { google, provider, _dir } = asking;
        drop(google);
        let query = Query::within(Point::new(1.0, 2.0).unwrap(), 1.0).unwrap();
        let refused = provider.nearby(&query).await;
        assert_eq!(refused, Err(Failure::Unavailable("connection refused".into())));
    }
}

#[tokio::test]
async fn who_does_not_encrypt_is_not_told_the_key() {
    let (google, dir) = (Google::start(), tempfile::tempdir().unwrap());
    let base_url = google.url().replace("http://", "https://");
    let asked = GoogleSettings { key: key_file(dir.path(), google.key()), base_url, mask: FieldMask::Pro };
    let settings = Settings { google: asked.clone(), google_legacy: asked, ..Settings::default() };
    for name in BOTH {
        let provider = match provider::open(name, &settings, &places::environment(ServerLog::discard())) {
            Ok(provider) => provider,
            Err(error @ provider::OpenError::Tls { .. }) => {
                assert!(std::env::var_os("CI").is_none(), "{error}");
                println!("skipped: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let query = Query::within(Point::new(1.0, 2.0).unwrap(), 1.0).unwrap();
        let refused = Failure::Unavailable("it does not speak TLS".into());
        assert_eq!(provider.nearby(&query).await, Err(refused));
        assert_eq!(google.count(), 0);
    }
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    for name in BOTH {
        for code in [301, 302, 303, 307, 308] {
            let (asking, elsewhere) = (Asking::new(name), Google::start());
            let to = format!("{}/v1/places:searchNearby", elsewhere.url());
            let failure = asking.fails(Behavior::Redirect(code, to)).await;
            let expected = format!(
                "it answers with HTTP code {code} and redirects to another address, but proxyherd follows no \
                 redirects; is its `base_url` right?"
            );
            assert_eq!(failure, Failure::Unavailable(expected));
            assert_eq!((asking.google.count(), elsewhere.count()), (1, 0));
        }
    }
}
