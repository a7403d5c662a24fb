//! Tests that every answer is well formed and comes within the deadline.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_given_up_at_the_deadline() {
    for provider in [Scripted::local(&[hangs()]), Scripted::remote(&[hangs()])] {
        for config in [config(), with_retries(2)] {
            let places = places_of(&[Arc::clone(&provider)], &config);
            let start = Instant::now();
            let answer = asked(&places, 5).await;
            assert_eq!(start.elapsed(), DEADLINE);
            assert_eq!(answer["status"], "UNKNOWN_ERROR");
            assert_eq!(answer["error_message"], "the places provider did not answer within 5000 ms");
            assert_eq!(answer["results"], Value::Array(vec![]));
            assert_eq!(counts(&places), [("failed", 1)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_just_before_the_deadline_counts() {
    for is_remote in [false, true] {
        let provider = Scripted::new("slow", is_remote, &[Step::After(4999, Ok(7))]);
        let places = places_of(&[provider], &config());
        let answer = asked(&places, 5).await;
        assert_eq!(answer["status"], "OK");
        assert_eq!(answer["results"].as_array().unwrap().len(), 5);
        assert_eq!(counts(&places), [("fetched", 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_a_well_formed_answer() {
    for is_remote in [false, true] {
        let failure = Failure::Denied("no such key".into());
        let places = places_of(&[Scripted::new("strict", is_remote, &[fails(failure)])], &config());
        let answer = asked(&places, 5).await;
        assert_eq!(answer["status"], "REQUEST_DENIED");
        assert_eq!(answer["error_message"], "the places provider refused this server: no such key");
        assert_eq!(counts(&places), [("failed", 1)]);
    }
}

#[test]
fn a_provider_that_has_to_wait_appends_nothing_now() {
    for provider in [Scripted::local(&[found(1)]), Scripted::remote(&[found(1)])] {
        let places = places_of(&[provider], &config());
        let mut out = b"AT\n".to_vec();
        assert!(!places.answer_now(&query(), 5, &mut out));
        assert_eq!(out, b"AT\n");
        assert_eq!(counts(&places), []);
    }
}

#[tokio::test]
async fn the_embedded_provider_answers_now_up_to_the_limit() {
    let places = Places::with(Arc::new(Embedded), vec![], &config(), Arc::new(Unlimited), silent());
    assert_eq!(places.provider_name(), "embedded");
    for (limit, count) in [(0, 0), (1, 1), (5, 5), (20, 15), (99, 15)] {
        let mut out = Vec::new();
        assert!(places.answer_now(&query(), limit, &mut out));
        let answer: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(answer["status"], "OK", "{limit}");
        assert_eq!(answer["results"].as_array().unwrap().len(), count, "{limit}");
        assert_eq!(asked(&places, limit).await, answer);
    }
    assert_eq!(counts(&places), [("fetched", 10)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_leaves_time_for_the_one_that_stands_in() {
    for (primary_ms, fallback_ms, expected) in [
        (4749, 0, LookupOutcome::Fetched),
        (4751, 0, LookupOutcome::Fallback),
        (99_999, 249, LookupOutcome::Fallback),
    ] {
        let primary = Scripted::remote(&[Step::After(primary_ms, Ok(3))]);
        let fallback = Scripted::local(&[Step::After(fallback_ms, Ok(2))]);
        let places = places_of(&[primary, fallback], &config());
        let (outcome, _, status, took) = told(&places, &query()).await;
        assert_eq!((outcome, status), (expected, "OK"), "{primary_ms} {fallback_ms}");
        assert!(took <= DEADLINE);
    }
}
