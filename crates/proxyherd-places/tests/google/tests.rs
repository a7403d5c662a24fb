//! Tests that the stand-in is as strict as Google, and that it finds its places at their positions.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use super::{Asked, Behavior, CENTER, Google, legacy, new};

/// Sends a request over a new socket. Returns the HTTP code and the body. Each header ends with a line break.
fn asked(google: &Google, what: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(google.address).unwrap();
    let len = body.len();
    write!(stream, "{what} HTTP/1.0\r\n{headers}Content-Length: {len}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn new(google: &Google, key: &str, mask: &str, body: &Value) -> (u16, Value) {
    let header = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!("{name}: {value}\r\n"),
    };
    let headers = header("X-Goog-Api-Key", key) + &header("X-Goog-FieldMask", mask);
    asked(google, &format!("POST {}", new::PATH), &headers, &body.to_string())
}

fn legacy(google: &Google, key: &str, parameters: &str) -> Value {
    let (code, body) = asked(google, &format!("GET {}?key={key}&{parameters}", legacy::PATH), "", "");
    assert_eq!(code, 200);
    body
}

fn circle(radius: f64) -> Value {
    json!({"circle": {"center": {"latitude": CENTER.0, "longitude": CENTER.1}, "radius": radius}})
}

#[test]
fn new_takes_what_google_takes_and_nothing_else() {
    let google = Google::start();
    let good = json!({"locationRestriction": circle(500.0)});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let key = google.key();
    for (key, mask, body, code, said) in [
        (key, "places.id", &good, 200, "ChIJstandin00"),
        (key, "", &good, 400, "FieldMask is a required parameter"),
        (key, "places.id, places.rating", &good, 400, "path ' places.rating'"),
        (key, "places.id,places.color", &good, 400, "path 'places.color'"),
        ("AIzaWrong", "places.id", &good, 400, "API_KEY_INVALID"),
        ("", "places.id", &good, 403, "PERMISSION_DENIED"),
        (key, "places.id", &json!({"locationRestriction": circle(50_001.0)}), 400, "radius"),
        (key, "places.id", &json!({"locationRestriction": circle(0.0)}), 400, "radius"),
        (key, "places.id", &with("maxResultCount", 21.into()), 400, "between 1 and 20"),
        (key, "places.id", &with("rankPreference", "NEAREST".into()), 400, "rank_preference"),
        (key, "places.id", &with("includedTypes", json!(["volcano"])), 400, "Unsupported types: volcano"),
        (key, "places.id", &with("keyword", "x".into()), 400, "Unknown name"),
    ] {
        let (seen, answer) = new(&google, key, mask, body);
        assert_eq!(seen, code, "{answer}");
        assert!(answer.to_string().contains(said), "{said}: {answer}");
    }
    let last: Asked = google.requests().pop().unwrap();
    assert_eq!((last.key.as_deref(), last.mask.as_deref()), (Some(key), Some("places.id")));
    assert_eq!(last.body["keyword"], "x");
}

#[test]
fn new_finds_what_lies_within_and_tells_only_what_the_mask_lets_through() {
    let google = Google::start();
    let body = json!({"locationRestriction": circle(100.0), "rankPreference": "DISTANCE"});
    let (_, answer) = new(&google, google.key(), "places.id,places.displayName.text", &body);
    let expected = json!({"places": [
        {"id": "ChIJstandin00", "displayName": {"text": "Westwood restaurant 00"}},
        {"id": "ChIJstandin01", "displayName": {"text": "Westwood cafe 01"}},
        {"id": "ChIJstandin02", "displayName": {"text": "Westwood park 02"}}
    ]});
    assert_eq!(answer, expected);
    let nowhere = json!({"locationRestriction": circle(10.0)});
    assert_eq!(new(&google, google.key(), "*", &nowhere), (200, json!({})));
}

#[test]
fn legacy_takes_what_google_takes_and_nothing_else() {
    let google = Google::start();
    let at = format!("location={},{}", CENTER.0, CENTER.1);
    for (parameters, status) in [
        (format!("{at}&radius=500"), "OK"),
        (format!("{at}&radius=10"), "ZERO_RESULTS"),
        (at.clone(), "INVALID_REQUEST"),
        ("radius=500".to_owned(), "INVALID_REQUEST"),
        (format!("{at}&radius=50001"), "INVALID_REQUEST"),
        (format!("{at}&rankby=distance"), "INVALID_REQUEST"),
        (format!("{at}&rankby=distance&radius=500&type=cafe"), "INVALID_REQUEST"),
        (format!("{at}&rankby=distance&type=cafe"), "OK"),
        (format!("{at}&radius=500&minprice=5"), "INVALID_REQUEST"),
        ("pagetoken=unheard-of".to_owned(), "INVALID_REQUEST"),
    ] {
        assert_eq!(legacy(&google, google.key(), &parameters)["status"], status, "{parameters}");
    }
    assert_eq!(legacy(&google, "AIzaWrong", &at)["status"], "REQUEST_DENIED");
}

#[test]
fn legacy_tells_sixty_places_on_three_pages() {
    let google = Google::start();
    let mut page = legacy(&google, google.key(), &format!("location={},{}&radius=2000", CENTER.0, CENTER.1));
    let mut ids = Vec::new();
    for number in 0..3 {
        let results = page["results"].as_array().unwrap();
        assert_eq!(results.len(), 20);
        ids.extend(results.iter().map(|result| result["place_id"].to_string()));
        match page["next_page_token"].as_str() {
            Some(token) => page = legacy(&google, google.key(), &format!("pagetoken={token}")),
            None => assert_eq!(number, 2),
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 60);
}

#[test]
fn it_behaves_as_told_once_or_from_now_on() {
    let google = Google::start();
    let body = json!({"locationRestriction": circle(500.0)});
    let code = || new(&google, google.key(), "places.id", &body).0;
    google.once(Behavior::Fails(500));
    google.once(Behavior::TooMany(Some("7")));
    assert_eq!([code(), code(), code()], [500, 429, 200]);
    google.behave(Behavior::Fails(503));
    assert_eq!([code(), code()], [503, 503]);
    google.behave(Behavior::Held);
    std::thread::scope(|scope| {
        let held = scope.spawn(code);
        google.wait_for(6);
        google.behave(Behavior::Good);
        assert_eq!(held.join().unwrap(), 200);
    });
}
