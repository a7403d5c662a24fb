//! Tests with curl: each path as a reader of the documentation calls it.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Process};

use super::Guarded;

/// What curl has printed about one request.
#[derive(Debug)]
struct Answer {
    code: u16,
    /// The version of HTTP: `1.1` or `2`.
    version: String,
    content_type: String,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as JSON. The answer must have this status code and end in a newline.
    #[track_caller]
    fn expect(&self, code: u16) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.body.ends_with('\n'), "{self:?}");
        self.json()
    }

    /// Asserts that the answer is a problem with this status code. Returns its detail.
    #[track_caller]
    fn expect_problem(&self, code: u16) -> String {
        let problem = self.expect(code);
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        assert_eq!(problem["status"], code, "{problem}");
        assert!(problem["title"].is_string(), "{problem}");
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }
}

/// Runs curl without a token. The last argument is the path.
fn curl_openly(guarded: &Guarded, arguments: &[&str]) -> Answer {
    let dir = guarded.herd.dir();
    let (path, options) = arguments.split_last().unwrap();
    let url = format!("{}{path}", guarded.base_url());
    // Fields of the answer go to standard error, which nothing else uses.
    let said = "%{stderr}%{http_code}\n%{http_version}\n%{content_type}";
    let all = [&["-sS", "-D", "head.txt", "-w", said], options, &[&url]].concat();
    let curl = Process::other(dir, "curl".as_ref(), &all).wait(PATIENCE);
    assert_eq!(curl.code, 0, "{curl:?}");
    let fields: Vec<_> = curl.err.split('\n').collect();
    Answer {
        code: fields[0].parse().unwrap(),
        version: fields[1].to_owned(),
        content_type: fields[2].to_owned(),
        head: fs::read_to_string(dir.join("head.txt")).unwrap(),
        body: curl.out,
    }
}

/// Runs curl with the operator's token. The last argument is the path.
fn curl(guarded: &Guarded, arguments: &[&str]) -> Answer {
    let bearer = format!("Authorization: Bearer {}", guarded.operator);
    curl_openly(guarded, &[&["-H", &bearer], arguments].concat())
}

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];
const KIWI: &str = r#"{"lat": 34.06893, "lon": -118.445127, "time": "2021-05-19T22:53:47.959498503Z",
    "accuracy_m": 4.5, "note": "on foot"}"#;

fn put(guarded: &Guarded, id: &str, body: &str) -> Answer {
    let path = format!("/v1/clients/{id}/location");
    curl(guarded, &[&["-X", "PUT"], &JSON[..], &["-d", body, &path]].concat())
}

fn ids(page: &Value) -> Vec<&str> {
    page["clients"].as_array().unwrap().iter().map(|client| client["id"].as_str().unwrap()).collect()
}

#[test]
fn curl_reports_reads_and_forgets_one_client() {
    let guarded = Guarded::start();
    let reported = put(&guarded, "kiwi", KIWI).expect(200);
    assert_eq!(reported["result"], "accepted", "{reported}");
    let read = curl(&guarded, &["/v1/clients/kiwi"]).expect(200);
    for told in [&reported, &read] {
        assert_eq!(told["id"], "kiwi");
        assert_eq!((&told["lat"], &told["lon"]), (&json!(34.06893), &json!(-118.445127)));
        assert_eq!(told["time"], "2021-05-19T22:53:47.959498503Z");
        assert_eq!(told["server"], "Riley");
        assert_eq!(told["attributes"], json!({ "accuracy_m": 4.5, "note": "on foot" }));
        assert!(told["difference_s"].is_number() && told["received"].is_string(), "{told}");
        let at = told["at"].as_str().unwrap();
        assert!(at.starts_with("AT Riley +"), "{at}");
        assert!(at.ends_with(" kiwi +34.06893-118.445127 1621464827.959498503"), "{at}");
    }
    let older = KIWI.replace("2021", "2020").replace("34.0", "35.0");
    assert_eq!(put(&guarded, "kiwi", &older).expect(200)["result"], "stale");
    assert_eq!(curl(&guarded, &["/v1/clients/kiwi"]).expect(200)["lat"], 34.06893);
    let forgotten = curl(&guarded, &["-X", "DELETE", "/v1/clients/kiwi"]);
    assert_eq!((forgotten.code, forgotten.body.as_str()), (204, ""));
    curl(&guarded, &["/v1/clients/kiwi"]).expect_problem(404);
}

#[test]
fn curl_sends_batches_in_each_format_from_files() {
    let guarded = Guarded::start();
    let write = |name: &str, text: &str| fs::write(guarded.herd.dir().join(name), text).unwrap();
    write(
        "reports.ndjson",
        "{\"id\":\"a/1\",\"lat\":1,\"lon\":1}\n{\"id\":\"a/2\",\"lat\":91,\"lon\":1}\n{\"id\":\"a/3\",\"lat\":1,\"lon\":3}\n",
    );
    write("reports.json", r#"[{"id":"b/1","lat":1,"lon":1,"speed_mps":3.5},{"id":"b/2","lat":2,"lon":2}]"#);
    write(
        "reports.geojson",
        r#"{"type":"FeatureCollection","features":[
            {"type":"Feature","id":"c/1","geometry":{"type":"Point","coordinates":[10.5,20.25]},"properties":{}},
            {"type":"Feature","geometry":{"type":"Point","coordinates":[11,21]},"properties":{"id":"c/2","note":"x"}}]}"#,
    );
    for (file, content_type, accepted, refused) in [
        ("reports.ndjson", "application/x-ndjson", 2, 1),
        ("reports.json", "application/json", 2, 0),
        ("reports.geojson", "application/geo+json", 2, 0),
    ] {
        let (header, data) = (format!("Content-Type: {content_type}"), format!("@{file}"));
        let answer = curl(&guarded, &["-H", &header, "--data-binary", &data, "/v1/reports"]).expect(200);
        assert_eq!(
            (&answer["accepted"], &answer["stale"]),
            (&json!(accepted), &json!(0)),
            "{file}: {answer}"
        );
        assert_eq!(answer["refused"], refused, "{file}: {answer}");
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), refused, "{file}: {answer}");
        assert!(errors.iter().all(|error| error["index"] == 1 && error["detail"].is_string()), "{answer}");
    }
    let all = curl(&guarded, &["/v1/clients"]).expect(200);
    let mut found = ids(&all);
    found.sort_unstable();
    assert_eq!(found, ["a/1", "a/3", "b/1", "b/2", "c/1", "c/2"], "{all}");
    let c1 = curl(&guarded, &["/v1/clients/c%2F1"]).expect(200);
    assert_eq!((&c1["lat"], &c1["lon"]), (&json!(20.25), &json!(10.5)), "{c1}");
    assert_eq!(curl(&guarded, &["/v1/clients/b%2F1"]).expect(200)["attributes"], json!({ "speed_mps": 3.5 }));
}

#[test]
fn curl_searches() {
    let guarded = Guarded::start();
    for (id, lat, lon, battery) in
        [("v1", "34.00", "-118.40", 80), ("v2", "34.01", "-118.40", 10), ("w1", "-17.0", "179.9", 50)]
    {
        let body = format!(r#"{{"lat":{lat},"lon":{lon},"battery_pct":{battery}}}"#);
        put(&guarded, id, &body).expect(200);
    }
    let search = |options: &[&str]| {
        let pairs = options.iter().flat_map(|pair| ["--data-urlencode", pair]);
        let arguments: Vec<_> = ["-G"].into_iter().chain(pairs).chain(["/v1/clients"]).collect();
        curl(&guarded, &arguments).expect(200)
    };
    let check = |options: &[&str], expected: &[&str]| {
        let page = search(options);
        assert_eq!(ids(&page), expected, "{options:?}: {page}");
        page
    };
    let near = check(&["near=34.011,-118.4", "radius_m=5000"], &["v2", "v1"]);
    let distance = near["clients"][0]["distance_m"].as_f64().unwrap();
    assert!((110.0..113.0).contains(&distance), "{near}");
    check(&["near=34.011,-118.4"], &["v2", "v1", "w1"]);
    check(&["near=34.011,-118.4", "limit=1"], &["v2"]);
    check(&["box=-20,170,-10,-170"], &["w1"]);
    check(&["ids=v1", "ids=w*", "near=34,-118.4"], &["v1", "w1"]);
    check(&["ids=w*"], &["w1"]);
    check(&["near=34,-118.4", "where=battery_pct < 60 and battery_pct != 10"], &["w1"]);
    check(&["near=34,-118.4", "where=note = \"x\""], &[]);
    check(&["ids=v*", "max_age_s=3600", "near=34,-118.4"], &["v1", "v2"]);
    let geo = curl(&guarded, &["-H", "Accept: application/geo+json", "/v1/clients?ids=v1"]);
    assert_eq!(geo.content_type, "application/geo+json");
    let geo = geo.expect(200);
    assert_eq!(geo["type"], "FeatureCollection");
    let feature = &geo["features"][0];
    assert_eq!((&feature["type"], &feature["id"]), (&json!("Feature"), &json!("v1")), "{geo}");
    assert_eq!(feature["geometry"], json!({ "type": "Point", "coordinates": [-118.4, 34] }), "{geo}");
}

#[test]
fn curl_asks_everything_else_that_the_door_has() {
    let guarded = Guarded::start();
    put(&guarded, "kiwi", KIWI).expect(200);
    let places = curl(&guarded, &["/v1/clients/kiwi/places?radius_m=10000&limit=5"]).expect(200);
    assert_eq!((&places["status"], places["results"].as_array().unwrap().len()), (&json!("OK"), 5));
    let google = "/maps/api/place/nearbysearch/json?location=34.06893,-118.445127&radius=10000";
    let keyed = curl_openly(&guarded, &[&format!("{google}&key={}", guarded.operator)]).expect(200);
    assert_eq!(keyed["status"], "OK", "{keyed}");
    let denied = curl_openly(&guarded, &[&format!("{google}&key=phd_no_token")]).expect(200);
    assert_eq!(denied["status"], "REQUEST_DENIED", "{denied}");
    for path in ["/health/livez", "/health/readyz"] {
        assert_eq!(curl_openly(&guarded, &[path]).code, 200, "{path}");
    }
    let openapi = curl_openly(&guarded, &["/openapi.json"]).expect(200);
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"), "{}", openapi["openapi"]);
    let docs = curl_openly(&guarded, &["-L", "/docs"]);
    assert!(docs.code == 200 && docs.content_type.starts_with("text/html"), "{docs:?}");
    for path in ["/metrics", "/v1/status"] {
        assert_eq!(curl(&guarded, &[path]).code, 200, "{path}");
        assert_eq!(curl_openly(&guarded, &[path]).code, 401, "{path}");
    }
}

#[test]
fn curl_speaks_http_2_compression_and_both_kinds_of_credentials() {
    let guarded = Guarded::start();
    put(&guarded, "kiwi", KIWI).expect(200);
    let path = "/v1/clients/kiwi";
    let basic = format!("anybody:{}", guarded.operator);
    curl_openly(&guarded, &["-u", &basic, path]).expect(200);
    curl_openly(&guarded, &["--oauth2-bearer", guarded.operator, path]).expect(200);
    let unknown = curl_openly(&guarded, &[path]);
    unknown.expect_problem(401);
    assert!(unknown.head.to_ascii_lowercase().contains("\nwww-authenticate: "), "{unknown:?}");
    curl_openly(&guarded, &["-u", "anybody:wrong", path]).expect_problem(401);

    let two = curl(&guarded, &["--http2-prior-knowledge", path]);
    assert_eq!((two.version.as_str(), two.expect(200)["id"].as_str()), ("2", Some("kiwi")));
    let body = KIWI.replace("2021", "2022");
    let arguments =
        ["--http2-prior-knowledge", "-X", "PUT", JSON[0], JSON[1], "-d", &body, "/v1/clients/kiwi/location"];
    assert_eq!(curl(&guarded, &arguments).expect(200)["result"], "accepted");

    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let packed = curl(&guarded, &[version, "--compressed", "/openapi.json"]);
        packed.expect(200);
        assert!(packed.head.to_ascii_lowercase().contains("\ncontent-encoding: "), "{}", packed.head);
        let plain = curl(&guarded, &[version, "/openapi.json"]);
        assert_eq!(packed.body, plain.body);
        assert!(!plain.head.to_ascii_lowercase().contains("\ncontent-encoding: "), "{}", plain.head);
    }
}

#[test]
fn curl_is_not_sent_again_what_it_has() {
    let guarded = Guarded::start();
    put(&guarded, "kiwi", KIWI).expect(200);
    let asked = |path| curl(&guarded, &["--etag-save", "etag.txt", "--etag-compare", "etag.txt", path]);
    for path in ["/v1/clients/kiwi", "/openapi.json"] {
        fs::write(guarded.herd.dir().join("etag.txt"), "").unwrap();
        assert_eq!(asked(path).code, 200, "{path}");
        let same = asked(path);
        assert_eq!((same.code, same.body.as_str()), (304, ""), "{path}: {same:?}");
    }
    fs::write(guarded.herd.dir().join("etag.txt"), "").unwrap();
    asked("/v1/clients/kiwi").expect(200);
    put(&guarded, "kiwi", &KIWI.replace("2021", "2022")).expect(200);
    asked("/v1/clients/kiwi").expect(200);
}

#[test]
fn curl_names_clients_of_any_bytes() {
    let guarded = Guarded::start();
    let check = |encoded: &str, id: &str| {
        let reported = put(&guarded, encoded, KIWI).expect(200);
        let read = curl(&guarded, &[&format!("/v1/clients/{encoded}")]).expect(200);
        assert_eq!((&reported["id"], &read["id"]), (&json!(id), &json!(id)), "{encoded}");
        assert_eq!(read.get("id_url"), None, "{read}");
    };
    check("van%2F7", "van/7");
    check("caf%C3%A9", "café");
    check("%E2%82%AC%3F%23%25", "€?#%");
    check("a+b", "a+b");
    put(&guarded, "two%20words", KIWI).expect_problem(422);

    let mut line = guarded.herd.client("Riley");
    assert_eq!(line.ask(&format!("AUTH {}", guarded.operator)), "AUTH ok");
    line.send(b"IAMAT caf\xe9 +34.068930-118.445127 1621464827.959498503\n");
    assert!(line.line_bytes().starts_with(b"AT Riley "));
    let latin = curl(&guarded, &["/v1/clients/caf%E9"]).expect(200);
    assert_eq!((&latin["id"], &latin["id_url"]), (&json!("caf\u{fffd}"), &json!("caf%E9")), "{latin}");
}

#[test]
fn curl_is_told_what_is_wrong() {
    let guarded = Guarded::start();
    put(&guarded, "kiwi", "{\"lat\": 1").expect_problem(400);
    for body in [
        r#"{"lat": 91, "lon": 0}"#,
        r#"{"lat": 1}"#,
        r#"{"lat": "1", "lon": 0}"#,
        r#"{"lat": 1, "lon": 0, "time": "yesterday"}"#,
        r#"{"lat": 1, "lon": 0, "Speed": 1}"#,
        r#"{"lat": 1, "lon": 0, "ttl_s": -1}"#,
        "[]",
    ] {
        let detail = put(&guarded, "kiwi", body).expect_problem(422);
        assert!(!detail.is_empty(), "{body}");
    }
    let put_as = |content_type: &str| {
        let header = format!("Content-Type: {content_type}");
        curl(&guarded, &["-X", "PUT", "-H", &header, "-d", KIWI, "/v1/clients/kiwi/location"])
    };
    put_as("text/plain").expect_problem(415);
    let long = format!(r#"{{"lat":1,"lon":0,"note":"{}"}}"#, "x".repeat(4 << 20));
    fs::write(guarded.herd.dir().join("long.json"), long).unwrap();
    put(&guarded, "kiwi", "@long.json").expect_problem(413);
    for query in ["near=91,0", "near=x", "box=1,2,3", "limit=0", "limit=10001", "where=a%20~%201"] {
        curl(&guarded, &[&format!("/v1/clients?{query}")]).expect_problem(422);
    }
    for contradiction in ["radius_m=1", "near=1,1&after=x"] {
        curl(&guarded, &[&format!("/v1/clients?{contradiction}")]).expect_problem(409);
    }
    curl(&guarded, &["/v1/nothing"]).expect_problem(404);
    let wrong_method = curl(&guarded, &["-X", "POST", "-d", "", "/v1/clients/kiwi"]);
    assert_eq!(wrong_method.code, 405, "{wrong_method:?}");
    assert!(wrong_method.head.to_ascii_lowercase().contains("\nallow: "), "{wrong_method:?}");
    assert_eq!(guarded.client("kiwi"), None, "nothing of this was a report");
}

#[test]
fn curl_gets_its_request_id_back_or_a_new_one() {
    let guarded = Guarded::start();
    let id_of = |answer: &Answer| {
        let mut pairs = answer.head.lines().filter_map(|line| line.split_once(": "));
        let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
        found.unwrap_or_else(|| panic!("{answer:?}")).1.trim().to_owned()
    };
    let kept = curl(&guarded, &["-H", "X-Request-Id: of-a-test", "/v1/clients/kiwi"]);
    assert_eq!(id_of(&kept), "of-a-test");
    let ids = [(); 2].map(|()| id_of(&curl_openly(&guarded, &["/v1/clients/kiwi"])));
    assert!(ids.iter().all(|id| !id.is_empty()) && ids[0] != ids[1], "{ids:?}");
    let long = format!("X-Request-Id: {}", "x".repeat(129));
    assert!(id_of(&curl(&guarded, &["-H", &long, "/v1/clients/kiwi"])).len() <= 128);
}
