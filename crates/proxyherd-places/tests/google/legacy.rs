//! Nearby Search (Legacy): the requests that it accepts and refuses, and its answers. The HTTP code is always 200, and
//! the status is in the body.
//!
//! <https://developers.google.com/maps/documentation/places/web-service/legacy/search-nearby>

use serde_json::{Value, json};

use super::{Asked, KEY, Shared, Spot, spots::within};

pub(super) const PATH: &str = "/maps/api/place/nearbysearch/json";

/// Maximum number of places on one page. The second constant is the maximum on all pages of a question.
const PAGE: usize = 20;
const PAGES: usize = 60;
/// The radius of a search with rankby=distance.
const DISTANCE_M: f64 = 50_000.0;

/// An answer without places.
pub(super) fn failed(status: &str, message: Option<&str>) -> Value {
    let mut body = json!({"html_attributions": [], "results": [], "status": status});
    if let Some(message) = message {
        body["error_message"] = message.into();
    }
    body
}

/// The places that are found, or the error in the question.
pub(super) fn answer(asked: &Asked, shared: &Shared) -> Value {
    let parameter = |name: &str| asked.parameters.get(name).map(String::as_str);
    match parameter("key") {
        Some(KEY) => {}
        Some(_) => return failed("REQUEST_DENIED", Some("The provided API key is invalid. ")),
        None => return failed("REQUEST_DENIED", Some("You must use an API key.")),
    }
    let found = match parameter("pagetoken") {
        Some(token) => shared.pages.lock().unwrap().get(token).cloned(),
        None => search(&parameter),
    };
    match found {
        None => failed("INVALID_REQUEST", None),
        Some(found) if found.is_empty() => failed("ZERO_RESULTS", None),
        Some(found) => page(found, shared),
    }
}

/// The places that a question finds. `None` if Google would refuse the question.
fn search<'a>(parameter: &impl Fn(&str) -> Option<&'a str>) -> Option<Vec<Spot>> {
    let (latitude, longitude) = parameter("location")?.split_once(',')?;
    let center: (f64, f64) = (latitude.parse().ok()?, longitude.parse().ok()?);
    let nearest_first = parameter("rankby") == Some("distance");
    let radius_m = match (nearest_first, parameter("radius")) {
        (true, None) if ["keyword", "name", "type"].into_iter().any(|name| parameter(name).is_some()) => {
            DISTANCE_M
        }
        (false, Some(radius)) => radius.parse().ok().filter(|&radius| radius > 0.0 && radius <= 50_000.0)?,
        _ => return None,
    };
    let level =
        |name: &str| parameter(name).map(|level| level.parse::<u8>().ok().filter(|&level| level <= 4));
    let (cheapest, dearest) = (level("minprice"), level("maxprice"));
    if cheapest == Some(None) || dearest == Some(None) {
        return None;
    }
    let (cheapest, dearest) = (cheapest.flatten(), dearest.flatten());
    let is_open = parameter("opennow").is_some();
    let holds = |text: &str, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| text.to_lowercase().contains(&wanted.to_lowercase()))
    };
    let mut found = within(center, radius_m, nearest_first);
    found.retain(|spot| {
        holds(&spot.name, parameter("name"))
            && holds(&format!("{} {}", spot.name, spot.address), parameter("keyword"))
            && parameter("type").is_none_or(|kind| kinds(spot).contains(&kind))
            && (!is_open || spot.is_open)
            && (cheapest.is_none() || spot.price >= cheapest)
            && (dearest.is_none() || spot.price.is_some_and(|price| Some(price) <= dearest))
    });
    found.truncate(PAGES);
    Some(found)
}

/// The first places, and a token for the rest. The token is valid at once and for ever.
fn page(mut found: Vec<Spot>, shared: &Shared) -> Value {
    let rest = found.split_off(found.len().min(PAGE));
    let results: Vec<Value> = found.iter().map(result).collect();
    let mut body = json!({"html_attributions": [], "results": results, "status": "OK"});
    if !rest.is_empty() {
        let mut pages = shared.pages.lock().unwrap();
        let token = format!("Aap_standin-{}-of-{}", pages.len(), rest.len());
        body["next_page_token"] = token.clone().into();
        pages.insert(token, rest);
    }
    body
}

fn kinds(spot: &Spot) -> [&'static str; 3] {
    [spot.kind, "point_of_interest", "establishment"]
}

fn result(spot: &Spot) -> Value {
    let corner = |by: f64| json!({"lat": spot.latitude + by, "lng": spot.longitude + by});
    let mut result = json!({
        "business_status": spot.business_status,
        "geometry": {
            "location": corner(0.0),
            "viewport": {"northeast": corner(0.00135), "southwest": corner(-0.00135)}
        },
        "icon": "https://maps.gstatic.com/mapfiles/place_api/icons/v1/png_71/generic_business-71.png",
        "icon_background_color": "#7B9EB0",
        "icon_mask_base_uri": "https://maps.gstatic.com/mapfiles/place_api/icons/v2/generic_pinlet",
        "name": spot.name,
        "opening_hours": {"open_now": spot.is_open},
        "photos": [{
            "height": 3024,
            "html_attributions": ["<a href=\"https://maps.google.com/maps/contrib/100000000000000000000\">A. Visitor</a>"],
            "photo_reference": "AUc7tXstandin",
            "width": 4032
        }],
        "place_id": spot.id,
        "plus_code": {"compound_code": "3HG4+HX Westwood, Los Angeles, CA, USA", "global_code": "85633HG4+HX"},
        "rating": spot.rating,
        "reference": spot.id,
        "scope": "GOOGLE",
        "types": kinds(spot),
        "user_ratings_total": spot.ratings,
        "vicinity": spot.address
    });
    if let Some(price) = spot.price {
        result["price_level"] = price.into();
    }
    result
}
