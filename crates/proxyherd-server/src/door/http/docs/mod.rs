//! `/docs`: a page that people read, made of the OpenAPI document. It loads nothing from elsewhere, and can be read
//! without its script, which only copies command lines.
//!
//! [`page`] turns the document into HTML. Every text of the document is escaped. The page has a strict policy for its
//! contents, so a mistake in the escaping would run no script.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, LazyLock},
};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use serde_json::{Map, Value};

use super::{conditional, openapi};
use crate::herd::Herd;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// The page's contents come from this server alone, and no other page may show it in a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
const SAFETY: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// The methods of the document, in the order of the page.
const METHODS: [&str; 4] = ["get", "put", "post", "delete"];
const PROBLEM: &str = "application/problem+json";
const SHARED: &str = "public, no-cache";

/// The page of a herd without tokens, and of a herd with tokens.
static PAGES: LazyLock<[String; 2]> =
    LazyLock::new(|| [page(openapi::value(false)), page(openapi::value(true))]);

/// The page.
pub(super) async fn get_docs(State(herd): State<Arc<Herd>>, headers: HeaderMap) -> Response {
    text(&headers, "text/html; charset=utf-8", &PAGES[usize::from(herd.are_tokens_on())])
}

pub(super) async fn get_style(headers: HeaderMap) -> Response {
    text(&headers, "text/css; charset=utf-8", STYLE)
}

pub(super) async fn get_script(headers: HeaderMap) -> Response {
    text(&headers, "text/javascript; charset=utf-8", SCRIPT)
}

fn text(headers: &HeaderMap, content_type: &'static str, text: &str) -> Response {
    let mut response = conditional::answer(headers, content_type, SHARED, text.into());
    response.headers_mut().extend(SAFETY);
    response
}

/// The page for a document.
fn page(document: &Value) -> String {
    let mut html = Html { out: String::with_capacity(64 * 1024), document };
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>proxyherd: the API</title>\n");
    html.raw("<link rel=\"stylesheet\" href=\"/docs/style.css\">\n");
    html.raw(
        "<script src=\"/docs/script.js\" defer></script>\n</head>\n<body>\n<header>\n<h1>proxyherd</h1>\n",
    );
    html.element("p", &document["info"]["description"]);
    html.raw("<p>For programs: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1), version ");
    html.text(&document["info"]["version"]);
    html.raw(".</p>\n</header>\n<nav>\n<ul>\n");
    html.operations(Html::contents);
    html.raw("<li><a href=\"#errors\">Errors</a></li>\n<li><a href=\"#shapes\">Shapes</a></li>\n</ul>\n</nav>\n<main>\n");
    html.errors();
    html.operations(Html::operation);
    html.raw("<h2 id=\"shapes\">Shapes</h2>\n");
    html.shapes();
    html.raw("</main>\n</body>\n</html>\n");
    html.out
}

/// The page so far, and the document that it is made of.
struct Html<'d> {
    out: String,
    document: &'d Value,
}

impl<'d> Html<'d> {
    /// Appends markup.
    fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// Appends a text, with the characters escaped that have a meaning in HTML.
    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                _ => self.out.push(character),
            }
        }
    }

    /// Appends a text of the document, or nothing if the text is absent. Text between two backquotes is shown as code.
    fn text(&mut self, text: &Value) {
        for (place, part) in text.as_str().unwrap_or_default().split('`').enumerate() {
            if place % 2 == 0 {
                self.escaped(part);
            } else {
                self.raw("<code>");
                self.escaped(part);
                self.raw("</code>");
            }
        }
    }

    /// Appends an element with a text.
    fn element(&mut self, name: &str, text: &Value) {
        if text.is_string() {
            let _ = write!(self.out, "<{name}>");
            self.text(text);
            let _ = writeln!(self.out, "</{name}>");
        }
    }

    /// Calls `show` with each operation of the document, in the order of the document's tags.
    fn operations(&mut self, mut show: impl FnMut(&mut Html<'d>, &str, &str, &Value)) {
        for tag in self.document["tags"].as_array().into_iter().flatten() {
            for (path, item) in members(&self.document["paths"]) {
                for method in METHODS {
                    let operation = &item[method];
                    if operation["tags"][0] == tag["name"] {
                        show(self, path, &method.to_uppercase(), operation);
                    }
                }
            }
        }
    }

    fn contents(&mut self, path: &str, method: &str, operation: &Value) {
        self.raw("<li><a href=\"#");
        self.text(&operation["operationId"]);
        let _ = write!(self.out, "\"><b>{method}</b> ");
        self.escaped(path);
        self.raw("</a></li>\n");
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        self.raw("<section id=\"");
        self.text(&operation["operationId"]);
        let _ = write!(self.out, "\">\n<h2><b class=\"method\">{method}</b> <code>");
        self.escaped(path);
        self.raw("</code></h2>\n");
        self.element("p", &operation["summary"]);
        self.element("p", &operation["description"]);
        self.command_line(path, method, operation);
        self.parameters(operation);
        self.body(&operation["requestBody"]);
        self.responses(operation);
        self.raw("</section>\n");
    }

    fn parameters(&mut self, operation: &Value) {
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        if parameters.is_empty() {
            return;
        }
        self.raw("<h3>Parameters</h3>\n<dl>\n");
        for parameter in parameters {
            self.raw("<dt><code>");
            self.text(&parameter["name"]);
            let _ = write!(self.out, "</code> <small>in {}, ", parameter["in"].as_str().unwrap_or_default());
            self.kind(&parameter["schema"]);
            self.raw("</small></dt>\n");
            self.element("dd", &parameter["description"]);
        }
        self.raw("</dl>\n");
    }

    fn body(&mut self, body: &Value) {
        if body.is_null() {
            return;
        }
        self.raw("<h3>Body</h3>\n<ul>\n");
        self.media_types(&body["content"]);
        self.raw("</ul>\n");
    }

    fn media_types(&mut self, contents: &Value) {
        for (media_type, content) in members(contents) {
            self.raw("<li><code>");
            self.escaped(media_type);
            self.raw("</code>: ");
            self.kind(&content["schema"]);
            if content["schema"]["description"].is_string() {
                self.raw(". ");
                self.text(&content["schema"]["description"]);
            }
            self.raw("</li>\n");
        }
    }

    /// What the status codes of errors mean, which is the same at every path.
    fn errors(&mut self) {
        let mut meanings = BTreeMap::new();
        for (_, item) in members(&self.document["paths"]) {
            for (_, operation) in members(item) {
                meanings.extend(problems(operation).map(|(code, response)| (code, &response["description"])));
            }
        }
        self.raw("<section id=\"errors\">\n<h2>Errors</h2>\n<dl>\n");
        for (code, meaning) in meanings {
            self.raw("<dt><code>");
            self.escaped(code);
            self.raw("</code></dt>\n");
            self.element("dd", meaning);
        }
        self.raw("</dl>\n</section>\n");
    }

    fn responses(&mut self, operation: &Value) {
        let codes: Vec<_> = problems(operation).map(|(code, _)| code).collect();
        self.raw("<h3>Responses</h3>\n<dl>\n");
        let responses = members(&operation["responses"]).filter(|(code, _)| *code != "default");
        for (code, response) in responses.filter(|(code, _)| !codes.contains(code)) {
            self.raw("<dt><code>");
            self.escaped(code);
            self.raw("</code></dt>\n<dd>");
            self.text(&response["description"]);
            let is_success = code.starts_with('2');
            if is_success && !response["content"].is_null() {
                self.raw("\n<ul>\n");
                self.media_types(&response["content"]);
                self.raw("</ul>");
            }
            self.raw("</dd>\n");
        }
        self.raw("</dl>\n");
        if !codes.is_empty() {
            let _ = writeln!(self.out, "<p><a href=\"#errors\">Errors</a>: {}</p>", codes.join(", "));
        }
    }

    /// A command line that makes the request.
    fn command_line(&mut self, path: &str, method: &str, operation: &Value) {
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let id = parameters.iter().find(|parameter| parameter["in"] == "path");
        let id = id.and_then(|id| example(&id["schema"]).as_str()).unwrap_or_default();
        let mut target = path.replace("{id}", id);
        let required =
            |parameter: &&Value| parameter["in"] == "query" && !example(&parameter["schema"]).is_null();
        if let Some(parameter) = parameters.iter().find(required) {
            let value = example(&parameter["schema"]).as_str().unwrap_or_default().to_owned();
            target = format!("{target}?{}={value}", parameter["name"].as_str().unwrap_or_default());
        }
        let mut line = match method {
            "GET" => "curl".to_owned(),
            _ => format!("curl -X {method}"),
        };
        if self.needs_token(operation) {
            line.push_str(" -H \"Authorization: Bearer $TOKEN\"");
        }
        if let Some((media_type, body)) = self.example_of_body(&operation["requestBody"]) {
            let _ = write!(line, " -H 'Content-Type: {media_type}' --data-binary '{body}'");
        }
        let _ = write!(line, " 'http://127.0.0.1:8000{target}'");
        self.raw("<div class=\"line\"><pre><code>");
        self.escaped(&line);
        self.raw("</code></pre><button type=\"button\" hidden>Copy</button></div>\n");
    }

    /// Whether each way to make the request needs a token.
    fn needs_token(&self, operation: &Value) -> bool {
        let ways = operation["security"].as_array().or_else(|| self.document["security"].as_array());
        ways.is_some_and(|ways| ways.iter().all(|way| members(way).next().is_some()))
    }

    /// The first media type with an example, and the example.
    fn example_of_body(&self, body: &Value) -> Option<(String, String)> {
        let mut contents = members(&body["content"]);
        contents.find_map(|(media_type, content)| {
            let schema = self.resolved(&content["schema"]);
            let example = example(schema);
            (!example.is_null()).then(|| (media_type.to_owned(), example.to_string()))
        })
    }

    /// A schema, or the named schema to which it refers.
    fn resolved<'s>(&self, schema: &'s Value) -> &'s Value
    where
        'd: 's,
    {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(schema)
    }

    fn shapes(&mut self) {
        for (name, schema) in members(&self.document["components"]["schemas"]) {
            self.raw("<section id=\"shape-");
            self.escaped(name);
            self.raw("\">\n<h3>");
            self.escaped(name);
            self.raw("</h3>\n");
            self.element("p", &schema["description"]);
            self.members_of(schema);
            self.raw("</section>\n");
        }
    }

    /// The members of an object, or the kinds of a choice.
    fn members_of(&mut self, schema: &Value) {
        if schema["properties"].is_null() {
            self.raw("<p>");
            self.kind(schema);
            self.raw("</p>\n");
            return;
        }
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.raw("<dl>\n");
        for (name, member) in members(&schema["properties"]) {
            self.raw("<dt><code>");
            self.escaped(name);
            self.raw("</code> <small>");
            self.kind(member);
            if !required.iter().any(|required| required == name) {
                self.raw(", may be absent");
            }
            self.raw("</small></dt>\n");
            self.element("dd", &member["description"]);
        }
        self.raw("</dl>\n");
    }

    /// What a value can be, in a few words.
    fn kind(&mut self, schema: &Value) {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            self.raw("<a href=\"#shape-");
            self.escaped(name);
            self.raw("\">");
            self.escaped(name);
            self.raw("</a>");
        } else if let Some(choices) = schema["anyOf"].as_array() {
            for (place, choice) in choices.iter().enumerate() {
                self.raw(if place > 0 { " or " } else { "" });
                self.kind(choice);
            }
        } else if let Some(values) = schema["enum"].as_array() {
            let values: Vec<_> = values.iter().map(Value::to_string).collect();
            self.escaped(&values.join(" or "));
        } else if schema["type"] == "array" {
            self.raw("list of ");
            self.kind(&schema["items"]);
        } else {
            self.escaped(schema["type"].as_str().unwrap_or("anything"));
            self.range(schema);
            if !schema["default"].is_null() {
                self.escaped(&format!(", default {}", schema["default"]));
            }
        }
    }

    fn range(&mut self, schema: &Value) {
        let range = match (&schema["minimum"], &schema["maximum"]) {
            (Value::Null, Value::Null) => return,
            (least, Value::Null) => format!(" from {least}"),
            (Value::Null, greatest) => format!(" up to {greatest}"),
            (least, greatest) => format!(" from {least} to {greatest}"),
        };
        self.escaped(&range);
    }
}

/// The members of an object of the document. Nothing, if it is absent.
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

/// The responses of an operation that are problem details, without the one that stands for all others.
fn problems(operation: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let responses = members(&operation["responses"]).filter(|(code, _)| *code != "default");
    responses.filter(|(_, response)| !response["content"][PROBLEM].is_null())
}

/// The first example of a schema.
fn example(schema: &Value) -> &Value {
    &schema["examples"][0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_operation_with_its_parameters_and_a_command_line() {
        let page = page(openapi::value(false));
        let mut count = 0;
        for (path, item) in members(&openapi::value(false)["paths"]) {
            for (_, operation) in members(item) {
                count += 1;
                let id = operation["operationId"].as_str().unwrap();
                let (_, section) = page.split_once(&format!("<section id=\"{id}\">")).unwrap();
                let (section, _) = section.split_once("</section>").unwrap();
                assert!(section.contains(path) && section.contains("curl"), "{section}");
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let name = parameter["name"].as_str().unwrap();
                    assert!(section.contains(&format!("<code>{name}</code>")), "{id}: {name}");
                }
            }
        }
        assert!(count > 7);
        for (name, _) in members(&openapi::value(false)["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"shape-{name}\"")), "{name}");
        }
    }

    #[test]
    fn a_command_line_has_a_token_where_one_is_needed_and_its_own_example() {
        let section = |page: &str, id: &str| {
            let (_, section) = page.split_once(&format!("<section id=\"{id}\">")).unwrap();
            section.split_once("</section>").unwrap().0.to_owned()
        };
        let pages = [false, true].map(|are_tokens_on| page(openapi::value(are_tokens_on)));
        let token = "-H &quot;Authorization: Bearer $TOKEN&quot;";
        assert!(!section(&pages[0], "getClient").contains(token));
        assert!(section(&pages[1], "getClient").contains(token));
        assert!(!section(&pages[1], "getLivez").contains(token));
        assert!(section(&pages[1], "deleteToken").contains("/v1/tokens/k3xw5r7q2mza"));
        let clients = section(&pages[0], "getClients");
        assert!(clients.contains(", default 100") && clients.contains("<code>read</code>"), "{clients}");
        let (get, delete) =
            (pages[0].find("<section id=\"getClient\">"), pages[0].find("<section id=\"deleteClient\">"));
        assert!(get < delete);
        let meaning = "a value breaks a rule".to_owned();
        assert_eq!(pages[0].to_lowercase().matches(&meaning).count(), 1, "errors are explained once");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let page = page(openapi::value(false));
        for (text, allowed) in
            [("src=\"", "/docs/script.js\""), ("<link", " rel=\"stylesheet\" href=\"/docs/")]
        {
            for (at, _) in page.match_indices(text) {
                assert!(page[at + text.len()..].starts_with(allowed), "{}", &page[at..at + 60]);
            }
        }
        assert!(!page.contains("style=") && !page.contains("onclick="));
        for text in [STYLE, &SCRIPT.replace("http://127.0.0.1:8000", "")] {
            assert!(!text.contains("http") && !text.contains("url(") && !text.contains("import"));
        }
    }

    #[test]
    fn texts_of_the_document_are_escaped() {
        let document = serde_json::json!({
            "info": {"description": "<script>&\"' `<i>`"},
            "tags": [{"name": "T"}],
            "paths": {"/<x>": {"get": {"operationId": "\"><script>", "summary": "<b>", "tags": ["T"]}}},
        });
        let page = page(&document);
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(
            page.contains("&lt;script&gt;&amp;&quot;&#39; <code>&lt;i&gt;</code>") && !page.contains("<x>")
        );
    }
}
