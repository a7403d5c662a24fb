//! Tests of what doors may ask, and of callers' rights.

use std::path::Path;

use proxyherd_core::{
    command::{Condition, Limit, Outcome},
    places::{AnswerStatus, Point, Wish},
    types::{Attributes, Coordinates, Radius, Report, Stamp},
};

use super::*;
use crate::{
    caller::Rights,
    config::{Config, Overrides},
    door_kind::DoorKind,
    places::{self, Embedded, LookupOutcome as How, Unlimited},
};

const NOW_NS: u64 = 1_700_000_000_000_000_000;

/// The handle of a server without links and sockets, which holds no records.
pub(crate) fn alone() -> Arc<Herd> {
    alone_with("")
}

/// Like [`alone`], with more settings in the configuration.
pub(crate) fn alone_with(settings: &str) -> Arc<Herd> {
    let text = format!(
        "[herd]\ntls = \"off\"\n{settings}\n[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:12000\""
    );
    let config = Config::read(&text, Path::new("herd.toml"), &Overrides::none()).unwrap();
    let log = ServerLog::discard();
    let environment = places::environment(log.clone());
    let places = Places::with(Arc::new(Embedded), vec![], &config.places, Arc::new(Unlimited), environment);
    Herd::new(&config, &config.servers[0], None, places, None, log)
}

pub(crate) fn caller(rights: Rights) -> Caller {
    Caller { address: "127.0.0.1:40000".parse().unwrap(), door: DoorKind::Line, rights }
}

fn kiwi() -> ClientId<'static> {
    ClientId::new(b"kiwi").unwrap()
}

fn report() -> Report<'static> {
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
    Report { client: kiwi(), coordinates, stamp: Stamp::Server, attributes: Attributes::NONE }
}

fn nearby(around: Around<'_>) -> Nearby<'_> {
    Nearby { around, radius: Radius::parse_km(b"10").unwrap(), limit: 5, wish: None }
}

fn near(around: Around<'_>) -> Near<'_> {
    Near { around, radius_m: None, limit: Limit::new(10).unwrap() }
}

/// A handle that knows where the client "kiwi" is.
fn with_kiwi() -> Arc<Herd> {
    let herd = alone();
    let mut offers = [Offer::on(Condition::New, report())];
    herd.wake(herd.report(&caller(Rights::ALL), NOW_NS, &mut offers).unwrap());
    assert_eq!(offers[0].outcome, Outcome::Added);
    herd
}

#[tokio::test]
async fn who_lacks_a_right_gets_nothing_that_needs_it_and_all_the_rest() {
    let point = Around::Point(Point::new(34.0, -118.0).unwrap());
    let around = Around::Client(kiwi());
    // For each missing right, what is still allowed: report, locate, places around kiwi, places around a point, near,
    // forget, status, watch.
    for (rights, allowed) in [
        (Rights::ALL, [true; 8]),
        (Rights::NONE, [false; 8]),
        (Rights::of(&["operate"]), [true; 8]),
        (Rights::of(&["read:*", "places"]), [false, true, true, true, true, false, false, true]),
        (Rights::of(&["report:*", "places"]), [true, false, false, true, false, true, false, false]),
        (Rights::of(&["report:*", "read:*"]), [true, true, false, false, true, true, false, true]),
        (Rights::of(&["report:kiwi", "read:kiwi"]), [true, true, false, false, true, true, false, false]),
        (
            Rights::of(&["report:other", "read:ki*", "places"]),
            [false, true, true, true, true, false, false, false],
        ),
    ] {
        let (herd, caller) = (with_kiwi(), caller(rights));
        let mut offers = [Offer::new(report())];
        let is_ok = herd.report(&caller, NOW_NS, &mut offers).is_ok();
        let reported = offers[0].outcome.is_taken();
        assert!(is_ok || !reported, "who is denied changes nothing");
        let mut told = 0;
        let asked = [
            reported,
            herd.locate(&caller, NOW_NS, kiwi(), |_| told += 1).is_ok(),
            herd.nearby(&caller, NOW_NS, &nearby(around), |_| ()).is_ok(),
            herd.nearby(&caller, NOW_NS, &nearby(point), |_| ()).is_ok(),
            herd.near(&caller, NOW_NS, &near(point), Effort::ANY, |_| true).is_ok(),
            herd.forget(&caller, NOW_NS, kiwi()).is_ok(),
            herd.status(&caller).is_ok(),
            herd.watch(&caller, Watch::All, || ()).is_ok(),
        ];
        assert_eq!(asked, allowed, "{:?}", caller.rights);
        assert_eq!(told, u32::from(allowed[1]), "who is denied is told nothing");
        assert_eq!(herd.figures(&caller).is_ok(), allowed[6]);
        let is_forgotten = herd.locate(&self::caller(Rights::ALL), NOW_NS, kiwi(), |_| ()).unwrap().is_none();
        assert_eq!(is_forgotten, allowed[5], "who is denied changes nothing");
    }
}

#[tokio::test]
async fn a_question_about_places_tells_where_its_client_is_and_what_is_there() {
    let (herd, caller) = (with_kiwi(), caller(Rights::ALL));
    let mut told = Vec::new();
    let nearby = nearby(Around::Client(kiwi()));
    let looked = herd.nearby(&caller, NOW_NS, &nearby, |found| {
        told.push((found.client.to_vec(), found.coordinates, found.timestamp.nanos(), found.server.clone()));
    });
    let Ok(Some(Looked::AtHand(answered))) = looked else { panic!("{looked:?}") };
    assert_eq!((answered.outcome, answered.answer.status), (How::Fetched, AnswerStatus::Ok));
    assert!(!answered.answer.places.is_empty());
    assert_eq!(told, [(b"kiwi".to_vec(), report().coordinates, NOW_NS, herd.name().clone())]);
    let stranger = Nearby { around: Around::Client(ClientId::new(b"nobody").unwrap()), ..nearby };
    assert!(matches!(herd.nearby(&caller, NOW_NS, &stranger, |_| panic!("nobody is found")), Ok(None)));
    // A wish shapes the answer.
    let wish = Wish { keyword: Some("no place is called so".to_owned()), ..Wish::default() };
    let looked = herd.nearby(&caller, NOW_NS, &Nearby { wish: Some(&wish), ..nearby }, |_| ());
    let Ok(Some(Looked::AtHand(answered))) = looked else { panic!("{looked:?}") };
    assert_eq!(answered.answer.status, AnswerStatus::ZeroResults);
}

#[tokio::test]
async fn a_client_that_was_forgotten_is_neither_located_nor_near() {
    let (herd, caller) = (with_kiwi(), caller(Rights::ALL));
    let anywhere = near(Around::Point(Point::new(0.0, 0.0).unwrap()));
    let names = |herd: &Herd| -> Vec<Vec<u8>> {
        let found = herd.near(&caller, NOW_NS, &anywhere, Effort::ANY, |_| true).unwrap().unwrap();
        found.iter().map(|found| found.client().as_bytes().to_vec()).collect()
    };
    assert_eq!(names(&herd), [b"kiwi"]);
    assert_eq!(herd.forget(&caller, NOW_NS, kiwi()), Ok(true));
    assert_eq!(herd.forget(&caller, NOW_NS, kiwi()), Ok(false));
    assert_eq!(names(&herd), [b""; 0]);
    assert_eq!(herd.locate(&caller, NOW_NS, kiwi(), |_| ()), Ok(None));
    assert!(
        herd.near(&caller, NOW_NS, &near(Around::Client(kiwi())), Effort::ANY, |_| true).unwrap().is_none()
    );
}

#[tokio::test]
async fn a_server_without_links_is_ready_until_it_stops_or_is_removed() {
    let herd = alone();
    assert_eq!(herd.readiness(), Readiness::Ready);
    herd.set_removed(true);
    assert_eq!(herd.readiness(), Readiness::Removed);
    herd.drain();
    assert_eq!(herd.readiness(), Readiness::Stopping);
}
