//! The behaviors of the stand-in: it answers a request as Google does, or in a faulty way.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body::Frame;
use serde_json::{Value, json};
use tokio::time::{Interval, interval, sleep};

use super::{Asked, Shared, connection::Reset, legacy, new};

/// How a request is treated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Behavior {
    /// The request is answered as Google answers it.
    Good,
    /// The answer is valid, but has no places.
    Nothing,
    /// The answer is valid, and comes after this time.
    Slow(Duration),
    /// The request waits until the stand-in gets another behavior, and is then answered by that behavior.
    Held,
    /// The answer is an error with this HTTP code, and a body in the interface's form.
    Fails(u16),
    /// The answer is 429, with `Retry-After` if a time is given. The body of Legacy also says OVER_QUERY_LIMIT.
    TooMany(Option<&'static str>),
    /// The answer has HTTP code 200 and an error in the body. The body of Legacy has this status, and the body of New
    /// has this code by its name.
    Says(&'static str),
    /// The answer is an error whose message repeats the key and the request's path.
    TellsTheKey,
    /// The answer has exactly this body and code 200.
    Body(String),
    /// The answer is an HTML page with code 200.
    Html,
    /// The answer has the first half of a valid body: HTTP is valid, but JSON is not.
    HalfJson,
    /// The connection ends in the middle of the body.
    CutOff,
    /// This many bytes of blanks come before the answer.
    Blanks(usize),
    /// This many bytes of blanks come, and then nothing more.
    Hangs(usize),
    /// One blank comes at intervals, for ever.
    Drip(Duration),
    /// The connection is reset.
    Reset,
    /// The answer is a redirect with this code and this `Location`.
    Redirect(u16, String),
}

pub(super) async fn answer(behavior: Behavior, asked: &Asked, shared: &Shared, reset: &Reset) -> Response {
    match behavior {
        Behavior::Good => good(asked, shared),
        Behavior::Nothing if asked.is_legacy() => json_body(200, &legacy::failed("ZERO_RESULTS", None)),
        Behavior::Nothing => json_body(200, &json!({})),
        Behavior::Slow(duration) => {
            sleep(duration).await;
            good(asked, shared)
        }
        Behavior::Held => std::future::pending().await,
        Behavior::Fails(code) => failed(asked, code, "it was told to fail"),
        Behavior::TooMany(after) => too_many(asked, after),
        Behavior::Says(status) => says(asked, status),
        Behavior::TellsTheKey => {
            let key = asked.key.as_deref().unwrap_or_default();
            failed(asked, 403, &format!("{}?key={key} is not for {key}", asked.path))
        }
        Behavior::Body(body) => body_of("application/json", Body::from(body)),
        Behavior::Html => {
            body_of("text/html", Body::from("<!DOCTYPE html>\n<p>Sign in to this network</p>\n"))
        }
        Behavior::HalfJson => body_of("application/json", Body::from(half(asked, shared))),
        Behavior::CutOff => body_of("application/json", Body::new(Flow::CutOff(half(asked, shared)))),
        Behavior::Blanks(len) => body_of("application/json", Body::new(Flow::Blanks(len))),
        Behavior::Hangs(len) => body_of("application/json", Body::new(Flow::Hangs(len))),
        Behavior::Drip(every) => body_of("application/json", Body::new(Flow::Drip(interval(every)))),
        Behavior::Reset => {
            reset.set();
            StatusCode::OK.into_response()
        }
        Behavior::Redirect(code, to) => {
            (StatusCode::from_u16(code).unwrap(), [(header::LOCATION, to)]).into_response()
        }
    }
}

/// Answers as Google does, for both interfaces.
fn good(asked: &Asked, shared: &Shared) -> Response {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", new::PATH) => new::answer(asked)
            .map_or_else(|error| json_body(error.code, &error.body()), |found| json_body(200, &found)),
        ("GET", legacy::PATH) => json_body(200, &legacy::answer(asked, shared)),
        _ => (StatusCode::NOT_FOUND, "no such path").into_response(),
    }
}

fn failed(asked: &Asked, code: u16, message: &str) -> Response {
    if !asked.is_legacy() {
        return json_body(code, &new::Error { code, message: message.to_owned(), reason: None }.body());
    }
    let status = match code {
        401 | 403 => "REQUEST_DENIED",
        400..=499 => "INVALID_REQUEST",
        _ => "UNKNOWN_ERROR",
    };
    json_body(code, &legacy::failed(status, Some(message)))
}

fn too_many(asked: &Asked, after: Option<&'static str>) -> Response {
    let body = if asked.is_legacy() {
        legacy::failed("OVER_QUERY_LIMIT", Some("You have exceeded your daily request quota for this API."))
    } else {
        new::Error { code: 429, message: "Quota exceeded.".to_owned(), reason: None }.body()
    };
    let mut response = json_body(429, &body);
    if let Some(after) = after {
        response.headers_mut().insert(header::RETRY_AFTER, after.parse().unwrap());
    }
    response
}

fn says(asked: &Asked, status: &'static str) -> Response {
    if asked.is_legacy() {
        return json_body(200, &legacy::failed(status, Some("it was told to say so")));
    }
    let code = new::code_of(status);
    json_body(200, &new::Error { code, message: "it was told to say so".to_owned(), reason: None }.body())
}

fn half(asked: &Asked, shared: &Shared) -> Bytes {
    let body = if asked.is_legacy() { legacy::answer(asked, shared) } else { new::answer(asked).unwrap() };
    let text = pretty(&body);
    Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2])
}

fn json_body(code: u16, body: &Value) -> Response {
    let mut response = body_of("application/json; charset=UTF-8", Body::from(pretty(body)));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn pretty(body: &Value) -> String {
    serde_json::to_string_pretty(body).unwrap()
}

fn body_of(content_type: &'static str, body: Body) -> Response {
    let headers: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, content_type)];
    (headers, body).into_response()
}

/// A body that is sent piece by piece.
enum Flow {
    Blanks(usize),
    Hangs(usize),
    Drip(Interval),
    CutOff(Bytes),
}

impl HttpBody for Flow {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];
        let piece = match &mut *self {
            Flow::Blanks(0) => return Poll::Ready(None),
            Flow::Hangs(0) => return Poll::Pending,
            Flow::Blanks(left) | Flow::Hangs(left) => {
                let len = BLANKS.len().min(*left);
                *left -= len;
                Bytes::from_static(&BLANKS[..len])
            }
            Flow::Drip(every) => {
                std::task::ready!(every.poll_tick(context));
                Bytes::from_static(b" ")
            }
            // The first half is sent. Then the body fails, which also closes its connection.
            Flow::CutOff(rest) if rest.is_empty() => {
                return Poll::Ready(Some(Err(std::io::ErrorKind::BrokenPipe.into())));
            }
            Flow::CutOff(rest) => std::mem::take(rest),
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}
