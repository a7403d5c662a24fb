//! Google's Nearby Search (Legacy): it speaks as proxyherd does, so questions and answers pass through.
//!
//! <https://developers.google.com/maps/documentation/places/web-service/legacy/search-nearby>
//!
//! The key is in the URL, for this interface takes it nowhere else; so no URL is ever printed.

pub(crate) mod answer;

use std::time::Duration;

use proxyherd_core::places::{Answer, Query, Rank, Wish};
use reqwest::Url;

use super::{Failure, OpenError, Pending, Provider, http::Upstream};
use crate::config;

const NAME: &str = "google-legacy";
const PATH: &str = "/maps/api/place/nearbysearch/json";

const PAGE_REFUSED: &str =
    "there is no such `pagetoken`, or not yet: it is good a few seconds after the page that it came with";

/// Asks Google, the older way.
pub struct GoogleLegacy {
    upstream: Upstream,
}

impl GoogleLegacy {
    /// Reads the key; a question takes at most `whole_max`.
    pub fn open(config: &config::Google, whole_max: Duration) -> Result<GoogleLegacy, OpenError> {
        Ok(GoogleLegacy { upstream: Upstream::open(NAME, config, PATH, whole_max)? })
    }

    async fn ask(&self, query: &Query) -> Result<Answer, Failure> {
        self.check(query)?;
        let mut url = self.upstream.url();
        append(&mut url, query);
        url.query_pairs_mut().append_pair("key", self.upstream.key().parameter());
        let reply = self.upstream.send(self.upstream.client().get(url)).await?;
        let answer = answer::read(&reply, &|message| self.upstream.told(message));
        let is_page = query.wish.as_ref().is_some_and(|wish| wish.page_token.is_some());
        match answer {
            // Of a page Google says no more than that it can't be asked for.
            Err(Failure::BadQuery(_)) if is_page => Err(Failure::BadQuery(PAGE_REFUSED.to_owned())),
            answer => answer,
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

    fn check(&self, query: &Query) -> Result<(), Failure> {
        query.wish.as_deref().map_or(Ok(()), check)
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        Box::pin(self.ask(query))
    }
}

/// Refuses what Google would refuse without saying why.
fn check(wish: &Wish) -> Result<(), Failure> {
    let is_by_something = wish.keyword.is_some() || wish.name.is_some() || wish.kind.is_some();
    if wish.rank == Rank::Distance && wish.page_token.is_none() && !is_by_something {
        let message = "ranking by distance needs one of `keyword`, `name` and `type`";
        return Err(Failure::BadQuery(message.to_owned()));
    }
    Ok(())
}

/// Everything but the key.
pub(crate) fn append(url: &mut Url, query: &Query) {
    let none = Wish::default();
    let wish = query.wish.as_deref().unwrap_or(&none);
    let mut pairs = url.query_pairs_mut();
    if let Some(token) = &wish.page_token {
        // It stands for the whole question that it came from.
        pairs.append_pair("pagetoken", token);
        return;
    }
    pairs.append_pair("location", &format!("{},{}", query.latitude, query.longitude));
    match wish.rank {
        Rank::Prominence => pairs.append_pair("radius", &query.radius_m.to_string()),
        // Google takes one or the other.
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
    fn ranking_by_distance_needs_something_to_rank() {
        let wish = Wish { rank: Rank::Distance, ..Wish::default() };
        let refused =
            Failure::BadQuery("ranking by distance needs one of `keyword`, `name` and `type`".into());
        assert_eq!(check(&wish), Err(refused));
        for wish in [
            Wish { kind: Some("x".into()), ..wish.clone() },
            Wish { name: Some("x".into()), ..wish.clone() },
            Wish { keyword: Some("x".into()), ..wish.clone() },
            Wish { page_token: Some("x".into()), ..wish },
            Wish { is_open: true, ..Wish::default() },
        ] {
            assert_eq!(check(&wish), Ok(()), "{wish:?}");
        }
    }
}
