//! Retries, the breaker, the rate limit and the quota.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_again_and_nothing_else() {
    for (failure, is_retried) in [
        (unavailable(), true),
        (Failure::Unreadable("x".into()), true),
        (Failure::Late(Duration::ZERO), true),
        (Failure::BadQuery("x".into()), false),
        (Failure::Denied("x".into()), false),
        (Failure::OverLimit { retry_after: None }, false),
    ] {
        let provider = Scripted::remote(&[fails(failure.clone()), fails(failure.clone()), found(1)]);
        let places = places_of(&[Arc::clone(&provider)], &with_retries(2));
        let expected = if is_retried { LookupOutcome::Fetched } else { LookupOutcome::Failed };
        assert_eq!(outcome(&places).await, expected, "{failure:?}");
        assert_eq!(provider.requests(), if is_retried { 3 } else { 1 }, "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_have_an_end() {
    let provider = Scripted::remote(&[fails(unavailable())]);
    let places = places_of(&[Arc::clone(&provider)], &with_retries(2));
    let (outcome, _, _, took) = told(&places, &query()).await;
    assert_eq!((outcome, provider.requests()), (LookupOutcome::Failed, 3));
    // Three requests take 10 ms each. The two pauses are up to 100 and 200 ms long, and at least half as long.
    assert!((180..=331).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_leaves_time_to_ask_again() {
    let provider = Scripted::remote(&[hangs(), found(1)]);
    let places = places_of(&[Arc::clone(&provider)], &with_retries(1));
    let (outcome, _, _, took) = told(&places, &query()).await;
    assert_eq!((outcome, provider.requests()), (LookupOutcome::Fetched, 2));
    assert!(took < Duration::from_millis(2700), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_again_and_again_is_left_alone_and_then_tried_by_one() {
    let provider = Scripted::remote(&[fails(unavailable())]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    for _ in 0..100 {
        assert_eq!(outcome(&places).await, LookupOutcome::Failed);
    }
    assert_eq!(provider.requests(), 5);
    assert!(places.remotes()[0].is_left_alone);
    provider.turn_to(Step::After(100, Ok(1)));
    advance(Duration::from_secs(1)).await;
    // The questions differ, so that no question joins the flight of another question.
    let mut askers = JoinSet::new();
    for number in 0..10 {
        let places = Arc::clone(&places);
        askers.spawn(async move { told(&places, &query_of(f64::from(number) + 1.0)).await.0 });
    }
    let outcomes = askers.join_all().await;
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == LookupOutcome::Fetched).count(), 1);
    assert_eq!(provider.requests(), 6);
    assert!(!places.remotes()[0].is_left_alone);
    assert_eq!(told(&places, &query_of(99.0)).await.0, LookupOutcome::Fetched);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_stops_all_questions_and_is_told_to_each() {
    let refusal = Failure::Denied("the key has expired".into());
    let provider = Scripted::remote(&[fails(refusal.clone())]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    for number in 0..10 {
        let answered = places.ask(&query_of(f64::from(number) + 1.0)).await;
        assert_eq!(answered.failure, Some(refusal.clone()));
    }
    assert_eq!(provider.requests(), 1);
    advance(Duration::from_secs(60)).await;
    provider.turn_to(found(1));
    assert_eq!(outcome(&places).await, LookupOutcome::Fetched);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_was_asked_too_often_is_left_alone_for_as_long_as_it_says() {
    let limit = Failure::OverLimit { retry_after: Some(Duration::from_secs(30)) };
    let provider = Scripted::remote(&[fails(limit), found(1)]);
    let places = places_of(&[Arc::clone(&provider)], &config());
    for (seconds, status, requests) in [(0, "OVER_QUERY_LIMIT", 1), (29, "OVER_QUERY_LIMIT", 1), (1, "OK", 2)]
    {
        advance(Duration::from_secs(seconds)).await;
        assert_eq!(told(&places, &query()).await.2, status, "{seconds}");
        assert_eq!(provider.requests(), requests);
    }
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_once_why_a_provider_is_left_alone_and_once_that_it_answers_again() {
    let (heard, environment) = hearing();
    let provider = Scripted::remote(&[fails(unavailable())]);
    let places = observed(&[Arc::clone(&provider)], &config(), environment);
    let denied = Failure::Denied("the key has expired".into());
    let limit = Failure::OverLimit { retry_after: Some(Duration::from_secs(30)) };
    let mut radius_m = 1.0;
    for (step, questions) in [
        // Four more trial requests follow after the first pause, each after a longer pause.
        (fails(unavailable()), 5 + 4),
        (found(1), 2),
        (fails(denied.clone()), 1),
        (fails(denied), 1),
        (fails(limit), 1),
        (found(1), 1),
    ] {
        provider.turn_to(step);
        for _ in 0..questions {
            // A question with another radius is another question, which the cache cannot answer.
            radius_m += 1.0;
            told(&places, &query_of(radius_m)).await;
            advance(Duration::from_secs(61)).await;
        }
    }
    let events = heard.0.lock();
    let [failing, again, denied, limit, and_again] = &events[..] else { panic!("{events:?}") };
    assert!(
        failing.starts_with("opened for ") && failing.ends_with(" s: Failing: Unavailable(\"gone\")"),
        "{failing}"
    );
    assert_eq!((again.as_str(), and_again.as_str()), ("closed", "closed"));
    assert_eq!(denied, "opened for 60.0 s: Denied: Denied(\"the key has expired\")");
    assert_eq!(limit, "opened for 30.0 s: OverLimit: OverLimit { retry_after: Some(30s) }");
}

#[tokio::test(start_paused = true)]
async fn no_second_sees_more_requests_than_it_may() {
    let provider = Scripted::remote(&[found(1)]);
    let requests = RequestSettings { per_second: 5, ..config().requests };
    let places = places_of(&[Arc::clone(&provider)], &Settings { requests, ..config() });
    let mut statuses = Vec::new();
    for number in 0..8 {
        statuses.push(told(&places, &query_of(f64::from(number) + 1.0)).await.2);
    }
    assert_eq!(statuses[4..], ["OK", "OVER_QUERY_LIMIT", "OVER_QUERY_LIMIT", "OVER_QUERY_LIMIT"]);
    assert!(!places.remotes()[0].is_left_alone, "refused requests say nothing about the provider");
    advance(Duration::from_secs(1)).await;
    assert_eq!(outcome(&places).await, LookupOutcome::Fetched);
    let refused = &places.remotes()[0].refused;
    assert!(refused.contains(&("rate", 3)), "{refused:?}");
}

/// A quota of this number of requests, which remembers whether any request was ever taken.
struct Few(AtomicU64, AtomicBool);

impl Quota for Few {
    fn take(&self, _now_ns: u64) -> bool {
        self.1.store(true, SeqCst);
        self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_taken_from_the_quota_and_none_is_made_without() {
    let provider = Scripted::remote(&[fails(unavailable())]);
    let quota = Arc::new(Few(AtomicU64::new(2), AtomicBool::default()));
    let first: Arc<dyn Provider> = Arc::<Scripted>::clone(&provider);
    let shared = Arc::clone(&quota) as Arc<dyn Quota>;
    let places = Places::with(first, vec![], &with_retries(5), shared, silent());
    assert_eq!(told(&places, &query()).await.2, "UNKNOWN_ERROR");
    assert_eq!(provider.requests(), 2);
    assert_eq!(told(&places, &query()).await.2, "OVER_QUERY_LIMIT");
    assert_eq!(provider.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_makes_no_sense_costs_nothing_and_tells_nothing_of_the_provider() {
    let provider = Scripted::remote(&[fails(Failure::Denied("the key has expired".into()))]);
    let quota = Arc::new(Few(AtomicU64::new(2), AtomicBool::default()));
    let (first, shared) = (Arc::<Scripted>::clone(&provider), Arc::clone(&quota));
    let places = Places::with(first, vec![], &config(), shared, silent());
    let no_sense = query().wishing(Wish { page_token: Some("x".into()), ..Wish::default() });
    let is_bad = async || matches!(places.ask(&no_sense).await.failure, Some(Failure::BadQuery(_)));
    for _ in 0..10 {
        assert!(is_bad().await);
    }
    assert!(!quota.1.load(SeqCst));
    outcome(&places).await;
    advance(Duration::from_secs(61)).await;
    assert!(is_bad().await);
    assert!(places.remotes()[0].is_left_alone, "a refused question is no trial request");
    assert_eq!(provider.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_this_machine_needs_no_quota() {
    let quota = Arc::new(Few(AtomicU64::new(0), AtomicBool::default()));
    let first: Arc<dyn Provider> = Scripted::local(&[found(1)]);
    let shared = Arc::clone(&quota) as Arc<dyn Quota>;
    let places = Places::with(first, vec![], &config(), shared, silent());
    assert_eq!(outcome(&places).await, LookupOutcome::Fetched);
    assert!(!quota.1.load(SeqCst));
}
