//! The requests that a connection sends. The text of a request is written once. From one request to the next, only
//! digits change: those of the IDs, the positions and the timestamps.
//!
//! The invariant: a client's timestamps increase from request to request, and no client is in a request twice. So a
//! server accepts every report.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Range;

use anyhow::{Result, ensure};
use serde_json::Value;

/// Maximum number of clients. Up to this number all IDs have the same length.
pub(crate) const CLIENTS_MAX: u32 = 1_000_000;
/// Clients are on a grid with this many columns, and as many rows.
const COLUMNS: u32 = 1000;
/// Distance between neighbors on the grid, millionths of a degree: about a hundred meters. Each report moves its client
/// by less than this.
const SPACING: u32 = 1000;
/// South-west corner of the grid: millionths of a degree north and west. Los Angeles is in the middle. All positions
/// have the same number of digits.
const SOUTH: u32 = 33_400_000;
const WEST: u32 = 118_700_000;

const ID: &str = "courier-000000.herd.example.com";
const LATITUDE: &str = "00.000000";
const LONGITUDE: &str = "-000.000000";
const TIME: &str = "0000000000.000000000";

/// What the requests ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The report of one client.
    Put,
    /// This many reports, each in a line of its own.
    Ndjson(u32),
    /// This many reports as an array.
    Json(u32),
    /// The ten clients nearest to a point, within this many meters.
    Near { radius_m: u32 },
}

/// Number of clients that a `Near` asks for.
pub(crate) const NEAREST: usize = 10;

impl Kind {
    /// Number of reports in a request, or 1.
    pub(crate) fn items(self) -> u32 {
        match self {
            Kind::Ndjson(reports) | Kind::Json(reports) => reports,
            Kind::Put | Kind::Near { .. } => 1,
        }
    }
}

/// The places of the digits of one report.
struct ReportPlaces {
    /// `None` if the request has no ID.
    id: Option<usize>,
    latitude: usize,
    longitude: usize,
    /// `None` if the request has no timestamp.
    time: Option<usize>,
}

/// The requests of one connection.
pub(crate) struct Requests {
    kind: Kind,
    text: Vec<u8>,
    places: Vec<ReportPlaces>,
    clients: Range<u32>,
    /// The next client to report.
    next: u32,
    /// The client of the first report of the current request.
    first: u32,
    /// The state of the random numbers that choose positions.
    random: u64,
}

impl Requests {
    /// Requests to the server at `to`, in which these clients take turns.
    pub(crate) fn new(kind: Kind, to: SocketAddr, clients: Range<u32>) -> Requests {
        assert!(clients.end <= CLIENTS_MAX, "IDs would differ in length");
        assert!(kind.items() as usize <= clients.len(), "a client would report twice in one request");
        let text = text_of(kind, to);
        let places = places_of(kind, &text);
        let (next, random) = (clients.start, u64::from(clients.start) + 1);
        Requests { kind, text: text.into_bytes(), places, clients, next, first: next, random }
    }

    /// Makes the next request, with the timestamp `unix_ns`.
    pub(crate) fn renew(&mut self, unix_ns: u64) {
        self.first = self.next;
        for index in 0..self.places.len() {
            let drawn = self.draw();
            let client = self.next;
            self.next = if client + 1 == self.clients.end { self.clients.start } else { client + 1 };
            let (row, column) = match self.kind {
                Kind::Near { .. } => ((drawn >> 40) as u32 % COLUMNS, (drawn >> 20) as u32 % COLUMNS),
                _ => (client / COLUMNS, client % COLUMNS),
            };
            let (north, east) = (drawn as u32 % SPACING, (drawn >> 10) as u32 % SPACING);
            let places = &self.places[index];
            let text = &mut self.text;
            if let Some(at) = places.id {
                put_digits(&mut text[at + 8..at + 14], client.into());
            }
            put_degrees(&mut text[places.latitude..][..LATITUDE.len()], SOUTH + row * SPACING + north);
            put_degrees(
                &mut text[places.longitude + 1..][..LONGITUDE.len() - 1],
                WEST - column * SPACING - east,
            );
            if let Some(at) = places.time {
                put_digits(&mut text[at..at + 10], unix_ns / 1_000_000_000);
                put_digits(&mut text[at + 11..at + 20], unix_ns % 1_000_000_000);
            }
        }
    }

    /// The current request.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Checks the whole body of the answer to the current request.
    pub(crate) fn check(&self, body: &[u8]) -> Result<()> {
        let is_right = match (self.kind, serde_json::from_slice::<Value>(body).unwrap_or_default()) {
            (Kind::Put, told) => told["result"] == "accepted" && told["id"] == *id_of(self.first),
            (Kind::Ndjson(reports) | Kind::Json(reports), told) => {
                told["accepted"] == reports && told["refused"] == 0
            }
            (Kind::Near { radius_m }, told) => is_nearest(&told, radius_m),
        };
        ensure!(is_right, "not an answer to this request: {}", String::from_utf8_lossy(body));
        Ok(())
    }

    /// A random number (splitmix64).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn id_of(client: u32) -> String {
    ID.replace("000000", &format!("{client:06}"))
}

/// Whether `told` has ten clients within the radius, the nearest one first.
fn is_nearest(told: &Value, radius_m: u32) -> bool {
    let distances = |clients: &Vec<Value>| -> Option<Vec<f64>> {
        clients.iter().map(|client| client["distance_m"].as_f64()).collect()
    };
    told["clients"].as_array().and_then(distances).is_some_and(|distances| {
        distances.len() == NEAREST
            && distances.is_sorted()
            && distances.iter().all(|&distance| distance <= radius_m.into())
    })
}

/// The text of a request whose digits are all 0.
fn text_of(kind: Kind, to: SocketAddr) -> String {
    let position = format!("\"lat\":{LATITUDE},\"lon\":{LONGITUDE},\"time\":\"{TIME}\"}}");
    let report = format!("{{\"id\":\"{ID}\",{position}");
    let reports = |count: u32, separator: &str| vec![report.as_str(); count as usize].join(separator);
    let (target, content_type, body) = match kind {
        Kind::Put => (format!("PUT /v1/clients/{ID}/location"), "application/json", format!("{{{position}")),
        Kind::Ndjson(count) => {
            ("POST /v1/reports".to_owned(), "application/x-ndjson", reports(count, "\n") + "\n")
        }
        Kind::Json(count) => {
            ("POST /v1/reports".to_owned(), "application/json", format!("[{}]", reports(count, ",")))
        }
        Kind::Near { radius_m } => {
            let near = format!("near={LATITUDE},{LONGITUDE}&radius_m={radius_m}&limit={NEAREST}");
            (format!("GET /v1/clients?{near}"), "", String::new())
        }
    };
    let mut text = format!("{target} HTTP/1.1\r\nHost: {to}\r\n");
    if !body.is_empty() {
        let _ = write!(text, "Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
    }
    text + "\r\n" + &body
}

fn places_of(kind: Kind, text: &str) -> Vec<ReportPlaces> {
    let find = |what: &str, from: usize| text[from..].find(what).map(|at| from + at);
    let mut places = Vec::new();
    let mut from = 0;
    for _ in 0..kind.items() {
        let id = find(ID, from);
        let latitude = find(LATITUDE, id.unwrap_or(from)).expect("every request has a position");
        let longitude = find(LONGITUDE, latitude).expect("every position has two numbers");
        let time = find(TIME, longitude);
        from = time.unwrap_or(longitude);
        places.push(ReportPlaces { id, latitude, longitude, time });
    }
    places
}

/// Writes a number with leading zeros.
fn put_digits(into: &mut [u8], mut number: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Writes degrees with six decimals.
fn put_degrees(into: &mut [u8], millionths: u32) {
    let (whole, decimals) = into.split_at_mut(into.len() - 7);
    put_digits(whole, u64::from(millionths / 1_000_000));
    put_digits(&mut decimals[1..], u64::from(millionths % 1_000_000));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: ([u8; 4], u16) = ([127, 0, 0, 1], 8000);

    fn next(requests: &mut Requests, unix_ns: u64) -> String {
        requests.renew(unix_ns);
        String::from_utf8(requests.text().to_vec()).unwrap()
    }

    fn body(text: &str) -> &str {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{text}");
        body
    }

    #[test]
    fn a_put_names_the_next_client_at_its_place_and_time() {
        let mut requests = Requests::new(Kind::Put, TO.into(), 41_002..41_004);
        for client in ["041002", "041003", "041002"] {
            let text = next(&mut requests, 1_621_464_827_000_000_007);
            assert!(text.starts_with(&format!(
                "PUT /v1/clients/courier-{client}.herd.example.com/location HTTP/1.1"
            )));
            let report: Value = serde_json::from_str(body(&text)).unwrap();
            let (lat, lon) = (report["lat"].as_f64().unwrap(), report["lon"].as_f64().unwrap());
            assert!((33.441..33.442).contains(&lat) && (-118.7..-118.69).contains(&lon), "{text}");
            assert_eq!(report["time"], "1621464827.000000007");
        }
    }

    #[test]
    fn a_batch_has_each_client_once() {
        for kind in [Kind::Ndjson(3), Kind::Json(3)] {
            let mut requests = Requests::new(kind, TO.into(), 7..12);
            next(&mut requests, 1);
            let text = next(&mut requests, 2);
            let reports: Vec<Value> = match kind {
                Kind::Json(_) => serde_json::from_str(body(&text)).unwrap(),
                _ => body(&text).lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            };
            let ids: Vec<_> = reports.iter().map(|report| report["id"].as_str().unwrap()).collect();
            assert_eq!(ids, [10, 11, 7].map(id_of), "{kind:?}");
            assert!(reports.iter().all(|report| report["time"] == "0000000000.000000002"), "{text}");
        }
    }

    #[test]
    fn points_of_questions_are_on_the_grid() {
        let mut requests = Requests::new(Kind::Near { radius_m: 1000 }, TO.into(), 0..1);
        let (one, other) = (next(&mut requests, 1), next(&mut requests, 1));
        assert_ne!(one, other);
        for text in [one, other] {
            let near = text.strip_prefix("GET /v1/clients?near=").unwrap().split('&').next().unwrap();
            let (lat, lon) = near.split_once(',').unwrap();
            assert!((33.4..34.401).contains(&lat.parse::<f64>().unwrap()), "{text}");
            assert!((-118.7..=-117.6).contains(&lon.parse::<f64>().unwrap()), "{text}");
        }
    }

    #[test]
    fn wrong_answers_are_errors() {
        let check = |kind, body: &str, is_right: bool| {
            let mut requests = Requests::new(kind, TO.into(), 0..10);
            requests.renew(1);
            assert_eq!(requests.check(body.as_bytes()).is_ok(), is_right, "{kind:?} {body}");
        };
        check(Kind::Put, r#"{"id":"courier-000000.herd.example.com","result":"accepted"}"#, true);
        check(Kind::Put, r#"{"id":"courier-000000.herd.example.com","result":"stale"}"#, false);
        check(Kind::Json(2), r#"{"accepted":2,"stale":0,"refused":0,"errors":[]}"#, true);
        check(Kind::Json(2), r#"{"accepted":1,"stale":1,"refused":0,"errors":[]}"#, false);
        let near = |distances: &[f64]| {
            let clients: Vec<_> =
                distances.iter().map(|far| serde_json::json!({ "distance_m": far })).collect();
            serde_json::json!({ "clients": clients }).to_string()
        };
        let kind = Kind::Near { radius_m: 9 };
        check(kind, &near(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), true);
        check(kind, &near(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.1]), false);
        check(kind, &near(&[1.0, 0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), false);
        check(kind, &near(&[1.0]), false);
        check(kind, "", false);
    }
}
