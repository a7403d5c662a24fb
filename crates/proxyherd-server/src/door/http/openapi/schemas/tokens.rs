//! The schemas of tokens.

use proxyherd_core::limits::{
    SCOPES_MAX, TOKEN_CLIENTS_MAX, TOKEN_EXPIRES_S_MAX, TOKEN_ID_LEN_MAX, TOKEN_NAME_LEN_MAX,
};
use serde_json::json;
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};

use super::{exactly, flag, integer, named, text};

/// The ID of a token in a path.
pub(in super::super) fn token_id() -> ObjectBuilder {
    text().pattern(Some(format!("^[a-z0-9]{{1,{TOKEN_ID_LEN_MAX}}}$"))).examples(["k3xw5r7q2mza"])
}

fn scopes() -> ArrayBuilder {
    let scope = text().pattern(Some(r"^(places|fences|operate|(report|read):([^\t-\r ]{1,100}|\*))$"));
    ArrayBuilder::new().items(scope).min_items(Some(1)).max_items(Some(SCOPES_MAX)).description(Some(
        "What the token allows: report:IDS, read:IDS, places, operate; fences is not used in this version. IDS is a \
         client's ID, or the beginning of IDs and `*`.",
    ))
}

fn token_name() -> ObjectBuilder {
    text().max_length(Some(TOKEN_NAME_LEN_MAX)).description(Some("For people."))
}

/// A schema, or null.
fn or_null(schema: ObjectBuilder) -> Schema {
    AnyOfBuilder::new().item(schema).item(ObjectBuilder::new().schema_type(Type::Null)).build().into()
}

pub(super) fn new_token() -> ObjectBuilder {
    exactly([("scopes", scopes().into())])
        .property("name", token_name())
        .property(
            "expires_s",
            limit(TOKEN_EXPIRES_S_MAX, "Seconds until the token ends. Absent or null: it has no end."),
        )
        .property("latest_only", flag().default(Some(json!(false))).description(Some(LATEST_ONLY)))
        .property("clients_max", limit(TOKEN_CLIENTS_MAX, CLIENTS_MAX_OF_TOKEN))
        .property("rate", limit(u32::MAX.into(), RATE))
        .examples([json!({"scopes": ["report:courier-*", "read:courier-*"], "expires_s": 2_592_000})])
}

const LATEST_ONLY: &str = "The holder sees the newest position of clients and no earlier one. This version answers with \
    no earlier positions, so it makes no difference yet.";
const CLIENTS_MAX_OF_TOKEN: &str = "The greatest number of clients that the token may add at each server. A forgotten \
    client counts for a day. Absent or null: a tenth of the server's `max_clients`.";
const RATE: &str = "Reports, deletions and questions about places in a second, all together, at each server. After a \
    pause, as many may come at once. Absent or null: no limit.";

/// A limit of a token, or null.
fn limit(maximum: u64, description: &str) -> Schema {
    let whole = integer().minimum(Some(1)).maximum(Some(maximum));
    let null = ObjectBuilder::new().schema_type(Type::Null);
    AnyOfBuilder::new().item(whole).item(null).description(Some(description)).build().into()
}

pub(super) fn token() -> ObjectBuilder {
    let time = || {
        or_null(
            text()
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .description(Some("RFC 3339 in UTC.")),
        )
    };
    let text_of_token = text().description(Some("The token. It is shown only here, when it is made."));
    exactly([
        ("id", token_id().into()),
        ("scopes", ArrayBuilder::new().items(text()).into()),
        ("name", text().into()),
        ("made_at", time().into()),
        ("expires_at", time().into()),
        ("latest_only", flag().into()),
        ("clients_max", limit(TOKEN_CLIENTS_MAX, CLIENTS_MAX_OF_TOKEN).into()),
        ("rate", limit(u32::MAX.into(), RATE).into()),
        ("revoked", flag().into()),
    ])
    .property("token", text_of_token)
}

pub(super) fn tokens() -> ObjectBuilder {
    exactly([("tokens", ArrayBuilder::new().items(named("Token")).into())])
}
