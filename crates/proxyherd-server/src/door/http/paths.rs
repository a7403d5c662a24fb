//! The paths of the HTTP door, in one table: their methods, who uses them, and whether pages of other web origins may
//! request them.
//!
//! The router, the answers 404 and 405 with `Allow`, preflights, the reserve of connections for operators, and the
//! OpenAPI document read [`PATHS`]. So a path is added here once, and the compiler asks for its handlers.
//!
//! A pattern's segment in braces stands for one segment of a path, still percent-encoded, which is never empty.
//!
//! Phones post to whatever path somebody has typed into their app, so [`PHONES`] are not paths of the table. The paths
//! of `proxyherd demo` have a table of their own ([`DEMO_PATHS`]), because other servers answer them like unknown
//! paths. Which row a request of a phone has depends on its method and its query, too ([`DoorPaths::find`]).

use std::time::Duration;

use axum::http::{Method, Uri};
use proxyherd_config::door_kind::DoorKind;
use proxyherd_core::codec::phones::osmand;

use super::{
    connection_state::Audience,
    limits::{BATCH_BODY_LEN_MAX, BATCH_BODY_TIMEOUT, BODY_TIMEOUT, PHONE_BODY_LEN_MAX, REPORT_LEN_MAX},
    request_body::BodyBounds,
};

/// The paths, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathName {
    Root,
    /// A file that the pages of the map and of shares load.
    MapFile,
    /// What the map's page must know before it has a token.
    Map,
    /// The servers of the herd, with their doors and links.
    Herd,
    /// What the caller may do.
    Rights,
    Docs,
    DocsStyle,
    DocsScript,
    OpenApi,
    Livez,
    Readyz,
    Metrics,
    Status,
    NearbySearch,
    Reports,
    Clients,
    Client,
    Location,
    ClientPlaces,
    Stream,
    WebSocket,
    Tokens,
    Token,
    SharePage,
    Share,
    Shares,
    OneShare,
    /// The labels of a map.
    Places,
    Demo,
    DemoKill,
    DemoStart,
    DemoCut,
    DemoHeal,
    /// The reports of phones.
    Phones,
}

/// Which web pages may request a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// Any page, because the request costs nothing and changes nothing. A page of another origin cannot read the answer
    /// unless the origin is allowed.
    Any,
    /// Pages of this server, of the other servers of the herd, and of the origins that the setting `origins` names.
    Allowed,
}

/// The right that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NeededRight {
    /// No right, and no token.
    Nothing,
    /// A valid token, whatever it allows.
    Any,
    /// A valid token, whatever it allows, if the request has one. A request without one has no rights yet.
    Later,
    Report,
    Read,
    Places,
    Operate,
    /// To make, list and revoke tokens. This needs a token even if tokens are off.
    Tokens,
    /// To see what a share shows. This needs the token of the share even if tokens are off.
    Share,
}

/// One path.
#[derive(Debug)]
pub(super) struct PathRow {
    pub(super) name: PathName,
    pub(super) pattern: &'static str,
    /// The place of `{id}` in the pattern. The compiler finds it, because every request looks for its row.
    id_at: Option<usize>,
    /// The methods without HEAD and OPTIONS, and the right that each needs. GET implies HEAD.
    pub(super) methods: &'static [(Method, NeededRight)],
    pub(super) audience: Audience,
    pub(super) pages: Pages,
    pub(super) body: BodyBounds,
    /// The value of `Allow`.
    pub(super) allow: &'static str,
}

/// Stands in a pattern for one segment.
const ID: &str = "{id}";
const GET_ALLOW: &str = "GET, HEAD, OPTIONS";
const OPEN: &[(Method, NeededRight)] = &[(Method::GET, NeededRight::Nothing)];
/// What phones may do at `/`.
const PHONES_ROOT: &[(Method, NeededRight)] =
    &[(Method::GET, NeededRight::Report), (Method::POST, NeededRight::Report)];
const OPERATE: &[(Method, NeededRight)] = &[(Method::GET, NeededRight::Operate)];
const READ: &[(Method, NeededRight)] = &[(Method::GET, NeededRight::Read)];
const PLACES: &[(Method, NeededRight)] = &[(Method::GET, NeededRight::Places)];

/// The paths of the door.
pub(super) static PATHS: [PathRow; 28] = [
    open(PathName::Root, "/").with_posts_of_phones(),
    open(PathName::MapFile, "/map/{id}"),
    open(PathName::Map, "/v1/map"),
    operators(PathName::Herd, "/v1/herd", OPERATE),
    clients(PathName::Rights, "/v1/rights", &[(Method::GET, NeededRight::Any)], GET_ALLOW),
    open(PathName::Docs, "/docs"),
    open(PathName::DocsStyle, "/docs/style.css"),
    open(PathName::DocsScript, "/docs/script.js"),
    open(PathName::OpenApi, "/openapi.json"),
    operators(PathName::Livez, "/health/livez", OPEN),
    operators(PathName::Readyz, "/health/readyz", OPEN),
    operators(PathName::Metrics, "/metrics", OPERATE),
    operators(PathName::Status, "/v1/status", OPERATE),
    clients(PathName::NearbySearch, "/maps/api/place/nearbysearch/json", PLACES, GET_ALLOW),
    clients(PathName::Reports, "/v1/reports", &[(Method::POST, NeededRight::Report)], "POST, OPTIONS")
        .body(BATCH_BODY_LEN_MAX, BATCH_BODY_TIMEOUT),
    clients(PathName::Clients, "/v1/clients", READ, GET_ALLOW),
    clients(
        PathName::Client,
        "/v1/clients/{id}",
        &[(Method::GET, NeededRight::Read), (Method::DELETE, NeededRight::Report)],
        "GET, HEAD, DELETE, OPTIONS",
    ),
    clients(
        PathName::Location,
        "/v1/clients/{id}/location",
        &[(Method::PUT, NeededRight::Report)],
        "PUT, OPTIONS",
    )
    .body(REPORT_LEN_MAX, BODY_TIMEOUT),
    clients(PathName::ClientPlaces, "/v1/clients/{id}/places", PLACES, GET_ALLOW),
    clients(PathName::Places, "/v1/places", PLACES, GET_ALLOW),
    clients(PathName::Stream, "/v1/stream", READ, GET_ALLOW),
    clients(PathName::WebSocket, "/v1/ws", &[(Method::GET, NeededRight::Later)], GET_ALLOW),
    clients(
        PathName::Tokens,
        "/v1/tokens",
        &[(Method::GET, NeededRight::Tokens), (Method::POST, NeededRight::Tokens)],
        "GET, HEAD, POST, OPTIONS",
    )
    .for_operators(),
    clients(PathName::Token, "/v1/tokens/{id}", &[(Method::DELETE, NeededRight::Tokens)], "DELETE, OPTIONS")
        .for_operators(),
    open(PathName::SharePage, "/share"),
    clients(PathName::Share, "/v1/share", &[(Method::GET, NeededRight::Share)], GET_ALLOW),
    clients(
        PathName::Shares,
        "/v1/shares",
        &[(Method::GET, NeededRight::Read), (Method::POST, NeededRight::Read)],
        "GET, HEAD, POST, OPTIONS",
    ),
    clients(PathName::OneShare, "/v1/shares/{id}", &[(Method::DELETE, NeededRight::Read)], "DELETE, OPTIONS"),
];

/// What a page may do to the herd of a demo.
const COMMAND: &[(Method, NeededRight)] = &[(Method::POST, NeededRight::Operate)];

/// The paths that only a server of `proxyherd demo` has.
static DEMO_PATHS: [PathRow; 5] = [
    clients(PathName::Demo, "/v1/demo", OPERATE, GET_ALLOW),
    clients(PathName::DemoKill, "/v1/demo/servers/{id}/kill", COMMAND, "POST, OPTIONS"),
    clients(PathName::DemoStart, "/v1/demo/servers/{id}/start", COMMAND, "POST, OPTIONS"),
    clients(PathName::DemoCut, "/v1/demo/links/{id}/{other}/cut", COMMAND, "POST, OPTIONS"),
    clients(PathName::DemoHeal, "/v1/demo/links/{id}/{other}/heal", COMMAND, "POST, OPTIONS"),
];

/// The requests of phones: at `/`, and posted to another path.
static PHONES: [PathRow; 2] = [
    clients(PathName::Phones, "/", PHONES_ROOT, "GET, HEAD, POST, OPTIONS")
        .body(PHONE_BODY_LEN_MAX, BATCH_BODY_TIMEOUT),
    clients(PathName::Phones, "any other path", &[(Method::POST, NeededRight::Report)], "POST, OPTIONS")
        .body(PHONE_BODY_LEN_MAX, BATCH_BODY_TIMEOUT),
];

/// First segments of paths to which no phone can post. All paths of the table with POST are below them.
const RESERVED: [&str; 4] = ["v1", "health", "maps", "docs"];

/// The paths that a door has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoorPaths {
    /// All paths.
    All,
    /// All paths, and those of a demo.
    Demo,
    /// The requests of phones alone.
    Phones,
}

impl DoorPaths {
    /// The paths of this kind of door, at a server that may be in a demo.
    pub(super) fn of(door: DoorKind, is_in_demo: bool) -> DoorPaths {
        match door {
            DoorKind::Phones => DoorPaths::Phones,
            DoorKind::Http | DoorKind::Line if is_in_demo => DoorPaths::Demo,
            DoorKind::Http | DoorKind::Line => DoorPaths::All,
        }
    }

    /// The rows of the paths in the tables.
    pub(super) fn rows(self) -> impl Iterator<Item = &'static PathRow> {
        let (all, demo): (&[PathRow], &[PathRow]) = match self {
            DoorPaths::All => (&PATHS, &[]),
            DoorPaths::Demo => (&PATHS, &DEMO_PATHS),
            DoorPaths::Phones => (&[], &[]),
        };
        all.iter().chain(demo)
    }

    /// The patterns of these paths, for the answer to an unknown path.
    pub(super) fn list(self) -> String {
        self.rows().map(|row| row.pattern).collect::<Vec<_>>().join(", ")
    }

    /// The row of a request, whose path is still percent-encoded. `None`: the door has nothing there.
    pub(super) fn find(self, method: &Method, uri: &Uri) -> Option<&'static PathRow> {
        let [root, other] = &PHONES;
        let (path, is_post) = (uri.path(), *method == Method::POST);
        if path == "/" {
            let is_read = *method == Method::GET || *method == Method::HEAD;
            let is_phone =
                is_post || is_read && osmand::is_report(uri.query().unwrap_or_default().as_bytes());
            return if is_phone || self == DoorPaths::Phones { Some(root) } else { self.row(path) };
        }
        let may_be_phones = !is_reserved(path);
        if is_post && may_be_phones {
            return Some(other);
        }
        self.row(path).or_else(|| (may_be_phones && *method == Method::OPTIONS).then_some(other))
    }

    /// The row of a path of the tables, which is still percent-encoded.
    fn row(self, path: &str) -> Option<&'static PathRow> {
        self.rows().find(|row| row.matches(path))
    }
}

fn is_reserved(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    RESERVED.contains(&first)
}

const fn open(name: PathName, pattern: &'static str) -> PathRow {
    let (audience, pages) = (Audience::Clients, Pages::Any);
    PathRow {
        name,
        pattern,
        id_at: id_at(pattern),
        methods: OPEN,
        audience,
        pages,
        body: BodyBounds::DEFAULT,
        allow: GET_ALLOW,
    }
}

const fn operators(
    name: PathName,
    pattern: &'static str,
    methods: &'static [(Method, NeededRight)],
) -> PathRow {
    let (audience, pages) = (Audience::Operators, Pages::Any);
    PathRow {
        name,
        pattern,
        id_at: id_at(pattern),
        methods,
        audience,
        pages,
        body: BodyBounds::DEFAULT,
        allow: GET_ALLOW,
    }
}

const fn clients(
    name: PathName,
    pattern: &'static str,
    methods: &'static [(Method, NeededRight)],
    allow: &'static str,
) -> PathRow {
    let (audience, pages, body) = (Audience::Clients, Pages::Allowed, BodyBounds::DEFAULT);
    PathRow { name, pattern, id_at: id_at(pattern), methods, audience, pages, body, allow }
}

impl PathRow {
    /// A path that phones post to. Such a request has the row of [`PHONES`], so this row has only the methods.
    const fn with_posts_of_phones(mut self) -> PathRow {
        self.methods = &[(Method::GET, NeededRight::Nothing), (Method::POST, NeededRight::Report)];
        self.allow = "GET, HEAD, POST, OPTIONS";
        self
    }

    const fn for_operators(mut self) -> PathRow {
        self.audience = Audience::Operators;
        self
    }

    const fn body(mut self, len_max: usize, timeout: Duration) -> PathRow {
        self.body = BodyBounds { len_max, timeout };
        self
    }
}

/// The row of a path of the tables, which is still percent-encoded.
pub(super) fn find(path: &str) -> Option<&'static PathRow> {
    DoorPaths::Demo.row(path)
}

/// The segment of a path that stands for `{id}` in its pattern, still percent-encoded.
pub(super) fn id_segment(path: &str) -> Option<&str> {
    DoorPaths::Demo.rows().find_map(|row| row.id_in(path))
}

impl PathRow {
    /// Whether a path has this row's pattern.
    fn matches(&self, path: &str) -> bool {
        match self.id_at {
            None => path == self.pattern,
            Some(_) => self.id_in(path).is_some(),
        }
    }

    /// The segment of a path that stands for `{id}`, if the path has this row's pattern.
    fn id_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (before, id) = self.pattern.split_at(self.id_at?);
        let rest = path.strip_prefix(before)?;
        let id_len = rest.find('/').unwrap_or(rest.len());
        (id_len > 0 && has_pattern(&rest[id_len..], &id[ID.len()..])).then(|| &rest[..id_len])
    }
}

/// Whether the segments of a path are those of a pattern. A segment in braces stands for any segment that is not empty.
fn has_pattern(path: &str, pattern: &str) -> bool {
    if path == pattern {
        return true;
    }
    let (mut found, mut wanted) = (path.split('/'), pattern.split('/'));
    loop {
        match (found.next(), wanted.next()) {
            (None, None) => return true,
            (Some(one), Some(of)) if one == of || of.starts_with('{') && !one.is_empty() => {}
            _ => return false,
        }
    }
}

/// The place of `{id}` in a pattern.
const fn id_at(pattern: &str) -> Option<usize> {
    let bytes = pattern.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == ID.as_bytes()[0] {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_names_the_paths_to_which_no_phone_can_post() {
        let chapter = include_str!("../../../../../book/src/phones/server.md");
        let row = chapter.lines().find(|line| line.contains("| 404 | the path begins with ")).unwrap();
        let named = row.split("or the body").next().unwrap().split('`').skip(1).step_by(2);
        let mut named: Vec<&str> = named.map(|path| path.strip_prefix('/').unwrap()).collect();
        let mut reserved = RESERVED.to_vec();
        named.sort_unstable();
        reserved.sort_unstable();
        assert_eq!(named, reserved);
    }

    #[test]
    fn a_path_is_found_by_its_pattern() {
        for (path, expected) in [
            ("/", Some(PathName::Root)),
            ("/docs", Some(PathName::Docs)),
            ("/v1/clients", Some(PathName::Clients)),
            ("/v1/clients/kiwi", Some(PathName::Client)),
            ("/v1/clients/bus%2F7", Some(PathName::Client)),
            ("/v1/clients/location", Some(PathName::Client)),
            ("/v1/clients/kiwi/location", Some(PathName::Location)),
            ("/v1/clients/kiwi/places", Some(PathName::ClientPlaces)),
            ("/v1/demo", Some(PathName::Demo)),
            ("/v1/demo/servers/Riley/kill", Some(PathName::DemoKill)),
            ("/v1/demo/links/Riley/Jaquez/cut", Some(PathName::DemoCut)),
            ("/v1/demo/links/Riley/Jaquez/heal", Some(PathName::DemoHeal)),
            ("/v1/demo/links/Riley/cut", None),
            ("/v1/demo/links/Riley//cut", None),
            ("/v1/demo/links/Riley/Jaquez/cut/", None),
            ("/v1/demo/servers//kill", None),
            ("", None),
            ("/v1/clients/", None),
            ("/v1/clients//location", None),
            ("/v1/clients/kiwi/", None),
            ("/v1/clients/kiwi/location/", None),
            ("/v1/clients/a/b/location", None),
            ("/v1", None),
            ("/V1/clients", None),
            ("/metrics/", None),
        ] {
            assert_eq!(find(path).map(|row| row.name), expected, "{path}");
        }
    }

    #[test]
    fn a_request_of_a_phone_is_found_by_its_method_and_its_query_too() {
        use DoorPaths::{All, Demo, Phones};
        for (door, method, target, expected) in [
            (All, Method::GET, "/", Some(PathName::Root)),
            (All, Method::OPTIONS, "/?id=a", Some(PathName::Root)),
            (All, Method::PUT, "/", Some(PathName::Root)),
            (All, Method::GET, "/?id=a", Some(PathName::Phones)),
            (All, Method::HEAD, "/?deviceid=a", Some(PathName::Phones)),
            (All, Method::POST, "/", Some(PathName::Phones)),
            (All, Method::POST, "/pub?u=a", Some(PathName::Phones)),
            (All, Method::OPTIONS, "/pub", Some(PathName::Phones)),
            (All, Method::GET, "/pub?id=a", None),
            (All, Method::POST, "/docs", Some(PathName::Docs)),
            (All, Method::POST, "/metrics", Some(PathName::Phones)),
            (All, Method::POST, "/share", Some(PathName::Phones)),
            (All, Method::POST, "/openapi.json", Some(PathName::Phones)),
            (All, Method::OPTIONS, "/metrics", Some(PathName::Metrics)),
            (All, Method::POST, "/v1/reports", Some(PathName::Reports)),
            (All, Method::GET, "/v1/demo", None),
            (All, Method::OPTIONS, "/v1/demo/servers/Riley/kill", None),
            (Demo, Method::GET, "/v1/demo", Some(PathName::Demo)),
            (Demo, Method::GET, "/v1/places", Some(PathName::Places)),
            (Demo, Method::POST, "/v1/demo/servers/Riley/start", Some(PathName::DemoStart)),
            (Phones, Method::GET, "/v1/demo", None),
            (Phones, Method::GET, "/", Some(PathName::Phones)),
            (Phones, Method::PUT, "/", Some(PathName::Phones)),
            (Phones, Method::POST, "/pub", Some(PathName::Phones)),
            (Phones, Method::POST, "/share/x", Some(PathName::Phones)),
            (Phones, Method::GET, "/docs", None),
            (Phones, Method::GET, "/metrics", None),
            (Phones, Method::PUT, "/pub", None),
        ] {
            let found = door.find(&method, &target.parse().unwrap());
            assert_eq!(found.map(|row| row.name), expected, "{door:?} {method} {target}");
        }
        for path in ["/v1", "/v1/x", "/health/x", "/maps/x", "/docs/x", "//v1/x"] {
            for door in [All, Phones] {
                assert!(door.find(&Method::POST, &path.parse().unwrap()).is_none(), "{door:?} {path}");
            }
        }
    }

    #[test]
    fn each_row_allows_what_its_methods_say() {
        for row in DoorPaths::Demo.rows().chain(&PHONES) {
            let mut methods = Vec::new();
            for (method, _) in row.methods {
                methods.push(method.as_str());
                if method == Method::GET {
                    methods.push("HEAD");
                }
            }
            methods.push("OPTIONS");
            assert_eq!(row.allow, methods.join(", "), "{}", row.pattern);
        }
    }
}
