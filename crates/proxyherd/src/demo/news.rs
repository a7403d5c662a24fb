//! Describes the events of the demo in sentences: which client has moved where, to which server it has reported, and
//! how many servers know the report; and what was done to servers and links, and by whom.
//!
//! Each sentence about clients is about the client that has not been mentioned for the longest time. A new client comes
//! first.

use std::{collections::HashMap, fmt::Display};

use proxyherd_config::clock;
use proxyherd_core::{
    places::{Point, Query},
    types::{Body, Kind, Origin},
};
use proxyherd_log::escape::shown;

use super::{
    servers::{DemoActor, DemoEvent, DemoServers},
    walker,
};
use proxyherd_server::{
    herd::{Herd, Internals},
    places::{Embedded, Provider as _},
};

/// Maximum distance of a place that a sentence mentions as near a client, meters.
const NEAR_M: f64 = 50_000.0;
/// Minimum length of a move that gets a sentence, meters.
const MOVE_MIN_M: f64 = 1.0;
/// Number of first looks at the herd that give no sentence, because the clients have just started.
const SILENT_LOOKS: u64 = 2;
/// Minimum number of clients whose last sentences the demo remembers.
const REMEMBERED_MIN: u64 = 1000;

/// The demo's sentences so far.
#[derive(Default)]
pub(super) struct News {
    told: HashMap<Vec<u8>, LastSentence>,
    turn: u64,
    /// Number of looks at the herd so far.
    looks: u64,
}

#[derive(Clone, Copy)]
struct LastSentence {
    at: (f64, f64),
    turn: u64,
}

/// A client as one server knows it.
#[derive(Debug)]
struct KnownClient {
    client: Vec<u8>,
    at: (f64, f64),
    origin: Origin,
    seq: u64,
}

impl News {
    /// A sentence about a client that has moved or is new, from the records of the first of these servers. `None` if no
    /// client has moved.
    pub(super) fn next(&mut self, herds: &[&Herd]) -> Option<String> {
        self.looks += 1;
        if self.looks <= SILENT_LOOKS {
            self.remember_all(herds.first()?);
            return None;
        }
        let seen = self.choose(herds.first()?)?;
        let know = herds.iter().filter(|herd| seen.is_known_to(herd)).count();
        let before = self.told.get(&seen.client).map(|told| told.at);
        // This also drops the clients that the herd has forgotten.
        if self.told.len() as u64 > REMEMBERED_MIN + 2 * herds.first()?.replica().len() {
            self.told.clear();
        }
        self.turn += 1;
        self.told.insert(seen.client.clone(), LastSentence { at: seen.at, turn: self.turn });
        let client = shown(&seen.client);
        let moved = before.map_or("is".to_owned(), |before| format!("moved {}", way(before, seen.at)));
        let near = place_near(seen.at).map_or(String::new(), |place| format!(" near {place}"));
        let server = &seen.origin.server;
        Some(format!("{client} {moved}{near}, told {server}; {know} of {} servers know", herds.len()))
    }

    /// Remembers where each client starts, so that the first sentence about a client can say how far that client has
    /// moved.
    fn remember_all(&mut self, herd: &Herd) {
        herd.replica().for_each(|held| {
            if let Body::Location { coordinates, .. } = held.record.body {
                let at = (coordinates.latitude().degrees(), coordinates.longitude().degrees());
                self.told.insert(held.record.key.to_vec(), LastSentence { at, turn: 0 });
            }
        });
    }

    /// Of the clients that have moved since their last sentence, the client whose last sentence is the oldest.
    fn choose(&mut self, herd: &Herd) -> Option<KnownClient> {
        let mut chosen: Option<(Option<u64>, KnownClient)> = None;
        herd.replica().for_each(|held| {
            let Body::Location { coordinates, .. } = held.record.body else { return };
            let at = (coordinates.latitude().degrees(), coordinates.longitude().degrees());
            let told = self.told.get(held.record.key);
            let moved_m = told.map(|told| walker::meters(told.at, at)).map(|(north, east)| north.hypot(east));
            if moved_m.is_some_and(|moved_m| moved_m < MOVE_MIN_M) {
                return;
            }
            let turn = told.map(|told| told.turn);
            if chosen.as_ref().is_none_or(|(before, _)| turn < *before) {
                let (client, origin) = (held.record.key.to_vec(), held.origin.clone());
                chosen = Some((turn, KnownClient { client, at, origin, seq: held.seq }));
            }
        });
        chosen.map(|(_, seen)| seen)
    }
}

impl KnownClient {
    /// Whether `herd` has this report.
    fn is_known_to(&self, herd: &Herd) -> bool {
        let is_same = |origin: &Origin, seq: u64| *origin == self.origin && seq == self.seq;
        let found = herd
            .replica()
            .find(clock::now_ns(), Kind::CLIENT, &self.client, |held| is_same(held.origin, held.seq));
        found.unwrap_or(false)
    }
}

/// What was done to a server or a link.
pub(super) fn told(event: &DemoEvent, servers: &DemoServers) -> String {
    match event {
        DemoEvent::Stopped(index, by) => {
            ended(servers.name(*index), "has stopped", *by, &servers.names_running())
        }
        DemoEvent::Killed(index, by) => {
            ended(servers.name(*index), "was killed", *by, &servers.names_running())
        }
        DemoEvent::Started(index, by) => {
            format!("{} runs again{}, and knows no client yet", servers.name(*index), through(*by))
        }
        DemoEvent::NotStarted(refusal, by) => format!("{refusal}{}", through(*by)),
        DemoEvent::Cut([one, other], by) => format!(
            "the link between {one} and {other} is cut{}; reports take another way. `heal {one} {other}` heals it",
            through(*by)
        ),
        DemoEvent::Healed([one, other], by) => {
            format!("the link between {one} and {other} is healed{}; it comes up in a moment", through(*by))
        }
    }
}

/// Who gave the command, if it was not the person at the console.
fn through(by: DemoActor) -> &'static str {
    match by {
        DemoActor::Console => "",
        DemoActor::Page => " (from a web page)",
    }
}

/// The line about a server that has ended, while the `running` ones continue.
fn ended(name: impl Display, how: &str, by: DemoActor, running: &[&str]) -> String {
    let by = through(by);
    match running {
        [] => format!("{name} {how}{by}, and no server is left; `start {name}` starts it"),
        [one] => format!("{name} {how}{by}; {one} goes on. `start {name}` brings it back"),
        rest => format!("{name} {how}{by}; {} go on. `start {name}` brings it back", rest.join(", ")),
    }
}

/// Distance and direction.
fn way(from: (f64, f64), to: (f64, f64)) -> String {
    const DIRECTIONS: [&str; 8] = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];
    let (north, east) = walker::meters(from, to);
    let eighth = (east.atan2(north).to_degrees() / 45.0).round() as i64;
    let direction = DIRECTIONS[eighth.rem_euclid(8) as usize];
    match north.hypot(east) {
        meters if meters < 1_000.0 => format!("{meters:.0} m {direction}"),
        meters => format!("{:.1} km {direction}", meters / 1_000.0),
    }
}

fn place_near((latitude, longitude): (f64, f64)) -> Option<String> {
    let query = Query::within(Point::new(latitude, longitude)?, NEAR_M)?;
    let answer = Embedded.nearby_now(&query, 1)?;
    Some(answer.places.first()?.name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_is_named_and_who_did_it() {
        for (running, by, expected) in [
            (
                &[][..],
                DemoActor::Console,
                "Riley has stopped, and no server is left; `start Riley` starts it",
            ),
            (
                &["Bernard"],
                DemoActor::Console,
                "Riley has stopped; Bernard goes on. `start Riley` brings it back",
            ),
            (
                &["Jaquez", "Bernard"],
                DemoActor::Page,
                "Riley has stopped (from a web page); Jaquez, Bernard go on. `start Riley` brings it back",
            ),
        ] {
            assert_eq!(ended("Riley", "has stopped", by, running), expected);
        }
    }

    #[test]
    fn a_way_has_its_length_and_direction() {
        let (latitude, longitude) = walker::CENTER;
        for (to, expected) in [
            ((latitude + 0.001, longitude), "111 m N"),
            ((latitude, longitude + 0.001), "92 m E"),
            ((latitude - 0.001, longitude - 0.0012), "157 m SW"),
            ((latitude, longitude - 0.1), "9.2 km W"),
            ((latitude + 0.001, longitude - 0.0012), "157 m NW"),
        ] {
            assert_eq!(way(walker::CENTER, to), expected);
        }
    }

    #[test]
    fn the_nearest_place_is_named() {
        assert_eq!(place_near(walker::CENTER).as_deref(), Some("Bel Air"));
        assert_eq!(place_near((-48.876667, -123.393333)), None);
    }
}
