//! Tests that all callers that ask the same question at the same time share one request, even if callers go away or
//! requests fail.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_at_once_cost_one_request() {
    let provider = Scripted::remote(&[found(3)]);
    // The cache keeps nothing, so that only the flight can be shared.
    let config = Settings { cache: CacheSettings { max_bytes: 0, ..config().cache }, ..config() };
    let places = places_of(&[Arc::clone(&provider)], &config);
    let mut askers = JoinSet::new();
    for _ in 0..1000 {
        let places = Arc::clone(&places);
        askers.spawn(async move { asked(&places, 5).await });
    }
    for answer in askers.join_all().await {
        assert_eq!(answer["results"].as_array().unwrap().len(), 3);
    }
    assert_eq!(provider.requests(), 1);
    assert_eq!(counts(&places), [("joined", 999), ("fetched", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_all_who_wait_and_then_forgotten() {
    let provider = Scripted::remote(&[fails(unavailable()), found(3)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let (one, other) = tokio::join!(outcome(&places), outcome(&places));
    assert_eq!((one, other), (LookupOutcome::Failed, LookupOutcome::Failed));
    assert_eq!(provider.requests(), 1);
    assert_eq!(outcome(&places).await, LookupOutcome::Fetched);
}

#[tokio::test(start_paused = true)]
async fn an_asker_that_goes_away_takes_nothing_from_the_others() {
    let provider = Scripted::remote(&[Step::After(1000, Ok(3))]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let first = tokio::spawn({
        let places = Arc::clone(&places);
        async move { outcome(&places).await }
    });
    eventually_yielding("the provider is asked", || provider.requests() > 0).await;
    first.abort();
    assert_eq!(told(&places, &query()).await.0, LookupOutcome::Joined);
    assert_eq!(provider.requests(), 1);
    assert_eq!(counts(&places), [("joined", 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_serves_who_asks_later_though_its_asker_went_away() {
    let provider = Scripted::remote(&[Step::After(1000, Ok(3))]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let impatient = tokio::time::timeout(Duration::from_millis(1), places.ask(&query())).await;
    assert!(impatient.is_err());
    advance(Duration::from_secs(2)).await;
    settle().await;
    assert_eq!(outcome(&places).await, LookupOutcome::Hit);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_fails_its_askers_at_once() {
    let provider = Scripted::remote(&[Step::Panics, found(1)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let (outcome, _, status, took) = told(&places, &query()).await;
    assert_eq!((outcome, status), (LookupOutcome::Failed, "UNKNOWN_ERROR"));
    assert_eq!(took, Duration::ZERO);
    assert_eq!(told(&places, &query()).await.0, LookupOutcome::Fetched);
    assert_eq!(places.remotes()[0].flying, 0);
}

#[tokio::test(start_paused = true)]
async fn who_joins_late_has_a_deadline_of_its_own() {
    let provider = Scripted::remote(&[hangs()]);
    let places = places_of(&[provider, Scripted::local(&[found(2)])], &config());
    let early = tokio::spawn({
        let places = Arc::clone(&places);
        async move { told(&places, &query()).await }
    });
    sleep(Duration::from_secs(3)).await;
    let (outcome, _, _, took) = told(&places, &query()).await;
    // The flight ends at its own deadline, so this caller waits for a shorter time.
    assert_eq!((outcome, took), (LookupOutcome::Fallback, Duration::from_millis(2010)));
    assert_eq!(early.await.unwrap().0, LookupOutcome::Fallback);
}

#[tokio::test(start_paused = true)]
async fn more_than_there_may_be_at_once_are_turned_away() {
    let provider = Scripted::remote(&[Step::After(1000, Ok(1))]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    let most = proxyherd_core::limits::FLIGHTS_MAX;
    let mut askers = JoinSet::new();
    for number in 0..most + 1 {
        let places = Arc::clone(&places);
        askers.spawn(async move { told(&places, &query_of(number as f64 + 1.0)).await.2 });
    }
    let statuses = askers.join_all().await;
    assert_eq!(statuses.iter().filter(|&&status| status == "OVER_QUERY_LIMIT").count(), 1);
    assert_eq!(provider.requests(), most);
}

#[tokio::test(start_paused = true)]
async fn a_stop_breaks_flights_off() {
    let provider = Scripted::remote(&[hangs()]);
    let places = places_of(&[provider], &config());
    let start = Instant::now();
    let query = query();
    let (answer, ()) = tokio::join!(told(&places, &query), async {
        yield_now().await;
        places.stop().await;
    });
    assert_eq!((answer.0, start.elapsed()), (LookupOutcome::Failed, Duration::ZERO));
    assert_eq!(told(&places, &query).await.3, Duration::ZERO);
}
