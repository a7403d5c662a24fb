//! `/v1/demo`: the servers and links of `proxyherd demo`, for the page that shows them. A page of an allowed origin can
//! kill and start servers, and cut and heal links.
//!
//! Only a server of a demo has these paths, so they are not in the OpenAPI document. The answer to each command is the
//! state after it. A server that is killed through its own door cannot answer: its connection ends.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use proxyherd_config::clock;
use proxyherd_core::codec::url_id;
use serde::Serialize;

use super::{problem::Problem, query::Query, small_json};
use crate::{
    caller::Caller,
    herd::{DemoCommand, DemoControls, DemoRefusal, DemoServerState, DemoState, Herd},
};

/// The state of the demo, in the form of the answers.
#[derive(Debug, Serialize)]
struct ShownDemo<'a> {
    servers: Vec<ShownServer<'a>>,
    links: Vec<ShownLink<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownServer<'a> {
    name: &'a str,
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownLink<'a> {
    between: [&'a str; 2],
    cut: bool,
}

/// The servers and links now.
pub(super) async fn get_demo(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    Ok(answer(&controls(&herd, &caller)?.state()))
}

/// Kills a server.
pub(super) async fn kill(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let [server] = names(&uri)?;
    carry_out(&herd, &caller, DemoCommand::Kill(server)).await
}

/// Starts a server.
pub(super) async fn start(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let [server] = names(&uri)?;
    carry_out(&herd, &caller, DemoCommand::Start(server)).await
}

/// Cuts a link.
pub(super) async fn cut(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let [one, other] = names(&uri)?;
    carry_out(&herd, &caller, DemoCommand::Cut(one, other)).await
}

/// Heals a link.
pub(super) async fn heal(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let [one, other] = names(&uri)?;
    carry_out(&herd, &caller, DemoCommand::Heal(one, other)).await
}

async fn carry_out(herd: &Herd, caller: &Caller, command: DemoCommand) -> Result<Response, Problem> {
    let done = controls(herd, caller)?.carry_out(command);
    Ok(answer(&done.await?))
}

fn controls<'h>(herd: &'h Herd, caller: &Caller) -> Result<&'h dyn DemoControls, Problem> {
    let controls = herd.demo(caller, clock::now_ns())?;
    // The paths are in the table of a demo alone.
    controls.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "this server is not in a demo"))
}

impl From<DemoRefusal> for Problem {
    fn from(refusal: DemoRefusal) -> Problem {
        let status = match &refusal {
            DemoRefusal::NoServer(_) | DemoRefusal::NoLink(..) => StatusCode::NOT_FOUND,
            DemoRefusal::NotRunning(_)
            | DemoRefusal::RunsAlready(_)
            | DemoRefusal::Busy(..)
            | DemoRefusal::NotStarted(..)
            | DemoRefusal::Ending => StatusCode::CONFLICT,
        };
        Problem::new(status, refusal.to_string())
    }
}

/// The names of servers in the path of a command. Only the path's own segments (`v1`, `demo`, `servers` or `links`) are
/// before them, and the command behind them.
fn names<const N: usize>(uri: &Uri) -> Result<[String; N], Problem> {
    Query::of(uri, &[], &[])?;
    let segments = uri.path().trim_start_matches('/').split('/').skip(3).take(N);
    let names: Result<Vec<String>, Problem> = segments.map(name).collect();
    names?.try_into().map_err(|_| Problem::invalid("the path names too few servers"))
}

fn name(segment: &str) -> Result<String, Problem> {
    let name = url_id::parse(segment.as_bytes()).map_err(|error| Problem::invalid(error.to_string()))?;
    let name = std::str::from_utf8(&name).map_err(|_| Problem::invalid("a server's name is UTF-8"))?;
    Ok(name.to_owned())
}

fn answer(state: &DemoState) -> Response {
    let servers = state.servers.iter();
    let links = state.links.iter();
    small_json::answer(&ShownDemo {
        servers: servers
            .map(|(name, state)| ShownServer { name: name.as_str(), state: shown(*state) })
            .collect(),
        links: links
            .map(|([one, other], cut)| ShownLink { between: [one.as_str(), other.as_str()], cut: *cut })
            .collect(),
    })
}

fn shown(state: DemoServerState) -> &'static str {
    match state {
        DemoServerState::Running => "running",
        DemoServerState::Stopping => "stopping",
        DemoServerState::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use proxyherd_core::types::ServerName;

    use super::*;

    #[test]
    fn the_names_in_a_path_are_decoded() {
        let of = |path: &str| names::<2>(&path.parse().unwrap()).map_err(|problem| problem.status.as_u16());
        assert_eq!(of("/v1/demo/links/Riley/J%61quez/cut"), Ok(["Riley".to_owned(), "Jaquez".to_owned()]));
        assert_eq!(of("/v1/demo/links/Riley/%zz/cut"), Err(422));
        assert_eq!(of("/v1/demo/links/Riley/Jaquez/cut?now=1"), Err(422));
        let one = names::<1>(&"/v1/demo/servers/riley/kill".parse().unwrap()).unwrap();
        assert_eq!(one, ["riley"]);
    }

    #[tokio::test]
    async fn the_state_is_shown_as_pages_read_it() {
        let [riley, jaquez] = ["Riley", "Jaquez"].map(|name| ServerName::new(name).unwrap());
        let state = DemoState {
            servers: vec![
                (riley.clone(), DemoServerState::Running),
                (jaquez.clone(), DemoServerState::Stopped),
            ],
            links: vec![([riley, jaquez], true)],
        };
        let body = to_bytes(answer(&state).into_body(), 1024).await.unwrap();
        let expected = "{\"servers\":[{\"name\":\"Riley\",\"state\":\"running\"},\
                        {\"name\":\"Jaquez\",\"state\":\"stopped\"}],\
                        \"links\":[{\"between\":[\"Riley\",\"Jaquez\"],\"cut\":true}]}\n";
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_done_now_is_a_conflict_and_what_is_not_there_is_not_found() {
        let riley = || ServerName::new("Riley").unwrap();
        for (refusal, status) in [
            (DemoRefusal::NoServer("Riley".to_owned()), 404),
            (DemoRefusal::NoLink(riley(), riley(), String::new()), 404),
            (DemoRefusal::NotRunning(riley()), 409),
            (DemoRefusal::RunsAlready(riley()), 409),
            (DemoRefusal::Busy(riley(), "starting"), 409),
            (DemoRefusal::NotStarted(riley(), "no port".to_owned()), 409),
            (DemoRefusal::Ending, 409),
        ] {
            assert_eq!(Problem::from(refusal).status.as_u16(), status);
        }
    }
}
