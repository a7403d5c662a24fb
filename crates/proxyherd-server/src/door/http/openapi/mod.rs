//! `/openapi.json`: the description of `/v1` and `/health` as OpenAPI 3.1, for programs that make clients, tests and
//! pages of it.
//!
//! The program has the document as the file `openapi.json`. The file is made of `definition`, which only tests compile.
//! A test compares the document's paths and methods with the table of paths, so a path cannot be forgotten.

#[cfg(test)]
mod definition;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod schemas;

use std::sync::{Arc, LazyLock};

use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use serde_json::{Value, json};

use super::{conditional, problem::Problem, query::Query, small_json};
use crate::herd::Herd;

/// The document of a herd with tokens, without the program's version.
const DOCUMENT: &str = include_str!("openapi.json");

/// The document as a value, for a herd without tokens and for a herd with tokens.
static DOCUMENTS: LazyLock<[Value; 2]> = LazyLock::new(|| {
    let mut required: Value = serde_json::from_str(DOCUMENT).expect("a test reads this file");
    required["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let mut optional = required.clone();
    // One of these is enough, and this one asks for nothing.
    optional["security"].as_array_mut().expect("the document says which tokens it takes").push(json!({}));
    [optional, required]
});

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::paths::PATHS, *};

    /// Set this variable to anything, and the test below writes the file instead of comparing it.
    const WRITE: &str = "PROXYHERD_TEST_WRITE_OPENAPI";

    #[test]
    fn the_file_is_what_the_definition_says() {
        let text = definition::text();
        if std::env::var_os(WRITE).is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/door/http/openapi/openapi.json");
            std::fs::write(path, text).unwrap();
            return;
        }
        let differs = DOCUMENT.lines().zip(text.lines()).find(|(held, defined)| held != defined);
        assert!(DOCUMENT == text, "{differs:?}: run this test with {WRITE}=1, and look at the difference");
    }

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
