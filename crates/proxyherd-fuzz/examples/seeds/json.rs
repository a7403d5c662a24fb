//! Seeds of what doors over HTTP read: reports, times, client IDs in URLs and filters.

use crate::{Seed, text::seeds, values::some_attributes};

pub(super) const REPORTS: [(&str, &str); 10] = [
    ("small", r#"{"lat":34.06893,"lon":-118.445127}"#),
    (
        "all",
        r#"{"id":"kiwi","lat":1.5e1,"lon":-0,"time":"2021-05-19T22:53:47.50Z","ttl_s":60,"accuracy_m":5.0,"note":"a\"b"}"#,
    ),
    ("posix", r#"{"lat":1,"lon":2,"time":1621464827.959498503,"id":7}"#),
    (
        "answer",
        r#"{"id":"\ufffd","lat":1,"lon":2,"time":"2021-05-19T22:53:47Z","received":"x","server":"Riley","difference_s":0,"at":"AT","attributes":{"battery_pct":80},"distance_m":1.0,"id_url":"%FF"}"#,
    ),
    ("twice", r#"{"lat":1,"lat":1,"lon":2}"#),
    ("nested", r#"{"lat":1,"lon":2,"a":[{"b":[]}]}"#),
    ("escapes", r#"{"l\u0061t":1,"lon":2,"n":"\u0000\u0001\ud83e\udd5d\/"}"#),
    ("surrogate", r#"{"lat":1,"lon":2,"n":"\ud83e"}"#),
    ("long-number", r#"{"lat":0.000000000000000000000001e24,"lon":2,"n":123456789012345678901234567890}"#),
    ("cut", r#"{"lat":1,"lon":2,"#),
];

pub(super) const MESSAGES: [(&str, &str); 8] = [
    ("token", r#"{"token":"phd_a_b","ref":1}"#),
    (
        "subscribe",
        r#"{"subscribe":{"ids":["courier-*","kiwi"],"near":[34.07,-118.44],"radius_m":500,"where":"battery_pct < 20","kinds":["location","left"]},"ref":"a\u0062"}"#,
    ),
    (
        "area",
        r#"{"subscribe":{"box":"1,2,3,4","polygon":{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}}}"#,
    ),
    ("report", r#"{"report":{"id":"kiwi","lat":34.07,"lon":-118.44,"battery_pct":80},"ref":7}"#),
    ("bad-report", r#"{"ref":7,"report":{"id":"kiwi","lat":91,"lon":0}}"#),
    ("two", r#"{"token":"a","subscribe":{}}"#),
    ("odd-ref", r#"{"token":"a","ref":{}}"#),
    ("cut", r#"{"subscribe":{"ids":["a""#),
];

pub(super) const POLYGONS: [(&str, &str); 6] = [
    ("square", r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#),
    (
        "hole",
        r#"{"coordinates":[[[0,0],[9,0],[9,9],[0,9],[0,0]],[[1,1,5],[2,1],[2,2],[1,1]]],"type":"Polygon"}"#,
    ),
    ("crossing", r#"{"type":"Polygon","coordinates":[[[179,0],[-179,0],[-179.5,1e0],[179,0]]]}"#),
    ("point", r#"{"type":"Point","coordinates":[1,2]}"#),
    ("text", r#"{"type":"Polygon","coordinates":[[["1",2]]]}"#),
    ("deep", r#"{"type":"Polygon","coordinates":[[[[[[[["#),
];

pub(super) const TIMES: [(&str, &str); 8] = [
    ("utc", "2021-05-19T22:53:47.959498503Z"),
    ("offset", "2021-05-20t00:53:47.50+02:00"),
    ("space", "1970-01-01 00:00:00z"),
    ("leap", "2016-12-31T23:59:60Z"),
    ("last", "2286-11-20T17:46:39.999999999Z"),
    ("february", "2100-02-29T12:00:00Z"),
    ("posix", "1621464827.50"),
    ("nothing", ""),
];

pub(super) const URL_IDS: [(&str, &str); 6] = [
    ("plain", "kiwi.cs.ucla.edu"),
    ("slash", "fleet%2F7"),
    ("bytes", "%00%ff%80"),
    ("white-space", "two%20words"),
    ("cut", "kiwi%4"),
    ("raw", "gr\u{fc}\u{df}/7"),
];

pub(super) fn batch() -> Vec<Seed> {
    seeds(&[
        ("lines", "{\"id\":\"a\",\"lat\":1,\"lon\":2}\n\n{\"id\":\"b\"}\r\n{"),
        ("array", r#"[{"id":"a","lat":1,"lon":2,"n":1.50},{"id":"b","lat":91,"lon":2},7]"#),
        (
            "collection",
            r#"{"type":"FeatureCollection","features":[{"type":"Feature","id":"a","geometry":{"type":"Point","coordinates":[2,1,5]},"properties":{"note":"x"}},{"type":"Feature","geometry":null,"properties":null}]}"#,
        ),
        ("reversed", r#"{"features":[],"type":"FeatureCollection","next":"x"}"#),
        ("empty-array", "[]"),
        ("deep", &"[".repeat(300)),
    ])
}

pub(super) fn where_clauses() -> Vec<Seed> {
    let attributes = some_attributes();
    let with_attributes = |clause: &str| [clause.as_bytes(), b"\n", attributes.borrow().as_bytes()].concat();
    vec![
        ("number", with_attributes("battery < 20 and battery_pct>=1.5e1")),
        ("text", with_attributes(r#"note = "gr\u00fc\u00df Gott, on my way" and battery != "79""#)),
        ("operators", with_attributes("a=1 and b!=1 and c<1 and d<=1 and e>1 and f>=-1")),
        ("long", with_attributes("a=123456789012345678901234567890e-99")),
        ("mistake", with_attributes("a == 1")),
        ("open", with_attributes("a = \"x\\\"")),
        ("nothing", Vec::new()),
    ]
}
