//! Asking: one request to each server, all at the same time, none for long.

use std::{io, thread, time::Duration};

use ureq::{Agent, Error};

use super::{Answer, Asked};
use crate::{
    config::{Address, Server},
    door::http::Status,
};

/// How long a server may take for the whole of its answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The longest answer, bytes: a link takes a few hundred, and a server has 32 at most.
const ANSWER_LEN_MAX: u64 = 1024 * 1024;

/// Asks each server, and returns when the last has answered or has had its time.
pub(super) fn all(servers: &[Server]) -> Vec<Asked> {
    let agent = agent();
    let ask = |server: &Server| Asked {
        name: server.name.to_string(),
        http: server.http.clone(),
        answer: server.http.as_ref().map_or(Answer::NoDoor, |http| one(&agent, http)),
    };
    thread::scope(|scope| {
        let asking: Vec<_> = servers.iter().map(|server| scope.spawn(move || ask(server))).collect();
        asking.into_iter().map(|asked| asked.join().expect("asking does not panic")).collect()
    })
}

/// Servers are asked directly: a proxy knows nothing of this machine's loopback.
fn agent() -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(ANSWER_MAX))
        .user_agent(concat!("proxyherd/", env!("CARGO_PKG_VERSION")));
    config.build().into()
}

fn one(agent: &Agent, http: &Address) -> Answer {
    match status(agent, http) {
        Ok(status) => Answer::Up(Box::new(status)),
        Err(why) => Answer::Silent(why),
    }
}

fn status(agent: &Agent, http: &Address) -> Result<Status, String> {
    let mut response = agent.get(format!("http://{http}/v1/status")).call().map_err(|error| said(&error))?;
    let body = response.body_mut().with_config().limit(ANSWER_LEN_MAX).read_to_vec();
    let body = body.map_err(|error| said(&error))?;
    serde_json::from_slice(&body).map_err(|_| "what it answers is no status of this version".to_owned())
}

fn said(error: &Error) -> String {
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "connection refused".to_owned()
        }
        Error::Io(error) => error.to_string(),
        Error::Timeout(_) => format!("no answer within {} s", ANSWER_MAX.as_secs()),
        Error::StatusCode(code) => format!("it answers HTTP {code}; is another program there?"),
        Error::HostNotFound => "its name is unknown".to_owned(),
        Error::Protocol(_) => "what it answers is no HTTP; is another program there?".to_owned(),
        error => error.to_string(),
    }
}
