//! Tests of the whole facade in paused time, with providers that answer by a script.

mod asking;
mod deadline;
mod keeping;
mod looking;
mod one_request;
mod standing_in;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;
use proxyherd_core::places::{Geometry, Place, Point, Viewport, Wish};
use serde_json::Value;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::provider::{Embedded, Pending};
use crate::{CacheSettings, Observer, PlacesEvent, RequestSettings, Unlimited};

/// Waits until `is_so`, in a runtime of one thread whose time may be paused: between two checks the other tasks
/// continue.
async fn eventually_yielding(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "this never came: {what}");
        yield_now().await;
    }
}

const DEADLINE: Duration = Duration::from_millis(5000);

/// A provider that answers by a script: each request takes the next step. The last step is repeated.
struct Scripted {
    name: &'static str,
    is_remote: bool,
    steps: Mutex<VecDeque<Step>>,
    asked: Mutex<Vec<Query>>,
}

#[derive(Clone)]
enum Step {
    /// This number of places, or a failure, after this many milliseconds.
    After(u64, Result<usize, Failure>),
    Panics,
}

fn found(places: usize) -> Step {
    Step::After(10, Ok(places))
}

fn fails(failure: Failure) -> Step {
    Step::After(10, Err(failure))
}

fn unavailable() -> Failure {
    Failure::Unavailable("gone".into())
}

fn hangs() -> Step {
    Step::After(u64::MAX / 1_000_000, Ok(1))
}

impl Scripted {
    fn new(name: &'static str, is_remote: bool, steps: &[Step]) -> Arc<Scripted> {
        let steps = Mutex::new(steps.iter().cloned().collect());
        Arc::new(Scripted { name, is_remote, steps, asked: Mutex::default() })
    }

    fn remote(steps: &[Step]) -> Arc<Scripted> {
        Scripted::new("remote", true, steps)
    }

    fn local(steps: &[Step]) -> Arc<Scripted> {
        Scripted::new("local", false, steps)
    }

    fn requests(&self) -> usize {
        self.asked.lock().len()
    }

    fn turn_to(&self, step: Step) {
        *self.steps.lock() = VecDeque::from([step]);
    }
}

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// It knows no pages.
    fn check(&self, query: &Query) -> Result<(), Failure> {
        let has_page = query.wish.as_ref().is_some_and(|wish| wish.page_token.is_some());
        if has_page { Err(Failure::BadQuery("no pages".into())) } else { Ok(()) }
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        self.asked.lock().push(query.clone());
        let mut steps = self.steps.lock();
        let next = if steps.len() > 1 { steps.pop_front() } else { steps.front().cloned() };
        Box::pin(async move {
            match next.expect("a script has a step") {
                Step::After(milliseconds, outcome) => {
                    sleep(Duration::from_millis(milliseconds)).await;
                    outcome.map(answer_of)
                }
                Step::Panics => panic!("the script says so"),
            }
        })
    }
}

/// An answer with this number of places.
pub(in crate::facade) fn answer_of(count: usize) -> Answer {
    let corner = Point::new(1.0, 2.0).unwrap();
    let geometry = Geometry { location: corner, viewport: Viewport { northeast: corner, southwest: corner } };
    let place = |number: usize| Place::new(format!("id {number}"), format!("place {number}"), geometry);
    Answer::found((0..count).map(place).collect(), vec![])
}

/// No retries and no rate limit: one request for each question.
fn config() -> Settings {
    Settings {
        requests: RequestSettings { retries: 0, per_second: 0 },
        deadline: DEADLINE,
        ..Settings::default()
    }
}

fn with_retries(retries: u32) -> Settings {
    let plain = config();
    Settings { requests: RequestSettings { retries, ..plain.requests }, ..plain }
}

fn places_of(chain: &[Arc<Scripted>], config: &Settings) -> Arc<Places> {
    observed(chain, config, silent())
}

fn observed(chain: &[Arc<Scripted>], config: &Settings, environment: Environment) -> Arc<Places> {
    let mut chain: Vec<Arc<dyn Provider>> =
        chain.iter().map(|provider| Arc::clone(provider) as Arc<dyn Provider>).collect();
    let first = chain.remove(0);
    Places::with(first, chain, config, Arc::new(Unlimited), environment)
}

/// An environment whose clock stands still and whose events are ignored.
fn silent() -> Environment {
    Environment::silent(|| 0, || 0)
}

/// The events that an observer has got, as text.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn notice(&self, event: &PlacesEvent<'_>) {
        self.0.lock().push(match event {
            PlacesEvent::BreakerOpened { provider: "remote", remaining, cause, failure } => {
                format!("opened for {:.1} s: {cause:?}: {failure:?}", remaining.as_secs_f64())
            }
            PlacesEvent::BreakerClosed { provider: "remote" } => "closed".to_owned(),
            other => format!("{other:?}"),
        });
    }
}

fn hearing() -> (Arc<Heard>, Environment) {
    let heard = Arc::<Heard>::default();
    let observer = Arc::clone(&heard) as Arc<dyn Observer>;
    (heard, Environment { observer, ..silent() })
}

/// The two ways in which a door asks.
impl Places {
    /// Appends the answer as JSON with at most `limit` results, if the answer is available at once. Otherwise returns
    /// false.
    fn answer_now(self: &Arc<Places>, query: &Query, limit: usize, out: &mut Vec<u8>) -> bool {
        match self.look(query.clone(), limit) {
            Looked::AtHand(answered) => {
                answered.answer.write_json(limit, out);
                true
            }
            Looked::Waits(_) => false,
        }
    }

    /// Appends the answer as JSON with at most `limit` results.
    async fn answer(self: &Arc<Places>, query: &Query, limit: usize, out: &mut Vec<u8>) {
        let answered = match self.look(query.clone(), limit) {
            Looked::AtHand(answered) => answered,
            Looked::Waits(question) => {
                let (tell, told) = tokio::sync::oneshot::channel();
                question.then(|answered| drop(tell.send(answered)));
                told.await.unwrap()
            }
        };
        answered.answer.write_json(limit, out);
    }
}

fn query() -> Query {
    query_of(10_000.0)
}

fn query_of(radius_m: f64) -> Query {
    Query::within(Point::new(34.068930, -118.445127).unwrap(), radius_m).unwrap()
}

async fn asked(places: &Arc<Places>, limit: usize) -> Value {
    let mut out = b"AT\n".to_vec();
    places.answer(&query(), limit, &mut out).await;
    serde_json::from_slice(out.strip_prefix(b"AT\n").unwrap()).unwrap()
}

fn counts(places: &Places) -> Vec<(&'static str, u64)> {
    let counts = LookupOutcome::ALL.into_iter().map(|outcome| (outcome.label(), places.count(outcome)));
    counts.filter(|&(_, count)| count > 0).collect()
}

/// Asks, and returns the outcome, the number of places, the status, and the time that it took.
async fn told(places: &Arc<Places>, query: &Query) -> (LookupOutcome, usize, &'static str, Duration) {
    let start = Instant::now();
    let answered = places.ask(query).await;
    assert_eq!(answered.outcome == LookupOutcome::Failed, answered.answer.error_message.is_some());
    let answer = &answered.answer;
    (answered.outcome, answer.places.len(), answer.status.as_str(), start.elapsed())
}

async fn outcome(places: &Arc<Places>) -> LookupOutcome {
    told(places, &query()).await.0
}

/// Waits until every flight that can end has ended. In paused time this returns when no other task can continue.
async fn settle() {
    sleep(Duration::from_millis(100)).await;
}
