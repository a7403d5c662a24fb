//! The operations about shares.

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};

use super::*;

pub(super) fn post_share() -> Operation {
    let revoke = link("deleteShare", ("id", "$response.body#/share"), "Revokes the share.");
    let operation = operation_for(
        "`read:ID`",
        "postShare",
        "Shares",
        "Makes a link that shows one client's newest position.",
        "Whoever has the link sees the client's newest position until the share ends, and nothing else. The answer is the \
         only place that shows the link. The share ends at once when the token that has made it may not read the client \
         any more. 503 if this token has 1000 shares, or the herd has no room. The token of a share makes no shares.",
    )
    .request_body(Some(body(&[(JSON, named("NewShare"))])))
    .response("201", response("The share.", &[(JSON, named("Share"))]).link("revoke", revoke));
    problems(operation, &[COMMON, CLIENTS, &["408", "413", "415"]]).build()
}

pub(super) fn get_shares() -> Operation {
    let operation = operation_for(
        "`read` of at least one client",
        "getShares",
        "Shares",
        "The shares that the token has made.",
        "Shares that have ended or are revoked are not shown. A token with `operate` sees all shares, and so does \
         everybody where tokens are off.",
    )
    .response("200", response("The shares, without their links.", &[(JSON, named("Shares"))]));
    problems(operation, &[COMMON, CLIENTS, &["406"]]).build()
}

pub(super) fn delete_share() -> Operation {
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The share's ID: `share` in the answer that made it."))
        .schema(Some(schemas::token_id()))
        .build();
    let operation = operation_for(
        "the token that has made the share, or `operate`",
        "deleteShare",
        "Shares",
        "Revokes a share.",
        "It holds at every reachable server within a second, on open connections too.",
    )
    .parameter(id)
    .response("204", response("The share is revoked.", &[]));
    problems(operation, &[COMMON, CLIENTS, &["404"]]).build()
}

pub(super) fn get_share() -> Operation {
    let operation = operation(
        "getShare",
        "Shares",
        "What a share shows.",
        "Needs the token of the share, even where tokens are off. 401 if the share has ended; `error_description` in \
         WWW-Authenticate then says `share ended`, `share revoked`, `share maker ended` or `share unknown`.",
    )
    .securities(Some(token_needed()))
    .response("200", response("The client, and when the share ends.", &[(JSON, named("Shown"))]));
    problems(operation, &[COMMON, CLIENTS, &["406"]]).build()
}
