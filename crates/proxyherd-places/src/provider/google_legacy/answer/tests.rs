//! Tests with answers in the form of Google's documentation: what was read is printed again, and errors are
//! distinguished.

use std::time::Duration;

use proxyherd_core::limits::RESULT_LEN_MAX;
use serde_json::{Value, json};

use super::super::super::room;
use super::*;

fn replied(code: u16, body: impl Into<Vec<u8>>) -> Result<Answer, Failure> {
    replied_to(None, code, body)
}

/// The result of reading this reply to a question about places of this type.
fn replied_to(kind: Option<&str>, code: u16, body: impl Into<Vec<u8>>) -> Result<Answer, Failure> {
    let status = StatusCode::from_u16(code).unwrap();
    let retry_after = Some(Duration::from_secs(7));
    let mut whole = room::AnswerBody::new();
    whole.push(&body.into()).unwrap();
    read(HttpReply { status, retry_after, body: whole }, kind, &|message| message.replace("AIza", "[key]"))
}

fn whole() -> Value {
    json!({
        "business_status": "OPERATIONAL",
        "geometry": {
            "location": {"lat": -33.8587323, "lng": 151.2100055},
            "viewport": {
                "northeast": {"lat": -33.85739817010727, "lng": 151.2112278798927},
                "southwest": {"lat": -33.86009782989272, "lng": 151.2085282201073}
            }
        },
        "icon": "https://maps.gstatic.com/mapfiles/place_api/icons/v1/png_71/bar-71.png",
        "icon_background_color": "#FF9E67",
        "icon_mask_base_uri": "https://maps.gstatic.com/mapfiles/place_api/icons/v2/bar_pinlet",
        "name": "Cruise Bar",
        "opening_hours": {"open_now": false},
        "photos": [{
            "height": 608,
            "html_attributions": ["<a href=\"https://maps.google.com/maps/contrib/1\">A</a>"],
            "photo_reference": "Aap_u",
            "width": 1080
        }],
        "place_id": "ChIJi6C1",
        "plus_code": {"compound_code": "46R6+G2 The Rocks", "global_code": "4RRH46R6+G2"},
        "price_level": 2,
        "rating": 4,
        "reference": "ChIJi6C1",
        "scope": "GOOGLE",
        "types": ["bar", "establishment"],
        "user_ratings_total": 1269,
        "vicinity": "Level 1, 2 and 3, Overseas Passenger Terminal"
    })
}

#[test]
fn everything_passes_through() {
    let body = json!({
        "html_attributions": ["<a href='x'>y</a>"],
        "info_messages": ["so it is"],
        "next_page_token": "Aap_uEC",
        "results": [whole()],
        "status": "OK"
    });
    assert_eq!(serde_json::from_str::<Value>(&printed(&body.to_string(), 20)).unwrap(), body);
}

/// The JSON that a client gets for an answer with this body.
fn printed(body: &str, limit: usize) -> String {
    let mut out = Vec::new();
    replied(200, body).unwrap().write_json(limit, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn results_stay_as_they_came_and_only_the_limit_cuts() {
    // The members are unknown to this program, in the order that Google chose, with numbers in Google's notation.
    let body = r#"{"status":"OK","results":[
        {"z":{"new":[1.0,-0,1e2,[]]},"name":"\u0041","a":null,"rating":4.10,"name2":"\ud83c\udf55","place_id":7},
        {"name":"B","geometry":{},"price_level":9},
        {"name":"C"}
    ]}"#;
    let expected = r#"{
   "html_attributions" : [],
   "results" : [
      {
         "z" : {
            "new" : [
               1.0,
               -0,
               1e2,
               []
            ]
         },
         "name" : "\u0041",
         "a" : null,
         "rating" : 4.10,
         "name2" : "\ud83c\udf55",
         "place_id" : 7
      },
      {
         "name" : "B",
         "geometry" : {},
         "price_level" : 9
      }
   ],
   "status" : "OK"
}"#;
    assert_eq!(printed(body, 2), expected);
    assert_eq!(printed(body, 20).matches("\"name\" : ").count(), 3);
}

#[test]
fn a_result_that_is_broken_is_left_out_and_the_rest_is_told() {
    for broken in [
        r#"{"name":"\ud800"}"#,
        r#"{"name":"\x"}"#,
        "{\"name\":\"a\nb\"}",
        r#"{"name":7}"#,
        r#"{"place_id":"1"}"#,
        "7",
        "[]",
        &format!("{{\"name\":\"x\",\"deep\":{}{}}}", "[".repeat(1000), "]".repeat(1000)),
        &format!("{{\"name\":\"{}\"}}", "x".repeat(RESULT_LEN_MAX)),
    ] {
        let body = format!(r#"{{"results":[{{"name":"A"}},{broken},{{"name":"B"}}],"status":"OK"}}"#);
        let told: Value = serde_json::from_str(&printed(&body, 20)).unwrap();
        assert_eq!(told["results"], json!([{"name": "A"}, {"name": "B"}]), "{broken}");
    }
    // Only the number that is too large is lost.
    let body = r#"{"results":[{"name":"A","rating":1e999}],"status":"OK"}"#;
    let told: Value = serde_json::from_str(&printed(body, 20)).unwrap();
    assert_eq!(told["results"], json!([{"name": "A", "rating": null}]));
    // If another string than the name is malformed, only this string is lost.
    let body = r#"{"results":[{"name":"A","vicinity":"\udc00","rating":4}],"status":"OK"}"#;
    let told: Value = serde_json::from_str(&printed(body, 20)).unwrap();
    assert_eq!(told["results"], json!([{"name": "A", "vicinity": "", "rating": 4}]));
}

#[test]
fn the_last_of_two_lists_of_results_counts() {
    let body =
        r#"{"results":[{"name":"A"}],"status":"UNKNOWN_ERROR","results":[{"name":"B"}],"status":"OK"}"#;
    let told: Value = serde_json::from_str(&printed(body, 20)).unwrap();
    assert_eq!(told["results"], json!([{"name": "B"}]));
}

#[test]
fn a_type_that_google_has_ignored_is_said_so() {
    let body =
        json!({"results": [{"name": "A", "types": ["bar"]}, {"name": "B"}], "status": "OK"}).to_string();
    let told = |kind| replied_to(kind, 200, body.as_str()).unwrap().info_messages;
    let expected =
        "None of these places is of the type `resturant`. Google ignores a type that it does not know.";
    assert_eq!(told(Some("resturant")), [expected]);
    assert!(told(Some("bar")).is_empty() && told(None).is_empty());
    let nothing = r#"{"results":[],"status":"ZERO_RESULTS"}"#;
    assert!(replied_to(Some("bar"), 200, nothing).unwrap().info_messages.is_empty());
}

#[test]
fn the_status_says_how_it_went() {
    let unavailable = |said: &str| Err(Failure::Unavailable(said.into()));
    for (status, expected) in [
        ("INVALID_REQUEST", Err(Failure::BadQuery("no AIza".replace("AIza", "[key]")))),
        ("REQUEST_DENIED", Err(Failure::Denied("no [key]".into()))),
        ("OVER_QUERY_LIMIT", Err(Failure::OverLimit { retry_after: Some(Duration::from_secs(7)) })),
        ("UNKNOWN_ERROR", unavailable("no [key]")),
        ("SPLENDID", Err(Failure::Unreadable("its status is unknown".into()))),
    ] {
        let body = json!({"results": [], "status": status, "error_message": "no AIza"});
        assert_eq!(replied(200, body.to_string()), expected, "{status}");
    }
    let nothing = replied(200, r#"{"html_attributions":[],"results":[],"status":"ZERO_RESULTS"}"#).unwrap();
    assert_eq!((nothing.status, nothing.passed_on.len()), (AnswerStatus::ZeroResults, 0));
    let silent = replied(200, r#"{"results":[],"status":"REQUEST_DENIED"}"#);
    assert_eq!(silent, Err(Failure::Denied("it says REQUEST_DENIED".into())));
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let all_broken = json!({"status": "OK", "results": [{"place_id": "x"}]}).to_string();
    for body in
        ["", "[]", "{}", "{", "<html>", "{\"status\":\"OK\",\"results\":7}", "{\"status\":7}", &all_broken]
    {
        assert!(matches!(replied(200, body), Err(Failure::Unreadable(_))), "{body}");
    }
}

#[test]
fn an_http_code_goes_before_the_body() {
    let fine = json!({"status": "OK", "results": [whole()]}).to_string();
    assert_eq!(replied(500, fine), Err(Failure::Unavailable("it answers with HTTP code 500".into())));
    let denied = json!({"status": "REQUEST_DENIED", "error_message": "not AIza"}).to_string();
    assert_eq!(replied(403, denied), Err(Failure::Denied("not [key]".into())));
    assert_eq!(replied(403, "<html>"), Err(Failure::Denied("it answers with HTTP code 403".into())));
}
