//! The provider of OpenStreetMap's places: answers from an index on this machine, which [`import`](import()) writes.
//!
//! The provider needs no network and no key. It always ranks by distance, because the data has no information about
//! prominence. The ID of a place is `osmn`, `osmw` or `osmr`, followed by the number of OpenStreetMap's node, way or
//! relation. So an ID stays the same as long as the object exists.
//!
//! A question whose wish selects no places is answered at once on two conditions: all blocks that the question needs
//! are in memory, and for each found place it is known whether the place is open. Any other question is answered on a
//! thread that may wait for the disk. Only a few such searches run at the same time, and a search ends when nobody
//! waits for its result any more. The labels of a map (`labels`) are found on such a thread, too.
//!
//! Floors, lowest first: `faults`, `limits`, `tags`; `index`; `pbf`, `hours`, `zones`; `search`, `wish`, `labels`;
//! [`Osm`];
//! `import`, which does not know searches.

mod faults;
pub(crate) mod fuzzing;
mod hours;
mod import;
mod index;
mod labels;
mod limits;
pub(crate) mod pbf;
mod search;
mod tags;
mod wish;
mod zones;

use std::borrow::Cow;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use proxyherd_core::command::Bounds;
use proxyherd_core::limits::PLACES_MAX;
use proxyherd_core::places::{
    self, Answer, Geometry, Label, Labels, Place, Query, Separation, Text, Viewport,
};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{Failure, Pending, PendingLabels, Provider, VIEWPORT_HALF_HEIGHT};
use crate::Environment;
use faults::Faults;
use hours::OpenState;
use index::{Index, IndexBlock, IndexRecord, degrees};
use limits::{CACHE_LEN_MAX, TEXT_LEN_MAX};
use search::{FoundPlace, nearest};
use tags::KINDS;
use wish::Wanted;

pub use import::{ImportError, ImportSummary, Progress, import};
pub use index::IndexError;

/// The license of OpenStreetMap, ODbL, asks for a credit and a link.
static ATTRIBUTIONS: [Text; 1] =
    [Cow::Borrowed("© <a href='https://www.openstreetmap.org/copyright'>OpenStreetMap contributors</a>")];

/// The provider, with its index open.
#[derive(Debug)]
pub struct Osm {
    index: Arc<Index>,
    faults: Faults,
    /// Limits the searches on threads that may wait, because other parts of the program need such threads too.
    searches: Arc<Semaphore>,
    environment: Environment,
}

/// A place and its distance.
pub type NearPlace = (Separation, Place);

impl Osm {
    /// Opens an index and checks everything but its blocks, which are checked when they are read. The observer gets
    /// events about faulty data of single places, and about blocks that cannot be read.
    pub fn open(path: &Path, environment: Environment) -> Result<Osm, IndexError> {
        let index = Index::open(path, tags::kinds_checksum(), CACHE_LEN_MAX)?;
        let searches = 2 * std::thread::available_parallelism().map_or(1, NonZero::get);
        let (index, searches) = (Arc::new(index), Arc::new(Semaphore::new(searches)));
        Ok(Osm { index, faults: Faults::new(environment.clone()), searches, environment })
    }

    /// The number of places in the index.
    pub fn len(&self) -> u64 {
        self.index.header().places
    }

    /// Whether the index has no places.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nearest places that fit the wish, at most `most`. This may wait for the disk.
    pub fn near(&self, query: &Query, most: usize) -> Result<Vec<NearPlace>, Failure> {
        self.search().near(query, most, &CancellationToken::new())
    }

    /// A search at this moment, for this thread or another one.
    fn search(&self) -> OsmSearch {
        OsmSearch {
            index: Arc::clone(&self.index),
            faults: self.faults.clone(),
            now_s: self.environment.now_s(),
        }
    }
}

impl Provider for Osm {
    fn name(&self) -> &'static str {
        "osm"
    }

    fn knows_kind(&self, kind: &str) -> bool {
        KINDS.contains(&kind)
    }

    fn nearby_now(&self, query: &Query, most: usize) -> Option<Answer> {
        if !Wanted::read(query.wish.as_deref()).is_ok_and(|wanted| wanted.is_all()) {
            return None;
        }
        let now_s = self.environment.now_s();
        let index = &self.index;
        let fetch = |number| index.block_at_hand(number).ok_or(());
        let found = nearest(index.directory(), query, most, fetch, |_, _| true).ok()?;
        let mut places = Vec::with_capacity(found.len());
        for (_, FoundPlace { block, at }) in found.iter() {
            let block = index.block_at_hand(block)?;
            let record = block.record(at as usize);
            let state = known_state(&block, at as usize, &record, now_s)?;
            places.push(place(&block, at as usize, &record, state.is_open()));
        }
        Some(Answer::found(places, &ATTRIBUTIONS[..]))
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        let (search, query) = (self.search(), query.clone());
        Box::pin(async move {
            let given_up = CancellationToken::new();
            let _gives_up = given_up.clone().drop_guard();
            let turn = Arc::clone(&self.searches).acquire_owned().await;
            let ask = move || {
                let _turn = turn;
                search.near(&query, PLACES_MAX.into(), &given_up)
            };
            let near = tokio::task::spawn_blocking(ask).await;
            let near = near.map_err(|error| unfinished(error, &self.faults))??;
            let places = near.into_iter().map(|(_, place)| place).collect();
            Ok(Answer::found(places, &ATTRIBUTIONS[..]))
        })
    }

    fn labels(&self, bounds: Bounds, most: usize) -> PendingLabels<'_> {
        Box::pin(async move {
            let Some(numbers) = labels::blocks_of(self.index.directory(), &bounds) else {
                return Labels::default();
            };
            let given_up = CancellationToken::new();
            let _gives_up = given_up.clone().drop_guard();
            let turn = Arc::clone(&self.searches).acquire_owned().await;
            let search = self.search();
            let read = move || {
                let _turn = turn;
                search.labels(&numbers, &bounds, most, &given_up)
            };
            let read = tokio::task::spawn_blocking(read).await;
            // The observer has an event about what has failed. The map does without these labels.
            let found = read.map_err(|error| unfinished(error, &self.faults)).unwrap_or_default();
            let mut labels = Labels::default();
            labels.add(found, &ATTRIBUTIONS, most);
            labels
        })
    }
}

/// Why a search has no result. If the search has panicked, the observer gets an event.
fn unfinished(error: JoinError, faults: &Faults) -> Failure {
    let why = match error.try_into_panic() {
        Ok(panic) => {
            faults.search_panicked(&*panic);
            "the search failed"
        }
        // The runtime is stopping.
        Err(_) => "the search was given up",
    };
    Failure::Unavailable(why.to_owned())
}

/// A search at one moment. The search does not borrow from the provider.
struct OsmSearch {
    index: Arc<Index>,
    faults: Faults,
    now_s: i64,
}

impl OsmSearch {
    /// Finds the places in memory or on the disk, unless nobody waits for the result any more.
    fn near(
        &self,
        query: &Query,
        most: usize,
        given_up: &CancellationToken,
    ) -> Result<Vec<NearPlace>, Failure> {
        let index = &self.index;
        let fetch = |number| match given_up.is_cancelled() {
            true => Err(Failure::Unavailable("the search was given up".to_owned())),
            false => self.block(number),
        };
        let wanted = Wanted::read(query.wish.as_deref())?;
        let takes = |block: &IndexBlock, at: usize| {
            wanted.is_all() || {
                let record = block.record(at);
                wanted.takes(&record, || self.is_open(block, at, &record))
            }
        };
        let found = nearest(index.directory(), query, most, fetch, takes)?;
        let mut near = Vec::with_capacity(found.len());
        for (separation, FoundPlace { block, at }) in found.iter() {
            let block = self.block(block)?;
            let record = block.record(at as usize);
            let is_open = self.is_open(&block, at as usize, &record);
            near.push((separation, place(&block, at as usize, &record, is_open)));
        }
        Ok(near)
    }

    /// The labels of blocks, unless nobody waits for the result any more. A block that cannot be read has no labels.
    fn labels(
        &self,
        numbers: &[u32],
        bounds: &Bounds,
        most: usize,
        given_up: &CancellationToken,
    ) -> Vec<Label> {
        let awaited = numbers.iter().take_while(|_| !given_up.is_cancelled());
        let blocks: Vec<_> = awaited.filter_map(|&number| self.block(number).ok()).collect();
        labels::of_blocks(&blocks, bounds, most)
    }

    /// A block from memory or from the disk. If the block cannot be read, the observer gets an event, because an
    /// operator can do more about this than the caller.
    fn block(&self, number: u32) -> Result<Arc<IndexBlock>, Failure> {
        self.index.block(number).map_err(|error| {
            self.faults.block_unreadable(number, &error.to_string());
            Failure::Unavailable(format!("the index of places: {error}"))
        })
    }

    /// Whether a place is open. Its hours are evaluated if necessary.
    fn is_open(&self, block: &IndexBlock, at: usize, record: &IndexRecord<'_>) -> Option<bool> {
        if let Some(state) = known_state(block, at, record, self.now_s) {
            return state.is_open();
        }
        let locale = self.index.directory().locale(record.locale)?;
        let state = hours::evaluate(record.hours, locale, self.now_s).unwrap_or_else(|| {
            self.faults.hours_failed(&place_id(record), record.hours);
            OpenState::unknown(self.now_s)
        });
        state.store(block.state(at));
        state.is_open()
    }
}

/// The state of a place's opening hours, if it is known without evaluating them.
fn known_state(block: &IndexBlock, at: usize, record: &IndexRecord<'_>, now_s: i64) -> Option<OpenState> {
    if record.hours.is_empty() || record.locale == 0 {
        return Some(OpenState::unknown(now_s));
    }
    OpenState::load(block.state(at), now_s)
}

fn place(block: &IndexBlock, at: usize, record: &IndexRecord<'_>, is_open: Option<bool>) -> Place {
    let point = block.points()[at];
    let location = places::Point::new(degrees(point.latitude), degrees(point.longitude))
        .expect("a block is read only if all of its points are on Earth");
    let geometry = Geometry { location, viewport: Viewport::around(location, VIEWPORT_HALF_HEIGHT) };
    let kinds = record.kinds.iter().filter_map(|&kind| KINDS.get(usize::from(kind)));
    Place {
        open_now: is_open,
        types: kinds.map(|&kind| Cow::Borrowed(kind)).collect::<Vec<_>>().into(),
        vicinity: (!record.vicinity.is_empty()).then(|| record.vicinity.to_owned().into()),
        ..Place::new(place_id(record), record.name.to_owned(), geometry)
    }
}

/// `osmn123`: node 123.
fn place_id(record: &IndexRecord<'_>) -> String {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut number = record.id.number.unsigned_abs();
    while number > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let mut id = String::with_capacity(5 + digits.len() - at);
    id.push_str("osm");
    id.push(record.id.object.letter());
    if record.id.number < 0 {
        id.push('-');
    }
    id.extend(digits[at..].iter().copied().map(char::from));
    id
}

/// The part of a text that fits into a record.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LEN_MAX)]
}

#[cfg(test)]
mod extracts;

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use proxyherd_core::places::{AnswerStatus, Rank, Wish};

    use super::index::{IndexPoint, IndexWriter, Locale, Object, ObjectId};
    use super::tags::kind_of;
    use super::*;
    use crate::{Observer, PlacesEvent};

    /// A Tuesday noon in Munich.
    const NOON_S: u64 = 1_770_116_400;

    fn at_noon() -> Environment {
        Environment::silent(|| NOON_S * 1_000_000_000, || 0)
    }

    /// The panics of searches, and the blocks that cannot be read, that were reported to the observer.
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn notice(&self, event: &PlacesEvent<'_>) {
            self.0.lock().push(match event {
                PlacesEvent::SearchPanicked { message } => (*message).to_owned(),
                PlacesEvent::BlockUnreadable { block, why } => format!("block {block}: {why}"),
                _ => panic!("{event:?}"),
            });
        }
    }

    /// An index of a few places in a row to the east, 75 m apart.
    fn osm(places: &[(&str, &str, &str)]) -> (tempfile::TempDir, Osm) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("places.idx");
        let mut writer = IndexWriter::create(&path).unwrap();
        for (number, (name, kind, hours)) in places.iter().enumerate() {
            let kinds = [kind_of(kind).unwrap(), kind_of("establishment").unwrap()];
            let id = ObjectId { object: Object::Way, number: 100 + number as i64 };
            let vicinity = if number == 0 { "Tal 12" } else { "" };
            let mut bytes = Vec::new();
            IndexRecord { id, locale: 1, kinds: &kinds, name, vicinity, hours, also: "" }.encode(&mut bytes);
            let longitude = 115_750_000 + number as i32 * 10_000;
            writer.push(IndexPoint { longitude, latitude: 481_370_000 }, &bytes).unwrap();
        }
        let berlin = Locale { zone: "Europe/Berlin".to_owned(), country: "DE".to_owned() };
        writer.finish(&[berlin], tags::kinds_checksum(), 0).unwrap();
        let osm = Osm::open(&path, at_noon()).unwrap();
        (dir, osm)
    }

    const PLACES: [(&str, &str, &str); 4] = [
        ("Zum Adler", "restaurant", "Mo-Fr 11:00-23:00"),
        ("Bäckerei", "bakery", "Mo-Fr 06:00-10:00"),
        ("Sparkasse", "bank", ""),
        ("Nachtbar", "bar", "Mo-Su 20:00-03:00"),
    ];

    fn around(wish: Wish) -> Query {
        Query::within(places::Point::new(48.137, 11.575).unwrap(), 1_000.0).unwrap().wishing(wish)
    }

    fn names(answer: &Answer) -> Vec<&str> {
        answer.places.iter().map(|place| &*place.name).collect()
    }

    #[tokio::test]
    async fn what_has_been_read_is_answered_on_the_spot() {
        let (_dir, osm) = osm(&PLACES);
        let query = around(Wish::default());
        assert_eq!(osm.nearby_now(&query, 20), None, "nothing was read yet");
        let answer = osm.nearby(&query).await.unwrap();
        assert_eq!(names(&answer), ["Zum Adler", "Bäckerei", "Sparkasse", "Nachtbar"]);
        assert_eq!(
            answer.places.iter().map(|place| place.open_now).collect::<Vec<_>>(),
            [Some(true), Some(false), None, Some(false)]
        );
        assert_eq!(osm.nearby_now(&query, 20).as_ref(), Some(&answer));
        assert_eq!(names(&osm.nearby_now(&query, 2).unwrap()), ["Zum Adler", "Bäckerei"]);
        let by_distance =
            around(Wish { rank: Rank::Distance, language: Some("de".to_owned()), ..Wish::default() });
        assert_eq!(osm.nearby_now(&by_distance, 20), Some(answer), "that wish chooses no places");
    }

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_ends_and_gives_its_turn_back() {
        let (_dir, osm) = osm(&PLACES);
        let query = around(Wish::default());
        let given_up = CancellationToken::new();
        given_up.cancel();
        let ended = osm.search().near(&query, 20, &given_up).unwrap_err();
        assert_eq!(ended, Failure::Unavailable("the search was given up".into()));
        let turns = osm.searches.available_permits();
        let all = Arc::clone(&osm.searches).acquire_many_owned(turns as u32).await.unwrap();
        let mut waits = Box::pin(osm.nearby(&query));
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), &mut waits).await;
        assert!(waited.is_err(), "there is no turn for it");
        drop(all);
        assert_eq!(waits.await.unwrap().places.len(), 4);
        assert_eq!(osm.searches.available_permits(), turns);
    }

    #[tokio::test]
    async fn an_answer_that_has_become_old_is_worked_out_again() {
        let (_dir, osm) = osm(&PLACES);
        let query = around(Wish::default());
        osm.nearby(&query).await.unwrap();
        let Osm { index, faults, searches, .. } = &osm;
        let (index, faults, searches) = (Arc::clone(index), faults.clone(), Arc::clone(searches));
        let environment = Environment { now_ns: || (NOON_S + 11 * 3600) * 1_000_000_000, ..at_noon() };
        let later = Osm { index, faults, searches, environment };
        assert_eq!(later.nearby_now(&query, 20), None, "the restaurant has closed by now");
        let answer = later.nearby(&query).await.unwrap();
        assert_eq!(answer.places[0].open_now, Some(false));
        assert_eq!(answer.places[3].open_now, Some(true));
        assert_eq!(later.nearby_now(&query, 20), Some(answer));
    }

    #[tokio::test]
    async fn hours_that_make_the_evaluator_panic_cost_that_place_its_state_and_nothing_else() {
        let (_dir, osm) = osm(&[
            ("Zum Adler", "restaurant", "Mo-Fr 11:00-23:00"),
            ("Eule", "bar", "(dusk+05:00)-25:00"),
            ("Nachtbar", "bar", "(sunset+23:59)-25:00"),
            ("Arzt", "doctor", "Mo-Su \"nach Vereinbarung\""),
        ]);
        let query = around(Wish::default());
        let answer = osm.nearby(&query).await.unwrap();
        assert_eq!(names(&answer), ["Zum Adler", "Eule", "Nachtbar", "Arzt"]);
        let open_now: Vec<_> = answer.places.iter().map(|place| place.open_now).collect();
        assert_eq!(open_now, [Some(true), None, None, None]);
        assert_eq!(osm.nearby_now(&query, 20), Some(answer), "the evaluator is not asked each time");
        let open = osm.nearby(&around(Wish { is_open: true, ..Wish::default() })).await.unwrap();
        assert_eq!(names(&open), ["Zum Adler"], "what is unknown is not known to be open");
    }

    #[tokio::test]
    async fn a_search_that_panics_is_a_failure_and_is_told_of_once() {
        let heard = Arc::<Heard>::default();
        let observer = Arc::clone(&heard) as Arc<dyn Observer>;
        let faults = Faults::new(Environment { observer, ..at_noon() });
        for panics in [|| panic!("this is meant to happen"), || panic!("and {}", 7), || panic!("and {}", 7)] {
            let error = tokio::task::spawn_blocking::<_, ()>(panics).await.unwrap_err();
            let failure = unfinished(error, &faults);
            assert_eq!(failure, Failure::Unavailable("the search failed".into()));
        }
        assert_eq!(*heard.0.lock(), ["this is meant to happen", "and 7"]);
    }

    #[test]
    fn an_id_below_zero_keeps_its_sign() {
        for (number, expected) in [(0, "osmw0"), (42, "osmw42"), (-5, "osmw-5")] {
            let id = ObjectId { object: Object::Way, number };
            let record =
                IndexRecord { id, locale: 0, kinds: &[], name: "x", vicinity: "", hours: "", also: "" };
            assert_eq!(place_id(&record), expected);
        }
    }

    #[tokio::test]
    async fn wishes_are_heeded() {
        let (_dir, osm) = osm(&PLACES);
        let text = |text: &str| Some(text.to_owned());
        for (wish, expected) in [
            (Wish { is_open: true, ..Wish::default() }, &["Zum Adler"] as &[&str]),
            (Wish { kind: text("bank"), ..Wish::default() }, &["Sparkasse"]),
            (Wish { kind: text("casino"), ..Wish::default() }, &[]),
            (Wish { keyword: text("backerei"), ..Wish::default() }, &["Bäckerei"]),
            (Wish { keyword: text("bar"), ..Wish::default() }, &["Nachtbar"]),
            (
                Wish { rank: Rank::Distance, ..Wish::default() },
                &["Zum Adler", "Bäckerei", "Sparkasse", "Nachtbar"],
            ),
        ] {
            let answer = osm.nearby(&around(wish.clone())).await.unwrap();
            assert_eq!(names(&answer), expected, "{wish:?}");
            let status = if expected.is_empty() { AnswerStatus::ZeroResults } else { AnswerStatus::Ok };
            assert_eq!(answer.status, status);
        }
        let paged = around(Wish { page_token: text("x"), ..Wish::default() });
        assert!(matches!(osm.nearby(&paged).await, Err(Failure::BadQuery(_))));
        assert_eq!(osm.nearby_now(&paged, 20), None);
    }

    #[tokio::test]
    async fn an_answer_names_openstreetmap_and_its_objects() {
        let (_dir, osm) = osm(&PLACES);
        let answer = osm.nearby(&around(Wish::default())).await.unwrap();
        let mut out = Vec::new();
        answer.write_json(1, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{
   "html_attributions" : [
      "© <a href='https://www.openstreetmap.org/copyright'>OpenStreetMap contributors</a>"
   ],
   "results" : [
      {
         "geometry" : {
            "location" : {
               "lat" : 48.137,
               "lng" : 11.575
            },
            "viewport" : {
               "northeast" : {
                  "lat" : 48.13835,
                  "lng" : 11.57702
               },
               "southwest" : {
                  "lat" : 48.13565,
                  "lng" : 11.57298
               }
            }
         },
         "name" : "Zum Adler",
         "opening_hours" : {
            "open_now" : true
         },
         "place_id" : "osmw100",
         "reference" : "osmw100",
         "types" : [
            "restaurant",
            "establishment"
         ],
         "vicinity" : "Tal 12"
      }
   ],
   "status" : "OK"
}"#
        );
    }

    #[tokio::test]
    async fn the_labels_of_a_box_are_its_most_prominent_places() {
        let (_dir, osm) =
            osm(&[("Bus", "bus_station", ""), ("Adler", "restaurant", ""), ("Museum", "museum", "")]);
        let named = async |west: f64, east: f64, most: usize| {
            let labels = osm.labels(Bounds::new(48.0, west, 48.2, east).unwrap(), most).await;
            assert_eq!(labels.attributions.len(), usize::from(!labels.labels.is_empty()));
            labels.labels.iter().map(|label| format!("{} {}", label.name, label.kind)).collect::<Vec<_>>()
        };
        assert_eq!(named(11.0, 12.0, 10).await, ["Museum museum", "Adler restaurant", "Bus bus_station"]);
        assert_eq!(named(11.0, 12.0, 1).await, ["Museum museum"]);
        assert_eq!(
            named(11.0, 11.5765, 10).await,
            ["Adler restaurant", "Bus bus_station"],
            "the museum is farther east"
        );
        assert_eq!(named(179.0, 11.5755, 10).await, ["Bus bus_station"], "across the antimeridian");
        assert_eq!(named(12.0, 13.0, 10).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_block_that_went_bad_is_a_failure_and_no_answer_and_is_told_once() {
        let (dir, osm) = osm(&PLACES);
        let heard = Arc::new(Heard::default());
        let observed: Arc<dyn Observer> = heard.clone();
        let osm = Osm { faults: Faults::new(Environment { observer: observed, ..at_noon() }), ..osm };
        let path = dir.path().join("places.idx");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        // This writes into the existing file, so that the open file changes.
        std::fs::write(&path, &bytes).unwrap();
        let failure = osm.nearby(&around(Wish::default())).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the places provider is out of reach: the index of places: a block is damaged"
        );
        let labels = osm.labels(Bounds::new(48.0, 11.0, 48.2, 12.0).unwrap(), 10).await;
        assert!(labels.labels.is_empty());
        assert_eq!(*heard.0.lock(), ["block 0: a block is damaged"]);
    }
}
