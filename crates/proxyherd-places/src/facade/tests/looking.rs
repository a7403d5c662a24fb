//! Tests of the cost of a question: one look into the cache, and at most one task.

use std::sync::atomic::Ordering::Acquire;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::*;
use crate::facade::single_flight::{Joining, RemoteProvider};

fn looks(places: &Places) -> u64 {
    places.network.cache.looks.load(SeqCst)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn waits(looked: Looked) -> Question {
    match looked {
        Looked::Waits(question) => *question,
        Looked::AtHand(answered) => panic!("{answered:?} is at hand"),
    }
}

/// Waits for a question as a thread without a runtime does.
fn awaited(question: Question) -> oneshot::Receiver<Answered> {
    let (tell, told) = oneshot::channel();
    question.then(|answered| drop(tell.send(answered)));
    told
}

#[tokio::test(start_paused = true)]
async fn a_question_looks_once_however_it_goes() {
    let provider = Scripted::remote(&[found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let mut expected = 0;
    for (step, wait_s, outcomes) in [
        (found(3), 0, &[LookupOutcome::Fetched, LookupOutcome::Hit, LookupOutcome::Hit][..]),
        // The answer is old, and a flight renews it.
        (found(3), 301, &[LookupOutcome::Stale]),
        (found(3), 1, &[LookupOutcome::Hit]),
        // The answer is a last resort, and the provider fails.
        (fails(unavailable()), 901, &[LookupOutcome::Stale]),
        // The breaker of the provider is open.
        (fails(Failure::Denied("no".into())), 1, &[LookupOutcome::Stale, LookupOutcome::Stale]),
        (fails(unavailable()), 4000, &[LookupOutcome::Failed]),
    ] {
        provider.turn_to(step);
        advance(Duration::from_secs(wait_s)).await;
        for &wanted in outcomes {
            assert_eq!(outcome(&places).await, wanted);
            expected += 1;
            assert_eq!(looks(&places), expected, "{wanted:?} after {wait_s} s");
            settle().await;
        }
    }
    assert_eq!(provider.requests(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_door_s_question_looks_once_whether_it_waits_or_not() {
    let provider = Scripted::remote(&[found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    for looked in 1..4 {
        asked(&places, 5).await;
        assert_eq!(looks(&places), looked);
    }
    assert_eq!(counts(&places), [("hit", 2), ("fetched", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_waits_costs_one_task_and_one_at_hand_none() {
    let provider = Scripted::remote(&[found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let before = tasks();
    let first = awaited(waits(places.look(query(), 5)));
    assert_eq!(tasks(), before + 1, "the question and its flight");
    let second = awaited(waits(places.look(query(), 5)));
    assert_eq!(tasks(), before + 2, "the one that joins it");
    assert_eq!(first.await.unwrap().outcome, LookupOutcome::Fetched);
    assert_eq!(second.await.unwrap().outcome, LookupOutcome::Joined);
    settle().await;
    assert_eq!(tasks(), before);
    assert!(matches!(places.look(query(), 5), Looked::AtHand(_)));
    assert_eq!(tasks(), before);
    assert_eq!((provider.requests(), looks(&places)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn what_no_other_provider_can_mend_is_told_without_a_task() {
    let provider = Scripted::remote(&[fails(Failure::Denied("no".into()))]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    outcome(&places).await;
    let before = tasks();
    let Looked::AtHand(answered) = places.look(query(), 5) else { panic!("it is left alone") };
    assert_eq!((answered.outcome, tasks()), (LookupOutcome::Failed, before));
    assert_eq!(counts(&places), [("failed", 2)]);
    // If there is another provider, that provider is asked.
    let places = places_of(&[provider, Scripted::local(&[found(2)])], &config());
    assert_eq!(outcome(&places).await, LookupOutcome::Fallback);
    let question = waits(places.look(query(), 5));
    assert_eq!(awaited(question).await.unwrap().outcome, LookupOutcome::Fallback);
    assert_eq!(counts(&places), [("fallback", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_flight_flies_though_its_question_was_dropped_before_it_waited() {
    let provider = Scripted::remote(&[Step::After(1000, Ok(3))]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let begun = waits(places.look(query(), 5));
    let joined = awaited(waits(places.look(query(), 5)));
    assert_eq!(provider.requests(), 0, "nothing flies yet");
    drop(begun);
    let answered = joined.await.unwrap();
    assert_eq!((answered.outcome, answered.answer.places.len()), (LookupOutcome::Joined, 3));
    assert_eq!((provider.requests(), places.remotes()[0].flying), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_ends_neither_the_question_nor_its_task() {
    let provider = Scripted::remote(&[Step::Panics, found(1)]);
    let places = places_of(&[provider], &config());
    assert_eq!(asked(&places, 5).await["status"], "UNKNOWN_ERROR");
    assert_eq!(asked(&places, 5).await["status"], "OK");
    assert_eq!(places.remotes()[0].flying, 0);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_gave_a_provider_up_leaves_its_flight_to_the_others() {
    let provider = Scripted::remote(&[Step::After(4900, Ok(3))]);
    let places = places_of(&[Arc::clone(&provider), Scripted::local(&[found(1)])], &config());
    let early = awaited(waits(places.look(query(), 5)));
    assert_eq!(early.await.unwrap().outcome, LookupOutcome::Fallback);
    assert_eq!(places.remotes()[0].flying, 1);
    assert_eq!(outcome(&places).await, LookupOutcome::Joined);
    assert_eq!(provider.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_between_the_look_and_the_flight_is_found() {
    let provider = Scripted::remote(&[found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let FallbackMember::Remote(remote) = places.chain.first() else { panic!("it is over the network") };
    let (key, ended) = (remote.key(&query()), remote.ended.load(Acquire));
    outcome(&places).await;
    let join = |ended| RemoteProvider::join_or_start(remote, &key, &query(), ended);
    assert!(matches!(join(ended), Ok(Joining::Cached(_))), "a flight has ended since");
    let now = remote.ended.load(Acquire);
    assert!(now > ended);
    assert!(
        matches!(join(now), Ok(Joining::Started(..))),
        "the question has looked after every flight that has ended"
    );
}
