//! Seeds of the formats of phone apps: the requests that the apps make, and inputs made by hand.

use crate::{
    Seed,
    requests::{REQUESTS, Request},
    text::seeds,
};

const OSMAND: [(&str, &str); 6] = [
    ("names", "deviceid=a&location=1.5,-2&heading=1&hdop=1e0&sat=7&mock=1&valid=true&note=a%00b&tid=JJ"),
    (
        "attributes",
        "id=a&lat=1&lon=2&accuracy_m=4&speed_mps=1&speed=9&heading_deg=2&altitude_m=3&battery_pct=80",
    ),
    ("odd-numbers", "id=a&lat=+05&lon=-.5&timestamp=+1497476456.5+&accuracy=1e-7&altitude=-0"),
    ("times", "id=a&lat=1&lon=2&timestamp=2021-05-20+00:53:47.25+0200"),
    ("percent", "%69d=%ff%41&lat=1&lon=2&desc=100%&note=%zz"),
    ("twice", "id=a&id=b&lat=91&lat=1&lon=2"),
];

const OVERLAND: [(&str, &str); 5] = [
    ("nothing", r#"{"locations":[]}"#),
    (
        "bad-items",
        r#"{"locations":[7,{"geometry":null},{"geometry":{"type":"Point","coordinates":[2,1,5]},"properties":null}]}"#,
    ),
    ("only-current", r#"{"current":{"geometry":{"type":"Point","coordinates":["2","1"]}},"locations":[]}"#),
    (
        "lists",
        r#"{"locations":[{"geometry":{"type":"Point","coordinates":[2,1]},"properties":{"motion":["","a\"\\,",""],"battery_level":1e-3,"course":360,"device_id":7}}]}"#,
    ),
    ("not-an-array", r#"{"locations":{"0":1}}"#),
];

const OWNTRACKS: [(&str, &str); 6] = [
    ("small", r#"{"_type":"location","lat":1,"lon":2,"tid":"x"}"#),
    (
        "texts",
        r#"{"lat":"1.50","lon":"-0","tst":"1497476456","acc":"05","_type":"location","topic":"a\u0000\"b","tid":7,"poi":"\ud83e\udd5d"}"#,
    ),
    ("no-time", r#"{"_type":"location","lat":1,"lon":2,"tst":0,"topic":"owntracks/a/b"}"#),
    ("after-2038", r#"{"_type":"location","lat":1,"lon":2,"tst":2147483648,"topic":"owntracks/a/b"}"#),
    ("own-type", r#"{"_type":"lwt","tst":1497476456}"#),
    ("cut", r#"{"_type":"location","lat":1,"#),
];

const TRACCAR: [(&str, &str); 5] = [
    ("small", r#"{"location":{"coords":{"latitude":1,"longitude":2}},"device_id":"a"}"#),
    (
        "texts",
        r#"{"device_id":7,"location":{"timestamp":1748779200500,"coords":{"latitude":"1","longitude":"+2","altitude":-1e3},"battery":{"level":"0.5","is_charging":1},"mock":"true","odometer":1e5}}"#,
    ),
    ("no-position", r#"{"device_id":"a","location":{"timestamp":"2025-06-01T12:00:00Z","coords":null}}"#),
    (
        "other-types",
        r#"{"device_id":"a","location":{"coords":{"latitude":1,"longitude":2},"battery":[],"activity":"x","extras":null}}"#,
    ),
    ("array", r#"{"device_id":"a","location":[{"coords":{"latitude":1,"longitude":2}}]}"#),
];

pub(super) fn osmand() -> Vec<Seed> {
    let query = |request: &Request| request.target.split_once('?').map_or("", |(_, query)| query);
    let all = [
        seeds(&OSMAND),
        of_app(&["traccar-10", "traccar-10-heartbeat"], "Traccar Client 10", body),
        of_app(&["traccar-8"], "Traccar Client 8", query),
        of_app(&["osmand"], "OsmAnd", query),
        of_app(&["gpslogger"], "GPSLogger", query),
        of_app(&["gpslogger-body"], "GPSLogger", body),
    ];
    all.concat()
}

pub(super) fn overland() -> Vec<Seed> {
    [seeds(&OVERLAND), of_app(&["trip", "documented"], "Overland", body)].concat()
}

pub(super) fn owntracks() -> Vec<Seed> {
    let android = ["android", "android-small", "android-transition", "android-status", "android-encrypted"];
    let ios = ["ios", "ios-waypoint"];
    [
        seeds(&OWNTRACKS),
        of_app(&android, "OwnTracks for Android", body),
        of_app(&ios, "OwnTracks for iOS", body),
    ]
    .concat()
}

pub(super) fn traccar() -> Vec<Seed> {
    [seeds(&TRACCAR), of_app(&["android", "ios"], "Traccar Client 9", body)].concat()
}

fn body(request: &Request) -> &'static str {
    request.body
}

/// The texts of an app's requests that are not empty, under these names.
fn of_app(names: &[&'static str], app: &str, text: impl Fn(&Request) -> &'static str) -> Vec<Seed> {
    let requests = REQUESTS.iter().filter(|request| request.app.starts_with(app));
    let texts: Vec<_> = requests.map(text).filter(|text| !text.is_empty()).collect();
    assert_eq!(texts.len(), names.len(), "each request of {app} has a name");
    names.iter().zip(texts).map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}
