//! The provider that is part of the program: the world's cities, towns and villages from GeoNames.
//!
//! The provider needs no key, no network and no file. It answers within a few microseconds, and never fails. The build
//! script makes its table. The provider ranks by distance. It knows the name, the point and the region of each place,
//! and the populations of those with at least 10,000 people, by which it ranks the labels of a map. It does not know
//! shops, ratings or opening hours, so a question that asks for these finds no places.

mod layout;
mod table;
#[cfg(test)]
#[path = "../../../build/table.rs"]
mod writer;

use std::borrow::Cow;
use std::collections::HashSet;

use proxyherd_core::command::Bounds;
use proxyherd_core::limits::PLACES_MAX;
use proxyherd_core::places::{
    Answer, Geometry, Label, Labels, Matcher, Nearest, Place, Prominence, Query, Text, Viewport, place_id,
};

use super::{Failure, Pending, PendingLabels, Provider};
use table::{CityEntry, CityTable};

static TABLE: CityTable = CityTable::new(
    &include!(concat!(env!("OUT_DIR"), "/places.bands.rs")),
    include_bytes!(concat!(env!("OUT_DIR"), "/places.records")),
    include_bytes!(concat!(env!("OUT_DIR"), "/places.prominent")),
    include_str!(concat!(env!("OUT_DIR"), "/places.names")),
    &include!(concat!(env!("OUT_DIR"), "/places.regions.rs")),
);

static TYPES: [Text; 2] = [Cow::Borrowed("locality"), Cow::Borrowed("political")];

/// The license of GeoNames, CC BY 4.0, asks for a credit and a link.
static ATTRIBUTIONS: [Text; 1] = [Cow::Borrowed(
    "Places: <a href='https://www.geonames.org/'>GeoNames</a>, \
     <a href='https://creativecommons.org/licenses/by/4.0/'>CC BY 4.0</a>",
)];

/// The beginning of this provider's IDs. The data does not contain the IDs of GeoNames.
const ID_SOURCE: &str = "gn";

/// Distance from a place's point to the north and south edges of its viewport, degrees: about 2 km. The data has no
/// extents. A box of 4 km shows the middle of a city and the whole of a village.
const VIEWPORT_HALF_HEIGHT: f64 = 0.02;

/// The provider. It has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Embedded;

impl Provider for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn knows_kind(&self, kind: &str) -> bool {
        TYPES.iter().any(|known| known == kind)
    }

    fn nearby_now(&self, query: &Query, most: usize) -> Option<Answer> {
        let nearest = nearest(query, most)?;
        let mut places = Vec::with_capacity(nearest.len());
        places.extend(nearest.iter().map(|(_, index)| place(&TABLE.entry(index))));
        Some(Answer::found(places, &ATTRIBUTIONS[..]))
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        let no_pages =
            || Failure::BadQuery("its answers have one page, so no token names another".to_owned());
        Box::pin(async move { self.nearby_now(query, PLACES_MAX.into()).ok_or_else(no_pages) })
    }

    fn labels(&self, bounds: Bounds, most: usize) -> PendingLabels<'_> {
        Box::pin(async move { labels(&bounds, most) })
    }
}

/// The most prominent places in a box, at most `most`: first those whose populations are known.
fn labels(bounds: &Bounds, most: usize) -> Labels {
    let largest = TABLE.largest(bounds, most);
    let label = |(index, prominence): (u32, Prominence)| {
        let entry = TABLE.entry(index);
        let [kind, _] = &TYPES;
        Label { name: entry.name.into(), location: entry.location, kind: kind.clone(), prominence }
    };
    let is_full = largest.len() == most;
    let known = largest.iter().map(|&(index, people)| (index, Prominence::Populated(people)));
    let mut labels: Vec<Label> = known.map(label).collect();
    if !is_full {
        let known: HashSet<u32> = largest.iter().map(|&(index, _)| index).collect();
        let others = TABLE.inside(bounds).filter(|index| !known.contains(index));
        labels.extend(others.map(|index| label((index, Prominence::Settlement))));
    }
    let mut found = Labels::default();
    found.add(labels, &ATTRIBUTIONS, most);
    found
}

/// The nearest of the wanted places. `None` if the question asks for another page, because there is only one page.
fn nearest(query: &Query, most: usize) -> Option<Nearest<u32>> {
    let Some(wish) = query.wish.as_deref() else { return Some(TABLE.nearest(query, most, |_| true)) };
    if wish.page_token.is_some() {
        return None;
    }
    let matcher = Matcher::new(Some(wish));
    // All places in the table have the same kinds, and their hours and prices are unknown.
    let fits_all = matcher.fits_kinds(&TYPES) && matcher.fits_opening(None) && matcher.fits_price(None);
    Some(
        TABLE.nearest(query, if fits_all { most } else { 0 }, |index| {
            fits_texts(&matcher, &TABLE.entry(index))
        }),
    )
}

fn fits_texts(matcher: &Matcher, entry: &CityEntry) -> bool {
    matcher.fits_texts(entry.name, TYPES.iter().map(AsRef::as_ref).chain([entry.region]))
}

fn place(entry: &CityEntry) -> Place {
    let viewport = Viewport::around(entry.location, VIEWPORT_HALF_HEIGHT);
    Place {
        types: Cow::Borrowed(&TYPES),
        vicinity: Some(Cow::Borrowed(entry.region)),
        ..Place::new(
            place_id(ID_SOURCE, entry.name, entry.location),
            entry.name,
            Geometry { location: entry.location, viewport },
        )
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use proxyherd_core::places::{Center, Point, Rank, Separation, Wish};

    use super::*;

    fn query(latitude: f64, longitude: f64, radius_m: f64) -> Query {
        Query::within(Point::new(latitude, longitude).unwrap(), radius_m).unwrap()
    }

    fn entries() -> impl Iterator<Item = CityEntry> {
        (0..TABLE.len()).map(|index| TABLE.entry(index))
    }

    #[test]
    fn the_table_holds_the_world() {
        assert_eq!(entries().count(), 154_248);
        assert!(entries().all(|entry| !entry.name.is_empty() && !entry.region.is_empty()));
    }

    #[test]
    fn each_place_has_an_id_of_its_own() {
        let ids: HashSet<String> =
            entries().map(|entry| place_id(ID_SOURCE, entry.name, entry.location)).collect();
        assert_eq!(ids.len(), entries().count());
    }

    #[test]
    fn as_many_places_lie_around_a_city_as_the_data_says() {
        for (latitude, longitude, counts) in
            [(34.068930, -118.445127, [2, 15, 164]), (48.8566, 2.3522, [6, 80, 663])]
        {
            let center = Center::new(latitude, longitude);
            for (radius_m, count) in [2_000.0, 10_000.0, 50_000.0].into_iter().zip(counts) {
                let radius = Separation::of_meters(radius_m);
                let inside = |entry: &CityEntry| {
                    center.separation(entry.location.latitude(), entry.location.longitude()) <= radius
                };
                assert_eq!(entries().filter(inside).count(), count, "{latitude} {longitude} {radius_m}");
                let answer = Embedded.nearby_now(&query(latitude, longitude, radius_m), 20).unwrap();
                assert_eq!(answer.places.len(), count.min(20));
            }
        }
    }

    #[test]
    fn an_answer_tells_people_what_is_near_and_who_says_so() {
        let answer = Embedded.nearby_now(&query(34.068930, -118.445127, 10_000.0), 1).unwrap();
        let mut out = Vec::new();
        answer.write_json(1, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{
   "html_attributions" : [
      "Places: <a href='https://www.geonames.org/'>GeoNames</a>, <a href='https://creativecommons.org/licenses/by/4.0/'>CC BY 4.0</a>"
   ],
   "results" : [
      {
         "geometry" : {
            "location" : {
               "lat" : 34.08334,
               "lng" : -118.44869
            },
            "viewport" : {
               "northeast" : {
                  "lat" : 34.10334,
                  "lng" : -118.42454
               },
               "southwest" : {
                  "lat" : 34.06334,
                  "lng" : -118.47284
               }
            }
         },
         "name" : "Bel Air",
         "place_id" : "gne3c092ca019595bd",
         "reference" : "gne3c092ca019595bd",
         "types" : [
            "locality",
            "political"
         ],
         "vicinity" : "California, United States"
      }
   ],
   "status" : "OK"
}"#
        );
    }

    fn named(bounds: [f64; 4], most: usize) -> Vec<(String, Option<u32>)> {
        let [south, west, north, east] = bounds;
        let labels = labels(&Bounds::new(south, west, north, east).unwrap(), most).labels;
        labels.iter().map(|label| (label.name.to_string(), label.population())).collect()
    }

    #[test]
    fn the_labels_of_the_world_are_its_largest_cities() {
        let world = named([-90.0, -180.0, 90.0, 180.0], 1000);
        assert_eq!(world.len(), 1000);
        assert!(world.is_sorted_by_key(|(_, people)| std::cmp::Reverse(people.unwrap())), "{world:?}");
        let names: Vec<&str> = world.iter().take(40).map(|(name, _)| &**name).collect();
        for city in ["Shanghai", "Lagos", "Mumbai", "Moscow", "London", "Tokyo"] {
            assert!(names.contains(&city), "{city} {names:?}");
        }
        let few = named([-90.0, -180.0, 90.0, 180.0], 3);
        assert_eq!(few, world[..3]);
    }

    #[test]
    fn a_box_has_the_labels_of_its_cities_and_then_of_its_villages() {
        let around_ucla = named([33.9, -118.6, 34.2, -118.3], 5);
        assert_eq!(around_ucla.len(), 5);
        assert!(around_ucla[0].1 > Some(100_000), "{around_ucla:?}");
        let fiji = named([-21.0, 176.0, -12.0, -178.0], 100);
        assert_eq!((&*fiji[0].0, &*fiji[1].0), ("Nasinu", "Suva"), "{fiji:?}");
        let known = fiji.iter().take_while(|(_, people)| people.is_some()).count();
        assert!((1..fiji.len()).contains(&known) && fiji[known..].iter().all(|(_, people)| people.is_none()));
        assert_eq!(named([-50.0, -124.0, -48.0, -122.0], 100), [], "the middle of the ocean");
    }

    #[test]
    fn waiting_for_an_answer_gives_the_same() {
        let query = query(48.8566, 2.3522, 10_000.0);
        let pending = Embedded.nearby(&query).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(answer)) = pending else { panic!("memory always answers") };
        assert_eq!(answer.places.len(), 20);
        assert_eq!(Some(answer), Embedded.nearby_now(&query, 20));
    }

    fn names(wish: Wish, radius_m: f64) -> Vec<Text> {
        let query = query(34.068930, -118.445127, radius_m).wishing(wish);
        Embedded.nearby_now(&query, 20).unwrap().places.into_iter().map(|place| place.name).collect()
    }

    #[test]
    fn a_wish_is_fulfilled_by_what_is_known_of_a_place() {
        let text = |text: &str| Some(text.to_owned());
        let all = names(Wish { rank: Rank::Distance, ..Wish::default() }, 10_000.0);
        assert_eq!(all.len(), 15);
        for (wish, expected) in [
            (Wish { kind: text("locality"), ..Wish::default() }, &all[..]),
            (Wish { kind: text("political"), keyword: text("california"), ..Wish::default() }, &all[..]),
            (Wish { kind: text("restaurant"), ..Wish::default() }, &[]),
            (Wish { is_open: true, ..Wish::default() }, &[]),
            (Wish { price_min: Some(0), ..Wish::default() }, &[]),
            (Wish { keyword: text("WÉST hollywood"), ..Wish::default() }, &["West Hollywood".into()]),
            (Wish { name: text("west california"), ..Wish::default() }, &[]),
            (Wish { language: text("de"), ..Wish::default() }, &all[..]),
        ] {
            assert_eq!(names(wish.clone(), 10_000.0), expected, "{wish:?}");
        }
    }

    #[test]
    fn a_wish_is_looked_for_as_far_as_the_circle_reaches() {
        let found = names(Wish { name: Some("san".into()), ..Wish::default() }, 50_000.0);
        assert!(found.len() > 5 && found.iter().all(|name| name.to_lowercase().contains("san")), "{found:?}");
        let santa_monica = names(Wish { name: Some("santa monica".into()), ..Wish::default() }, 50_000.0);
        assert_eq!(santa_monica, ["Santa Monica"]);
    }

    #[test]
    fn there_is_no_other_page() {
        let wish = Wish { page_token: Some("CpQCAgEAAFxg".into()), ..Wish::default() };
        let query = query(34.068930, -118.445127, 10_000.0).wishing(wish);
        assert_eq!(Embedded.nearby_now(&query, 20), None);
        let pending = Embedded.nearby(&query).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Err(failure)) = pending else { panic!("memory knows no pages") };
        assert_eq!(failure.status(), proxyherd_core::places::AnswerStatus::InvalidRequest);
    }

    #[test]
    fn the_middle_of_the_sea_is_empty() {
        let answer = Embedded.nearby_now(&query(-48.9, -123.4, 50_000.0), 20).unwrap();
        assert_eq!(answer.status, proxyherd_core::places::AnswerStatus::ZeroResults);
    }
}
