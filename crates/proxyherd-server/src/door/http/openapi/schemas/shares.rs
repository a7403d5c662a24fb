//! The schemas of shares.

use proxyherd_core::limits::{CLIENT_ID_LEN_MAX, SHARE_EXPIRES_S_MAX};
use serde_json::json;
use utoipa::openapi::{
    RefOr,
    schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type},
};

use super::{exactly, flag, id, instant, integer, named, text, tokens::token_id};

pub(super) fn new_share() -> ObjectBuilder {
    let id = text().min_length(Some(1)).max_length(Some(CLIENT_ID_LEN_MAX)).pattern(Some(r"^[^\t-\r ]+$"));
    let expires_s = integer()
        .minimum(Some(1))
        .maximum(Some(SHARE_EXPIRES_S_MAX))
        .description(Some("Seconds until the share ends. It ends sooner if the token that makes it does."));
    exactly([("id", id.description(Some("The client's ID.")).into()), ("expires_s", expires_s.into())])
        .examples([json!({"id": "kiwi", "expires_s": 3600})])
}

fn share_ends() -> ObjectBuilder {
    instant("When the share ends.")
}

pub(super) fn share() -> ObjectBuilder {
    let url =
        text().description(Some("The link. The token is only in the fragment, which no browser sends."));
    exactly([
        ("url", url.into()),
        ("token", text().description(Some("The token of the share. It is shown only here.")).into()),
        ("share", token_id().description(Some("The share's ID.")).into()),
        ("id", id().into()),
        ("expires", share_ends().into()),
        ("known", flag().description(Some(KNOWN)).into()),
    ])
}

const KNOWN: &str = "Whether the herd knows the client at present. If not, the ID may be mistyped; the page shows the client \
    as soon as it reports.";

pub(super) fn shares() -> ObjectBuilder {
    let made_by = text().description(Some(
        "The ID of the token that has made the share; `operator` for the operator's token; `anybody` where tokens were \
         off.",
    ));
    let share = exactly([
        ("share", token_id().description(Some("The share's ID.")).into()),
        ("id", id().into()),
        ("made", instant("When the share was made.").into()),
        ("expires", share_ends().into()),
        ("made_by", made_by.into()),
    ]);
    exactly([("shares", ArrayBuilder::new().items(share).into())])
}

pub(super) fn shown() -> ObjectBuilder {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    let client = AnyOfBuilder::new()
        .item(named("Client"))
        .item(null)
        .description(Some("Null if the herd does not know the client at present."));
    exactly([
        ("id", id().into()),
        ("expires", share_ends().into()),
        ("client", RefOr::T(client.build().into())),
    ])
}
