//! The document `/openapi.json` as code. It is compiled for tests only: the program has the committed file
//! `openapi.json`, which saves ten seconds of each build. A test compares the two.
//!
//! `schemas` has the shapes of bodies, and `operations` has the requests and their responses.
//!
//! A schema is as exact as JSON Schema can be, because programs send what a schema allows. Where a schema cannot say a
//! rule, its description does.

use serde_json::Value;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Server,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use super::{operations, schemas};

const DESCRIPTION: &str = "Reports, reads and searches of clients that move. Errors are problem details (RFC 9457). Each \
    response has the header X-Request-Id, which repeats the request's ID or makes one. Responses of more than a \
    kilobyte are compressed with gzip if the request accepts it. Where tokens are on, send one as \
    `Authorization: Bearer TOKEN`; each path says which scope the token needs. Limits, also those of a token, are per \
    server: each server counts for itself.";

/// The text of the file `openapi.json`: the document of a herd with tokens, without the program's version.
pub(super) fn text() -> String {
    // Unlike the document, a value has its names in order.
    let value: Value =
        serde_json::to_value(document()).expect("a document has only texts, numbers and lists");
    serde_json::to_string_pretty(&value).expect("a value becomes a text") + "\n"
}

fn document() -> OpenApi {
    let info = InfoBuilder::new().title("proxyherd").version("").description(Some(DESCRIPTION)).build();
    let tag =
        |name: &str, description: &str| TagBuilder::new().name(name).description(Some(description)).build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some([
            tag("Clients", "Where a client is, and what is around it."),
            tag("Reports", "What clients report."),
            tag("Live", "Positions as they change."),
            tag("Shares", "Links that show one client's newest position until they end."),
            tag("Tokens", "Who may do what. Needs a token that may operate; where tokens are off, the operator's token."),
            tag("Server", "The state of this server, for operators and their tools."),
        ]))
        .paths(operations::paths())
        .components(Some(components()))
        .security(Some(requirements()))
        .build()
}

/// One of these is enough.
fn requirements() -> [SecurityRequirement; 2] {
    ["bearer", "basic"].map(|name| SecurityRequirement::new::<_, [String; 0], _>(name, []))
}

fn components() -> utoipa::openapi::Components {
    let scheme = |scheme, description| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
    };
    let components = schemas::all()
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, schema)| components.schema(name, schema));
    components
        .security_scheme(
            "bearer",
            scheme(HttpAuthScheme::Bearer, "A token of the herd, where tokens are on."),
        )
        .security_scheme(
            "basic",
            scheme(HttpAuthScheme::Basic, "The password is a token; any user name will do."),
        )
        .build()
}
