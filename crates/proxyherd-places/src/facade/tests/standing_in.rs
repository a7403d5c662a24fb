//! Tests of the providers that are asked after the first provider has failed.

use super::*;

#[tokio::test(start_paused = true)]
async fn providers_are_asked_in_order_until_one_answers() {
    let first = Scripted::remote(&[fails(unavailable())]);
    let second = Scripted::new("second", true, &[fails(Failure::Denied("no".into()))]);
    let third = Scripted::local(&[found(2)]);
    let places = places_of(&[first, second, third], &config());
    let answered = places.ask(&query()).await;
    assert_eq!((answered.outcome, answered.provider), (LookupOutcome::Fallback, "local"));
    assert_eq!(answered.failure, Some(unavailable()));
    assert_eq!(counts(&places), [("fallback", 1)]);
}

#[tokio::test(start_paused = true)]
async fn where_all_fail_the_first_says_why() {
    let first = Scripted::remote(&[fails(Failure::Denied("no".into()))]);
    let second = Scripted::local(&[fails(unavailable())]);
    let places = places_of(&[first, second], &config());
    assert_eq!(told(&places, &query()).await.2, "REQUEST_DENIED");
    assert_eq!(counts(&places), [("failed", 1)]);
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_provider_that_stands_in_are_kept_as_its_own() {
    let first = Scripted::remote(&[fails(unavailable()), found(5)]);
    let second = Scripted::new("second", true, &[found(2)]);
    let places = places_of(&[first, Arc::clone(&second)], &config());
    assert_eq!(told(&places, &query()).await.1, 2);
    assert_eq!(told(&places, &query()).await.1, 5);
    assert_eq!(counts(&places), [("fetched", 1), ("fallback", 1)]);
}

#[tokio::test(start_paused = true)]
async fn all_that_hang_still_end_within_the_deadline() {
    let hang = |name| Scripted::new(name, true, &[hangs()]);
    let places = places_of(&[hang("a"), hang("b"), hang("c"), Scripted::local(&[found(1)])], &config());
    let (outcome, _, _, took) = told(&places, &query()).await;
    assert_eq!(outcome, LookupOutcome::Fallback);
    assert!(took < DEADLINE, "{took:?}");
}
