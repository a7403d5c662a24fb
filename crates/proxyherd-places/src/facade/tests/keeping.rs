//! Tests of answers that are new, old or a last resort, of answers without places, and of answers that questions from
//! nearby points share.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_answer_is_given_again_without_waiting() {
    let provider = Scripted::remote(&[found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let first = places.ask(&query()).await;
    assert_eq!((first.age, first.ttl_s()), (None, Some(300)));
    advance(Duration::from_secs(100)).await;
    let mut out = Vec::new();
    assert!(places.answer_now(&query(), 2, &mut out));
    let answer: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    let again = places.ask(&query()).await;
    assert_eq!((again.outcome, again.ttl_s(), again.provider), (LookupOutcome::Hit, Some(200), "remote"));
    assert!(Arc::ptr_eq(&first.answer, &again.answer));
    assert_eq!(provider.requests(), 1);
    assert_eq!(counts(&places), [("hit", 2), ("fetched", 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_given_at_once_and_renewed_once() {
    let provider = Scripted::remote(&[found(3), found(4)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    outcome(&places).await;
    advance(Duration::from_secs(301)).await;
    for _ in 0..10 {
        let mut out = Vec::new();
        assert!(places.answer_now(&query(), 20, &mut out));
        let old = places.ask(&query()).await;
        assert_eq!((old.outcome, old.answer.places.len(), old.ttl_s()), (LookupOutcome::Stale, 3, Some(-1)));
        assert_eq!(old.failure, None);
    }
    settle().await;
    assert_eq!(provider.requests(), 2);
    let (outcome, count, ..) = told(&places, &query()).await;
    assert_eq!((outcome, count), (LookupOutcome::Hit, 4));
    assert_eq!(counts(&places), [("hit", 1), ("stale", 20), ("fetched", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_the_old_answer() {
    let provider = Scripted::remote(&[found(3), fails(unavailable())]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    outcome(&places).await;
    advance(Duration::from_secs(301)).await;
    assert_eq!(outcome(&places).await, LookupOutcome::Stale);
    settle().await;
    assert_eq!(outcome(&places).await, LookupOutcome::Stale);
    settle().await;
    assert_eq!(provider.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_last_resort_is_given_only_where_the_provider_fails() {
    for (step, took_ms, fallback) in [
        (fails(unavailable()), 10, false),
        (hangs(), 5000, false),
        (fails(Failure::Denied("no".into())), 10, false),
        (fails(Failure::OverLimit { retry_after: None }), 10, false),
        // The old answer also comes before the fallback provider.
        (fails(unavailable()), 10, true),
    ] {
        let provider = Scripted::remote(&[found(3), step]);
        let mut chain = vec![Arc::clone(&provider)];
        chain.extend(fallback.then(|| Scripted::local(&[found(1)])));
        let places = places_of(&chain, &config());
        outcome(&places).await;
        advance(Duration::from_secs(901)).await;
        let start = Instant::now();
        let answered = places.ask(&query()).await;
        assert_eq!((answered.outcome, answered.answer.places.len()), (LookupOutcome::Stale, 3));
        assert!(answered.failure.is_some());
        assert_eq!(start.elapsed(), Duration::from_millis(took_ms));
        provider.turn_to(found(5));
        advance(Duration::from_secs(70)).await;
        let (outcome, count, ..) = told(&places, &query()).await;
        assert_eq!((outcome, count), (LookupOutcome::Fetched, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_no_resort() {
    let places = places_of(&[Scripted::remote(&[found(3), fails(unavailable())])], &config());
    outcome(&places).await;
    advance(Duration::from_secs(3901)).await;
    assert_eq!(outcome(&places).await, LookupOutcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_makes_no_sense_is_told_so_and_asked_again() {
    let refusal = Failure::BadQuery("no such type".into());
    let provider = Scripted::remote(&[found(3), fails(refusal)]);
    let places = places_of(&[Arc::clone(&provider), Scripted::local(&[found(1)])], &config());
    outcome(&places).await;
    advance(Duration::from_secs(901)).await;
    for _ in 0..20 {
        assert_eq!(told(&places, &query()).await.2, "INVALID_REQUEST");
    }
    assert_eq!(provider.requests(), 21);
}

#[tokio::test(start_paused = true)]
async fn that_nothing_is_there_is_remembered_briefly() {
    let provider = Scripted::remote(&[found(0)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    for (seconds, expected) in [
        (0, LookupOutcome::Fetched),
        (59, LookupOutcome::Hit),
        (1, LookupOutcome::Fetched),
        (1, LookupOutcome::Hit),
    ] {
        advance(Duration::from_secs(seconds)).await;
        let (outcome, _, status, _) = told(&places, &query()).await;
        assert_eq!((outcome, status), (expected, "ZERO_RESULTS"), "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_this_machine_is_not_kept() {
    let provider = Scripted::local(&[found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    for _ in 0..3 {
        let answered = places.ask(&query()).await;
        assert_eq!((answered.outcome, answered.ttl_s()), (LookupOutcome::Fetched, None));
    }
    assert_eq!((provider.requests(), places.kept()), (3, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn neighbors_share_an_answer_where_the_operator_says_so() {
    for (snap_m, requests) in [(0, 2), (100, 1)] {
        let config = Settings { cache: CacheSettings { snap_m, ..config().cache }, ..config() };
        let provider = Scripted::remote(&[found(3)]);
        let places = places_of(&[Arc::clone(&provider)], &config);
        let middle = proxyherd_core::places::Grid::new(100).unwrap().moved(&query());
        let mut beside = middle.clone();
        beside.latitude += 1e-4;
        places.ask(&middle).await;
        places.ask(&beside).await;
        assert_eq!(provider.requests(), requests);
        assert_eq!(provider.asked.lock().last(), Some(if snap_m == 0 { &beside } else { &middle }));
    }
}

#[tokio::test]
async fn a_thread_without_a_runtime_is_answered_and_has_the_answer_renewed() {
    let short = CacheSettings { fresh: Duration::from_nanos(1), ..config().cache };
    let provider = Scripted::remote(&[found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &Settings { cache: short, ..config() });
    outcome(&places).await;
    let asking = Arc::clone(&places);
    let thread = std::thread::spawn(move || asking.answer_now(&query(), 5, &mut Vec::new()));
    assert!(thread.join().unwrap());
    assert_eq!(counts(&places), [("stale", 1), ("fetched", 1)]);
    eventually_yielding("the answer is renewed", || provider.requests() == 2).await;
}
