//! Tests with answers in the form of Google's documentation, and with the JSON that is printed for them.

use std::time::Duration;

use proxyherd_core::places::AnswerStatus;
use serde_json::json;

use super::super::super::room;
use super::*;

fn replied(code: u16, body: impl Into<Vec<u8>>) -> Result<Answer, Failure> {
    let status = StatusCode::from_u16(code).unwrap();
    let retry_after = (code == 429).then_some(Duration::from_secs(7));
    let mut whole = room::AnswerBody::new();
    whole.push(&body.into()).unwrap();
    read(HttpReply { status, retry_after, body: whole }, &|message| message.replace("AIza", "[key]"))
}

fn printed(body: &Value) -> String {
    let mut out = Vec::new();
    replied(200, body.to_string()).unwrap().write_json(20, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn everything_that_is_known_is_told_the_older_way() {
    let body = json!({"places": [{
        "name": "places/ChIJ1",
        "id": "ChIJ1",
        "types": ["cafe", "food"],
        "formattedAddress": "1 Long Street, Westwood, CA 90024, USA",
        "shortFormattedAddress": "1 Long St, Westwood",
        "plusCode": {"globalCode": "85633HG4+HX", "compoundCode": "3HG4+HX Westwood"},
        "location": {"latitude": 34.068930, "longitude": -118.4451270},
        "viewport": {
            "low": {"latitude": 34.067, "longitude": -118.446},
            "high": {"latitude": 34.07, "longitude": -118.444}
        },
        "rating": 4.3,
        "userRatingCount": 12,
        "businessStatus": "CLOSED_PERMANENTLY",
        "priceLevel": "PRICE_LEVEL_MODERATE",
        "iconMaskBaseUri": "https://maps.gstatic.com/mapfiles/place_api/icons/v2/cafe_pinlet",
        "iconBackgroundColor": "#FF9E67",
        "displayName": {"text": "Café \"K\"", "languageCode": "en"},
        "currentOpeningHours": {"openNow": false, "periods": []},
        "regularOpeningHours": {"openNow": true},
        "attributions": [{"provider": "A & B", "providerUri": "https://a.example/?x=1&y=2"}],
        "photos": [{
            "name": "places/ChIJ1/photos/AUc7",
            "widthPx": 4032,
            "heightPx": 3024,
            "authorAttributions": [
                {"displayName": "<i>Ann</i>", "uri": "//maps.google.com/maps/contrib/1"},
                {"displayName": "Bo", "uri": "javascript:alert(1)"}
            ]
        }],
        "somethingNew": {"deeply": ["nested"]}
    }]});
    assert_eq!(
        printed(&body),
        r##"{
   "html_attributions" : [
      "<a href=\"https://a.example/?x=1&amp;y=2\">A &amp; B</a>"
   ],
   "results" : [
      {
         "business_status" : "CLOSED_PERMANENTLY",
         "geometry" : {
            "location" : {
               "lat" : 34.06893,
               "lng" : -118.445127
            },
            "viewport" : {
               "northeast" : {
                  "lat" : 34.07,
                  "lng" : -118.444
               },
               "southwest" : {
                  "lat" : 34.067,
                  "lng" : -118.446
               }
            }
         },
         "icon_background_color" : "#FF9E67",
         "icon_mask_base_uri" : "https://maps.gstatic.com/mapfiles/place_api/icons/v2/cafe_pinlet",
         "name" : "Café \"K\"",
         "opening_hours" : {
            "open_now" : false
         },
         "permanently_closed" : true,
         "photos" : [
            {
               "height" : 3024,
               "html_attributions" : [
                  "<a href=\"https://maps.google.com/maps/contrib/1\">&lt;i&gt;Ann&lt;/i&gt;</a>",
                  "Bo"
               ],
               "photo_reference" : "AUc7",
               "width" : 4032
            }
         ],
         "place_id" : "ChIJ1",
         "plus_code" : {
            "compound_code" : "3HG4+HX Westwood",
            "global_code" : "85633HG4+HX"
         },
         "price_level" : 2,
         "rating" : 4.3,
         "reference" : "ChIJ1",
         "types" : [
            "cafe",
            "food"
         ],
         "user_ratings_total" : 12,
         "vicinity" : "1 Long St, Westwood"
      }
   ],
   "status" : "OK"
}"##
    );
}

/// The first place of an answer whose place has these fields in addition to the required fields.
fn place_with(fields: &Value) -> Place {
    let mut place = json!({
        "id": "1", "displayName": {"text": "x"}, "location": {"latitude": 1.0, "longitude": 2.0}
    });
    for (name, value) in fields.as_object().unwrap() {
        place[name] = value.clone();
    }
    let answer = replied(200, json!({"places": [place]}).to_string()).unwrap();
    answer.places.into_iter().next().unwrap()
}

#[test]
fn one_field_stands_in_for_another() {
    let place = place_with(&json!({"formattedAddress": "long", "regularOpeningHours": {"openNow": true}}));
    assert_eq!((place.vicinity.as_deref(), place.open_now), (Some("long"), Some(true)));
    for (number, word) in PRICES.iter().enumerate() {
        assert_eq!(place_with(&json!({ "priceLevel": word })).price_level, Some(number as u8));
    }
}

#[test]
fn what_is_not_known_or_makes_no_sense_is_left_out() {
    let plain = place_with(&json!({}));
    assert_eq!(plain.geometry.viewport, Viewport::around(plain.geometry.location, 0.00135));
    for fields in [
        json!({"rating": 5.5, "userRatingCount": -1, "priceLevel": "PRICE_LEVEL_UNSPECIFIED"}),
        json!({"rating": "4.3", "userRatingCount": 1e20, "businessStatus": "FUTURE_OPENING"}),
        json!({"types": null, "photos": {}, "plusCode": {"compoundCode": "x"}, "formattedAddress": ""}),
        json!({"types": [7], "photos": [{"name": "places/1/photos/"}], "viewport": {"low": {"latitude": 1.0}}}),
        json!({"currentOpeningHours": {"openNow": "yes"}, "attributions": [{"providerUri": "https://x"}]}),
    ] {
        assert_eq!(place_with(&fields), plain, "{fields}");
    }
}

#[test]
fn a_degree_that_is_left_out_is_zero() {
    let location = |location: Value| {
        let point = place_with(&json!({ "location": location })).geometry.location;
        (point.latitude(), point.longitude())
    };
    assert_eq!(location(json!({"longitude": 9.4})), (0.0, 9.4));
    assert_eq!(location(json!({"latitude": 51.5})), (51.5, 0.0));
}

#[test]
fn a_place_that_cannot_be_told_is_left_out_and_an_answer_of_such_alone_makes_no_sense() {
    let whole =
        json!({"id": "1", "displayName": {"text": "x"}, "location": {"latitude": 1.0, "longitude": 2.0}});
    let mut broken = Vec::new();
    for (field, value) in [
        ("id", Value::Null),
        ("id", json!("")),
        ("displayName", json!("x")),
        ("location", json!({})),
        ("location", json!({"latitude": 91.0, "longitude": 2.0})),
        ("location", json!({"latitude": "1", "longitude": 2.0})),
    ] {
        let mut place = whole.clone();
        place[field] = value;
        broken.push(place);
    }
    let nothing = Failure::Unreadable("no place in it has an ID, a name and a location".into());
    assert_eq!(replied(200, json!({"places": broken}).to_string()), Err(nothing));
    broken.push(whole);
    assert_eq!(replied(200, json!({"places": broken}).to_string()).unwrap().places.len(), 1);
}

#[test]
fn what_is_broken_costs_no_more_than_the_place_or_the_field_that_it_stands_in() {
    let place = |name: &str, more: &str| {
        format!(
            r#"{{"id":"1","displayName":{{"text":{name}}},"location":{{"latitude":1,"longitude":2}}{more}}}"#
        )
    };
    let names = |listed: &[String]| -> Vec<String> {
        let body = format!(r#"{{"places":[{}],"routingSummaries":"\ud800"}}"#, listed.join(","));
        let places = replied(200, body).unwrap().places;
        places.into_iter().map(|place| place.name.into_owned()).collect()
    };
    let (one, other) = (place("\"A\"", ""), place("\"B\"", ""));
    for broken in
        [r#""\ud800""#, r#""\udc00\ud800""#, r#""\x""#, r#""\u12""#, "\"a\nb\"", "7", "1e999", r#"{"x":[]}"#]
    {
        assert_eq!(names(&[one.clone(), place(broken, ""), other.clone()]), ["A", "B"], "{broken}");
        let field = place("\"C\"", &format!(r#","formattedAddress":{broken},"rating":4"#));
        assert_eq!(names(&[one.clone(), field, other.clone()]), ["A", "C", "B"], "{broken}");
    }
    let mut bytes = format!(r#"{{"places":[{one},{}]}}"#, place("\"?\"", "")).into_bytes();
    let at = bytes.iter().position(|&byte| byte == b'?').unwrap();
    bytes[at] = 0xff;
    assert_eq!(replied(200, bytes).unwrap().places.len(), 1);
    let deep = format!(r#","deep":{}{}"#, "[".repeat(1000), "]".repeat(1000));
    let long = format!(r#","long":"{}""#, "x".repeat(64 * 1024));
    assert_eq!(names(&[place("\"C\"", &deep), one, place("\"D\"", &long), other]), ["A", "B"]);
}

#[test]
fn a_rating_that_is_too_large_costs_the_rating_alone() {
    let place = r#"{"id":"1","displayName":{"text":"A"},"location":{"latitude":1,"longitude":2},"rating":1e999,
        "userRatingCount":7}"#;
    let answer = replied(200, format!(r#"{{"places":[{place}]}}"#)).unwrap();
    let [place] = &answer.places[..] else { panic!("{answer:?}") };
    assert_eq!((place.rating, place.user_ratings_total), (None, Some(7)));
}

#[test]
fn the_last_of_two_lists_of_places_counts() {
    let place = |name: &str| {
        format!(
            r#"[{{"id":"1","displayName":{{"text":"{name}"}},"location":{{"latitude":1,"longitude":2}}}}]"#
        )
    };
    let body = format!(r#"{{"places":{},"places":{}}}"#, place("A"), place("B"));
    let answer = replied(200, body).unwrap();
    assert_eq!(answer.places.iter().map(|place| &*place.name).collect::<Vec<_>>(), ["B"]);
}

#[test]
fn nothing_is_found_where_nothing_is_told() {
    for body in ["{}", " {} \n", r#"{"places":[]}"#, r#"{"routingSummaries":[]}"#] {
        let answer = replied(200, body).unwrap();
        assert_eq!((answer.status, answer.places.len()), (AnswerStatus::ZeroResults, 0), "{body}");
    }
}

#[test]
fn twenty_places_are_as_many_as_are_read() {
    let place =
        json!({"id": "1", "displayName": {"text": "x"}, "location": {"latitude": 1.0, "longitude": 2.0}});
    assert_eq!(replied(200, json!({"places": vec![place; 5000]}).to_string()).unwrap().places.len(), 20);
}

/// Before, each item was compared with all earlier items. This took minutes for an answer of the maximum length.
#[test]
fn attributions_are_told_once_however_many_there_are() {
    let attributions: Vec<_> =
        (0..2_000).map(|number| json!({"provider": (number % 1_000).to_string()})).collect();
    let place = json!({
        "id": "1", "displayName": {"text": "x"}, "location": {"latitude": 1.0, "longitude": 2.0},
        "attributions": attributions
    });
    let told = replied(200, json!({"places": vec![place; 20]}).to_string()).unwrap().html_attributions;
    assert_eq!((told.len(), &*told[999]), (1_000, "999"));
}

#[test]
fn what_is_no_answer_is_told_apart() {
    for body in ["", "[]", "null", "{", "{\"places\":[{\"id\":", "<html>", "\u{0}", "{\"places\":7}"] {
        assert!(matches!(replied(200, body), Err(Failure::Unreadable(_))), "{body}");
    }
    // A body that is nested too deeply is refused as JSON, and does not overflow the stack.
    assert!(matches!(replied(200, "[".repeat(1_000_000)), Err(Failure::Unreadable(_))));
}

#[test]
fn an_error_is_google_s_whatever_the_http_code() {
    let error = |code: Value, reason: &str| {
        json!({"error": {
            "code": code, "message": "it was AIza", "status": "X", "details": [{"reason": reason}]
        }})
        .to_string()
    };
    let bad = || Err(Failure::BadQuery("it was [key]".into()));
    let denied = || Err(Failure::Denied("it was [key]".into()));
    let unavailable =
        |code: u16| Err(Failure::Unavailable(format!("it answers with HTTP code {code}: it was [key]")));
    let seven = Some(Duration::from_secs(7));
    for (http, body, expected) in [
        (400, error(json!(400), "X"), bad()),
        (200, error(json!(400), "X"), bad()),
        (400, error(json!(400), "API_KEY_INVALID"), denied()),
        (403, error(json!(403), "SERVICE_DISABLED"), denied()),
        (401, error(json!(401), "X"), denied()),
        (200, error(json!(403), "X"), denied()),
        (429, error(json!(429), "X"), Err(Failure::OverLimit { retry_after: seven })),
        (500, error(json!(500), "X"), unavailable(500)),
        (200, error(json!(503), "X"), unavailable(503)),
        (200, error(json!(null), "X"), unavailable(500)),
        (200, error(json!(200), "X"), unavailable(500)),
        (503, error(json!("?"), "X"), unavailable(503)),
    ] {
        assert_eq!(replied(http, body.clone()), expected, "{http} {body}");
    }
    assert_eq!(
        replied(502, "<html>"),
        Err(Failure::Unavailable("it answers with HTTP code 502".into())),
        "a proxy's page is not repeated"
    );
}
