//! The parameters of Google's Nearby Search (Legacy), read into a question. Pure: bytes in, values or a reason out.
//!
//! What Google's own client libraries send is taken as they send it. Parameters that are not known are ignored, as
//! Google ignores them; so are `key` and `signature`, whose values are never looked at. `client` names a client of the
//! herd, and never an account with Google. This module does not know where clients are.

use std::str::FromStr;

use proxyherd_core::{
    limits::{CLIENT_ID_LEN_MAX, PAGE_TOKEN_LEN_MAX, RADIUS_M_MAX, WISH_TEXT_LEN_MAX},
    places::{Point, Rank, Wish},
    types::ClientId,
};

/// The parameters that are known, each of which may be given once.
const NAMES: [&str; 12] = [
    "client",
    "keyword",
    "language",
    "location",
    "maxprice",
    "minprice",
    "name",
    "opennow",
    "pagetoken",
    "radius",
    "rankby",
    "type",
];

/// What a request asks.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    /// The circle's centre.
    pub(crate) around: Around,
    /// The circle's radius, meters: over 0 and at most [`RADIUS_M_MAX`].
    pub(crate) radius_m: f64,
    /// Which places are wanted.
    pub(crate) wish: Wish,
}

/// Where a circle's centre is.
#[derive(Debug, PartialEq)]
pub(crate) enum Around {
    /// Here.
    Point(Point),
    /// Where the client of this ID is now.
    Client(Vec<u8>),
}

/// Why a request can't be answered. The asker's fault, in words for the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadQuestion {
    #[error("`{0}` is given twice; give it once")]
    Twice(&'static str),
    #[error("`{0}` is not written as a URL needs it: percent-encoded UTF-8")]
    BadEncoding(&'static str),
    #[error("`{0}` is too long: at most {1} bytes")]
    TooLong(&'static str, usize),
    #[error("`location` is missing: give location=LAT,LNG, or client=ID for where a client of this herd is")]
    NoLocation,
    #[error("`location` takes LAT,LNG in degrees, up to 90 and 180, such as 34.068930,-118.445127")]
    BadLocation,
    #[error(
        "`client` and `location` can't go together: `client` names a client of this herd, which is where the \
         question is about; leave one out"
    )]
    ClientAndLocation,
    #[error("`client` takes an ID of 1 to {CLIENT_ID_LEN_MAX} bytes without white space")]
    BadClient,
    #[error("`radius` is missing: give meters, or rankby=distance instead")]
    NoRadius,
    #[error("`radius` takes meters, a number over 0")]
    BadRadius,
    #[error(
        "`radius` can't go with rankby=distance, which always looks as far as {RADIUS_M_MAX} m; leave one out"
    )]
    RadiusWithDistance,
    #[error("`rankby` takes prominence or distance")]
    BadRank,
    #[error("`opennow` takes true or false, or is left out")]
    BadOpening,
    #[error("`{0}` takes a whole number from 0 to 4")]
    BadPrice(&'static str),
}

impl Question {
    /// Reads what stands after the `?` of a URL.
    pub(crate) fn read(query: &str) -> Result<Question, BadQuestion> {
        let given = Given::read(query)?;
        if let Some(page_token) = given.text_within("pagetoken", PAGE_TOKEN_LEN_MAX)? {
            return Ok(Question::of_page(page_token));
        }
        let wish = given.wish()?;
        Ok(Question { around: given.around()?, radius_m: given.radius_m(wish.rank)?, wish })
    }

    /// The token names all that shapes the next page, and the other parameters are ignored, as by Google. So
    /// two who ask for the same page ask the same question.
    fn of_page(page_token: String) -> Question {
        let anywhere = Point::new(0.0, 0.0).expect("the equator and Greenwich's meridian are in range");
        let wish = Wish { page_token: Some(page_token), ..Wish::default() };
        Question { around: Around::Point(anywhere), radius_m: RADIUS_M_MAX.into(), wish }
    }
}

/// The known parameters of one request, as they came.
struct Given<'a>([Option<&'a str>; NAMES.len()]);

impl<'a> Given<'a> {
    fn read(query: &'a str) -> Result<Given<'a>, BadQuestion> {
        let mut given = Given([None; NAMES.len()]);
        for pair in query.split('&') {
            // `opennow` without `=` means true. `opennow=` does not: an empty value counts as left out.
            let mere = if pair == "opennow" { "true" } else { "" };
            let (name, value) = pair.split_once('=').unwrap_or((pair, mere));
            let Some(at) =
                decoded(name).and_then(|name| NAMES.iter().position(|known| known.as_bytes() == name))
            else {
                continue;
            };
            if given.0[at].replace(value).is_some() {
                return Err(BadQuestion::Twice(NAMES[at]));
            }
        }
        Ok(given)
    }

    /// A parameter's value as it came.
    fn raw(&self, name: &'static str) -> Option<&'a str> {
        self.0[NAMES.iter().position(|known| *known == name).expect("only known names are asked for")]
    }

    /// A parameter's bytes; one that is empty counts as left out.
    fn bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, BadQuestion> {
        let Some(value) = self.raw(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        decoded(value).map(Some).ok_or(BadQuestion::BadEncoding(name))
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, BadQuestion> {
        self.text_within(name, WISH_TEXT_LEN_MAX)
    }

    fn text_within(&self, name: &'static str, len_max: usize) -> Result<Option<String>, BadQuestion> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        if bytes.len() > len_max {
            return Err(BadQuestion::TooLong(name, len_max));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| BadQuestion::BadEncoding(name))
    }

    fn around(&self) -> Result<Around, BadQuestion> {
        match (self.text("location")?, self.bytes("client")?) {
            (Some(_), Some(_)) => Err(BadQuestion::ClientAndLocation),
            (Some(location), None) => point(&location).map(Around::Point).ok_or(BadQuestion::BadLocation),
            (None, Some(id)) if ClientId::new(&id).is_some() => Ok(Around::Client(id)),
            (None, Some(_)) => Err(BadQuestion::BadClient),
            (None, None) => Err(BadQuestion::NoLocation),
        }
    }

    fn radius_m(&self, rank: Rank) -> Result<f64, BadQuestion> {
        match (rank, self.text("radius")?) {
            (Rank::Distance, Some(_)) => Err(BadQuestion::RadiusWithDistance),
            (Rank::Distance, None) => Ok(RADIUS_M_MAX.into()),
            (Rank::Prominence, None) => Err(BadQuestion::NoRadius),
            (Rank::Prominence, Some(radius)) => {
                let radius = number(&radius).filter(|&radius| radius > 0.0).ok_or(BadQuestion::BadRadius)?;
                Ok(radius.min(RADIUS_M_MAX.into()))
            }
        }
    }

    fn wish(&self) -> Result<Wish, BadQuestion> {
        Ok(Wish {
            kind: self.text("type")?.map(first_kind).filter(|kind| !kind.is_empty()),
            keyword: self.text("keyword")?,
            name: self.text("name")?,
            language: self.text("language")?,
            rank: self.rank()?,
            is_open: self.is_open()?,
            price_min: self.price("minprice")?,
            price_max: self.price("maxprice")?,
            page_token: None,
        })
    }

    fn rank(&self) -> Result<Rank, BadQuestion> {
        match self.text("rankby")?.as_deref() {
            None | Some("prominence") => Ok(Rank::Prominence),
            Some("distance") => Ok(Rank::Distance),
            Some(_) => Err(BadQuestion::BadRank),
        }
    }

    fn is_open(&self) -> Result<bool, BadQuestion> {
        let text = self.text("opennow")?.map(|text| text.to_ascii_lowercase());
        match text.as_deref() {
            Some("true" | "1") => Ok(true),
            None | Some("false" | "0") => Ok(false),
            Some(_) => Err(BadQuestion::BadOpening),
        }
    }

    fn price(&self, name: &'static str) -> Result<Option<u8>, BadQuestion> {
        match self.text(name)?.as_deref() {
            // So Google's Python client says that there is none.
            None | Some("None") => Ok(None),
            Some(level @ ("0" | "1" | "2" | "3" | "4")) => Ok(level.parse().ok()),
            Some(_) => Err(BadQuestion::BadPrice(name)),
        }
    }
}

/// Google takes one type, and of several the first.
fn first_kind(mut kinds: String) -> String {
    kinds.truncate(kinds.find('|').unwrap_or(kinds.len()));
    kinds
}

fn point(text: &str) -> Option<Point> {
    let (latitude, longitude) = text.split_once(',')?;
    Point::new(number(latitude.trim_ascii())?, number(longitude.trim_ascii())?)
}

/// A decimal number, with an exponent or without; no word for what is not a number.
fn number(text: &str) -> Option<f64> {
    let is_written_in_digits = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_written_in_digits.then(|| f64::from_str(text).ok()).flatten()
}

/// Undoes the encoding of `application/x-www-form-urlencoded`; `None` where a percent sign is not followed by two
/// hexadecimal digits.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(decoded)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: &str = "location=34.068930,-118.445127";

    /// What is read of a place and these parameters.
    fn check(parameters: &str, wish: Wish, radius_m: f64) {
        let around = Around::Point(Point::new(34.068930, -118.445127).unwrap());
        let read = Question::read(&format!("{HERE}&{parameters}"));
        assert_eq!(read, Ok(Question { around, radius_m, wish }), "{parameters}");
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_google_s_clients_send_is_understood() {
        let none = Wish::default;
        check("radius=1000", none(), 1000.0);
        check("radius=1000&minprice=None&maxprice=None&key=AIzaX", none(), 1000.0);
        check("radius=5e2&channel=a&client=&signature=x%", none(), 500.0);
        check("radius=50000.1", none(), 50_000.0);
        check("radius=1e999", none(), 50_000.0);
        check("radius=0.5&rankby=prominence&opennow=false&keyword=&type=", none(), 0.5);
        check(
            "radius=50000&type=bar%7Ccafe&keyword=caf%C3%A9+zum%20B%26B&name=L%27%C3%89toile&language=zh-TW\
             &opennow=true&minprice=0&maxprice=4",
            Wish {
                kind: text("bar"),
                keyword: text("café zum B&B"),
                name: text("L'Étoile"),
                language: text("zh-TW"),
                is_open: true,
                price_min: Some(0),
                price_max: Some(4),
                ..none()
            },
            50_000.0,
        );
        for (given, is_open) in [
            ("opennow", true),
            ("opennow=1", true),
            ("opennow=True", true),
            ("opennow=", false),
            ("opennow=0", false),
            ("opennow=%30", false),
        ] {
            check(&format!("radius=1&{given}"), Wish { is_open, ..none() }, 1.0);
        }
        check("rankby=distance", Wish { rank: Rank::Distance, ..none() }, 50_000.0);
        for (given, wish) in [
            ("type=bar", Wish { kind: text("bar"), ..none() }),
            ("keyword=bar", Wish { keyword: text("bar"), ..none() }),
            ("%6eame=bar", Wish { name: text("bar"), ..none() }),
        ] {
            check(&format!("rankby=distance&{given}"), Wish { rank: Rank::Distance, ..wish }, 50_000.0);
        }
    }

    #[test]
    fn a_question_that_cannot_be_answered_says_which_parameter_is_wrong() {
        use BadQuestion::*;
        let long = format!("radius=1&keyword={}", "%41".repeat(WISH_TEXT_LEN_MAX + 1));
        for (parameters, bad) in [
            ("", NoRadius),
            ("radius=", NoRadius),
            ("radius=0", BadRadius),
            ("radius=-5", BadRadius),
            ("radius=inf", BadRadius),
            ("radius=NaN", BadRadius),
            ("radius=10km", BadRadius),
            ("radius=1&radius=1", Twice("radius")),
            ("radius=1&location=1,1", Twice("location")),
            ("radius=1&keyword=a&keyword=", Twice("keyword")),
            ("radius=1&keyword=%4", BadEncoding("keyword")),
            ("radius=1&keyword=100%", BadEncoding("keyword")),
            ("radius=1&keyword=%+1", BadEncoding("keyword")),
            ("radius=1&name=%ff", BadEncoding("name")),
            (&long, TooLong("keyword", WISH_TEXT_LEN_MAX)),
            ("radius=1&client=kiwi", ClientAndLocation),
            ("radius=1&rankby=distance&type=bar", RadiusWithDistance),
            ("rankby=DISTANCE&type=bar", BadRank),
            ("radius=1&opennow=yes", BadOpening),
            ("radius=1&minprice=5", BadPrice("minprice")),
            ("radius=1&maxprice=2.0", BadPrice("maxprice")),
            ("radius=1&maxprice=+1", BadPrice("maxprice")),
        ] {
            assert_eq!(Question::read(&format!("{HERE}&{parameters}")), Err(bad), "{parameters}");
        }
        assert!(
            NoRadius.to_string().contains("`radius`")
                && BadPrice("minprice").to_string().contains("`minprice`")
        );
    }

    #[test]
    fn a_location_is_two_numbers_in_range() {
        for (location, latitude, longitude) in [
            ("1,2", 1.0, 2.0),
            ("-90,180", -90.0, 180.0),
            ("%2B34.0%2C-1e-07", 34.0, -1e-7),
            ("34.06893000,-118.44512700", 34.06893, -118.445127),
            ("1,%202", 1.0, 2.0),
            ("+1+,+2%09", 1.0, 2.0),
        ] {
            let asked = Question::read(&format!("location={location}&radius=1")).unwrap();
            assert_eq!(asked.around, Around::Point(Point::new(latitude, longitude).unwrap()), "{location}");
        }
        for location in [
            "1", "1,", ",1", "1,2,3", "91,0", "0,181", "nan,0", "0,inf", "x,y", "1;2", "1e999,0", "1%202,3",
            ",", "%20,%20",
        ] {
            let asked = Question::read(&format!("location={location}&radius=1"));
            assert_eq!(asked, Err(BadQuestion::BadLocation), "{location}");
        }
    }

    #[test]
    fn a_client_stands_in_for_a_location() {
        let around = |query: &str| Question::read(query).map(|asked| asked.around);
        assert_eq!(around("client=kiwi%2Fcs%FF&radius=1"), Ok(Around::Client(b"kiwi/cs\xff".to_vec())));
        assert_eq!(around("client=a+b&radius=1"), Err(BadQuestion::BadClient));
        assert_eq!(around(&format!("client={}&radius=1", "x".repeat(257))), Err(BadQuestion::BadClient));
        assert_eq!(around("client=%zz&radius=1"), Err(BadQuestion::BadEncoding("client")));
        for query in ["", "radius=1", "client=&location=&radius=1", "Location=1,1&radius=1"] {
            assert_eq!(around(query), Err(BadQuestion::NoLocation), "{query}");
        }
    }

    #[test]
    fn a_page_token_says_all() {
        let expected = Question::of_page("AB-_c=".to_owned());
        for query in ["pagetoken=AB-_c%3D", "location=x&radius=-1&pagetoken=AB-_c=&minprice=None&key=k"] {
            assert_eq!(Question::read(query).as_ref(), Ok(&expected), "{query}");
        }
        assert_eq!(expected.wish.page_token.as_deref(), Some("AB-_c="));
    }

    #[test]
    fn a_page_token_may_be_longer_than_a_wish() {
        let read = |len: usize| Question::read(&format!("pagetoken={}", "%41".repeat(len)));
        assert_eq!(read(PAGE_TOKEN_LEN_MAX), Ok(Question::of_page("A".repeat(PAGE_TOKEN_LEN_MAX))));
        let too_long = BadQuestion::TooLong("pagetoken", PAGE_TOKEN_LEN_MAX);
        assert_eq!(read(PAGE_TOKEN_LEN_MAX + 1), Err(too_long));
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in "(&|=|%|\\+|[0-9a-f.,-]|location|radius|client|keyword|rankby){0,24}") {
            if let Ok(asked) = Question::read(&query) {
                prop_assert!(asked.radius_m > 0.0 && asked.radius_m <= 50_000.0);
            }
        }

        #[test]
        fn any_text_comes_through_percent_encoded(text in "\\PC{1,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let asked = Question::read(&format!("{HERE}&radius=1&name={encoded}"));
            prop_assert_eq!(asked.map(|asked| asked.wish.name), Ok(Some(text)));
        }
    }
}
