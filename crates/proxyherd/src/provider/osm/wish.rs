//! Whether a place is one that was wished for.

use proxyherd_core::places::Wish;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::index::Record;
use super::tags::{KINDS, kind_of};
use crate::provider::Failure;

/// A wish, made ready to be compared with many places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    kind: Option<Kind>,
    /// All of these occur in what is known of the place.
    words: Vec<String>,
    name: Option<String>,
    pub(super) is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Known(u8),
    /// No place here is of it.
    Unknown,
}

impl Wanted {
    /// Reads a wish. Prices and languages filter nothing: nothing is known of prices, and names are told as they
    /// are written. Nearest places come first whatever the rank, for the data says nothing about prominence.
    pub(super) fn read(wish: &Wish) -> Result<Wanted, Failure> {
        if wish.page_token.is_some() {
            let message = "OpenStreetMap's places come on one page, so there is no token for another";
            return Err(Failure::BadQuery(message.to_owned()));
        }
        let kind = wish.kind.as_deref().map(|kind| kind_of(kind).map_or(Kind::Unknown, Kind::Known));
        let words = wish.keyword.as_deref().map(fold).unwrap_or_default();
        Ok(Wanted {
            kind,
            words: words.split_whitespace().map(str::to_owned).collect(),
            name: wish.name.as_deref().map(fold),
            is_open: wish.is_open,
        })
    }

    /// Whether every place is wanted.
    pub(super) fn is_all(&self) -> bool {
        *self == Wanted::default()
    }

    /// Whether a place is wanted, but for its being open.
    pub(super) fn takes(&self, record: &Record<'_>) -> bool {
        let is_kind = match self.kind {
            None => true,
            Some(Kind::Unknown) => false,
            Some(Kind::Known(kind)) => record.kinds.contains(&kind),
        };
        is_kind && self.takes_name(record) && self.takes_words(record)
    }

    fn takes_name(&self, record: &Record<'_>) -> bool {
        self.name.as_ref().is_none_or(|name| fold(record.name).contains(name))
    }

    fn takes_words(&self, record: &Record<'_>) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let mut known = [record.name, record.also, record.vicinity].join("\n");
        for &kind in record.kinds {
            known.push('\n');
            known.push_str(KINDS.get(usize::from(kind)).unwrap_or(&""));
        }
        let known = fold(&known);
        self.words.iter().all(|word| known.contains(word))
    }
}

/// Without case and accents, and underscores as spaces: `Käfer` and `kafer` are one, as are `gas_station` and `gas
/// station`.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.nfkd().filter(|&character| !is_combining_mark(character)) {
        match character {
            '_' => folded.push(' '),
            'ß' | 'ẞ' => folded.push_str("ss"),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'ø' | 'Ø' => folded.push('o'),
            'ł' | 'Ł' => folded.push('l'),
            'đ' | 'Đ' => folded.push('d'),
            'ı' => folded.push('i'),
            other => folded.extend(other.to_lowercase()),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::super::index::{Id, Object};
    use super::*;

    fn takes(wish: &Wish) -> bool {
        let kinds = [kind_of("restaurant").unwrap(), kind_of("meal_takeaway").unwrap()];
        let record = Record {
            id: Id { object: Object::Node, number: 1 },
            locale: 0,
            kinds: &kinds,
            name: "Café Königin Łódź",
            vicinity: "Große Straße 3, Gräfelfing",
            hours: "",
            also: "pizza;Bella",
        };
        Wanted::read(wish).unwrap().takes(&record)
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
            (Wish { price_min: Some(4), language: text("de"), ..Wish::default() }, true),
        ] {
            assert_eq!(takes(&wish), expected, "{wish:?}");
        }
    }

    #[test]
    fn there_is_no_second_page() {
        let wish = Wish { page_token: Some("x".to_owned()), ..Wish::default() };
        assert!(matches!(Wanted::read(&wish), Err(Failure::BadQuery(_))));
    }
}
