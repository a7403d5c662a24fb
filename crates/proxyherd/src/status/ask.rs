//! Sends one request to each server. All requests are sent at the same time, and each has a deadline.

use std::time::Duration;

use proxyherd_core::types::ServerName;
use proxyherd_places::http_client;
use reqwest::{Client, Response, StatusCode};
use tokio::task::JoinSet;

use super::{AskedServer, StatusAnswer};
use crate::{
    config::{Config, Door, ServerConfig},
    door_kind::DoorKind,
    door_trust,
    herd::Status,
};

/// Maximum time until a server's answer is complete.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Maximum length of an answer, bytes. Each link takes a few hundred bytes of the answer, and a server has at most 32
/// links.
const ANSWER_LEN_MAX: usize = 1024 * 1024;
/// The message for an answer that cannot be read as a status.
const NO_STATUS: &str = "its answer is not a status of this version";

/// Asks each server of `config`. Returns when the last server has answered or has timed out.
pub(super) fn all(config: &Config) -> Vec<AskedServer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answers = match (runtime, client(config)) {
        (Ok(runtime), Ok(client)) => runtime.block_on(answers(client, config)),
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
    let certificate = config.tls.as_ref().map(|tls| tls.cert.as_path());
    let tls = if has_tls { door_trust::client_config(certificate) } else { http_client::plain() };
    http_client::builder(tls).timeout(ANSWER_MAX).build()
}

/// The servers' answers, in the order of the configuration.
async fn answers(client: Client, config: &Config) -> Vec<StatusAnswer> {
    let mut asking = JoinSet::new();
    for (place, server) in config.servers.iter().enumerate() {
        let (client, server, herd) = (client.clone(), server.clone(), config.herd.id.clone());
        asking.spawn(async move { (place, answer(&client, &server, &herd).await) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn answer(client: &Client, server: &ServerConfig, herd: &str) -> StatusAnswer {
    let Some(http) = server.door(DoorKind::Http) else { return StatusAnswer::NoDoor };
    let status = status(client, http).await.and_then(|status| expected(status, herd, &server.name));
    status.map_or_else(StatusAnswer::Silent, |status| StatusAnswer::Up(Box::new(status)))
}

/// Checks that the status comes from the intended server. HTTP doors are on loopback, so on another machine another
/// server may have the same address.
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

async fn status(client: &Client, http: &Door) -> Result<Status, String> {
    let response =
        client.get(format!("{}/v1/status", url(http))).send().await.map_err(|error| failure(&error))?;
    if response.status() != StatusCode::OK {
        let code = response.status().as_u16();
        return Err(format!("it answers HTTP {code}; is another program there?"));
    }
    let body = body(response).await?;
    serde_json::from_slice(&body).map_err(|_| NO_STATUS.to_owned())
}

/// The URL of a door.
pub(super) fn url(http: &Door) -> String {
    let scheme = if http.tls { "https" } else { "http" };
    format!("{scheme}://{}", http.address)
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + piece.len() > ANSWER_LEN_MAX {
            return Err(NO_STATUS.to_owned());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn failure(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ANSWER_MAX.as_secs());
    }
    match http_client::tls_error(error) {
        Some(error) => door_trust::tls_trouble(error).to_owned(),
        None => http_client::trouble(error),
    }
}
