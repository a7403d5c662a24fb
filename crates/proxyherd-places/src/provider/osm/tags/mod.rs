//! Turns OpenStreetMap's tags into places as Google defines them: which objects are places, their kinds, and their
//! names.
//!
//! **Which objects are kept.** An object is kept if it has a `name` or a `brand`, and at least one tag of [`KEPT`]. In
//! the language of `osmium tags-filter` these tags are
//!
//! ```text
//! nwr/amenity!=no,bench,grit_bin,hunting_stand,parking_entrance,parking_space,waste_basket,waste_disposal
//! nwr/shop!=no,vacant  nwr/tourism!=no  nwr/leisure!=no  nwr/office!=no,vacant  nwr/healthcare!=no
//! nwr/craft!=no  nwr/historic!=no  nwr/aeroway=aerodrome,heliport,terminal  nwr/railway=halt,station,tram_stop
//! nwr/public_transport=station  nwr/highway=bus_stop  nwr/aerialway=station
//! ```
//!
//! Relations are kept only if they have `type=multipolygon` or `type=boundary`. Settlements and land forms are not
//! kept, because a person who asks for places nearby looks for a destination. An object that no longer exists has other
//! keys (`disused:shop`), so it is left out.
//!
//! **Kinds.** [`RULES`] maps tags to Google's types. A place has first the most specific type of each of its tags, then
//! the other types of its tags, then `point_of_interest` and `establishment`, as Google's own places have. If no tag of
//! a place has a type of Google's, the place has only these last two types.
//!
//! This module does not know where an object is, or how tags are stored.

mod rules;

use xxhash_rust::xxh3::xxh3_64;

use super::cut;
use super::limits::KINDS_MAX;
use rules::{CONDITIONS, KEPT, KeptValues, RULES};

pub(super) use rules::KINDS;

/// The tags of one object that this module needs, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

/// The description of a place, taken from its tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    /// Positions in [`KINDS`], the most specific kind first.
    pub(super) kinds: Vec<u8>,
    pub(super) name: String,
    pub(super) street: String,
    pub(super) number: String,
    pub(super) city: String,
    pub(super) hours: String,
    pub(super) also: String,
}

impl Described {
    /// The length of all parts, bytes.
    pub(super) fn len(&self) -> usize {
        let Described { kinds, name, street, number, city, hours, also } = self;
        kinds.len() + [name, street, number, city, hours, also].map(String::len).iter().sum::<usize>()
    }
}

/// A checksum of the table of kinds. It is needed because index files hold positions in this table.
pub(super) fn kinds_checksum() -> u64 {
    xxh3_64(KINDS.join(",").as_bytes())
}

/// The position of one of Google's types in the table. `None` if no place of this provider can have the type.
pub(super) fn kind_of(name: &str) -> Option<u8> {
    KINDS.iter().position(|&kind| kind == name).map(|index| index as u8)
}

impl<'a> Tags<'a> {
    /// Replaces the tags of the previous object with the tags of the next object. Stops at the first error.
    pub(super) fn fill<E>(
        &mut self,
        tags: impl Iterator<Item = Result<(&'a str, &'a str), E>>,
    ) -> Result<(), E> {
        self.pairs.clear();
        for tag in tags {
            self.pairs.push(tag?);
        }
        Ok(())
    }

    /// A tag's value.
    pub(super) fn value(&self, key: &str) -> Option<&'a str> {
        self.pairs.iter().find(|&&(known, _)| known == key).map(|&(_, value)| value)
    }

    /// Whether these are the tags of a place.
    pub(super) fn are_a_place(&self) -> bool {
        let named = |key| self.value(key).is_some_and(|name| !name.trim().is_empty());
        self.pairs.len() > 1 && self.pairs.iter().any(is_kept) && (named("name") || named("brand"))
    }

    /// Makes the description of the place from the tags.
    pub(super) fn describe(&self) -> Described {
        let text = |key: &str| cut(self.value(key).unwrap_or_default().trim()).to_owned();
        let or = |one: String, other: &str| if one.is_empty() { text(other) } else { one };
        let name = or(text("name"), "brand");
        Described {
            kinds: self.kinds(),
            also: self.also(&name),
            name,
            street: or(text("addr:street"), "addr:place"),
            number: or(text("addr:housenumber"), "addr:housename"),
            city: or(text("addr:city"), "addr:suburb"),
            hours: text("opening_hours"),
        }
    }

    /// First the most specific kind of each tag, then the other kinds of the tags, then the kinds of every place.
    fn kinds(&self) -> Vec<u8> {
        let told: Vec<_> = RULES.iter().filter(|(key, value, _)| self.say(key, value)).collect();
        let (leading, rest): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, value, _)| !value.is_empty());
        let most_telling = leading.iter().filter_map(|(_, _, kinds)| kinds.first());
        let less_telling = leading.iter().chain(&rest).flat_map(|(_, _, kinds)| kinds.iter());
        let mut kinds: Vec<u8> = Vec::with_capacity(KINDS_MAX);
        for &kind in most_telling.chain(less_telling) {
            let index = kind_of(kind).expect("a test sees that every kind of the rules is in the table");
            if kinds.len() < KINDS_MAX - 2 && !kinds.contains(&index) {
                kinds.push(index);
            }
        }
        kinds.extend(["point_of_interest", "establishment"].iter().filter_map(|kind| kind_of(kind)));
        kinds
    }

    /// Whether these tags match a rule.
    fn say(&self, key: &str, value: &str) -> bool {
        let Some(stands) = self.value(key).filter(|_| self.may_say(key)) else { return false };
        // Semicolons separate several kinds in one tag. An empty value in the table stands for any value.
        value.is_empty() || stands.split(';').any(|one| one.trim() == value)
    }

    /// Whether a key counts, which may depend on the other tags.
    fn may_say(&self, key: &str) -> bool {
        let condition = CONDITIONS.iter().find(|&&(conditional, _)| conditional == key);
        condition.is_none_or(|&(_, (key, value))| self.value(key) == Some(value))
    }

    /// Texts that a keyword may match although answers do not show them, such as the cuisine of a restaurant.
    fn also(&self, name: &str) -> String {
        const KEYS: [&str; 8] =
            ["brand", "operator", "name:en", "alt_name", "short_name", "cuisine", "sport", "religion"];
        let mut also: Vec<&str> = Vec::new();
        for value in KEYS.iter().filter_map(|key| self.value(key)) {
            if value != name && !also.contains(&value) {
                also.push(value);
            }
        }
        cut(&also.join(";")).to_owned()
    }
}

fn is_kept(&(key, value): &(&str, &str)) -> bool {
    KEPT.iter().any(|(kept, values)| {
        *kept == key
            && match values {
                KeptValues::AllBut(refused) => !refused.contains(&value),
                KeptValues::Only(taken) => taken.contains(&value),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags<'a>(pairs: &[(&'a str, &'a str)]) -> Tags<'a> {
        let mut tags = Tags::default();
        tags.fill(pairs.iter().map(|&pair| Ok::<_, ()>(pair))).unwrap();
        tags
    }

    fn kinds(pairs: &[(&str, &str)]) -> Vec<&'static str> {
        tags(pairs).describe().kinds.into_iter().map(|index| KINDS[usize::from(index)]).collect()
    }

    #[test]
    fn what_a_person_would_go_to_is_a_place() {
        for (pairs, is_place) in [
            (&[("amenity", "cafe"), ("name", "Zoom")] as &[_], true),
            (&[("amenity", "cafe")], false),
            (&[("amenity", "cafe"), ("name", "  ")], false),
            (&[("shop", "supermarket"), ("brand", "Spar")], true),
            (&[("shop", "vacant"), ("name", "Was a shop")], false),
            (&[("shop", "no"), ("name", "x"), ("amenity", "bar")], true),
            (&[("amenity", "bench"), ("name", "In memory of")], false),
            (&[("aeroway", "taxiway"), ("name", "A")], false),
            (&[("aeroway", "aerodrome"), ("name", "A")], true),
            (&[("railway", "rail"), ("name", "Line")], false),
            (&[("railway", "station"), ("name", "Isartor")], true),
            (&[("highway", "residential"), ("name", "Tal")], false),
            (&[("highway", "bus_stop"), ("name", "Tal")], true),
            (&[("disused:shop", "books"), ("name", "Gone")], false),
            (&[("place", "city"), ("name", "München")], false),
        ] {
            assert_eq!(tags(pairs).are_a_place(), is_place, "{pairs:?}");
        }
    }

    #[test]
    fn tags_become_googles_types_the_most_telling_first() {
        let end = ["point_of_interest", "establishment"];
        for (pairs, expected) in [
            (&[("amenity", "restaurant")] as &[_], &["restaurant", "food"] as &[_]),
            (&[("tourism", "hotel"), ("amenity", "restaurant")], &["restaurant", "lodging", "food"]),
            (&[("shop", "bakery")], &["bakery", "food", "store"]),
            (&[("shop", "party")], &["store"]),
            (&[("shop", "clothes;shoes")], &["clothing_store", "shoe_store", "store"]),
            (&[("amenity", "place_of_worship"), ("religion", "muslim")], &["mosque", "place_of_worship"]),
            (&[("amenity", "place_of_worship")], &["place_of_worship"]),
            (&[("amenity", "pharmacy"), ("healthcare", "pharmacy")], &["pharmacy", "health", "store"]),
            (
                &[("railway", "station"), ("station", "subway")],
                &["subway_station", "train_station", "transit_station"],
            ),
            (&[("office", "company")], &[]),
        ] {
            assert_eq!(kinds(pairs), [expected, &end].concat(), "{pairs:?}");
        }
    }

    #[test]
    fn every_kind_is_in_the_table_once() {
        for (key, value, kinds) in &RULES {
            for kind in *kinds {
                assert!(kind_of(kind).is_some(), "{key}={value}: {kind}");
            }
            assert!(
                KEPT.iter().any(|(kept, _)| kept == key) || ["religion", "station"].contains(key),
                "{key}"
            );
        }
        for (at, kind) in KINDS.iter().enumerate() {
            assert_eq!(kind_of(kind), Some(at as u8), "{kind} stands twice");
        }
    }

    #[test]
    fn a_place_is_described_by_what_its_tags_say() {
        let described = tags(&[
            ("amenity", "fast_food"),
            ("brand", "Vinzenzmurr"),
            ("cuisine", "bavarian"),
            ("addr:street", "Tal"),
            ("addr:housenumber", "12"),
            ("addr:city", "München"),
            ("opening_hours", "Mo-Fr 08:00-18:00"),
        ])
        .describe();
        assert_eq!(described.name, "Vinzenzmurr");
        assert_eq!((described.street.as_str(), described.number.as_str()), ("Tal", "12"));
        assert_eq!(described.city, "München");
        assert_eq!(described.also, "bavarian");
        assert_eq!(described.hours, "Mo-Fr 08:00-18:00");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(600)), "ü".repeat(512));
        assert_eq!(cut(&format!("x{}", "ü".repeat(600))).len(), 1023);
    }
}
