//! The operations: their parameters, bodies and responses. `streams` has those that never end, and `shares` those about
//! shares.

mod filters;
mod shares;
mod streams;

use utoipa::openapi::{
    Content, HeaderBuilder, HttpMethod, PathItem, Paths, PathsBuilder, RefOr, Required, Response,
    ResponseBuilder, Schema,
    link::{Link, LinkBuilder},
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItemBuilder},
    request_body::{RequestBody, RequestBodyBuilder},
    security::SecurityRequirement,
};

use super::schemas::{self, named, parameters, text};
use crate::door::http::small_json;

const JSON: &str = small_json::MEDIA_TYPE;
const GEO_JSON: &str = "application/geo+json";
const NDJSON: &str = "application/x-ndjson";
/// The right that operators need.
const OPERATE: &str = "`operate`";

/// What can be wrong with any request.
const COMMON: &[&str] = &["400", "403", "417", "503"];
/// What can be wrong with a request of a client, in addition.
const CLIENTS: &[&str] = &["401", "422", "429"];

/// The described paths.
pub(super) fn paths() -> Paths {
    let livez = health("getLivez", "Whether nothing in the server's process is stuck.");
    let readyz = health("getReadyz", "Whether this server should get clients.");
    let client = PathItemBuilder::new()
        .operation(HttpMethod::Get, get_client())
        .operation(HttpMethod::Delete, delete_client())
        .build();
    let tokens = PathItemBuilder::new()
        .operation(HttpMethod::Get, get_tokens())
        .operation(HttpMethod::Post, post_token())
        .build();
    let shares = PathItemBuilder::new()
        .operation(HttpMethod::Get, shares::get_shares())
        .operation(HttpMethod::Post, shares::post_share())
        .build();
    let one = |method, operation: Operation| PathItem::new(method, operation);
    [
        ("/health/livez", one(HttpMethod::Get, livez)),
        ("/health/readyz", one(HttpMethod::Get, readyz)),
        ("/v1/clients", one(HttpMethod::Get, get_clients())),
        ("/v1/clients/{id}", client),
        ("/v1/clients/{id}/location", one(HttpMethod::Put, put_location())),
        ("/v1/clients/{id}/places", one(HttpMethod::Get, get_places())),
        ("/v1/herd", one(HttpMethod::Get, get_herd())),
        ("/v1/map", one(HttpMethod::Get, get_map())),
        ("/v1/places", one(HttpMethod::Get, get_labels())),
        ("/v1/reports", one(HttpMethod::Post, post_reports())),
        ("/v1/rights", one(HttpMethod::Get, get_rights())),
        ("/v1/share", one(HttpMethod::Get, shares::get_share())),
        ("/v1/shares", shares),
        ("/v1/shares/{id}", one(HttpMethod::Delete, shares::delete_share())),
        ("/v1/status", one(HttpMethod::Get, get_status())),
        ("/v1/stream", one(HttpMethod::Get, streams::get_stream())),
        ("/v1/tokens", tokens),
        ("/v1/tokens/{id}", one(HttpMethod::Delete, delete_token())),
        ("/v1/ws", one(HttpMethod::Get, streams::get_ws())),
    ]
    .into_iter()
    .fold(PathsBuilder::new(), |paths, (path, item)| paths.path(path, item))
    .build()
}

/// An operation that needs a token with this scope, where tokens are on.
fn operation_for(scope: &str, id: &str, tag: &str, summary: &str, description: &str) -> OperationBuilder {
    operation(id, tag, summary, &format!("{description} Where tokens are on, this needs {scope}."))
}

fn operation(id: &str, tag: &str, summary: &str, description: &str) -> OperationBuilder {
    let operation = OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary));
    operation.description(Some(description))
}

/// Adds the problems with these status codes, and the one that stands for all others.
fn problems(operation: OperationBuilder, lists: &[&[&str]]) -> OperationBuilder {
    let operation = operation.response("default", problem("Any other problem."));
    lists
        .iter()
        .flat_map(|codes| codes.iter())
        .fold(operation, |operation, code| operation.response(*code, problem(meaning(code))))
}

/// What a status code means at every path.
fn meaning(code: &str) -> &'static str {
    match code {
        "400" => "The request is not HTTP, or its body is not JSON.",
        "401" => "A token is needed: there is none, or it is not valid.",
        "403" => {
            "The token does not allow this, or has added as many clients as it may; or the page's origin or the host name \
             is not allowed."
        }
        "404" => "The herd does not know the client, the token or the share.",
        "406" => "The request accepts none of the media types.",
        "408" => "The body did not arrive in time.",
        "409" => "Two values contradict each other: two parameters, or `id` in the body and in the path.",
        "413" => "The body is too long, or has too many reports.",
        "415" => "The body's media type or content coding is not accepted.",
        "417" => "The request expects something else than 100-continue.",
        "422" => "A value breaks a rule. `detail` names the member or the parameter.",
        "426" => "The request is no complete handshake of WebSocket, version 13, over HTTP/1.1.",
        "429" => "The requests came too fast. Retry-After says when to try again.",
        "503" => {
            "The server has no room now, or cannot make the report durable. Retry-After says when to try again."
        }
        _ => "Any other problem.",
    }
}

fn problem(description: &str) -> Response {
    response(description, &[("application/problem+json", named("Problem"))]).build()
}

fn response(description: &str, contents: &[(&str, RefOr<Schema>)]) -> ResponseBuilder {
    let id = HeaderBuilder::new()
        .schema(Some(text().min_length(Some(1)).max_length(Some(128))))
        .description(Some("The ID of the request."))
        .build();
    let response = ResponseBuilder::new().description(description).header("X-Request-Id", id);
    contents.iter().fold(response, |response, (kind, schema)| {
        response.content(*kind, Content::new(Some(schema.clone())))
    })
}

fn with_etag(response: ResponseBuilder) -> ResponseBuilder {
    let etag = HeaderBuilder::new().schema(Some(text())).description(Some("For If-None-Match.")).build();
    response.header("ETag", etag)
}

/// A link to an operation on the client that the request has named.
fn link_to(operation: &str, description: &str) -> RefOr<Link> {
    link(operation, ("id", "$request.path.id"), description)
}

/// A link to an operation with one parameter, whose value is an expression of OpenAPI.
fn link(operation: &str, (parameter, expression): (&str, &str), description: &str) -> RefOr<Link> {
    let link = LinkBuilder::new().operation_id(operation).parameter(parameter, expression);
    RefOr::T(link.description(description).build())
}

fn path_id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(
            "The client's ID, percent-encoded: 1 to 256 bytes without white space; `/` is %2F. The IDs `.` and `..` \
             cannot be in a path.",
        ))
        .schema(Some(schemas::path_id()))
        .build()
}

fn query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn if_none_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The ETag of an answer that the client holds. 304 if it is still the same."))
        .schema(Some(text().examples(["W/\"0123456789abcdef\""])))
        .build()
}

fn body(contents: &[(&str, RefOr<Schema>)]) -> RequestBody {
    let body = RequestBodyBuilder::new().required(Some(Required::True));
    let body = contents
        .iter()
        .fold(body, |body, (kind, schema)| body.content(*kind, Content::new(Some(schema.clone()))));
    body.build()
}

fn health(id: &str, summary: &str) -> Operation {
    let open: [SecurityRequirement; 1] = [SecurityRequirement::default()];
    let operation = operation(id, "Server", summary, "Answers in plain text. Needs no token.")
        .securities(Some(open))
        .response("200", response("Yes.", &[("text/plain", text().into())]))
        .response("503", response("No, and why.", &[("text/plain", text().into())]));
    problems(operation, &[&["400", "403", "417"]]).build()
}

fn get_status() -> Operation {
    let operation = operation_for(
        OPERATE,
        "getStatus",
        "Server",
        "The state of this server.",
        "What `proxyherd status` shows.",
    )
    .response("200", response("The state.", &[(JSON, named("Status"))]));
    problems(operation, &[COMMON, &["401"]]).build()
}

fn get_herd() -> Operation {
    let operation = operation_for(
        OPERATE,
        "getHerd",
        "Server",
        "The servers of the herd, with their HTTP doors and links.",
        "The links are as this server knows them. Each server answers for itself at `/v1/status`.",
    )
    .response("200", response("The servers, in the order of herd.toml.", &[(JSON, named("Herd"))]));
    problems(operation, &[COMMON, &["401", "406", "422"]]).build()
}

fn get_map() -> Operation {
    let operation = operation(
        "getMap",
        "Server",
        "What the live map must know before it has a token.",
        "Needs no token.",
    )
    .securities(Some([SecurityRequirement::default()]))
    .response("200", response("This server, and the tiles of the map.", &[(JSON, named("Map"))]));
    problems(operation, &[COMMON, &["406", "422"]]).build()
}

fn get_rights() -> Operation {
    let operation = operation_for(
        "a valid token, whatever the token allows",
        "getRights",
        "Server",
        "What the token of the request allows.",
        "A page shows only what its token allows. `report` and `read` are true if the token allows this for at \
         least one client. Without tokens, everything is allowed.",
    )
    .response("200", response("The rights.", &[(JSON, named("Rights"))]));
    problems(operation, &[COMMON, &["401", "406", "422", "429"]]).build()
}

fn get_clients() -> Operation {
    let next = link("getClients", ("after", "$response.body#/next"), "The next page.");
    let first = link("getClient", ("id", "$response.body#/clients/0/id"), "The first client of the page.");
    let contents = [(JSON, named("ClientPage")), (GEO_JSON, named("FeatureCollection"))];
    let operation = operation_for(
        "`read` of at least one client",
        "getClients",
        "Clients",
        "Clients near a point, in a box, or by their IDs.",
        "Filters apply before the limit. The answer holds only clients that the token may read; an ID or \
         a prefix outside of it is refused with 403. With near and box, clients must be in the box, too.",
    )
    .parameters(Some(filters::all("LAT,LON: the clients nearest to this point come first.")))
    .parameter(query("max_age_s", "The greatest age since receipt, seconds.", parameters::max_age_s()))
    .parameter(query("limit", "The greatest number of clients in the answer.", parameters::limit()))
    .parameter(query(
        "after",
        "The `next` of the page before. Not with near, which has no pages.",
        parameters::after(),
    ))
    .response("200", response("The clients.", &contents).link("next", next).link("first", first));
    problems(operation, &[COMMON, CLIENTS, &["406", "409"]]).build()
}

fn get_client() -> Operation {
    let contents = [(JSON, named("Client")), (GEO_JSON, named("Feature"))];
    let operation = operation_for(
        "`read:ID`",
        "getClient",
        "Clients",
        "Where a client is.",
        "The newest report of the client that this server holds.",
    )
    .parameter(path_id())
    .parameter(if_none_match())
    .response("200", with_etag(response("The client.", &contents)))
    .response("304", with_etag(response("The answer with the ETag in If-None-Match is still right.", &[])));
    problems(operation, &[COMMON, CLIENTS, &["404", "406"]]).build()
}

fn delete_client() -> Operation {
    let operation = operation_for(
        "`report:ID`",
        "deleteClient",
        "Clients",
        "Forgets a client in the whole herd.",
        "One client a request: a star in the path is an ordinary character of the ID. The answer is 204 even if the \
         client is not known. A newer report makes the client known again.",
    )
    .parameter(path_id())
    .response(
        "204",
        response("The client is forgotten.", &[])
            .link("forgotten", link_to("getClient", "The client is gone.")),
    );
    problems(operation, &[COMMON, CLIENTS]).build()
}

fn put_location() -> Operation {
    let taken = response("The report, and whether it is the newest.", &[(JSON, named("ReportTaken"))])
        .link("client", link_to("getClient", "Where the client is now."))
        .link("places", link_to("getPlaces", "What is around the client."))
        .link("again", link_to("putLocation", "The next report of the client."))
        .link("forget", link_to("deleteClient", "Forgets the client."));
    let operation = operation_for(
        "`report:ID`",
        "putLocation",
        "Reports",
        "A client reports where it is.",
        "The newest time wins, whatever the order of arrival. A report without a time gets the server's time.",
    )
    .parameter(path_id())
    .request_body(Some(body(&[(JSON, named("Report"))])))
    .response("200", taken);
    problems(operation, &[COMMON, CLIENTS, &["408", "409", "413", "415"]]).build()
}

fn post_reports() -> Operation {
    let contents = [
        (NDJSON, text().description(Some("One report a line, each with the member `id`.")).into()),
        (JSON, named("Reports")),
        (GEO_JSON, named("ReportFeatures")),
    ];
    let operation = operation_for(
        "`report` of at least one client",
        "postReports",
        "Reports",
        "Many reports at once.",
        "A report that is refused spoils no other. At most 100,000 reports and 16 MiB. From a file with one report a line: \
         `curl -H 'Content-Type: application/x-ndjson' --data-binary @reports.ndjson http://127.0.0.1:8000/v1/reports`.",
    )
    .request_body(Some(body(&contents)))
    .response("200", response("What became of the reports.", &[(JSON, named("ReportsTaken"))]));
    problems(operation, &[COMMON, CLIENTS, &["408", "413", "415"]]).build()
}

fn get_places() -> Operation {
    let operation = operation_for(
        "`places` and `read:ID`",
        "getPlaces",
        "Clients",
        "The places around a client.",
        "The answer has the form of Google's Nearby Search (Legacy). The client's AT line is in X-Proxyherd-Client-At.",
    )
    .parameter(path_id())
    .parameter(query("radius_m", "The greatest distance, meters.", parameters::places_radius_m()))
    .parameter(query("limit", "The greatest number of places.", parameters::places_limit()))
    .parameter(query("type", "One of Google's types of places, such as restaurant.", parameters::kind()))
    .response("200", response("The places.", &[(JSON, named("NearbySearch"))]));
    problems(operation, &[COMMON, CLIENTS, &["404", "406"]]).build()
}

fn get_labels() -> Operation {
    let operation = operation_for(
        "`places`",
        "getPlacesInBox",
        "Clients",
        "The most prominent places in a box.",
        "The labels of a map: first cities by their populations, then villages, then places to go to. Only sources on the \
         server's machine are asked. Google's places are not in the answer.",
    )
    .parameter(required(query(
        "box",
        "S,W,N,E in degrees. A box with W greater than E crosses the antimeridian. S and N may change places.",
        parameters::bounds(),
    )))
    .parameter(query("limit", "The greatest number of places.", parameters::labels_limit()))
    .parameter(if_none_match())
    .response("200", with_etag(response("The places, the most prominent first.", &[(JSON, named("Labels"))])))
    .response("304", with_etag(response("The client holds this answer.", &[])));
    problems(operation, &[COMMON, CLIENTS, &["406"]]).build()
}

fn required(mut parameter: Parameter) -> Parameter {
    parameter.required = Required::True;
    parameter
}

/// What the operations about tokens need, even if tokens are off.
fn token_needed() -> [SecurityRequirement; 2] {
    ["bearer", "basic"].map(|name| SecurityRequirement::new::<_, [String; 0], _>(name, []))
}

fn get_tokens() -> Operation {
    let operation = operation("getTokens", "Tokens", "All tokens.", "Tokens that have ended are not shown. Needs a token with `operate`; where tokens are off, the operator's token.")
        .securities(Some(token_needed()))
        .response("200", response("The tokens, without their texts.", &[(JSON, named("Tokens"))]));
    problems(operation, &[COMMON, CLIENTS, &["406"]]).build()
}

fn post_token() -> Operation {
    let revoke = link("deleteToken", ("id", "$response.body#/id"), "Revokes the token.");
    let operation =
        operation("postToken", "Tokens", "Makes a token.", "The answer is the only place that shows it. Needs a token with `operate`; where tokens are off, the operator's token.")
            .securities(Some(token_needed()))
            .request_body(Some(body(&[(JSON, named("NewToken"))])))
            .response("201", response("The token.", &[(JSON, named("Token"))]).link("revoke", revoke));
    problems(operation, &[COMMON, CLIENTS, &["408", "413", "415"]]).build()
}

fn delete_token() -> Operation {
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The token's ID: the part between the first and the second `_` of the token."))
        .schema(Some(schemas::token_id()))
        .build();
    let operation = operation(
        "deleteToken",
        "Tokens",
        "Revokes a token.",
        "It holds at every reachable server within a second, on open connections too. Needs a token with `operate`; where tokens are off, the operator's token.",
    )
    .securities(Some(token_needed()))
    .parameter(id)
    .response("204", response("The token is revoked.", &[]));
    problems(operation, &[COMMON, CLIENTS, &["404"]]).build()
}
