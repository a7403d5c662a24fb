//! Parses the parameters of Google's Nearby Search (Legacy). The module is pure: the input is a query string, and the
//! output is a [`NearbyRequest`] or the mistake in a parameter.
//!
//! Everything that Google's client libraries send is accepted. Unknown parameters are ignored, as Google ignores them.
//! `key` and `signature` are ignored too, and their values are never read. `client` names a client of the herd, and
//! never an account at Google. This module does not know where clients are.

use std::str::FromStr;

use proxyherd_core::{
    limits::{CLIENT_ID_LEN_MAX, PAGE_TOKEN_LEN_MAX, RADIUS_M_MAX, WISH_TEXT_LEN_MAX},
    places::{Point, Rank, Wish},
    types::ClientId,
};

/// The known parameters. Each parameter may be given once.
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

/// A parsed request.
#[derive(Debug, PartialEq)]
pub(crate) struct NearbyRequest {
    /// The circle's center.
    pub(crate) center: SearchCenter,
    /// The circle's radius, meters. The radius is greater than 0 and at most [`RADIUS_M_MAX`].
    pub(crate) radius_m: f64,
    /// The wish: which places the request asks for.
    pub(crate) wish: Wish,
}

/// The center of the circle in which places are searched.
#[derive(Debug, PartialEq)]
pub(crate) enum SearchCenter {
    /// This position.
    Point(Point),
    /// The present position of the client with this ID.
    Client(Vec<u8>),
}

/// What is wrong with a request. The message is for the client that sent the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadParameter {
    #[error("`{0}` is given twice; give it once")]
    Twice(&'static str),
    #[error("`{0}` is not percent-encoded UTF-8, as a URL requires")]
    BadEncoding(&'static str),
    #[error("`{0}` is too long: at most {1} bytes")]
    TooLong(&'static str, usize),
    #[error("`location` is missing: give location=LAT,LNG, or client=ID for where a client of this herd is")]
    NoLocation,
    #[error("`location` takes LAT,LNG in degrees, up to 90 and 180, such as 34.068930,-118.445127")]
    BadLocation,
    #[error(
        "`client` and `location` can't go together: `client` already gives the position to search around; \
         leave one out"
    )]
    ClientAndLocation,
    #[error("`client` takes an ID of 1 to {CLIENT_ID_LEN_MAX} bytes without white space")]
    BadClient,
    #[error("`radius` is missing: give meters, or rankby=distance instead")]
    NoRadius,
    #[error("`radius` takes a number of meters greater than 0")]
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

impl NearbyRequest {
    /// Parses the query of a URL, without its `?`.
    pub(crate) fn parse(query: &str) -> Result<NearbyRequest, BadParameter> {
        let given = RawParameters::parse(query)?;
        if let Some(page_token) = given.text_within("pagetoken", PAGE_TOKEN_LEN_MAX)? {
            return Ok(NearbyRequest::of_page(page_token));
        }
        let wish = given.wish()?;
        Ok(NearbyRequest { center: given.center()?, radius_m: given.radius_m(wish.rank)?, wish })
    }

    /// A request for the page with this token. The token replaces all other parameters, so this ignores them, as Google
    /// does. So all requests for one page are equal.
    fn of_page(page_token: String) -> NearbyRequest {
        let anywhere = Point::new(0.0, 0.0).expect("the equator and Greenwich's meridian are in range");
        let wish = Wish { page_token: Some(page_token), ..Wish::default() };
        NearbyRequest { center: SearchCenter::Point(anywhere), radius_m: RADIUS_M_MAX.into(), wish }
    }
}

/// The values of one request's known parameters, still encoded.
struct RawParameters<'a>([Option<&'a str>; NAMES.len()]);

impl<'a> RawParameters<'a> {
    fn parse(query: &'a str) -> Result<RawParameters<'a>, BadParameter> {
        let mut given = RawParameters([None; NAMES.len()]);
        for pair in query.split('&') {
            // `opennow` without `=` means true. `opennow=` means false, because an empty value counts as omitted.
            let value_if_bare = if pair == "opennow" { "true" } else { "" };
            let (name, value) = pair.split_once('=').unwrap_or((pair, value_if_bare));
            let Some(at) =
                decode(name).and_then(|name| NAMES.iter().position(|known| known.as_bytes() == name))
            else {
                continue;
            };
            if given.0[at].replace(value).is_some() {
                return Err(BadParameter::Twice(NAMES[at]));
            }
        }
        Ok(given)
    }

    /// A parameter's value, still encoded.
    fn raw(&self, name: &'static str) -> Option<&'a str> {
        self.0[NAMES.iter().position(|known| *known == name).expect("only known names are asked for")]
    }

    /// A parameter's decoded value. An empty value counts as omitted.
    fn bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, BadParameter> {
        let Some(value) = self.raw(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        decode(value).map(Some).ok_or(BadParameter::BadEncoding(name))
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, BadParameter> {
        self.text_within(name, WISH_TEXT_LEN_MAX)
    }

    fn text_within(&self, name: &'static str, len_max: usize) -> Result<Option<String>, BadParameter> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        if bytes.len() > len_max {
            return Err(BadParameter::TooLong(name, len_max));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| BadParameter::BadEncoding(name))
    }

    fn center(&self) -> Result<SearchCenter, BadParameter> {
        match (self.text("location")?, self.bytes("client")?) {
            (Some(_), Some(_)) => Err(BadParameter::ClientAndLocation),
            (Some(location), None) => {
                point(&location).map(SearchCenter::Point).ok_or(BadParameter::BadLocation)
            }
            (None, Some(id)) if ClientId::new(&id).is_some() => Ok(SearchCenter::Client(id)),
            (None, Some(_)) => Err(BadParameter::BadClient),
            (None, None) => Err(BadParameter::NoLocation),
        }
    }

    fn radius_m(&self, rank: Rank) -> Result<f64, BadParameter> {
        match (rank, self.text("radius")?) {
            (Rank::Distance, Some(_)) => Err(BadParameter::RadiusWithDistance),
            (Rank::Distance, None) => Ok(RADIUS_M_MAX.into()),
            (Rank::Prominence, None) => Err(BadParameter::NoRadius),
            (Rank::Prominence, Some(radius)) => {
                let radius = number(&radius).filter(|&radius| radius > 0.0).ok_or(BadParameter::BadRadius)?;
                Ok(radius.min(RADIUS_M_MAX.into()))
            }
        }
    }

    fn wish(&self) -> Result<Wish, BadParameter> {
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

    fn rank(&self) -> Result<Rank, BadParameter> {
        match self.text("rankby")?.as_deref() {
            None | Some("prominence") => Ok(Rank::Prominence),
            Some("distance") => Ok(Rank::Distance),
            Some(_) => Err(BadParameter::BadRank),
        }
    }

    fn is_open(&self) -> Result<bool, BadParameter> {
        let text = self.text("opennow")?.map(|text| text.to_ascii_lowercase());
        match text.as_deref() {
            Some("true" | "1") => Ok(true),
            None | Some("false" | "0") => Ok(false),
            Some(_) => Err(BadParameter::BadOpening),
        }
    }

    fn price(&self, name: &'static str) -> Result<Option<u8>, BadParameter> {
        match self.text(name)?.as_deref() {
            // Google's Python client sends `None` if there is no price.
            None | Some("None") => Ok(None),
            Some(level @ ("0" | "1" | "2" | "3" | "4")) => Ok(level.parse().ok()),
            Some(_) => Err(BadParameter::BadPrice(name)),
        }
    }
}

/// The first of several types. Google uses only the first type too.
fn first_kind(mut kinds: String) -> String {
    kinds.truncate(kinds.find('|').unwrap_or(kinds.len()));
    kinds
}

fn point(text: &str) -> Option<Point> {
    let (latitude, longitude) = text.split_once(',')?;
    Point::new(number(latitude.trim_ascii())?, number(longitude.trim_ascii())?)
}

/// Parses a decimal number with or without an exponent. Refuses words such as `inf` and `NaN`.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_written_in_digits = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_written_in_digits.then(|| f64::from_str(text).ok()).flatten()
}

/// Decodes `application/x-www-form-urlencoded`. `None` if two hexadecimal digits do not follow a percent sign.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
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

    /// Expects this wish and radius from a location and these parameters.
    fn check(parameters: &str, wish: Wish, radius_m: f64) {
        let center = SearchCenter::Point(Point::new(34.068930, -118.445127).unwrap());
        let read = NearbyRequest::parse(&format!("{HERE}&{parameters}"));
        assert_eq!(read, Ok(NearbyRequest { center, radius_m, wish }), "{parameters}");
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_google_s_clients_send_is_parsed() {
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
    fn the_error_names_the_wrong_parameter() {
        use BadParameter::*;
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
            assert_eq!(NearbyRequest::parse(&format!("{HERE}&{parameters}")), Err(bad), "{parameters}");
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
            let asked = NearbyRequest::parse(&format!("location={location}&radius=1")).unwrap();
            assert_eq!(
                asked.center,
                SearchCenter::Point(Point::new(latitude, longitude).unwrap()),
                "{location}"
            );
        }
        for location in [
            "1", "1,", ",1", "1,2,3", "91,0", "0,181", "nan,0", "0,inf", "x,y", "1;2", "1e999,0", "1%202,3",
            ",", "%20,%20",
        ] {
            let asked = NearbyRequest::parse(&format!("location={location}&radius=1"));
            assert_eq!(asked, Err(BadParameter::BadLocation), "{location}");
        }
    }

    #[test]
    fn a_client_takes_the_place_of_a_location() {
        let center = |query: &str| NearbyRequest::parse(query).map(|asked| asked.center);
        assert_eq!(center("client=kiwi%2Fcs%FF&radius=1"), Ok(SearchCenter::Client(b"kiwi/cs\xff".to_vec())));
        assert_eq!(center("client=a+b&radius=1"), Err(BadParameter::BadClient));
        assert_eq!(center(&format!("client={}&radius=1", "x".repeat(257))), Err(BadParameter::BadClient));
        assert_eq!(center("client=%zz&radius=1"), Err(BadParameter::BadEncoding("client")));
        for query in ["", "radius=1", "client=&location=&radius=1", "Location=1,1&radius=1"] {
            assert_eq!(center(query), Err(BadParameter::NoLocation), "{query}");
        }
    }

    #[test]
    fn a_page_token_stands_for_all_parameters() {
        let expected = NearbyRequest::of_page("AB-_c=".to_owned());
        for query in ["pagetoken=AB-_c%3D", "location=x&radius=-1&pagetoken=AB-_c=&minprice=None&key=k"] {
            assert_eq!(NearbyRequest::parse(query).as_ref(), Ok(&expected), "{query}");
        }
        assert_eq!(expected.wish.page_token.as_deref(), Some("AB-_c="));
    }

    #[test]
    fn a_page_token_may_be_longer_than_other_texts() {
        let read = |len: usize| NearbyRequest::parse(&format!("pagetoken={}", "%41".repeat(len)));
        assert_eq!(read(PAGE_TOKEN_LEN_MAX), Ok(NearbyRequest::of_page("A".repeat(PAGE_TOKEN_LEN_MAX))));
        let too_long = BadParameter::TooLong("pagetoken", PAGE_TOKEN_LEN_MAX);
        assert_eq!(read(PAGE_TOKEN_LEN_MAX + 1), Err(too_long));
    }

    proptest! {
        #[test]
        fn any_query_is_parsed_or_refused(query in "(&|=|%|\\+|[0-9a-f.,-]|location|radius|client|keyword|rankby){0,24}") {
            if let Ok(asked) = NearbyRequest::parse(&query) {
                prop_assert!(asked.radius_m > 0.0 && asked.radius_m <= 50_000.0);
            }
        }

        #[test]
        fn any_percent_encoded_text_is_decoded(text in "\\PC{1,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let asked = NearbyRequest::parse(&format!("{HERE}&radius=1&name={encoded}"));
            prop_assert_eq!(asked.map(|asked| asked.wish.name), Ok(Some(text)));
        }
    }
}
