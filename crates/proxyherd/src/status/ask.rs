//! Asking: one request to each server, all at the same time, none for long.

use std::{io, thread, time::Duration};

use proxyherd_core::types::ServerName;
use serde_json::Value;
use ureq::{Agent, Error};

use super::{Answer, Asked};
use crate::{
    config::{Address, Config, Server},
    door::http::Status,
};

/// How long a server may take for the whole of its answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The longest answer, bytes: a link takes a few hundred, and a server has 32 at most.
const ANSWER_LEN_MAX: u64 = 1024 * 1024;

/// Asks each server of `config`, and returns when the last has answered or has had its time.
pub(super) fn all(config: &Config) -> Vec<Asked> {
    let agent = agent();
    let ask = |server: &Server| Asked {
        name: server.name.to_string(),
        http: server.http.clone(),
        answer: server.http.as_ref().map_or(Answer::NoDoor, |http| {
            match status(&agent, http).and_then(|status| expected(status, &config.herd.id, &server.name)) {
                Ok(status) => Answer::Up(Box::new(status)),
                Err(why) => Answer::Silent(why),
            }
        }),
    };
    thread::scope(|scope| {
        let asking: Vec<_> = config.servers.iter().map(|server| scope.spawn(move || ask(server))).collect();
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

/// HTTP doors are on loopback: on each machine somebody else may be at the same address.
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

fn status(agent: &Agent, http: &Address) -> Result<Status, String> {
    let mut response = agent.get(format!("http://{http}/v1/status")).call().map_err(|error| said(&error))?;
    let body = response.body_mut().with_config().limit(ANSWER_LEN_MAX).read_to_vec();
    let body = body.map_err(|error| said(&error))?;
    read(&body).ok_or_else(|| "what it answers is no status of this version".to_owned())
}

/// Reads what a server tells of itself. Its incarnation is a number above 2^53, which many programs cannot read, so
/// versions differ: it is a JSON string or a JSON number. Either is read.
fn read(body: &[u8]) -> Option<Status> {
    let told: Value = serde_json::from_slice(body).ok()?;
    serde_json::from_value(told.clone()).or_else(|_| serde_json::from_value(in_the_other_form(told))).ok()
}

fn in_the_other_form(mut status: Value) -> Value {
    if let Some(incarnation) = status.get_mut("incarnation") {
        *incarnation = match &*incarnation {
            Value::String(digits) => digits.parse::<u64>().map_or(Value::Null, Value::from),
            number => Value::from(number.to_string()),
        };
    }
    status
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_is_read_as_a_number_and_as_a_string() {
        let told = |incarnation: &str| {
            format!(
                r#"{{"server":"Riley","herd":"herd","version":"0.1.0","incarnation":{incarnation},"uptime_s":1.0,
                "draining":false,"records":1,"connections":0,"reports":{{"accepted":0,"stale":0,"rejected":0}},
                "log_left_out":0,"links":[]}}"#
            )
        };
        let read = |incarnation: &str| read(told(incarnation).as_bytes());
        let number = read("18446744073709551557").expect("a number is read");
        assert_eq!(read("\"18446744073709551557\""), Some(number));
        assert_eq!((read("true"), read("\"x\"")), (None, None));
    }
}
