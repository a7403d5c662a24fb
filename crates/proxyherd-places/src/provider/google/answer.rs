//! Reads the replies of Places API (New) as answers of Nearby Search (Legacy).
//!
//! [`read`] takes a whole reply. Unknown and malformed fields are skipped. A place without an ID, a name or a point is
//! left out. This module does not know the question.

use std::collections::HashSet;

use proxyherd_core::places::{Answer, Geometry, Photo, Place, PlusCode, Point, Text, Viewport};
use reqwest::StatusCode;
use serde_json::{Value, value::RawValue};

use super::super::{
    Failure, VIEWPORT_HALF_HEIGHT,
    http::{self, HttpReply},
    json::{business_status, count, first_items, items, members, mend, part, point, rating, text, texts},
};

/// Google's words for the price levels from 0 to 4.
const PRICES: [&str; 5] = [
    "PRICE_LEVEL_FREE",
    "PRICE_LEVEL_INEXPENSIVE",
    "PRICE_LEVEL_MODERATE",
    "PRICE_LEVEL_EXPENSIVE",
    "PRICE_LEVEL_VERY_EXPENSIVE",
];

/// Reads a whole reply. `told` turns a message of the server into a message that may be passed on.
pub(crate) fn read(mut reply: HttpReply, told: &dyn Fn(&str) -> String) -> Result<Answer, Failure> {
    mend(reply.body.bytes_mut());
    let body = members(reply.body.bytes(), ["places", "error"]);
    let said = part(body.and_then(|[_, error]| error));
    match body {
        _ if said.is_object() => Err(error(&reply, &said, told)),
        _ if reply.status != StatusCode::OK => Err(reply.failure(None)),
        Some([places, _]) => found(places),
        None => Err(Failure::Unreadable("it is not a JSON object".to_owned())),
    }
}

/// The failure of a reply whose body has an error. Such a reply is a failure even if its HTTP code says that all is
/// well.
fn error(reply: &HttpReply, error: &Value, told: &dyn Fn(&str) -> String) -> Failure {
    let message = text(&error["message"]).map(|message| told(&message));
    let code = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| *code >= 400).unwrap_or(match reply.status.as_u16() {
        // The error has no code, and the HTTP code reports success.
        200..=299 => 500,
        code => code,
    });
    let is_of_key = |detail: &Value| detail["reason"].as_str().is_some_and(|why| why.starts_with("API_KEY_"));
    let code = if code == 400 && items(&error["details"]).any(is_of_key) { 403 } else { code };
    http::failure(code, reply.retry_after, message)
}

fn found(places: Option<&RawValue>) -> Result<Answer, Failure> {
    let Some(listed) = places.map_or(Some(Vec::new()), first_items) else {
        return Err(Failure::Unreadable("its `places` is not a list".to_owned()));
    };
    let mut found = Vec::with_capacity(listed.len());
    let (mut attributions, mut known) = (Vec::new(), HashSet::new());
    for &listed in &listed {
        let listed = part(Some(listed));
        found.extend(place(&listed));
        for attribution in items(&listed["attributions"]) {
            if let Some(credit) = credit(&attribution["provider"], &attribution["providerUri"])
                && known.insert(credit.clone())
            {
                attributions.push(credit);
            }
        }
    }
    if found.is_empty() && !listed.is_empty() {
        return Err(Failure::Unreadable("no place in it has an ID, a name and a location".to_owned()));
    }
    Ok(Answer::found(found, attributions))
}

fn place(place: &Value) -> Option<Place> {
    let location = point_of(&place["location"])?;
    let viewport =
        viewport(&place["viewport"]).unwrap_or_else(|| Viewport::around(location, VIEWPORT_HALF_HEIGHT));
    let id = text(&place["id"])?;
    let name = text(&place["displayName"]["text"])?;
    let open_now = |hours: &str| place[hours]["openNow"].as_bool();
    let price = place["priceLevel"].as_str().and_then(|word| PRICES.iter().position(|&price| price == word));
    Some(Place {
        business_status: business_status(&place["businessStatus"]),
        icon_background_color: text(&place["iconBackgroundColor"]),
        icon_mask_base_uri: text(&place["iconMaskBaseUri"]),
        open_now: open_now("currentOpeningHours").or_else(|| open_now("regularOpeningHours")),
        photos: items(&place["photos"]).filter_map(photo).collect(),
        plus_code: text(&place["plusCode"]["globalCode"]).map(|global_code| PlusCode {
            compound_code: text(&place["plusCode"]["compoundCode"]),
            global_code,
        }),
        price_level: price.map(|level| level as u8),
        rating: rating(&place["rating"]),
        types: texts(&place["types"]).into(),
        user_ratings_total: count(&place["userRatingCount"]),
        vicinity: text(&place["shortFormattedAddress"]).or_else(|| text(&place["formattedAddress"])),
        ..Place::new(id, name, Geometry { location, viewport })
    })
}

fn point_of(value: &Value) -> Option<Point> {
    point(value, "latitude", "longitude")
}

fn viewport(value: &Value) -> Option<Viewport> {
    Some(Viewport { northeast: point_of(&value["high"])?, southwest: point_of(&value["low"])? })
}

/// A photo. Its name is `places/PLACE/photos/REFERENCE`.
fn photo(photo: &Value) -> Option<Photo> {
    let name = photo["name"].as_str()?;
    let reference = name.rsplit('/').next().filter(|reference| !reference.is_empty())?;
    let authors = items(&photo["authorAttributions"]);
    Some(Photo {
        height: count(&photo["heightPx"])?,
        html_attributions: authors
            .filter_map(|author| credit(&author["displayName"], &author["uri"]))
            .collect(),
        photo_reference: Text::Owned(reference.to_owned()),
        width: count(&photo["widthPx"])?,
    })
}

/// A credit that must be shown, as HTML. The credit has a link if the URI is an HTTP or HTTPS URI.
fn credit(name: &Value, uri: &Value) -> Option<Text> {
    let name = escaped(&text(name)?);
    let uri = match uri.as_str() {
        Some(uri) if uri.starts_with("//") => format!("https:{uri}"),
        Some(uri) if uri.starts_with("https://") || uri.starts_with("http://") => uri.to_owned(),
        _ => return Some(Text::Owned(name)),
    };
    Some(Text::Owned(format!("<a href=\"{}\">{name}</a>", escaped(&uri))))
}

/// The text with escapes for HTML, which also make the text safe in attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
