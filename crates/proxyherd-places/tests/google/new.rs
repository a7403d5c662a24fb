//! Nearby Search of Places API (New): the requests that it accepts and refuses, and its answers.
//!
//! <https://developers.google.com/maps/documentation/places/web-service/nearby-search>

use serde_json::{Map, Value, json};

use super::{
    Asked, KEY, Spot,
    spots::{KINDS, within},
};

pub(super) const PATH: &str = "/v1/places:searchNearby";

/// Every field of a place that this stand-in can return. Only these fields may be in a mask.
const FIELDS: [&str; 21] = [
    "attributions",
    "businessStatus",
    "currentOpeningHours",
    "currentOpeningHours.openNow",
    "displayName",
    "displayName.text",
    "formattedAddress",
    "iconBackgroundColor",
    "iconMaskBaseUri",
    "id",
    "location",
    "name",
    "photos",
    "plusCode",
    "priceLevel",
    "rating",
    "regularOpeningHours.openNow",
    "shortFormattedAddress",
    "types",
    "userRatingCount",
    "viewport",
];

const PRICES: [&str; 5] = [
    "PRICE_LEVEL_FREE",
    "PRICE_LEVEL_INEXPENSIVE",
    "PRICE_LEVEL_MODERATE",
    "PRICE_LEVEL_EXPENSIVE",
    "PRICE_LEVEL_VERY_EXPENSIVE",
];

/// An error answer.
#[derive(Debug)]
pub(super) struct Error {
    /// The HTTP code.
    pub(super) code: u16,
    pub(super) message: String,
    /// The reason in one word, if Google gives a reason.
    pub(super) reason: Option<&'static str>,
}

impl Error {
    fn invalid(message: impl Into<String>) -> Error {
        Error { code: 400, message: message.into(), reason: None }
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message, "status": name_of(self.code)});
        if let Some(reason) = self.reason {
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "googleapis.com",
                "metadata": {"service": "places.googleapis.com"}
            }]);
        }
        json!({ "error": error })
    }
}

/// The HTTP code that belongs to Google's status word.
pub(super) fn code_of(name: &str) -> u16 {
    [400, 401, 403, 404, 429, 500, 503, 504].into_iter().find(|&code| name_of(code) == name).unwrap_or(500)
}

fn name_of(code: u16) -> &'static str {
    match code {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

/// The places that are found, or the error in the question.
pub(super) fn answer(asked: &Asked) -> Result<Value, Error> {
    check_key(asked)?;
    let mask = read_mask(asked)?;
    let Value::Object(body) = &asked.body else {
        return Err(Error::invalid("Invalid JSON payload received."));
    };
    check_names(body)?;
    let circle = &body["locationRestriction"]["circle"];
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let center = (number(&circle["center"]["latitude"]), number(&circle["center"]["longitude"]));
    let radius_m = number(&circle["radius"]);
    if !(radius_m > 0.0 && radius_m <= 50_000.0) {
        return Err(Error::invalid("circle.radius must be in (0.0, 50000.0]"));
    }
    if center.0.abs() > 90.0 || center.1.abs() > 180.0 {
        return Err(Error::invalid("circle.center is not on Earth"));
    }
    let most = match body.get("maxResultCount").map(Value::as_u64) {
        None => 20,
        Some(Some(most @ 1..=20)) => most as usize,
        Some(_) => return Err(Error::invalid("max_result_count must be between 1 and 20")),
    };
    let nearest_first = match body.get("rankPreference").map(Value::as_str) {
        None | Some(Some("POPULARITY" | "RANK_PREFERENCE_UNSPECIFIED")) => false,
        Some(Some("DISTANCE")) => true,
        Some(_) => return Err(Error::invalid("Invalid value at 'rank_preference'")),
    };
    let kinds = read_kinds(body)?;
    let mut found = within(center, radius_m, nearest_first);
    found.retain(|spot| kinds.is_empty() || kinds.contains(&spot.kind));
    let places: Vec<Value> = found[..found.len().min(most)].iter().map(|spot| place(spot, &mask)).collect();
    Ok(if places.is_empty() { json!({}) } else { json!({ "places": places }) })
}

fn check_key(asked: &Asked) -> Result<(), Error> {
    match asked.headers.get("x-goog-api-key").map(String::as_str) {
        Some(KEY) => Ok(()),
        Some(_) => Err(Error {
            code: 400,
            message: "API key not valid. Please pass a valid API key.".to_owned(),
            reason: Some("API_KEY_INVALID"),
        }),
        None => {
            let message = "Method doesn't allow unregistered callers.".to_owned();
            Err(Error { code: 403, message, reason: None })
        }
    }
}

/// The paths of fields below a place. `*` means every field.
fn read_mask(asked: &Asked) -> Result<Vec<String>, Error> {
    let Some(mask) = asked.mask.as_deref().filter(|mask| !mask.is_empty()) else {
        return Err(Error::invalid("FieldMask is a required parameter."));
    };
    let mut fields = Vec::new();
    for path in mask.split(',') {
        match path.strip_prefix("places.") {
            _ if path == "*" || path == "places" => fields.extend(FIELDS.map(str::to_owned)),
            Some(field) if FIELDS.contains(&field) => fields.push(field.to_owned()),
            _ => return Err(Error::invalid(format!("Cannot find matching fields for path '{path}'."))),
        }
    }
    Ok(fields)
}

fn check_names(body: &Map<String, Value>) -> Result<(), Error> {
    const NAMES: [&str; 9] = [
        "excludedPrimaryTypes",
        "excludedTypes",
        "includedPrimaryTypes",
        "includedTypes",
        "languageCode",
        "locationRestriction",
        "maxResultCount",
        "rankPreference",
        "regionCode",
    ];
    match body.keys().find(|name| !NAMES.contains(&name.as_str())) {
        Some(name) => Err(Error::invalid(format!("Unknown name \"{name}\": Cannot find field."))),
        None => Ok(()),
    }
}

fn read_kinds(body: &Map<String, Value>) -> Result<Vec<&'static str>, Error> {
    let Some(kinds) = body.get("includedTypes") else { return Ok(Vec::new()) };
    let kinds = kinds.as_array().ok_or_else(|| Error::invalid("Invalid value at 'included_types'"))?;
    let known = |kind: &Value| {
        let found = KINDS.into_iter().find(|known| kind == known);
        found.ok_or_else(|| Error::invalid(format!("Unsupported types: {}.", kind.as_str().unwrap_or("?"))))
    };
    kinds.iter().map(known).collect()
}

/// The fields of a place that the mask selects.
fn place(spot: &Spot, mask: &[String]) -> Value {
    let whole = whole(spot);
    let mut place = Value::Object(Map::new());
    for path in mask {
        let (field, part) =
            path.split_once('.').map_or((path.as_str(), None), |(field, part)| (field, Some(part)));
        let value = &whole[field];
        match part {
            _ if value.is_null() => {}
            None => place[field] = value.clone(),
            Some(part) => place[field][part] = value[part].clone(),
        }
    }
    place
}

fn whole(spot: &Spot) -> Value {
    let corner = |by: f64| json!({"latitude": spot.latitude + by, "longitude": spot.longitude + by});
    let mut place = json!({
        "name": format!("places/{}", spot.id),
        "id": spot.id,
        "types": [spot.kind, "point_of_interest", "establishment"],
        "formattedAddress": format!("{}, Earth", spot.address),
        "location": corner(0.0),
        "viewport": {"low": corner(-0.00135), "high": corner(0.00135)},
        "rating": spot.rating,
        "userRatingCount": spot.ratings,
        "plusCode": {"globalCode": "85633HG4+HX", "compoundCode": "3HG4+HX Westwood, Los Angeles, CA, USA"},
        "businessStatus": spot.business_status,
        "iconMaskBaseUri": "https://maps.gstatic.com/mapfiles/place_api/icons/v2/generic_pinlet",
        "iconBackgroundColor": "#7B9EB0",
        "displayName": {"text": spot.name, "languageCode": "en"},
        "currentOpeningHours": {"openNow": spot.is_open},
        "regularOpeningHours": {"openNow": spot.is_open},
        "shortFormattedAddress": spot.address,
        "photos": [{
            "name": format!("places/{}/photos/AUc7tXstandin", spot.id),
            "widthPx": 4032,
            "heightPx": 3024,
            "authorAttributions": [{
                "displayName": "A. Visitor",
                "uri": "//maps.google.com/maps/contrib/100000000000000000000",
                "photoUri": "//lh3.googleusercontent.com/a-/standin"
            }]
        }]
    });
    if let Some(price) = spot.price {
        place["priceLevel"] = PRICES[usize::from(price)].into();
    }
    place
}
