//! Reads the replies of Nearby Search (Legacy). Results are passed on unchanged, and malformed results are left out.
//!
//! [`read`] takes a whole reply. This module does not know the question, except for its type of places.

use proxyherd_core::places::{Answer, AnswerStatus, Verbatim};
use reqwest::StatusCode;
use serde_json::value::RawValue;

use super::super::{
    Failure,
    http::HttpReply,
    json::{first_items, items, members, mend, part, text, texts},
};

/// Reads a whole reply to a question about places of the type `kind`, or of any type. `told` turns a message of the
/// server into a message that may be passed on.
pub(crate) fn read(
    mut reply: HttpReply,
    kind: Option<&str>,
    told: &dyn Fn(&str) -> String,
) -> Result<Answer, Failure> {
    mend(reply.body.bytes_mut());
    let body = ReplyMembers::read(reply.body.bytes());
    let message = text(&part(body.as_ref().and_then(|body| body.error_message)));
    let message = message.map(|message| told(&message));
    if reply.status != StatusCode::OK {
        return Err(reply.failure(message));
    }
    let body = body.ok_or_else(|| Failure::Unreadable("it is not a JSON object".to_owned()))?;
    let said = |status: &str| message.clone().unwrap_or_else(|| format!("it says {status}"));
    match part(body.status).as_str() {
        Some("OK") => found(&body, kind, AnswerStatus::Ok),
        Some("ZERO_RESULTS") => found(&body, kind, AnswerStatus::ZeroResults),
        Some(status @ "INVALID_REQUEST") => Err(Failure::BadQuery(said(status))),
        Some(status @ "REQUEST_DENIED") => Err(Failure::Denied(said(status))),
        Some("OVER_QUERY_LIMIT" | "OVER_DAILY_LIMIT") => {
            Err(Failure::OverLimit { retry_after: reply.retry_after })
        }
        Some(status @ "UNKNOWN_ERROR") => Err(Failure::Unavailable(said(status))),
        Some(_) => Err(Failure::Unreadable("its status is unknown".to_owned())),
        None => Err(Failure::Unreadable("it has no status".to_owned())),
    }
}

/// The members of a reply that are used, not parsed.
struct ReplyMembers<'a> {
    error_message: Option<&'a RawValue>,
    html_attributions: Option<&'a RawValue>,
    info_messages: Option<&'a RawValue>,
    next_page_token: Option<&'a RawValue>,
    results: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
}

impl<'a> ReplyMembers<'a> {
    /// `None` if `json` is not an object.
    fn read(json: &'a [u8]) -> Option<ReplyMembers<'a>> {
        let names =
            ["error_message", "html_attributions", "info_messages", "next_page_token", "results", "status"];
        let [error_message, html_attributions, info_messages, next_page_token, results, status] =
            members(json, names)?;
        Some(ReplyMembers {
            error_message,
            html_attributions,
            info_messages,
            next_page_token,
            results,
            status,
        })
    }
}

fn found(body: &ReplyMembers<'_>, kind: Option<&str>, status: AnswerStatus) -> Result<Answer, Failure> {
    let Some(listed) = body.results.map_or(Some(Vec::new()), first_items) else {
        return Err(Failure::Unreadable("its `results` is not a list".to_owned()));
    };
    let (mut passed_on, mut has_kind) = (Vec::with_capacity(listed.len()), kind.is_none());
    for listed in &listed {
        let result = part(Some(listed));
        // A result without a name is malformed, because no client could show it.
        if text(&result["name"]).is_some() {
            passed_on.extend(Verbatim::new(listed.get()));
            has_kind |= items(&result["types"]).any(|known| known.as_str() == kind);
        }
    }
    if passed_on.is_empty() && !listed.is_empty() {
        return Err(Failure::Unreadable("every result in the answer lacks a name or is too long".to_owned()));
    }
    let mut info_messages = texts(&part(body.info_messages));
    if let Some(kind) = kind.filter(|_| !has_kind && !passed_on.is_empty()) {
        let message = format!(
            "None of these places is of the type `{kind}`. Google ignores a type that it does not know."
        );
        info_messages.push(message.into());
    }
    Ok(Answer {
        html_attributions: texts(&part(body.html_attributions)).into(),
        places: Vec::new(),
        passed_on,
        status,
        error_message: None,
        info_messages,
        next_page_token: text(&part(body.next_page_token)),
    })
}

#[cfg(test)]
mod tests;
