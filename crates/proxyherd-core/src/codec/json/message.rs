//! Messages of a WebSocket: what a client sends, and what the server sends.
//!
//! A client sends `{"token":TEXT}`, `{"subscribe":{…}}` or `{"report":{…}}`, each with an optional `ref`, which the
//! answer repeats. The server sends `{"event","id","data"}` for an event of a stream, and `{"ref","result"}` or
//! `{"ref","error"}` for an answer.
//!
//! The members of `subscribe` have the names of the query's parameters. [`parse_message`] turns each into the text that
//! the parameter has in a query. So one parser, the door's, reads the parameters of both. Names are not checked here.
//!
//! The memory for a message is bounded by the length of its text. This module knows neither WebSocket's frames nor what
//! the parameters mean.

use std::{borrow::Cow, fmt::Display, io::Write as _};

use super::{
    members::{self, ElementsError, MembersError, Scalar},
    report::{ReportBody, ReportError, parse_report},
    write::write_string,
};
use crate::types::AttributesBuf;

/// Maximum length of the JSON text of `ref`, bytes. A message with a longer one is refused.
pub const REF_LEN_MAX: usize = 128;
/// The parameter that a query may have several times. Each element of its array is one value.
const REPEATED: &str = "ids";
/// Maximum number of elements in the array of a parameter. A message with more is refused.
const ELEMENTS_MAX: usize = 2000;
/// Maximum number of members of `subscribe`. There are fewer parameters. A message with more is refused.
const PARAMETERS_MAX: usize = 32;
/// Characters of a member's name that an error repeats.
const NAME_SHOWN_LEN: usize = 40;

/// A message, as its text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming<'j> {
    /// The JSON text of `ref`, a string or a number.
    pub reference: Option<&'j str>,
    /// The message, or the reason why it cannot be understood.
    pub message: Result<Message<'j>, MessageError>,
}

/// What a client wants.
#[derive(Clone, PartialEq, Eq)]
pub enum Message<'j> {
    /// The client shows its token.
    Token(Cow<'j, str>),
    /// The client wants a stream with these parameters.
    Subscribe(Vec<Parameter<'j>>),
    /// The client reports a position. The report names its client.
    Report(ReportBody<'j>),
}

// Written by hand, because nothing may print a token.
impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Message::Token(_) => f.write_str("Token(…)"),
            Message::Subscribe(parameters) => f.debug_tuple("Subscribe").field(parameters).finish(),
            Message::Report(body) => f.debug_tuple("Report").field(body).finish(),
        }
    }
}

/// One parameter of a subscription, as a query would have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'j> {
    /// The name.
    pub name: Cow<'j, str>,
    /// The value. Elements of an array have commas between them, except those of `ids`, which are a parameter each.
    pub value: Cow<'j, str>,
}

/// Why a message cannot be understood. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The text is not JSON.
    #[error("this is not JSON: {0}")]
    Syntax(String),
    /// The message does not have exactly one of the members that make a message.
    #[error("a message is an object with one of `token`, `subscribe` and `report`, and optionally `ref`")]
    Form,
    /// A member is there twice.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// `ref` has another type or is too long.
    #[error("`ref` is a string or a number of at most {REF_LEN_MAX} bytes")]
    Reference,
    /// `token` is no string.
    #[error("`token` is a string")]
    Token,
    /// `subscribe` is no object.
    #[error("`subscribe` is an object with the parameters of /v1/stream")]
    Subscribe,
    /// A parameter's value has a type that no parameter has.
    #[error("{0:?} takes a text, a number or a list of them")]
    Parameter(String),
    /// A parameter has too many values.
    #[error("{0:?} takes at most {ELEMENTS_MAX} values")]
    TooMany(String),
    /// The report cannot be read.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// Reads a message. The attributes of a report, and its time to live, are in `attributes` afterwards.
///
/// ```
/// # use proxyherd_core::{codec::json::{Message, parse_message}, types::AttributesBuf};
/// let text = br#"{"subscribe":{"near":[34.07,-118.44],"radius_m":500},"ref":7}"#;
/// let read = parse_message(text, &mut AttributesBuf::default());
/// let Ok(Message::Subscribe(parameters)) = read.message else { panic!() };
/// assert_eq!((&*parameters[0].name, &*parameters[0].value), ("near", "34.07,-118.44"));
/// assert_eq!(read.reference, Some("7"));
/// ```
pub fn parse_message<'j>(json: &'j [u8], attributes: &mut AttributesBuf) -> Incoming<'j> {
    let mut parts = Parts::default();
    let read = members::read(json, |name, json| {
        parts.take(name, json);
        Ok::<(), MessageError>(())
    });
    match read {
        Ok(()) => {}
        Err(MembersError::Syntax(error)) => {
            return Incoming { reference: None, message: Err(MessageError::Syntax(error.to_string())) };
        }
        Err(MembersError::NotObject | MembersError::Refused(_)) => {
            return Incoming { reference: None, message: Err(MessageError::Form) };
        }
    }
    let reference = parts.reference.map(check_reference).transpose();
    let known = reference.as_ref().ok().copied().flatten();
    Incoming { reference: known, message: reference.and_then(|_| parts.message(attributes)) }
}

/// The JSON texts of a message's members.
#[derive(Default)]
struct Parts<'j> {
    reference: Option<&'j str>,
    /// The member that says what the message is, with its place in [`KINDS`].
    body: Option<(usize, &'j str)>,
    mistake: Option<MessageError>,
}

/// The members of which a message has one.
const KINDS: [&str; 3] = ["token", "subscribe", "report"];

impl<'j> Parts<'j> {
    fn take(&mut self, name: &str, json: &'j str) {
        let is_second = match (name, KINDS.iter().position(|kind| *kind == name)) {
            ("ref", _) => self.reference.replace(json).is_some(),
            (_, Some(kind)) => match self.body.replace((kind, json)) {
                Some((earlier, _)) if earlier != kind => {
                    self.mistake = Some(MessageError::Form);
                    false
                }
                earlier => earlier.is_some(),
            },
            (_, None) => {
                self.mistake = Some(MessageError::Form);
                false
            }
        };
        if is_second {
            self.mistake = Some(MessageError::Twice(shown(name)));
        }
    }

    fn message(self, attributes: &mut AttributesBuf) -> Result<Message<'j>, MessageError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        match self.body {
            Some((0, json)) => match members::scalar(json) {
                Some(Scalar::Text(token)) => Ok(Message::Token(token)),
                Some(Scalar::Number(_)) | None => Err(MessageError::Token),
            },
            Some((1, json)) => parameters(json).map(Message::Subscribe),
            Some((_, json)) => {
                let body = parse_report(json.as_bytes(), attributes)?;
                if body.id.is_none() {
                    return Err(ReportError::Missing("id").into());
                }
                Ok(Message::Report(body))
            }
            None => Err(MessageError::Form),
        }
    }
}

fn check_reference(json: &str) -> Result<&str, MessageError> {
    // A string whose escapes are not Unicode is no text that the client could compare.
    members::scalar(json).filter(|_| json.len() <= REF_LEN_MAX).map(|_| json).ok_or(MessageError::Reference)
}

/// The members of `subscribe` as the parameters of a query.
fn parameters(json: &str) -> Result<Vec<Parameter<'_>>, MessageError> {
    let (mut found, mut len) = (Vec::new(), 0);
    let read = members::read(json.as_bytes(), |name, json| {
        len += 1;
        if len > PARAMETERS_MAX {
            Err(MessageError::Subscribe)
        } else {
            add_parameter(&mut found, name, json)
        }
    });
    read.map(|()| found).map_err(|error| match error {
        MembersError::Syntax(error) => MessageError::Syntax(error.to_string()),
        MembersError::NotObject => MessageError::Subscribe,
        MembersError::Refused(error) => error,
    })
}

fn add_parameter<'j>(found: &mut Vec<Parameter<'j>>, name: &str, json: &'j str) -> Result<(), MessageError> {
    if found.iter().any(|earlier| earlier.name == name) {
        return Err(MessageError::Twice(shown(name)));
    }
    let refused = || MessageError::Parameter(shown(name));
    let mut add = |value| found.push(Parameter { name: name.to_owned().into(), value });
    match json.as_bytes().first() {
        // A geometry.
        Some(b'{') => add(json.into()),
        Some(b'[') => {
            let elements = members::elements(json.as_bytes(), ELEMENTS_MAX).map_err(|error| match error {
                ElementsError::TooMany => MessageError::TooMany(shown(name)),
                ElementsError::NotArray | ElementsError::Syntax(_) => refused(),
            })?;
            // An empty list would be taken for no filter.
            if elements.is_empty() {
                return Err(refused());
            }
            let mut joined = String::new();
            for (place, element) in elements.iter().enumerate() {
                let text = members::scalar(element.get()).map(text_of).ok_or_else(refused)?;
                if name == REPEATED {
                    add(text);
                    continue;
                }
                if place > 0 {
                    joined.push(',');
                }
                joined.push_str(&text);
            }
            if name != REPEATED {
                add(joined.into());
            }
        }
        _ => add(members::scalar(json).map(text_of).ok_or_else(refused)?),
    }
    Ok(())
}

fn text_of(scalar: Scalar<'_>) -> Cow<'_, str> {
    match scalar {
        Scalar::Text(text) => text,
        Scalar::Number(digits) => digits.into(),
    }
}

/// Appends `{"event":…,"id":…,"data":…}`. `id` is written as it is, so it must have no character that JSON escapes.
/// `write_data` appends the JSON of the data.
pub fn write_event(out: &mut Vec<u8>, event: &str, id: impl Display, write_data: impl FnOnce(&mut Vec<u8>)) {
    write!(out, "{{\"event\":\"{event}\",\"id\":\"{id}\",\"data\":").expect("a vector takes everything");
    write_data(out);
    out.push(b'}');
}

/// Appends the answer to a message: its `ref`, if it has one, and the result or the error.
pub fn write_answer(out: &mut Vec<u8>, reference: Option<&str>, result: Result<&str, &str>) {
    out.push(b'{');
    if let Some(reference) = reference {
        out.extend_from_slice(b"\"ref\":");
        out.extend_from_slice(reference.as_bytes());
        out.push(b',');
    }
    let (name, text) = match result {
        Ok(result) => ("\"result\":", result),
        Err(error) => ("\"error\":", error),
    };
    out.extend_from_slice(name.as_bytes());
    write_string(out, text);
    out.push(b'}');
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message as a text.
    fn read(json: &str) -> String {
        let mut attributes = AttributesBuf::default();
        let Incoming { reference, message } = parse_message(json.as_bytes(), &mut attributes);
        let message = match message {
            Ok(Message::Token(token)) => format!("token {token}"),
            Ok(Message::Subscribe(parameters)) => {
                let pairs = parameters.iter().map(|each| format!("{}={}", each.name, each.value));
                pairs.collect::<Vec<_>>().join("&")
            }
            Ok(Message::Report(body)) => {
                format!("{:?} {} {:?}", body.client().unwrap(), body.coordinates, attributes.borrow())
            }
            Err(error) => error.to_string(),
        };
        format!("{}: {message}", reference.unwrap_or("-"))
    }

    fn check(json: &str, expected: &str) {
        assert_eq!(read(json), expected, "{json}");
    }

    const FORM: &str =
        "a message is an object with one of `token`, `subscribe` and `report`, and optionally `ref`";

    #[test]
    fn a_message_is_a_token_a_subscription_or_a_report() {
        check(r#"{"token":"phd_a_b"}"#, "-: token phd_a_b");
        check(
            r#" {"ref":"x","report":{"id":"kiwi","lat":1,"lon":2,"n":3}} "#,
            "\"x\": kiwi +1+2 {\"n\": Number(\"3\")}",
        );
        check(r#"{"subscribe":{}}"#, "-: ");
        check(
            r#"{"subscribe":{"ids":["a","b\u0020"],"near":[1.50,-2],"box":"1,2,3,4","radius_m":5,"kinds":["left"],"polygon":{"type":"Polygon"}},"ref":7}"#,
            "7: ids=a&ids=b &near=1.50,-2&box=1,2,3,4&radius_m=5&kinds=left&polygon={\"type\":\"Polygon\"}",
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_ref() {
        for bad in ["[]", "7", "{}", r#"{"tokens":"x"}"#, r#"{"token":"x","subscribe":{}}"#] {
            check(bad, &format!("-: {FORM}"));
        }
        check(r#"{"ref":1}"#, &format!("1: {FORM}"));
        check(r#"{"x":{},"token":"x","ref":1}"#, &format!("1: {FORM}"));
        check(r#"{"token":7,"ref":1}"#, "1: `token` is a string");
        check(r#"{"token":"a","token":"b"}"#, "-: \"token\" is there twice");
        check(r#"{"subscribe":7}"#, "-: `subscribe` is an object with the parameters of /v1/stream");
        check(r#"{"subscribe":{"near":true}}"#, "-: \"near\" takes a text, a number or a list of them");
        check(r#"{"subscribe":{"ids":[["a"]]}}"#, "-: \"ids\" takes a text, a number or a list of them");
        check(r#"{"subscribe":{"ids":[]}}"#, "-: \"ids\" takes a text, a number or a list of them");
        check(r#"{"subscribe":{"ids":"a","ids":"b"}}"#, "-: \"ids\" is there twice");
        check(r#"{"report":{"lat":1,"lon":2},"ref":1}"#, "1: `id` is missing");
        check(r#"{"report":{"id":"a","lat":91,"lon":2}}"#, "-: `lat` is a number from -90 to 90, in degrees");
        check(r#"{"token":"#, "-: this is not JSON: EOF while parsing a value at line 1 column 9");
        let long = "x".repeat(REF_LEN_MAX);
        for reference in ["null", "{}", "true", &format!("\"{long}\"")] {
            let text = format!(r#"{{"token":"x","ref":{reference}}}"#);
            check(&text, "-: `ref` is a string or a number of at most 128 bytes");
        }
        let many = vec!["1"; ELEMENTS_MAX + 1].join(",");
        check(&format!(r#"{{"subscribe":{{"ids":[{many}]}}}}"#), "-: \"ids\" takes at most 2000 values");
    }

    #[test]
    fn answers_repeat_the_ref_and_events_have_their_id() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        let answer = |reference, result| written(&|out| write_answer(out, reference, result));
        assert_eq!(answer(Some("\"a\""), Ok("stale")), r#"{"ref":"a","result":"stale"}"#);
        assert_eq!(answer(None, Err("no \"room\"")), r#"{"error":"no \"room\""}"#);
        let event = written(&|out| write_event(out, "reset", 7, |out| out.extend_from_slice(b"{}")));
        assert_eq!(event, r#"{"event":"reset","id":"7","data":{}}"#);
    }

    #[test]
    fn nothing_prints_a_token() {
        let read = parse_message(br#"{"token":"phd_a_secret"}"#, &mut AttributesBuf::default());
        assert!(!format!("{read:?}").contains("secret"));
    }
}
