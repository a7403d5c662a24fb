//! The HTTP door. Its API (`api`) takes reports, shows and forgets clients, and searches for clients, in JSON. Its path
//! for places nearby is the same as Google's, so Google's client libraries can query this herd. Its paths for tokens,
//! health, metrics and status are for operators and their tools. `/openapi.json` and `/docs` describe the API.
//!
//! `run` serves the door. Each connection gets a slot (`slots`, `slot`, `connection_state`) and is served in HTTP/1.1
//! or HTTP/2 (`connection`). Each request goes through `handler`, which handles all paths in the same way. The router
//! then chooses the path. All limits are in `limits`.
//!
//! `authentication` finds out which token a request has, and `origin` refuses requests of web pages of other origins.

mod api;
mod authentication;
mod cache_status;
mod compression;
mod conditional;
mod connection;
mod connection_state;
mod dateless;
mod demo;
mod docs;
mod durability;
mod exposition;
mod handler;
mod limits;
mod live;
mod map;
mod media;
mod metered_stream;
mod metrics;
mod nearby;
mod openapi;
mod origin;
pub(crate) mod parameters;
mod paths;
mod phones;
mod problem;
mod query;
mod request_body;
mod request_id;
mod request_log;
mod response_body;
mod searches;
mod share;
mod slot;
mod slots;
mod small_json;
#[cfg(test)]
mod tests;
mod tokens;
mod version;

use std::{borrow::Cow, sync::Arc};

use self::{
    connection::{HttpService, ListenerContext},
    exposition::ExpositionFormat,
    handler::Routers,
    live::Live,
    origin::OriginPolicy,
    paths::{DoorPaths, PathName},
    phones::{FriendSearches, PhoneLog},
    problem::Problem,
    searches::Searches,
    share::LinkBase,
    slots::Slots,
};
use super::entrance::{DoorListener, Entrance};
use crate::{
    caller::Caller,
    herd::{Denied, Herd, Readiness},
};
use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::IntoResponse,
    routing::{MethodRouter, any, delete, get, post, put},
};
use proxyherd_config::door_kind::DoorKind;

/// What the doors that speak HTTP have in common: the slots of their connections, the searches for clients, and the
/// lines about phones.
pub(crate) struct Shared {
    slots: Arc<Slots>,
    searches: Arc<Searches>,
    friends: Arc<FriendSearches>,
    phone_log: Arc<PhoneLog>,
}

impl Shared {
    pub(crate) fn new(herd: &Herd) -> Shared {
        let searches = Searches::new();
        let friends = FriendSearches::new(Arc::clone(&searches));
        Shared { slots: Slots::new(herd.admission()), searches, friends, phone_log: Arc::default() }
    }
}

/// Serves HTTP until the entrance closes. The kind of the door decides which paths it has.
pub(crate) fn run(entrance: Entrance, shared: &Shared) {
    let context = |listener: &DoorListener| ListenerContext {
        herd: Arc::clone(&entrance.herd),
        routers: routers(&entrance, listener, shared),
        origins: Arc::new(OriginPolicy::new(
            listener.own.clone(),
            listener.tls.is_some(),
            entrance.herd.access(),
            Arc::clone(entrance.herd.doors_of_herd()),
        )),
        tasks: entrance.tasks.clone(),
        stop: entrance.stop.clone(),
    };
    let listeners = entrance.listeners.iter().map(context).collect();
    entrance.open(HttpService { listeners, slots: Arc::clone(&shared.slots) });
}

fn routers(entrance: &Entrance, listener: &DoorListener, shared: &Shared) -> Routers {
    let herd = || Arc::clone(&entrance.herd);
    let phones = any(phones::take).layer(Extension(Arc::clone(&shared.friends)));
    let live = || Live {
        searches: Arc::clone(&shared.searches),
        tasks: entrance.tasks.clone(),
        stop: entrance.stop.clone(),
    };
    let paths = DoorPaths::of(entrance.kind, entrance.herd.is_in_demo());
    let links = LinkBase::new(listener.own.clone(), listener.tls.is_some(), entrance.herd.access());
    Routers {
        paths: match paths {
            DoorPaths::All | DoorPaths::Demo => router(paths, herd(), &live(), &links),
            DoorPaths::Phones => Router::new().fallback(only_phones),
        },
        phones: Router::new().fallback_service(phones.with_state(herd())),
        phone_log: Arc::clone(&shared.phone_log),
    }
}

/// The handlers of the paths in the table.
fn router(paths: DoorPaths, herd: Arc<Herd>, live: &Live, links: &LinkBase) -> Router {
    let router = paths
        .rows()
        .fold(Router::new(), |router, row| router.route(row.pattern, handlers(row.name, live, links)));
    router.fallback(unknown_path).method_not_allowed_fallback(unknown_method).with_state(herd)
}

fn handlers(path: PathName, live: &Live, links: &LinkBase) -> MethodRouter<Arc<Herd>> {
    match path {
        PathName::Livez => get(livez),
        PathName::Readyz => get(readyz),
        PathName::Metrics => get(metrics),
        PathName::Status => get(status),
        PathName::NearbySearch => get(nearby::nearby),
        PathName::Root => get(map::get_page),
        PathName::MapFile => get(map::get_file),
        PathName::Map => get(map::get_map),
        PathName::Herd => get(map::get_herd),
        PathName::Rights => get(map::get_rights),
        PathName::Docs => get(docs::get_docs),
        PathName::DocsStyle => get(docs::get_style),
        PathName::DocsScript => get(docs::get_script),
        PathName::OpenApi => get(openapi::get_openapi),
        PathName::Reports => post(api::post_reports),
        PathName::Clients => get(api::get_clients).layer(Extension(Arc::clone(&live.searches))),
        PathName::Client => get(api::get_client).delete(api::delete_client),
        PathName::Location => put(api::put_location),
        PathName::ClientPlaces => get(api::get_places),
        PathName::Stream => get(live::get_stream).layer(Extension(live.clone())),
        PathName::WebSocket => get(live::get_ws).layer(Extension(live.clone())),
        PathName::Tokens => get(tokens::get_tokens).post(tokens::post_token),
        PathName::Token => delete(tokens::delete_token),
        PathName::SharePage => get(map::get_share_page),
        PathName::Share => get(share::get_share),
        PathName::Shares => get(share::get_shares)
            .post(share::post_share)
            .layer((Extension(links.clone()), Extension(Arc::clone(&live.searches)))),
        PathName::OneShare => delete(share::delete_share).layer(Extension(Arc::clone(&live.searches))),
        PathName::Places => get(api::get_labels),
        PathName::Demo => get(demo::get_demo),
        PathName::DemoKill => post(demo::kill),
        PathName::DemoStart => post(demo::start),
        PathName::DemoCut => post(demo::cut),
        PathName::DemoHeal => post(demo::heal),
        PathName::Phones => unreachable!("the requests of phones have no path in the table"),
    }
}

/// Whether nothing in the process is stuck.
async fn livez(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let stuck = herd.stuck();
    if stuck.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {}\n", stuck.join(", ")))
    }
}

/// Whether this server should get clients, and whether an upgrade may restart the next server.
async fn readyz(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let why: Cow<'static, str> = match herd.readiness() {
        Readiness::Ready => return (StatusCode::OK, Cow::Borrowed("ok\n")),
        Readiness::Stopping => "this server is stopping\n".into(),
        Readiness::Removed => "herd.toml no longer names this server\n".into(),
        Readiness::Alone => "no link is up yet\n".into(),
        Readiness::Behind => "no neighbor has sent all its records yet\n".into(),
        Readiness::JournalFull => "the disk of the journal is full, so no report is acknowledged\n".into(),
        Readiness::JournalFailed(why) => {
            let said =
                "the journal has failed, so no report is acknowledged until this server is started again";
            format!("{said}: {why}\n").into()
        }
    };
    (StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn unknown_path(State(herd): State<Arc<Herd>>) -> Problem {
    let paths = DoorPaths::of(DoorKind::Http, herd.is_in_demo());
    let detail = format!("there is nothing at this path; the paths are {}", paths.list());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn only_phones() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this path; phones post their reports to any path, or send them as \
         GET /?id=ID&lat=LAT&lon=LON; everything else is at the door `http`",
    )
}

async fn unknown_method(uri: Uri) -> Problem {
    let allow = paths::find(uri.path()).map_or("", |row| row.allow);
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path accepts only {allow}"));
    problem.with(header::ALLOW, HeaderValue::from_static(allow))
}

async fn metrics(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Denied> {
    let figures = herd.figures(&caller)?;
    let format = ExpositionFormat::accepted(&headers);
    // A cache must not give a client the format that another client has accepted.
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")];
    Ok((headers, metrics::text(figures, format)))
}

async fn status(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Denied> {
    let status = serde_json::to_string(&herd.status(&caller)?);
    let status = status.expect("a status holds only strings, numbers and lists of them");
    Ok(([(header::CONTENT_TYPE, small_json::MEDIA_TYPE)], status + "\n"))
}
