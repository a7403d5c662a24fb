//! Compares places with a wish, for providers that have their places in memory.
//!
//! Case and accents do not count, so `cafe zurich` finds `Café Zürich`. As with Google, a place with an unknown
//! property fulfills no wish about that property: a query for open places does not find a place whose hours are
//! unknown. This module does not know the position of a place, the order of places, or the pages of an answer.

use unicode_normalization::UnicodeNormalization as _;

use super::Wish;

/// A wish, prepared for comparison with many places.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    kind: Option<String>,
    keyword: Vec<String>,
    name: Vec<String>,
    is_open: bool,
    price_min: Option<u8>,
    price_max: Option<u8>,
}

impl Matcher {
    /// Prepares a wish. Without a wish every place matches.
    pub fn new(wish: Option<&Wish>) -> Matcher {
        let Some(wish) = wish else { return Matcher::default() };
        Matcher {
            kind: wish.kind.clone(),
            keyword: words(wish.keyword.as_deref()),
            name: words(wish.name.as_deref()),
            is_open: wish.is_open,
            price_min: wish.price_min,
            price_max: wish.price_max,
        }
    }

    /// Whether one of a place's kinds is the wanted kind.
    pub fn fits_kinds(&self, kinds: impl IntoIterator<Item: AsRef<str>>) -> bool {
        self.kind.as_ref().is_none_or(|wanted| kinds.into_iter().any(|kind| kind.as_ref() == wanted))
    }

    /// Whether each wanted word occurs, possibly as a part of a word. Words of the wanted name must occur in `name`.
    /// Words of the keyword must occur in `name` or in one of `others`, which are other known texts such as kinds or an
    /// address.
    pub fn fits_texts(&self, name: &str, others: impl IntoIterator<Item: AsRef<str>>) -> bool {
        if self.name.is_empty() && self.keyword.is_empty() {
            return true;
        }
        let name = SearchText::of(name);
        let mut missing: Vec<&str> =
            self.keyword.iter().map(String::as_str).filter(|word| !name.holds(word)).collect();
        for other in others {
            if missing.is_empty() {
                break;
            }
            let other = SearchText::of(other.as_ref());
            missing.retain(|word| !other.holds(word));
        }
        missing.is_empty() && self.name.iter().all(|word| name.holds(word))
    }

    /// Whether the wish is only for places that are open now.
    pub fn wants_open(&self) -> bool {
        self.is_open
    }

    /// Whether a place with these known properties matches.
    pub fn fits_opening(&self, is_open: Option<bool>) -> bool {
        !self.is_open || is_open == Some(true)
    }

    /// Whether a place of this price level matches.
    pub fn fits_price(&self, level: Option<u8>) -> bool {
        let within = |level| {
            self.price_min.is_none_or(|min| level >= min) && self.price_max.is_none_or(|max| level <= max)
        };
        level.map_or(self.price_min.is_none() && self.price_max.is_none(), within)
    }
}

fn words(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split_whitespace().map(folded).filter(|word| !word.is_empty()).collect()
}

/// A place's text, prepared for searching. Most texts are ASCII and need no copy.
enum SearchText<'a> {
    Ascii(&'a [u8]),
    Folded(String),
}

impl<'a> SearchText<'a> {
    fn of(text: &'a str) -> SearchText<'a> {
        if text.is_ascii() { SearchText::Ascii(text.as_bytes()) } else { SearchText::Folded(folded(text)) }
    }

    /// Whether `word` occurs. `word` must be folded and not empty.
    fn holds(&self, word: &str) -> bool {
        match self {
            SearchText::Ascii(bytes) => {
                bytes.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
            }
            SearchText::Folded(text) => text.contains(word),
        }
    }
}

/// Converts to lower case and removes accents. Only accents of Latin, Greek and Cyrillic are removed. In other scripts
/// a combining mark makes another letter, as in `か` and `が`.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let bare = text.nfd().filter(|letter| !('\u{300}'..='\u{36f}').contains(letter)).nfc();
    for letter in bare.flat_map(char::to_lowercase) {
        match letter {
            // Letters that are not accented forms of other letters. They are written as people write them who lack
            // these letters.
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            '’' | 'ʼ' => folded.push('\''),
            // The combining dot that remains when a capital İ is converted to lower case.
            '\u{300}'..='\u{36f}' => {}
            other => folded.push(other),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn texts_are_the_same_whatever_their_case_and_accents() {
        for (one, other) in [
            ("Café ZÜRICH", "cafe zurich"),
            ("Großer Platz", "GROSSER PLATZ"),
            ("Łódź", "lodz"),
            ("Ærøskøbing", "aeroskobing"),
            ("İstanbul", "istanbul"),
            ("ISPARTA", "ısparta"),
            ("Αθήνα", "ΑΘΗΝΑ"),
            ("Πάτρας", "πατρασ"),
            ("Đà Nẵng", "da nang"),
            ("Cafe\u{301}", "café"),
            ("Xi’an", "xi'an"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        for (one, other) in [("か", "が"), ("e", "o"), ("कि", "क")] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }

    fn check(wish: &Wish, name: &str, others: &[&str], expected: bool) {
        assert_eq!(Matcher::new(Some(wish)).fits_texts(name, others), expected, "{wish:?} {name} {others:?}");
    }

    #[test]
    fn a_name_holds_each_word_that_is_wanted_of_it() {
        for (wanted, name, expected) in [
            ("hills", "Beverly Hills", true),
            ("hills beverly", "Beverly Hills", true),
            ("HILL", "Beverly Hills", true),
            ("hills north", "Beverly Hills", false),
            ("beverlyhills", "Beverly Hills", false),
            ("são paulo", "SAO PAULO", true),
            ("sao paulo", "São Paulo", true),
            ("münchen", "Munchen", true),
            ("東京", "Tokyo", false),
            ("", "Beverly Hills", true),
            (" \u{301} ", "Beverly Hills", true),
            ("x", "", false),
        ] {
            check(&Wish { name: Some(wanted.into()), ..Wish::default() }, name, &["north 東京 x"], expected);
        }
    }

    #[test]
    fn a_keyword_stands_in_whatever_is_known() {
        for (wanted, expected) in [
            ("roma", true),
            ("pizza roma", true),
            ("PIZZÁ corso", true),
            ("pizza sushi", false),
            ("corso 1", false),
        ] {
            let wish = Wish { keyword: Some(wanted.into()), ..Wish::default() };
            check(&wish, "Trattoria Roma", &["pizza;pasta", "Corso Italia"], expected);
        }
        let both = Wish { keyword: Some("pizza".into()), name: Some("pasta".into()), ..Wish::default() };
        check(&both, "Trattoria Roma", &["pizza;pasta"], false);
    }

    #[test]
    fn a_kind_is_one_of_the_place_s_kinds() {
        let matcher = Matcher::new(Some(&Wish { kind: Some("bar".into()), ..Wish::default() }));
        assert!(matcher.fits_kinds(["restaurant", "bar"]));
        assert!(!matcher.fits_kinds(["barber", "Bar"]) && !matcher.fits_kinds(NONE));
    }

    #[test]
    fn what_is_not_known_fulfils_no_wish() {
        let any = Matcher::new(None);
        assert!(any.fits_kinds(NONE) && any.fits_texts("", NONE));
        assert!(any.fits_opening(None) && any.fits_opening(Some(false)) && any.fits_price(None));
        let open = Matcher::new(Some(&Wish { is_open: true, ..Wish::default() }));
        let fits = [Some(true), Some(false), None].map(|is_open| open.fits_opening(is_open));
        assert_eq!((fits, open.wants_open(), any.wants_open()), ([true, false, false], true, false));
    }

    #[test]
    fn a_price_lies_between_the_cheapest_and_the_dearest() {
        for (price_min, price_max, fitting) in [
            (None, None, vec![None, Some(0), Some(1), Some(2), Some(3), Some(4)]),
            (Some(3), None, vec![Some(3), Some(4)]),
            (None, Some(1), vec![Some(0), Some(1)]),
            (Some(2), Some(2), vec![Some(2)]),
            (Some(3), Some(2), vec![]),
        ] {
            let matcher = Matcher::new(Some(&Wish { price_min, price_max, ..Wish::default() }));
            let levels = [None, Some(0), Some(1), Some(2), Some(3), Some(4)];
            let fits: Vec<_> = levels.into_iter().filter(|&level| matcher.fits_price(level)).collect();
            assert_eq!(fits, fitting, "{price_min:?} {price_max:?}");
        }
    }

    proptest! {
        #[test]
        fn ascii_is_searched_as_folded_text_is(text in "[ -~]{0,12}", word in "[a-z'.]{1,3}", at in 0usize..12) {
            let mut text = text;
            prop_assert_eq!(SearchText::of(&text).holds(&word), folded(&text).contains(&word));
            text.insert_str(at.min(text.len()), &word.to_uppercase());
            prop_assert!(SearchText::of(&text).holds(&word), "{}", text);
        }

        #[test]
        fn folding_twice_changes_nothing_more(text in "\\PC{0,12}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
