//! The schemas of the events of live streams, and of the messages of WebSockets. No request or response refers to them,
//! because OpenAPI describes neither events nor messages: they are for readers, and for programs that make types.

use serde_json::json;
use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder, ObjectBuilder, OneOfBuilder, Schema};

use super::{exactly, id, id_url, named, number, object, one_of, text};

/// An event that names a client. `id_url` is there if the ID is not UTF-8.
fn with_id(object: ObjectBuilder) -> ObjectBuilder {
    object.property("id", id()).required("id").property("id_url", id_url())
}

pub(super) fn location() -> AllOfBuilder {
    AllOfBuilder::new()
        .item(named("Client"))
        .description(Some("The data of the event `location`: a client that matches, where it is now."))
}

pub(super) fn left() -> ObjectBuilder {
    with_id(object()).description(Some("The data of the event `left`: the client no longer matches."))
}

pub(super) fn gone() -> ObjectBuilder {
    with_id(object())
        .description(Some("The data of the event `gone`: the client was forgotten or has expired."))
}

pub(super) fn presence() -> ObjectBuilder {
    let event_id = text().pattern(Some("^[0-9a-f]{32}$")).description(Some(
        "The same at every server, so a program that reads the streams of several servers knows an event that it has \
         already read.",
    ));
    let kind = one_of(&["came", "silent", "back", "gone"]).description(Some(
        "came: the herd did not know the client. silent: it has not reported for `presence_silent_s`. back: it was \
         silent and reports again. gone: it was forgotten or has expired.",
    ));
    let object = object().property("event_id", event_id).required("event_id");
    with_id(object.property("kind", kind).required("kind"))
        .description(Some("The data of the event `presence`."))
}

/// What a client repeats to know which message is answered.
fn reference() -> Schema {
    AnyOfBuilder::new()
        .item(text())
        .item(number())
        .description(Some("Up to 128 bytes. The answer repeats it."))
        .build()
        .into()
}

pub(super) fn message_in() -> Schema {
    let message =
        |name: &str, schema: ObjectBuilder| exactly([(name, schema.into())]).property("ref", reference());
    OneOfBuilder::new()
        .item(message("token", text().description(Some("The token whose rights count from now on."))))
        .item(message(
            "subscribe",
            object().description(Some(
                "The parameters of /v1/stream, where lists are arrays and the polygon is an object.",
            )),
        ))
        .item(message("report", object().description(Some("A report as of putLocation, with `id`."))))
        .description(Some("What a client sends over a WebSocket."))
        .examples([json!({"subscribe": {"ids": ["courier-*"], "kinds": ["location", "left"]}, "ref": 1})])
        .build()
        .into()
}

pub(super) fn event_out() -> ObjectBuilder {
    let event = one_of(&["reset", "location", "synced", "left", "gone", "presence"]);
    exactly([
        ("event", event.into()),
        ("id", text().description(Some("What Last-Event-ID takes.")).into()),
        ("data", object().description(Some("As in /v1/stream.")).into()),
    ])
    .description(Some("An event of the stream, over a WebSocket."))
}

pub(super) fn answer_out() -> Schema {
    OneOfBuilder::new()
        .item(exactly([("result", one_of(&["accepted", "stale"]).into())]).property("ref", reference()))
        .item(exactly([("error", text().into())]).property("ref", reference()))
        .description(Some("The answer to a message of a WebSocket."))
        .build()
        .into()
}
