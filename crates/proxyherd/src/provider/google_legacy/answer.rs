//! What Nearby Search (Legacy) answers, read so that it can be printed again.

use proxyherd_core::{
    limits::PLACES_MAX,
    places::{Answer, BusinessStatus, Geometry, Photo, Place, PlusCode, Point, Status, Viewport},
};
use reqwest::StatusCode;
use serde_json::Value;

use super::super::{
    Failure, VIEWPORT_HALF_HEIGHT,
    http::Reply,
    json::{business_status, count, items, point, rating, text, texts},
};

/// Reads a whole reply; `told` makes of the server's words what may be passed on.
pub(crate) fn read(reply: &Reply, told: &dyn Fn(&str) -> String) -> Result<Answer, Failure> {
    let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let message = body.as_ref().and_then(|body| text(&body["error_message"])).map(|message| told(&message));
    if reply.status != StatusCode::OK {
        return Err(reply.failure(message));
    }
    let Some(body @ Value::Object(_)) = body else {
        return Err(Failure::Unreadable("it is no JSON object".to_owned()));
    };
    let said = |status: &str| message.clone().unwrap_or_else(|| format!("it says {status}"));
    match body["status"].as_str() {
        Some("OK" | "ZERO_RESULTS") => found(&body),
        Some(status @ "INVALID_REQUEST") => Err(Failure::BadQuery(said(status))),
        Some(status @ "REQUEST_DENIED") => Err(Failure::Denied(said(status))),
        Some("OVER_QUERY_LIMIT" | "OVER_DAILY_LIMIT") => {
            Err(Failure::OverLimit { retry_after: reply.retry_after })
        }
        Some(status @ "UNKNOWN_ERROR") => Err(Failure::Unavailable(said(status))),
        Some(_) => Err(Failure::Unreadable("its status is none that is known".to_owned())),
        None => Err(Failure::Unreadable("it has no status".to_owned())),
    }
}

fn found(body: &Value) -> Result<Answer, Failure> {
    let results = &body["results"];
    if !(results.is_array() || results.is_null()) {
        return Err(Failure::Unreadable("its `results` is no list".to_owned()));
    }
    let listed = || items(results).take(PLACES_MAX.into());
    let places: Vec<Place> = listed().filter_map(place).collect();
    if places.is_empty() && listed().next().is_some() {
        return Err(Failure::Unreadable("no place in it has an ID, a name and a location".to_owned()));
    }
    let status = if body["status"] == "OK" { Status::Ok } else { Status::ZeroResults };
    Ok(Answer {
        html_attributions: texts(&body["html_attributions"]).into(),
        places,
        status,
        error_message: None,
        info_messages: texts(&body["info_messages"]),
        next_page_token: text(&body["next_page_token"]),
    })
}

fn place(result: &Value) -> Option<Place> {
    let location = point_of(&result["geometry"]["location"])?;
    let viewport = viewport(&result["geometry"]["viewport"])
        .unwrap_or_else(|| Viewport::around(location, VIEWPORT_HALF_HEIGHT));
    let (id, name) = (text(&result["place_id"])?, text(&result["name"])?);
    Some(Place {
        business_status: business_status(&result["business_status"]).or_else(|| {
            // Older answers say it so.
            (result["permanently_closed"] == true).then_some(BusinessStatus::ClosedPermanently)
        }),
        icon: text(&result["icon"]),
        icon_background_color: text(&result["icon_background_color"]),
        icon_mask_base_uri: text(&result["icon_mask_base_uri"]),
        open_now: result["opening_hours"]["open_now"].as_bool(),
        photos: items(&result["photos"]).filter_map(photo).collect(),
        plus_code: text(&result["plus_code"]["global_code"]).map(|global_code| PlusCode {
            compound_code: text(&result["plus_code"]["compound_code"]),
            global_code,
        }),
        price_level: count(&result["price_level"]).filter(|&level| level <= 4).map(|level| level as u8),
        rating: rating(&result["rating"]),
        scope: text(&result["scope"]),
        types: texts(&result["types"]).into(),
        user_ratings_total: count(&result["user_ratings_total"]),
        vicinity: text(&result["vicinity"]),
        ..Place::new(id, name, Geometry { location, viewport })
    })
}

fn point_of(value: &Value) -> Option<Point> {
    point(value, "lat", "lng")
}

fn viewport(value: &Value) -> Option<Viewport> {
    Some(Viewport { northeast: point_of(&value["northeast"])?, southwest: point_of(&value["southwest"])? })
}

fn photo(photo: &Value) -> Option<Photo> {
    Some(Photo {
        height: count(&photo["height"])?,
        html_attributions: texts(&photo["html_attributions"]),
        photo_reference: text(&photo["photo_reference"])?,
        width: count(&photo["width"])?,
    })
}

#[cfg(test)]
mod tests;
