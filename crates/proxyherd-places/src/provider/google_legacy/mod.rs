//! The provider that asks Google's Nearby Search (Legacy).
//!
//! <https://developers.google.com/maps/documentation/places/web-service/legacy/search-nearby>
//!
//! The doors speak the same interface, so questions and results pass through unchanged. Invariant: no URL is ever
//! printed, because this interface takes the key only in the URL.

pub(crate) mod answer;

use std::{borrow::Cow, time::Duration};

use proxyherd_core::places::{Answer, Query, Rank, Wish};
use reqwest::Url;

use super::{Failure, OpenError, Pending, Provider, http::Upstream};
use crate::{Environment, GoogleSettings};

const NAME: &str = "google-legacy";
const PATH: &str = "/maps/api/place/nearbysearch/json";

const PAGE_REFUSED: &str = "there is no such `pagetoken`, or it is not valid yet: a token becomes valid a few seconds after its page";

/// The provider.
pub struct GoogleLegacy {
    upstream: Upstream,
}

impl GoogleLegacy {
    /// Reads the key. One request may take `whole_max`.
    pub fn open(
        settings: &GoogleSettings,
        whole_max: Duration,
        environment: &Environment,
    ) -> Result<GoogleLegacy, OpenError> {
        Ok(GoogleLegacy { upstream: Upstream::open(NAME, settings, PATH, whole_max, environment)? })
    }

    async fn ask(&self, query: &Query) -> Result<Answer, Failure> {
        let mut url = self.upstream.url();
        append(&mut url, &by_something(query));
        url.query_pairs_mut().append_pair("key", self.upstream.key().parameter());
        let reply = self.upstream.send(self.upstream.client().get(url)).await?;
        let wish = query.wish.as_deref();
        let kind = wish.and_then(|wish| wish.kind.as_deref());
        let is_page = wish.is_some_and(|wish| wish.page_token.is_some());
        match answer::read(reply, kind, &|message| self.upstream.told(message)) {
            Ok(mut answer) => {
                // Google has no reason to repeat the key in a result. If a result still has the key, the result is
                // dropped, so that nobody sees the key.
                answer.passed_on.retain(|result| !self.upstream.key().is_in(result.as_str()));
                Ok(answer)
            }
            // If a page is refused, Google does not say why.
            Err(Failure::BadQuery(_)) if is_page => Err(Failure::BadQuery(PAGE_REFUSED.to_owned())),
            Err(failure) => Err(failure),
        }
    }
}

impl Provider for GoogleLegacy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        Box::pin(self.ask(query))
    }
}

/// To rank by distance, Google needs a type, a keyword or a name. If a question has none of these, the provider asks
/// for the type `establishment`. This is Google's type for everything that is neither an address nor an area.
fn by_something(query: &Query) -> Cow<'_, Query> {
    match query.wish.as_deref() {
        Some(
            wish @ Wish {
                rank: Rank::Distance, kind: None, keyword: None, name: None, page_token: None, ..
            },
        ) => {
            let wish = Wish { kind: Some("establishment".to_owned()), ..wish.clone() };
            Cow::Owned(query.clone().wishing(wish))
        }
        _ => Cow::Borrowed(query),
    }
}

/// Appends all parameters except for the key.
pub(crate) fn append(url: &mut Url, query: &Query) {
    let none = Wish::default();
    let wish = query.wish.as_deref().unwrap_or(&none);
    let mut pairs = url.query_pairs_mut();
    if let Some(token) = &wish.page_token {
        // The token replaces all parameters of the question to which it belongs.
        pairs.append_pair("pagetoken", token);
        return;
    }
    pairs.append_pair("location", &format!("{},{}", query.latitude, query.longitude));
    match wish.rank {
        Rank::Prominence => pairs.append_pair("radius", &query.radius_m.to_string()),
        // Google accepts either a radius or this rank, but not both.
        Rank::Distance => pairs.append_pair("rankby", "distance"),
    };
    let texts = [
        ("type", &wish.kind),
        ("keyword", &wish.keyword),
        ("name", &wish.name),
        ("language", &wish.language),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            pairs.append_pair(name, text);
        }
    }
    if wish.is_open {
        pairs.append_pair("opennow", "true");
    }
    for (name, level) in [("minprice", wish.price_min), ("maxprice", wish.price_max)] {
        if let Some(level) = level {
            pairs.append_pair(name, &level.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::places::Point;

    use super::*;

    fn check_url(wish: Wish, expected: &str) {
        let query = Query::within(Point::new(34.06893, -118.445127).unwrap(), 1500.5).unwrap().wishing(wish);
        let mut url = Url::parse("http://x/").unwrap();
        append(&mut url, &query);
        assert_eq!(url.query(), Some(expected));
    }

    #[test]
    fn a_question_passes_through() {
        let at = "location=34.06893%2C-118.445127";
        check_url(Wish::default(), &format!("{at}&radius=1500.5"));
        let wish = Wish {
            kind: Some("cafe".into()),
            keyword: Some("crème & sugar=2".into()),
            name: Some("Café".into()),
            language: Some("pt-BR".into()),
            rank: Rank::Prominence,
            is_open: true,
            price_min: Some(0),
            price_max: Some(4),
            page_token: None,
        };
        check_url(
            wish.clone(),
            &format!(
                "{at}&radius=1500.5&type=cafe&keyword=cr%C3%A8me+%26+sugar%3D2&name=Caf%C3%A9&language=pt-BR\
                 &opennow=true&minprice=0&maxprice=4"
            ),
        );
        check_url(Wish { page_token: Some("a/b".into()), ..wish }, "pagetoken=a%2Fb");
        let by_distance = Wish { rank: Rank::Distance, kind: Some("cafe".into()), ..Wish::default() };
        check_url(by_distance, &format!("{at}&rankby=distance&type=cafe"));
    }

    #[test]
    fn ranking_by_distance_alone_asks_for_establishments() {
        let asked = |wish: Wish| {
            let query = Query::within(Point::new(1.0, 2.0).unwrap(), 5.0).unwrap().wishing(wish);
            let mut url = Url::parse("http://x/").unwrap();
            append(&mut url, &by_something(&query));
            url.query().unwrap().to_owned()
        };
        let wish = Wish { rank: Rank::Distance, is_open: true, ..Wish::default() };
        let text = || Some("x".to_owned());
        let expected = "location=1%2C2&rankby=distance&type=establishment&opennow=true";
        assert_eq!(asked(wish.clone()), expected);
        for wish in [
            Wish { kind: text(), ..wish.clone() },
            Wish { name: text(), ..wish.clone() },
            Wish { keyword: text(), ..wish.clone() },
            Wish { page_token: text(), ..wish },
            Wish { is_open: true, ..Wish::default() },
        ] {
            assert!(!asked(wish.clone()).contains("establishment"), "{wish:?}");
        }
    }
}
