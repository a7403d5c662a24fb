//! The places that a provider found, and Google's status word for the outcome.

use std::borrow::Cow;

use super::{Place, Text, Verbatim};

/// The answer to a query for places.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The attributions that must be shown with the places, as HTML.
    pub html_attributions: Cow<'static, [Text]>,
    /// The places that were found, in the provider's order.
    pub places: Vec<Place>,
    /// Results of a provider that itself speaks Nearby Search (Legacy), as they came. They are printed after `places`.
    pub passed_on: Vec<Verbatim>,
    /// The outcome of the query.
    pub status: AnswerStatus,
    /// The reason for a failure, for the client.
    pub error_message: Option<Text>,
    /// Further information for the client.
    pub info_messages: Vec<Text>,
    /// The token that asks for the next page.
    pub next_page_token: Option<Text>,
}

impl Answer {
    /// An answer to a successful query, with or without places.
    pub fn found(places: Vec<Place>, html_attributions: impl Into<Cow<'static, [Text]>>) -> Answer {
        Answer {
            html_attributions: html_attributions.into(),
            status: if places.is_empty() { AnswerStatus::ZeroResults } else { AnswerStatus::Ok },
            places,
            passed_on: Vec::new(),
            error_message: None,
            info_messages: Vec::new(),
            next_page_token: None,
        }
    }

    /// An answer to a failed query, which gives the reason.
    pub fn failed(status: AnswerStatus, error_message: impl Into<Text>) -> Answer {
        Answer {
            html_attributions: Cow::Borrowed(&[]),
            places: Vec::new(),
            passed_on: Vec::new(),
            status,
            error_message: Some(error_message.into()),
            info_messages: Vec::new(),
            next_page_token: None,
        }
    }
}

/// The outcome of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerStatus {
    /// Places were found.
    Ok,
    /// The query was valid, and there are no places in its area.
    ZeroResults,
    /// The query itself was invalid.
    InvalidRequest,
    /// The provider was queried too often, or the budget is used up.
    OverQueryLimit,
    /// The provider refuses queries of this herd.
    RequestDenied,
    /// Another failure. A retry may help.
    UnknownError,
}

impl AnswerStatus {
    /// Google's word for the status.
    pub fn as_str(self) -> &'static str {
        match self {
            AnswerStatus::Ok => "OK",
            AnswerStatus::ZeroResults => "ZERO_RESULTS",
            AnswerStatus::InvalidRequest => "INVALID_REQUEST",
            AnswerStatus::OverQueryLimit => "OVER_QUERY_LIMIT",
            AnswerStatus::RequestDenied => "REQUEST_DENIED",
            AnswerStatus::UnknownError => "UNKNOWN_ERROR",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::{Geometry, Point, Viewport};

    fn printed(answer: &Answer, limit: usize) -> String {
        let mut out = Vec::new();
        answer.write_json(limit, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_looks_as_google_prints_it() {
        let point = |latitude, longitude| Point::new(latitude, longitude).unwrap();
        let viewport = Viewport { northeast: point(-33.5, 151.25), southwest: point(-34.0, 151.0) };
        let geometry = Geometry { location: point(-33.8670522, 151.1957362), viewport };
        let place = Place {
            types: Cow::Owned(vec!["locality".into(), "political".into()]),
            vicinity: Some("New South Wales".into()),
            ..Place::new("id1", "Sydney \"Harbour\"", geometry)
        };
        let answer = Answer::found(vec![place], vec![]);
        assert_eq!(
            printed(&answer, 1),
            r#"{
   "html_attributions" : [],
   "results" : [
      {
         "geometry" : {
            "location" : {
               "lat" : -33.8670522,
               "lng" : 151.1957362
            },
            "viewport" : {
               "northeast" : {
                  "lat" : -33.5,
                  "lng" : 151.25
               },
               "southwest" : {
                  "lat" : -34,
                  "lng" : 151
               }
            }
         },
         "name" : "Sydney \"Harbour\"",
         "place_id" : "id1",
         "reference" : "id1",
         "types" : [
            "locality",
            "political"
         ],
         "vicinity" : "New South Wales"
      }
   ],
   "status" : "OK"
}"#
        );
    }

    #[test]
    fn a_limit_of_0_keeps_the_status() {
        let corner = Point::new(0.0, 0.0).unwrap();
        let viewport = Viewport { northeast: corner, southwest: corner };
        let place = Place::new("a", "A", Geometry { location: corner, viewport });
        let text = printed(&Answer::found(vec![place], vec![]), 0);
        assert_eq!(
            text,
            "{\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"OK\"\n}"
        );
        let text = printed(&Answer::found(vec![], vec![]), 0);
        assert!(text.ends_with("\"status\" : \"ZERO_RESULTS\"\n}"), "{text}");
    }

    #[test]
    fn a_failure_says_why_first() {
        let text = printed(&Answer::failed(AnswerStatus::RequestDenied, "The key is not valid."), 5);
        assert_eq!(
            text,
            r#"{
   "error_message" : "The key is not valid.",
   "html_attributions" : [],
   "results" : [],
   "status" : "REQUEST_DENIED"
}"#
        );
    }
}
