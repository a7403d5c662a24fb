//! Sends one request to each server. All requests are sent at the same time, and each has a deadline.

use proxyherd_config::{
    config::{Config, Door, ServerConfig},
    door_kind::DoorKind,
    server_status::Status,
};
use proxyherd_core::types::ServerName;
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

/// Asks each server of `config`, and shows it the token. Returns when the last server has answered or has timed out.
pub(super) fn all(config: &Config, token: Option<&CommandToken>) -> Vec<AskedServer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answers = match (runtime, client(config)) {
        (Ok(runtime), Ok(client)) => runtime.block_on(answers(client, config, token)),
        (Err(error), _) => vec![StatusAnswer::Silent(error.to_string()); config.servers.len()],
        (_, Err(error)) => vec![StatusAnswer::Silent(http_client::trouble(&error)); config.servers.len()],
    };
    let asked = config.servers.iter().zip(answers);
    asked
        .map(|(server, answer)| {
            let http = server.door(DoorKind::Http).cloned();
            AskedServer { name: server.name.to_string(), http, answer }
        })
        .collect()
}

fn client(config: &Config) -> reqwest::Result<Client> {
    let has_tls = config.servers.iter().flat_map(|server| &server.doors).any(|door| door.tls);
    door_client::client(has_tls, config.tls.as_ref().map(|tls| tls.cert.as_path()))
}

/// The servers' answers, in the order of the configuration.
async fn answers(client: Client, config: &Config, token: Option<&CommandToken>) -> Vec<StatusAnswer> {
    let mut asking = JoinSet::new();
    for (place, server) in config.servers.iter().enumerate() {
        let (client, server, herd) = (client.clone(), server.clone(), config.herd.id.clone());
        let token = token.cloned();
        asking.spawn(async move { (place, answer(&client, &server, &herd, token.as_ref()).await) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn answer(
    client: &Client,
    server: &ServerConfig,
    herd: &str,
    token: Option<&CommandToken>,
) -> StatusAnswer {
    let Some(http) = server.door(DoorKind::Http) else { return StatusAnswer::NoDoor };
    let status = status(client, http, token).await;
    let status = status.and_then(|status| expected(status, herd, &server.name).map_err(StatusAnswer::Silent));
    status.map_or_else(|other| other, |status| StatusAnswer::Up(Box::new(status)))
}

/// Checks that the status comes from the intended server. HTTP doors are often on loopback, so on another machine
/// another server may have the same address.
fn expected(status: Status, herd: &str, name: &ServerName) -> Result<Status, String> {
    let Status { server, herd: shown, .. } = &status;
    if shown != herd {
        return Err(format!("{server} of another herd, {shown}, answers there"));
    }
    if server != name.as_str() {
        return Err(format!("{server} answers there; is {name} on another machine?"));
    }
    Ok(status)
}

async fn status(client: &Client, http: &Door, token: Option<&CommandToken>) -> Result<Status, StatusAnswer> {
    let silent = StatusAnswer::Silent;
    let mut request = client.get(format!("{}/v1/status", url(http)));
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
