//! `/openapi.json`: the description of `/v1` and `/health` as OpenAPI 3.1, for programs that make clients, tests and
//! pages of it.
//!
//! `schemas` has the shapes of bodies, and `operations` has the requests and their responses. The document is made
//! once. A test compares its paths and methods with the table of paths, so a path cannot be forgotten.
//!
//! A schema is as exact as JSON Schema can be, because programs send what a schema allows. Where a schema cannot say a
//! rule, its description does.

mod operations;
mod schemas;

use std::sync::{Arc, LazyLock};

use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use serde_json::Value;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Server,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use super::{conditional, problem::Problem, query::Query, small_json};
use crate::herd::Herd;

/// The document as a value, for a herd with or without tokens.
static DOCUMENTS: LazyLock<[Value; 2]> = LazyLock::new(|| {
    let value = |security| {
        serde_json::to_value(document(security)).expect("a document has only texts, numbers and lists")
    };
    [value(Security::Optional), value(Security::Required)]
});

/// Whether requests need a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Optional,
    Required,
}

pub(super) async fn get_openapi(
    State(herd): State<Arc<Herd>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    let text = value(herd.are_tokens_on()).to_string() + "\n";
    Ok(conditional::answer(&headers, small_json::MEDIA_TYPE, "public, no-cache", text.into()))
}

/// The document, for the page `/docs`.
pub(super) fn value(are_tokens_on: bool) -> &'static Value {
    &DOCUMENTS[usize::from(are_tokens_on)]
}

const DESCRIPTION: &str = "Reports, reads and searches of clients that move. Errors are problem details (RFC 9457). Each \
    response has the header X-Request-Id, which repeats the request's ID or makes one. Responses of more than a \
    kilobyte are compressed with gzip if the request accepts it. Where tokens are on, send one as \
    `Authorization: Bearer TOKEN`; each path says which scope the token needs. Limits, also those of a token, are per \
    server: each server counts for itself.";

fn document(security: Security) -> OpenApi {
    let info = InfoBuilder::new()
        .title("proxyherd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
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
        .security(Some(requirements(security)))
        .build()
}

/// One of these is enough. The last one, which a herd without tokens has, asks for nothing.
fn requirements(security: Security) -> Vec<SecurityRequirement> {
    let mut requirements: Vec<_> =
        ["bearer", "basic"].map(|name| SecurityRequirement::new::<_, [String; 0], _>(name, [])).into();
    if security == Security::Optional {
        requirements.push(SecurityRequirement::default());
    }
    requirements
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::paths::PATHS, *};

    /// Calls `visit` with each value inside `value`.
    fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v Value)) {
        visit(value);
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
            Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
            _ => {}
        }
    }

    #[test]
    fn the_document_describes_every_path_of_v1_and_health_and_no_other() {
        let mut expected = BTreeSet::new();
        let is_described = |pattern: &str| pattern.starts_with("/v1/") || pattern.starts_with("/health/");
        for row in PATHS.iter().filter(|row| is_described(row.pattern)) {
            for (method, _) in row.methods {
                expected.insert(format!("{} {}", method.as_str().to_lowercase(), row.pattern));
            }
        }
        let mut described = BTreeSet::new();
        for (path, item) in value(false)["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            described.extend(methods.map(|method| format!("{method} {path}")));
        }
        assert_eq!(described, expected);
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let mut count = 0;
        walk(value(false), &mut |inside| {
            if let Some(reference) = inside.get("$ref").and_then(Value::as_str) {
                count += 1;
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(value(false).pointer(pointer).is_some(), "{reference}");
            }
        });
        assert!(count > 10);
        let operations: BTreeSet<_> = value(false)["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        walk(value(false), &mut |inside| {
            let links =
                inside.get("links").and_then(Value::as_object).into_iter().flat_map(|links| links.values());
            for operation in links.filter_map(|link| link["operationId"].as_str()) {
                assert!(operations.contains(operation), "{operation}");
            }
        });
        assert_eq!(value(false)["openapi"], "3.1.0");
    }
}
