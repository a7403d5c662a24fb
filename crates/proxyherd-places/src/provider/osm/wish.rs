//! Decides whether a place is wanted, by passing a record of the index to core's [`Matcher`].
//!
//! [`Wanted::read`] prepares a wish once, and [`Wanted::takes`] compares it with many records. This module does not
//! know where places are.

use proxyherd_core::places::{Matcher, Rank, Wish};

use super::index::IndexRecord;
use super::tags::KINDS;
use crate::provider::Failure;

/// A wish, prepared to be compared with many places.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// `None` if every place is wanted.
    matcher: Option<Matcher>,
}

impl Wanted {
    /// Reads a wish. A wished language selects no places, because names are returned as the data has them. A wished
    /// rank selects no places either, because the nearest places always come first.
    pub(super) fn read(wish: Option<&Wish>) -> Result<Wanted, Failure> {
        let Some(wish) = wish else { return Ok(Wanted::default()) };
        if wish.page_token.is_some() {
            return Err(Failure::BadQuery("its answers have one page, so no token names another".to_owned()));
        }
        let chooses = Wish { language: None, rank: Rank::default(), ..wish.clone() } != Wish::default();
        Ok(Wanted { matcher: chooses.then(|| Matcher::new(Some(wish))) })
    }

    /// Whether every place is wanted.
    pub(super) fn is_all(&self) -> bool {
        self.matcher.is_none()
    }

    /// Whether a place is wanted. `is_open` is called only if the wish depends on it.
    pub(super) fn takes(&self, record: &IndexRecord<'_>, is_open: impl FnOnce() -> Option<bool>) -> bool {
        let Some(matcher) = &self.matcher else { return true };
        let kinds = || record.kinds.iter().filter_map(|&kind| KINDS.get(usize::from(kind)).copied());
        matcher.fits_kinds(kinds())
            && matcher.fits_price(None)
            && matcher.fits_texts(record.name, kinds().chain([record.also, record.vicinity]))
            && (!matcher.wants_open() || matcher.fits_opening(is_open()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::{Object, ObjectId};
    use super::super::tags::kind_of;
    use super::*;

    fn takes(wish: &Wish) -> bool {
        let kinds = [kind_of("restaurant").unwrap(), kind_of("meal_takeaway").unwrap()];
        let record = IndexRecord {
            id: ObjectId { object: Object::Node, number: 1 },
            locale: 0,
            kinds: &kinds,
            name: "Café Königin Łódź",
            vicinity: "Große Straße 3, Gräfelfing",
            hours: "",
            also: "pizza;Bella",
        };
        Wanted::read(Some(wish)).unwrap().takes(&record, || None)
    }

    #[test]
    fn a_place_is_wanted_if_it_is_all_that_was_wished_for() {
        let text = |text: &str| Some(text.to_owned());
        for (wish, expected) in [
            (Wish::default(), true),
            (Wish { kind: text("restaurant"), ..Wish::default() }, true),
            (Wish { kind: text("bank"), ..Wish::default() }, false),
            (Wish { kind: text("no_such_type"), ..Wish::default() }, false),
            (Wish { name: text("KONIGIN"), ..Wish::default() }, true),
            (Wish { name: text("café kö"), ..Wish::default() }, true),
            (Wish { name: text("lodz"), ..Wish::default() }, true),
            (Wish { name: text("pizza"), ..Wish::default() }, false),
            (Wish { keyword: text("pizza"), ..Wish::default() }, true),
            (Wish { keyword: text("grafelfing grosse  PIZZA"), ..Wish::default() }, true),
            (Wish { keyword: text("meal takeaway"), ..Wish::default() }, true),
            (Wish { keyword: text("meal_takeaway"), ..Wish::default() }, true),
            (Wish { keyword: text("pizza sushi"), ..Wish::default() }, false),
            (Wish { keyword: text("pizza"), kind: text("bank"), ..Wish::default() }, false),
            (Wish { language: text("de"), ..Wish::default() }, true),
            (Wish { price_min: Some(4), ..Wish::default() }, false),
            (Wish { is_open: true, ..Wish::default() }, false),
        ] {
            assert_eq!(takes(&wish), expected, "{wish:?}");
        }
    }

    #[test]
    fn there_is_no_second_page() {
        let wish = Wish { page_token: Some("x".to_owned()), ..Wish::default() };
        assert!(matches!(Wanted::read(Some(&wish)), Err(Failure::BadQuery(_))));
    }
}
