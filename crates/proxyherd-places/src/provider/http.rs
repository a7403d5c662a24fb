//! Sends one request to a remote server and reads its reply, with limits on time and size.
//!
//! A provider over the network opens an [`Upstream`] and calls [`Upstream::send`]. One call makes at most one request.
//! Redirects are not followed, because they would send the key to another server.
//!
//! Invariant: no error repeats a URL, because one of Google's interfaces takes the key in the URL. This module does not
//! know what a request or a reply means.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::{Failure, OpenError, api_key::ApiKey, room::AnswerBody};
use crate::{Environment, GoogleSettings, http_client};

/// Maximum time for connecting, including the TLS handshake.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Maximum time that a server may be silent before or during its reply.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Maximum number of idle connections that are kept for later requests. Further connections are closed after use.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// Maximum `Retry-After` that is accepted. A longer time counts as this time.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Maximum length of a server's message that is passed on, characters. The rest is cut.
const MESSAGE_LEN_MAX: usize = 300;

/// A server to which requests go, with its key.
pub(super) struct Upstream {
    client: Client,
    url: Url,
    key: ApiKey,
    /// Maximum time of one request until the last byte of its reply.
    whole_max: Duration,
    environment: Environment,
}

/// A reply that is not interpreted yet.
pub(crate) struct HttpReply {
    pub(crate) status: StatusCode,
    /// The time for which the server wants no requests.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: AnswerBody,
}

impl Upstream {
    /// Reads the key and prepares requests to `path` below the base URL. Nothing is sent yet.
    pub(super) fn open(
        provider: &'static str,
        google: &GoogleSettings,
        path: &str,
        whole_max: Duration,
        environment: &Environment,
    ) -> Result<Upstream, OpenError> {
        let key = ApiKey::read(&google.key).map_err(|why| OpenError::Key { provider, why })?;
        let url = Url::parse(&format!("{}{path}", google.base_url));
        let url = url.map_err(|why| OpenError::BaseUrl { provider, why: why.to_string() })?;
        let tls = tls(&url).map_err(|why| OpenError::Tls { provider, why: words(&why) })?;
        let client = http_client::builder(tls)
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .timeout(whole_max)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build();
        let client = client.map_err(|why| OpenError::Tls { provider, why: why.without_url().to_string() })?;
        Ok(Upstream { client, url, key, whole_max, environment: environment.clone() })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    pub(super) fn key(&self) -> &ApiKey {
        &self.key
    }

    /// Sends the request once, and waits for the whole reply.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<HttpReply, Failure> {
        let began = Instant::now();
        let response = request.send().await.map_err(|error| self.failure(&error, began))?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| {
            let text = value.to_str().ok()?;
            retry_after(text, self.environment.now_s())
        });
        let body = self.body(response, began).await?;
        Ok(HttpReply { status, retry_after, body })
    }

    async fn body(&self, mut response: Response, began: Instant) -> Result<AnswerBody, Failure> {
        let mut body = AnswerBody::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.failure(&error, began))? {
            body.push(&piece)?;
        }
        Ok(body)
    }

    /// A message of the server that may be passed on: in one line, at most [`MESSAGE_LEN_MAX`] long, without the key.
    pub(super) fn told(&self, message: &str) -> String {
        let message = self.key.redacted(message);
        let words = message.split(|char: char| char.is_whitespace() || char.is_control());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let mut line = words.join(" ");
        if let Some((at, _)) = line.char_indices().nth(MESSAGE_LEN_MAX) {
            line.truncate(at);
            line.push('…');
        }
        line
    }

    fn failure(&self, error: &reqwest::Error, began: Instant) -> Failure {
        if !error.is_timeout() {
            return Failure::Unavailable(http_client::trouble(error));
        }
        let limit = if error.is_connect() { CONNECT_MAX } else { SILENCE_MAX };
        Failure::Late(if began.elapsed() >= self.whole_max { self.whole_max } else { limit })
    }
}

impl HttpReply {
    /// The failure that a reply with a code other than 200 means. `message` is the message in its body, if the body has
    /// one.
    pub(super) fn failure(&self, message: Option<String>) -> Failure {
        failure(self.status.as_u16(), self.retry_after, message)
    }
}

/// The failure that an HTTP code other than 200 means. `message` is the server's explanation.
pub(super) fn failure(code: u16, retry_after: Option<Duration>, message: Option<String>) -> Failure {
    let answered = || format!("it answers with HTTP code {code}");
    match (code, message) {
        (400, message) => Failure::BadQuery(message.unwrap_or_else(answered)),
        (401 | 403, message) => Failure::Denied(message.unwrap_or_else(answered)),
        (429, _) => Failure::OverLimit { retry_after },
        (300..=399, _) => Failure::Unavailable(format!(
            "{} and redirects to another address, but proxyherd follows no redirects; is its `base_url` right?",
            answered()
        )),
        (404 | 405, _) => Failure::Unavailable(format!("{}; is its `base_url` right?", answered())),
        (_, Some(message)) => Failure::Unavailable(format!("{}: {message}", answered())),
        (_, None) => Failure::Unavailable(answered()),
    }
}

/// Trusts the authorities that this system trusts. Plain HTTP needs no certificates, so it works on a system that has
/// none.
fn tls(url: &Url) -> Result<ClientConfig, rustls::Error> {
    if url.scheme() != "https" {
        return Ok(http_client::plain());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_platform_verifier()?.with_no_client_auth())
}

fn words(error: &rustls::Error) -> String {
    match error {
        // Rustls would present the message of another library as an unexpected error.
        rustls::Error::General(said) => said.clone(),
        other => other.to_string(),
    }
}

/// RFC 9110, section 10.2.3: seconds or a date.
fn retry_after(text: &str, now_s: i64) -> Option<Duration> {
    let text = text.trim();
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => RETRY_AFTER_MAX,
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
            Duration::from_secs(u64::try_from(at.saturating_sub(now_s)).unwrap_or_default())
        }
    };
    Some(duration.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_told_in_seconds_or_by_a_date() {
        let now_s = 1_445_412_480 - 90;
        for (text, seconds) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("86400", Some(86_400)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(90)),
            ("Tue, 20 Oct 2015 07:28:00 GMT", Some(0)),
            ("Sat, 21 Oct 2215 07:28:00 GMT", Some(86_400)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now_s), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn a_code_says_whose_fault_it_is() {
        let no_message = |code| failure(code, None, None);
        let message = |code| failure(code, None, Some("why".into()));
        assert_eq!(message(400), Failure::BadQuery("why".into()));
        assert_eq!(no_message(401), Failure::Denied("it answers with HTTP code 401".into()));
        assert_eq!(message(403), Failure::Denied("why".into()));
        let after = Some(Duration::from_secs(3));
        assert_eq!(failure(429, after, Some("why".into())), Failure::OverLimit { retry_after: after });
        assert_eq!(message(503), Failure::Unavailable("it answers with HTTP code 503: why".into()));
        assert_eq!(no_message(500), Failure::Unavailable("it answers with HTTP code 500".into()));
        for code in [301, 302, 307, 308, 404] {
            let Failure::Unavailable(said) = message(code) else { panic!("{code}") };
            assert!(said.ends_with("is its `base_url` right?") && !said.contains("why"), "{said}");
        }
    }
}
