//! Asks servers for their status: one request for each answer, with a deadline.

use proxyherd_config::{
    config::{Config, Door, ServerConfig},
    door_kind::DoorKind,
    server_status::Status,
};
use proxyherd_places::http_client;
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;

use super::{AskedServer, StatusAnswer};
use crate::{
    command_token::{self, CommandToken},
    door_client::{self, url},
};

/// Maximum length of an answer, bytes. Each link takes a few hundred bytes of the answer, and a server has at most 32
/// links.
const ANSWER_LEN_MAX: usize = 1024 * 1024;
/// The message for an answer that cannot be read as a status.
const NO_STATUS: &str = "its answer is not a status of this version";

/// Asks servers for their status. Connections stay open from one question to the next.
#[derive(Clone)]
pub struct Asker {
    client: Client,
    token: Option<CommandToken>,
}

/// A server to ask.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's name; for a server that only a URL names, the URL.
    pub name: String,
    /// The beginning of the URL of the server's HTTP door. `None`: the server has no such door.
    url: Option<String>,
    /// The herd whose server of this name must answer. `None`: any server may answer.
    herd: Option<String>,
    /// The server's HTTP door, if the configuration names it.
    http: Option<Door>,
}

impl Target {
    /// The servers of a configuration, in their order.
    pub fn all(config: &Config) -> Vec<Target> {
        let target = |server: &ServerConfig| Target {
            name: server.name.to_string(),
            url: server.door(DoorKind::Http).map(url),
            herd: Some(config.herd.id.clone()),
            http: server.door(DoorKind::Http).cloned(),
        };
        config.servers.iter().map(target).collect()
    }

    /// A server at the beginning of a URL, whichever server it is.
    pub fn at(url: &str) -> Target {
        Target { name: url.to_owned(), url: Some(url.to_owned()), herd: None, http: None }
    }

    /// Whether the name is the server's own name, and not a URL.
    pub(crate) fn has_name(&self) -> bool {
        self.herd.is_some()
    }

    pub(crate) fn http(&self) -> Option<&Door> {
        self.http.as_ref()
    }
}

impl Asker {
    /// Asks by `client` and shows `token`.
    pub fn new(client: Client, token: Option<CommandToken>) -> Asker {
        Asker { client, token }
    }

    /// Asks the servers of `config`. The error says why this machine has no client for HTTP.
    pub fn of(config: &Config, token: Option<&CommandToken>) -> Result<Asker, String> {
        let has_tls = config.servers.iter().flat_map(|server| &server.doors).any(|door| door.tls);
        let client = door_client::client(has_tls, config.tls.as_ref().map(|tls| tls.cert.as_path()));
        let client = client.map_err(|error| http_client::trouble(&error))?;
        Ok(Asker::new(client, token.cloned()))
    }

    /// Asks one server. Returns when the server has answered or has timed out.
    pub async fn ask(&self, target: &Target) -> StatusAnswer {
        let Some(url) = &target.url else { return StatusAnswer::NoDoor };
        let status = status(&self.client, url, self.token.as_ref()).await;
        let status = status.and_then(|status| expected(status, target).map_err(StatusAnswer::Silent));
        status.map_or_else(|other| other, |status| StatusAnswer::Up(Box::new(status)))
    }
}

/// Asks each server of `config`, and shows it the token. Returns when the last server has answered or has timed out.
pub(super) fn all(config: &Config, token: Option<&CommandToken>) -> Vec<AskedServer> {
    let targets = Target::all(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answers = match (runtime, Asker::of(config, token)) {
        (Ok(runtime), Ok(asker)) => runtime.block_on(answers(&asker, &targets)),
        (Err(error), _) => vec![StatusAnswer::Silent(error.to_string()); targets.len()],
        (_, Err(error)) => vec![StatusAnswer::Silent(error); targets.len()],
    };
    let asked = targets.into_iter().zip(answers);
    asked.map(|(target, answer)| AskedServer { name: target.name, http: target.http, answer }).collect()
}

/// The servers' answers, in the order of the targets.
async fn answers(asker: &Asker, targets: &[Target]) -> Vec<StatusAnswer> {
    let mut asking = JoinSet::new();
    for (place, target) in targets.iter().enumerate() {
        let (asker, target) = (asker.clone(), target.clone());
        asking.spawn(async move { (place, asker.ask(&target).await) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Checks that the status comes from the intended server. HTTP doors are often on loopback, so on another machine
/// another server may have the same address.
fn expected(status: Status, target: &Target) -> Result<Status, String> {
    let Status { server, herd: shown, .. } = &status;
    let Some(herd) = &target.herd else { return Ok(status) };
    if shown != herd {
        return Err(format!("{server} of another herd, {shown}, answers there"));
    }
    if *server != target.name {
        return Err(format!("{server} answers there; is {} on another machine?", target.name));
    }
    Ok(status)
}

async fn status(client: &Client, url: &str, token: Option<&CommandToken>) -> Result<Status, StatusAnswer> {
    let silent = StatusAnswer::Silent;
    let mut request = client.get(format!("{url}/v1/status"));
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    let response = request.send().await.map_err(|error| silent(door_client::failure(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(refused(response.status(), token));
    }
    let no_status = || silent(NO_STATUS.to_owned());
    let body = door_client::body(response, ANSWER_LEN_MAX).await.map_err(silent)?.ok_or_else(no_status)?;
    serde_json::from_slice(&body).map_err(|_| no_status())
}

/// Why a server has refused a request, and what to do.
fn refused(code: StatusCode, token: Option<&CommandToken>) -> StatusAnswer {
    let said = match (code, token) {
        (StatusCode::UNAUTHORIZED, None) => format!(
            "a token is needed: set {}, or keep operator.token beside a herd.toml with tokens = \"on\"",
            command_token::VARIABLE
        ),
        (StatusCode::UNAUTHORIZED, Some(token)) => {
            format!("the token of {token} is not accepted: it is wrong, revoked or past its end")
        }
        (StatusCode::FORBIDDEN, Some(token)) => {
            format!("the token of {token} does not have the scope `operate`, which this needs")
        }
        (code, _) => {
            let code = code.as_u16();
            return StatusAnswer::Silent(format!("it answers HTTP {code}; is another program there?"));
        }
    };
    StatusAnswer::Refused(said)
}
