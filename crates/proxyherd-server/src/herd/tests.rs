//! Tests of what doors may ask, and of callers' rights.

use std::{num::NonZeroU32, path::Path};

use proxyherd_config::{
    config::{Config, Overrides},
    door_kind::DoorKind,
};
use proxyherd_core::{
    access::{Scopes, TokenId},
    command::{Condition, Limit, Outcome},
    limits::TOMBSTONE_TTL_NS,
    places::{AnswerStatus, Point, Wish},
    replica::Offer,
    types::{Attributes, AttributesBuf, Coordinates, Radius, Report, Stamp, Timestamp},
};
use proxyherd_streams::{StreamFilter, StreamKinds};

use super::*;
use crate::{
    access::{Grant, NewToken},
    caller::Rights,
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

fn stream_of_all() -> StreamRequest {
    let filter = StreamFilter { ids: vec![IdPattern::all()], ..StreamFilter::default() };
    StreamRequest { filter, kinds: StreamKinds::default(), last_event_id: None }
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
    // forget, status, a stream of all.
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
            herd.stream(&caller, NOW_NS, stream_of_all(), || ()).is_ok(),
        ];
        assert_eq!(asked, allowed, "{:?}", caller.rights);
        assert_eq!(told, u32::from(allowed[1]), "who is denied is told nothing");
        assert_eq!(herd.figures(&caller).is_ok(), allowed[6]);
        let is_forgotten = herd.locate(&self::caller(Rights::ALL), NOW_NS, kiwi(), |_| ()).unwrap().is_none();
        assert_eq!(is_forgotten, allowed[5], "who is denied changes nothing");
    }
}

/// A token with these limits, as a caller.
fn limited(clients_max: Option<u64>, rate: Option<u32>) -> Caller {
    caller(Rights::Token(Arc::new(Grant::with_limits(clients_max, rate))))
}

fn report_of(herd: &Herd, caller: &Caller, now_ns: u64, id: &str, condition: Condition) -> Outcome {
    let client = ClientId::new(id.as_bytes()).unwrap();
    let mut offers = [Offer::on(condition, Report { client, ..report() })];
    herd.wake(herd.report(caller, now_ns, &mut offers).unwrap());
    offers[0].outcome
}

#[tokio::test]
async fn forgetting_clients_makes_no_room_for_others_until_the_tombstones_are_gone() {
    let (herd, token) = (alone(), limited(Some(2), None));
    let report = |now_ns, id: &str| report_of(&herd, &token, now_ns, id, Condition::Always);
    let grant = token.rights.grant().unwrap();
    let recheck = |now_ns| {
        herd.replica.sweep(now_ns, usize::MAX);
        grant.sweep(usize::MAX, |id| herd.replica.holds(ClientId::new(id).unwrap()));
    };
    for round in 0..3 {
        let now_ns = NOW_NS + round;
        let rounds = ["a", "b"].map(|id| report(now_ns, id).is_taken());
        assert_eq!(rounds, [true, true], "what the token has forgotten, it may report again");
        assert_eq!(report_of(&herd, &token, now_ns, "c", Condition::New), Outcome::TokenFull);
        for id in ["a", "b"] {
            assert_eq!(herd.forget(&token, now_ns, ClientId::new(id.as_bytes()).unwrap()), Ok(true));
        }
        recheck(now_ns);
        assert_eq!(report(now_ns, "c"), Outcome::TokenFull);
    }
    assert_eq!(herd.replica.len(), 2);
    let refused = herd.figures(&caller(Rights::ALL)).unwrap().refused;
    assert_eq!((refused.token_full, refused.total()), (6, 6), "each refusal counts once, by its reason");
    let later_ns = NOW_NS + 2 * TOMBSTONE_TTL_NS;
    recheck(later_ns);
    assert_eq!(report(later_ns, "c"), Outcome::Added);
}

#[tokio::test]
async fn of_a_batch_above_the_rate_of_its_token_the_newest_reports_are_taken() {
    let (herd, token) = (alone(), limited(None, Some(70)));
    let times: Vec<String> = (1000..1200).map(|time| time.to_string()).collect();
    let stamp = |time: &String| Stamp::Client(Timestamp::parse(time.as_bytes()).unwrap());
    let batch: Vec<_> =
        times.iter().map(|time| Offer::in_batch(Report { stamp: stamp(time), ..report() })).collect();
    let mut offers = batch.clone();
    herd.wake(herd.report_batch(&token, NOW_NS, &mut offers).unwrap());
    let outcomes: Vec<_> = offers.iter().map(|offer| offer.outcome).collect();
    assert_eq!(outcomes[..130], [Outcome::TooFast; 130]);
    assert_eq!((outcomes[130], &outcomes[131..]), (Outcome::Added, &[Outcome::Moved; 69][..]));
    let figures = herd.figures(&caller(Rights::ALL)).unwrap();
    assert_eq!((figures.refused.too_fast, figures.refused.total()), (130, 130));
    let (_, by_line) = &figures.reports[DoorKind::Line as usize];
    assert_eq!((by_line.accepted, by_line.stale, by_line.rejected), (70, 0, 130));
    // Nothing is left of the rate, so nothing is taken.
    offers = batch;
    herd.wake(herd.report_batch(&token, NOW_NS, &mut offers).unwrap());
    assert!(offers.iter().all(|offer| offer.outcome == Outcome::TooFast));
    let nobody = caller(Rights::NONE);
    assert_eq!(herd.report_batch(&nobody, NOW_NS, &mut offers).map(drop), Err(Denied::Report));
}

#[tokio::test]
async fn a_token_with_room_does_not_remember_clients_that_are_gone() {
    let access = format!("[access]\ntokens = \"on\"\noperator_token_sha256 = \"{}\"", "0".repeat(64));
    let herd = alone_with(&format!("client_ttl_s = 90\n{access}"));
    let new = NewToken {
        scopes: Scopes::operate(),
        name: String::new(),
        expires_s: None,
        is_latest_only: false,
        clients_max: Some(1000),
        rate: None,
    };
    let operator = caller(Rights::of(&["operate"]));
    let (text, _) = herd.make_token(&operator, NOW_NS, new).unwrap();
    let rights = herd.authenticate(NOW_NS, DoorKind::Line, operator.address, text.reveal().as_bytes());
    let token = caller(rights.unwrap());
    let grant = token.rights.grant().unwrap();
    assert_eq!(report_of(&herd, &token, NOW_NS, "kiwi", Condition::Always), Outcome::Added);
    herd.tokens.recheck(NOW_NS);
    assert!(grant.has_added(b"kiwi"));
    let later_ns = NOW_NS + 200_000_000_000;
    herd.replica.sweep(later_ns, usize::MAX);
    herd.tokens.recheck(later_ns);
    assert!(grant.is_valid(later_ns) && !grant.has_added(b"kiwi"));
}

#[tokio::test]
async fn with_tokens_off_only_the_operators_token_may_operate_tokens() {
    let herd = alone();
    assert!(!herd.are_tokens_on());
    let is_denied = |caller: &Caller| {
        let id = TokenId::parse("nobody").unwrap();
        let new = NewToken {
            scopes: Scopes::operate(),
            name: String::new(),
            expires_s: None,
            is_latest_only: false,
            clients_max: None,
            rate: None,
        };
        let made = herd.make_token(caller, NOW_NS, new).map(drop);
        let denied = [
            matches!(made, Err(TokenRefusal::Denied(Denied::NoOperator))),
            matches!(herd.tokens(caller, NOW_NS), Err(Denied::NoOperator)),
            matches!(herd.revoke_token(caller, NOW_NS, &id), Err(TokenRefusal::Denied(Denied::NoOperator))),
        ];
        assert!(denied == [true; 3] || denied == [false; 3], "{denied:?}");
        denied[0]
    };
    assert!(is_denied(&caller(Rights::ALL)));
    assert!(is_denied(&limited(None, None)), "another token that may operate");
    assert!(!is_denied(&caller(Rights::of(&["operate"]))), "the operator's token has no ID");
}

#[tokio::test]
async fn a_client_whose_report_is_hidden_takes_room() {
    let (herd, token) = (alone(), limited(Some(1), None));
    let mut attributes = AttributesBuf::default();
    attributes.set_ttl_s(NonZeroU32::MIN).unwrap();
    let mut offers = [Offer::new(Report { attributes: attributes.borrow(), ..report() })];
    herd.wake(herd.report(&token, NOW_NS, &mut offers).unwrap());
    assert_eq!(offers[0].outcome, Outcome::Added);
    let later_ns = NOW_NS + 2_000_000_000;
    assert_eq!(herd.locate(&caller(Rights::ALL), later_ns, kiwi(), |_| ()), Ok(None));
    token.rights.grant().unwrap().sweep(usize::MAX, |id| herd.replica.holds(ClientId::new(id).unwrap()));
    assert_eq!(report_of(&herd, &token, later_ns, "other", Condition::Always), Outcome::TokenFull);
}

#[tokio::test]
async fn reports_requests_to_forget_and_questions_about_places_share_one_rate() {
    let herd = with_kiwi();
    let places =
        |token: &Caller| herd.nearby(token, NOW_NS, &nearby(Around::Client(kiwi())), |_| ()).map(drop);
    let forget = |token: &Caller| herd.forget(token, NOW_NS, kiwi()).map(drop);
    let report = |token: &Caller| match report_of(&herd, token, NOW_NS, "kiwi", Condition::Always) {
        Outcome::TooFast => Err(Denied::TooFast),
        _ => Ok(()),
    };
    let done = |token: &Caller, what: u8| match what {
        0 => places(token),
        1 => forget(token),
        _ => report(token),
    };
    for first in 0..3 {
        let token = limited(None, Some(1));
        assert_eq!(done(&token, first), Ok(()));
        assert_eq!([0, 1, 2].map(|second| done(&token, second)), [Err(Denied::TooFast); 3]);
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
