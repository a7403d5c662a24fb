//! `proxyherd health`: asks one server whether it is ready, or whether it lives, as load balancers do.
//!
//! The paths of health need no token. A door at all interfaces is asked on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use proxyherd_config::config::{Address, Config, Door};
use proxyherd_log::escape::shown;
use reqwest::{Client, StatusCode};
use tokio::time::sleep;

use crate::door_client;

/// Time between two questions to a server that is not healthy yet.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Maximum length of the answer that is shown, bytes.
const ANSWER_LEN_MAX: usize = 1024;

/// What a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether clients may be sent to the server.
    Ready,
    /// Whether nothing in the server is stuck.
    Live,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Question::Ready => "/health/readyz",
            Question::Live => "/health/livez",
        }
    }
}

/// Asks the server behind `http`, again and again for up to `wait`, until it says that it is healthy. The error is the
/// last answer, or says why there is none.
pub async fn ask(config: &Config, http: &Door, question: Question, wait: Duration) -> Result<(), String> {
    let (door, end) = (dialed(http), Instant::now() + wait);
    let certificate = config.tls.as_ref().map(|tls| tls.cert.as_path());
    let client = door_client::client(door.tls, certificate).map_err(|error| door_client::failure(&error))?;
    let url = format!("{}{}", door_client::url(&door), question.path());
    loop {
        let answer = ask_once(&client, &url).await;
        if answer.is_ok() || Instant::now() >= end {
            return answer;
        }
        sleep(AGAIN_AFTER).await;
    }
}

async fn ask_once(client: &Client, url: &str) -> Result<(), String> {
    let response = client.get(url).send().await.map_err(|error| door_client::failure(&error))?;
    let code = response.status();
    if code == StatusCode::OK {
        return Ok(());
    }
    let body = door_client::body(response, ANSWER_LEN_MAX).await?.unwrap_or_default();
    Err(match code {
        StatusCode::SERVICE_UNAVAILABLE => shown(body.trim_ascii()),
        code => format!("it answers HTTP {}; is another program there?", code.as_u16()),
    })
}

/// The door as this machine can dial it: a door at all interfaces is on loopback, too.
fn dialed(http: &Door) -> Door {
    let mut door = http.clone();
    if door.address.is_unspecified() {
        let is_v6 = door.address.host().contains(':');
        let ip = if is_v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        door.address = Address::new(ip, door.address.port());
    }
    door
}

#[cfg(test)]
mod tests {
    use proxyherd_config::door_kind::DoorKind;

    use super::*;

    #[test]
    fn a_door_at_all_interfaces_is_asked_on_loopback() {
        for (written, expected) in [
            ("0.0.0.0:8000", "127.0.0.1:8000"),
            ("[::]:8000", "[::1]:8000"),
            ("10.0.0.5:8000", "10.0.0.5:8000"),
            ("riley.example.org:8000", "riley.example.org:8000"),
        ] {
            let door = Door { kind: DoorKind::Http, address: written.parse().unwrap(), tls: true };
            let dialed = dialed(&door);
            assert_eq!((dialed.address.to_string().as_str(), dialed.tls), (expected, true));
        }
    }
}
