//! The errors of the HTTP door, as problem details (RFC 9457).
//!
//! Whatever refuses a request returns a [`Problem`]. Its response has no body yet, because the place of the refusal
//! does not know the request's ID. [`render`] writes the body when the response leaves the router. So every error of
//! the door has the same form, and a request's ID is in the body of its error.
//!
//! This module does not know why a request was refused. `type` is always `about:blank`: the status code says which kind
//! of problem it is, and `detail` says what to do.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{limits::RETRY_AFTER_S, request_id::RequestId};
use crate::herd::Denied;

/// The media type of problem details.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request is not answered as it was meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// What happened, to what, and what to do.
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// The members of problem details. The test of the OpenAPI document compares its schema with them.
#[derive(Serialize)]
struct Members<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { status, detail: detail.into(), header: None }
    }

    /// 422: a value or a rule. `detail` names the member or the parameter.
    pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 503: the server has no room now, or cannot do what it must do before it acknowledges.
    pub(super) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER_S)
    }

    /// What happened, to what, and what to do.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The client may try again after this number of seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Problem {
        self.with(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The problem with one header. A problem has one header at most.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.header = Some((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if let Some((name, value)) = &self.header {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Problem {
        match denied {
            Denied::TooFast => Problem::new(StatusCode::TOO_MANY_REQUESTS, denied.to_string()).retry_after(1),
            Denied::NoOperator => Problem::new(StatusCode::UNAUTHORIZED, denied.to_string())
                .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"proxyherd\"")),
            _ => Problem::new(StatusCode::FORBIDDEN, denied.to_string()),
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Writes the body of a response that has a [`Problem`]. Other responses stay as they are.
pub(super) fn render(response: &mut Response, request_id: &RequestId) {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return };
    let members = Members {
        r#type: "about:blank",
        title: problem.status.canonical_reason().unwrap_or("Error"),
        status: problem.status.as_u16(),
        detail: problem.detail.trim_end(),
        request_id: request_id.as_str(),
    };
    let mut body = serde_json::to_vec(&members).expect("texts and numbers are always JSON");
    body.push(b'\n');
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::HeaderMap};

    use super::*;

    #[tokio::test]
    async fn a_problem_has_its_members_and_the_request_s_id() {
        let mut sent = HeaderMap::new();
        sent.insert("x-request-id", HeaderValue::from_static("r-1"));
        let id = RequestId::of(&sent);
        let mut response = Problem::unavailable("no room for \"kiwi\"\n").into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_AFTER_S.to_string().as_str());
        render(&mut response, &id);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        let expected = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
                        \"detail\":\"no room for \\\"kiwi\\\"\",\"request_id\":\"r-1\"}\n";
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn other_responses_stay_as_they_are() {
        let mut response = "ok\n".into_response();
        render(&mut response, &RequestId::of(&HeaderMap::new()));
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    }
}
