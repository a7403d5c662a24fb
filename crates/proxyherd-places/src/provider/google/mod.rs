//! The provider that asks Google's Places API (New), Nearby Search.
//!
//! <https://developers.google.com/maps/documentation/places/web-service/nearby-search>
//!
//! This interface can rank places and restrict them by type. The interface has no pages, and takes no keywords, names,
//! prices or opening hours. So this provider compares the places that Google has found with the wished keyword, name,
//! price and opening hours. If an answer may lack places for this reason, the answer says so in `info_messages`. A wish
//! that cannot be fulfilled at all is refused before a request is made and paid for.

pub(crate) mod answer;

use std::time::Duration;

use proxyherd_core::{
    limits::PLACES_MAX,
    places::{Answer, Matcher, Place, Query, Rank, Text, Wish},
};
use reqwest::header;
use serde_json::{Value, json};

use super::{Failure, OpenError, Pending, Provider, http::Upstream};
use crate::{Environment, FieldMask, GoogleSettings};

const NAME: &str = "google";
const PATH: &str = "/v1/places:searchNearby";

/// The fields that every request asks for. Google bills such a request as Nearby Search Pro.
macro_rules! pro {
    () => {
        "places.attributions,places.businessStatus,places.displayName,places.formattedAddress,\
         places.iconBackgroundColor,places.iconMaskBaseUri,places.id,places.location,places.photos,\
         places.plusCode,places.shortFormattedAddress,places.types,places.viewport"
    };
}

const MASK_PRO: &str = pro!();

/// Further fields. If a request asks for any of these fields, Google bills Nearby Search Enterprise.
const MASK_ENTERPRISE: &str = concat!(
    pro!(),
    ",places.currentOpeningHours.openNow,places.priceLevel,places.rating,places.regularOpeningHours.openNow,\
     places.userRatingCount"
);

/// The message of an answer that may lack places. Google has returned its maximum number of places, and some of these
/// were left out.
const MAY_LACK_PLACES: Text = Text::Borrowed(
    "Only the twenty places that were found first were searched by keyword, name, price or opening hours.",
);

/// The provider.
pub struct Google {
    upstream: Upstream,
    mask: FieldMask,
}

impl Google {
    /// Reads the key. One request may take `whole_max`.
    pub fn open(
        settings: &GoogleSettings,
        whole_max: Duration,
        environment: &Environment,
    ) -> Result<Google, OpenError> {
        Ok(Google {
            upstream: Upstream::open(NAME, settings, PATH, whole_max, environment)?,
            mask: settings.mask,
        })
    }

    async fn ask(&self, query: &Query) -> Result<Answer, Failure> {
        self.check(query)?;
        let request = self.upstream.client().post(self.upstream.url());
        let request = request
            .header("X-Goog-Api-Key", self.upstream.key().header())
            .header("X-Goog-FieldMask", mask(self.mask))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body(query).to_string());
        let reply = self.upstream.send(request).await?;
        let wish = query.wish.as_deref();
        match answer::read(reply, &|message| self.upstream.told(message)) {
            Ok(answer) => Ok(sifted(answer, wish)),
            Err(Failure::BadQuery(said)) if is_of_kind(&said, wish) => Ok(of_unknown_kind(said)),
            Err(failure) => Err(failure),
        }
    }
}

impl Provider for Google {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn check(&self, query: &Query) -> Result<(), Failure> {
        query.wish.as_deref().map_or(Ok(()), |wish| check(wish, self.mask))
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        Box::pin(self.ask(query))
    }
}

fn mask(mask: FieldMask) -> &'static str {
    match mask {
        FieldMask::Pro => MASK_PRO,
        FieldMask::Enterprise => MASK_ENTERPRISE,
    }
}

/// Refuses a wish for something that cannot be found out.
fn check(wish: &Wish, mask: FieldMask) -> Result<(), Failure> {
    let refused = |message: &str| Err(Failure::BadQuery(message.to_owned()));
    if wish.page_token.is_some() {
        return refused("there are no further pages: leave out `pagetoken`");
    }
    let is_by_detail = wish.is_open || wish.price_min.is_some() || wish.price_max.is_some();
    if is_by_detail && mask == FieldMask::Pro {
        return refused(
            "prices and opening hours are not known: leave out `opennow`, `minprice` and `maxprice`, or set \
             `mask = \"enterprise\"` in [places.google]",
        );
    }
    Ok(())
}

/// The body of the request. The request asks for the maximum number of places, because the price does not depend on the
/// number.
fn body(query: &Query) -> Value {
    let wish = query.wish.as_deref();
    let rank = match wish.map_or(Rank::Prominence, |wish| wish.rank) {
        Rank::Prominence => "POPULARITY",
        Rank::Distance => "DISTANCE",
    };
    let mut body = json!({
        "locationRestriction": {"circle": {
            "center": {"latitude": query.latitude, "longitude": query.longitude},
            "radius": query.radius_m
        }},
        "maxResultCount": PLACES_MAX,
        "rankPreference": rank
    });
    if let Some(kind) = wish.and_then(|wish| wish.kind.as_ref()) {
        body["includedTypes"] = json!([kind]);
    }
    if let Some(language) = wish.and_then(|wish| wish.language.as_ref()) {
        body["languageCode"] = json!(language);
    }
    body
}

/// Whether Google says that it does not know the type in the question.
fn is_of_kind(said: &str, wish: Option<&Wish>) -> bool {
    wish.is_some_and(|wish| wish.kind.is_some()) && said.starts_with("Unsupported types")
}

/// An answer without places that says that Google does not know the type.
fn of_unknown_kind(said: String) -> Answer {
    Answer { info_messages: vec![Text::Owned(said)], ..Answer::found(Vec::new(), Vec::new()) }
}

/// Leaves out the places that do not match the wishes that the request to Google cannot express.
fn sifted(mut answer: Answer, wish: Option<&Wish>) -> Answer {
    // Google has already compared the kinds. For Google, a place of one kind may also count as a place of another kind.
    let Some(wish) = wish.map(|wish| Wish { kind: None, ..wish.clone() }) else { return answer };
    let matcher = Matcher::new(Some(&wish));
    let found = answer.places.len();
    answer.places.retain(|place| fits(&matcher, place));
    let may_lack = found >= usize::from(PLACES_MAX) && answer.places.len() < found;
    let info_messages = if may_lack { vec![MAY_LACK_PLACES] } else { Vec::new() };
    Answer { info_messages, ..Answer::found(answer.places, answer.html_attributions) }
}

fn fits(matcher: &Matcher, place: &Place) -> bool {
    let others = place.types.iter().chain(&place.vicinity);
    matcher.fits_texts(&place.name, others)
        && matcher.fits_opening(place.open_now)
        && matcher.fits_price(place.price_level)
}

#[cfg(test)]
mod tests {
    use proxyherd_core::places::{AnswerStatus, Geometry, Point, Viewport};

    use super::*;

    fn query(wish: Wish) -> Query {
        Query::within(Point::new(34.06893, -118.445127).unwrap(), 1500.0).unwrap().wishing(wish)
    }

    #[test]
    fn a_question_says_where_and_what() {
        let plain = json!({
            "locationRestriction": {"circle": {
                "center": {"latitude": 34.06893, "longitude": -118.445127},
                "radius": 1500.0
            }},
            "maxResultCount": 20,
            "rankPreference": "POPULARITY"
        });
        assert_eq!(body(&query(Wish::default())), plain);
        let wish = Wish {
            kind: Some("cafe".into()),
            language: Some("de".into()),
            rank: Rank::Distance,
            keyword: Some("x".into()),
            ..Wish::default()
        };
        let mut expected = plain;
        expected["includedTypes"] = json!(["cafe"]);
        expected["languageCode"] = json!("de");
        expected["rankPreference"] = json!("DISTANCE");
        assert_eq!(body(&query(wish)), expected);
    }

    #[test]
    fn a_mask_has_no_blanks_and_the_dear_fields_only_where_they_are_paid_for() {
        for (is_dear, mask) in [(false, MASK_PRO), (true, MASK_ENTERPRISE)] {
            assert!(mask.split(',').all(|path| path.starts_with("places.") && !path.contains(' ')), "{mask}");
            for field in ["rating", "userRatingCount", "priceLevel", "OpeningHours"] {
                assert_eq!(mask.contains(field), is_dear, "{field}");
            }
        }
    }

    #[test]
    fn what_cannot_be_found_out_is_refused_with_what_to_do() {
        let detail = "prices and opening hours are not known: leave out `opennow`, `minprice` and `maxprice`, or \
                      set `mask = \"enterprise\"` in [places.google]";
        let pages = "there are no further pages: leave out `pagetoken`";
        let wish = Wish::default;
        for (wish, pro, enterprise) in [
            (Wish { keyword: Some("x".into()), name: Some("y".into()), ..wish() }, None, None),
            (Wish { is_open: true, ..wish() }, Some(detail), None),
            (Wish { price_min: Some(0), ..wish() }, Some(detail), None),
            (Wish { price_max: Some(4), ..wish() }, Some(detail), None),
            (Wish { page_token: Some("t".into()), ..wish() }, Some(pages), Some(pages)),
        ] {
            for (mask, said) in [(FieldMask::Pro, pro), (FieldMask::Enterprise, enterprise)] {
                let expected = said.map_or(Ok(()), |said| Err(Failure::BadQuery(said.into())));
                assert_eq!(check(&wish, mask), expected, "{wish:?}");
            }
        }
    }

    fn answer_of(count: u8) -> Answer {
        let point = Point::new(1.0, 2.0).unwrap();
        let geometry = Geometry { location: point, viewport: Viewport::around(point, 0.001) };
        let place = |number: u8| Place {
            open_now: (number != 0).then_some(!number.is_multiple_of(2)),
            price_level: Some(number % 5),
            vicinity: Some(format!("{number} Gayley Avenue").into()),
            ..Place::new(number.to_string(), format!("Café {number}"), geometry)
        };
        Answer::found((0..count).map(place).collect(), vec![])
    }

    #[test]
    fn wishes_that_google_is_not_told_are_held_against_what_it_found() {
        let wish = Wish::default;
        for (wish, count, left, says_so) in [
            (Wish { is_open: true, ..wish() }, 10, 5, false),
            (Wish { is_open: true, ..wish() }, 20, 10, true),
            (Wish { price_max: Some(0), ..wish() }, 20, 4, true),
            (Wish { name: Some("CAFE".into()), ..wish() }, 20, 20, false),
            (Wish { name: Some("gayley".into()), ..wish() }, 20, 0, true),
            (Wish { keyword: Some("gayley 7".into()), ..wish() }, 20, 2, true),
            (Wish { kind: Some("museum".into()), ..wish() }, 20, 20, false),
        ] {
            let answer = sifted(answer_of(count), Some(&wish));
            assert_eq!((answer.places.len(), !answer.info_messages.is_empty()), (left, says_so), "{wish:?}");
            let status = if left == 0 { AnswerStatus::ZeroResults } else { AnswerStatus::Ok };
            assert_eq!(answer.status, status, "{wish:?}");
        }
        assert_eq!(sifted(answer_of(20), None), answer_of(20));
    }
}
