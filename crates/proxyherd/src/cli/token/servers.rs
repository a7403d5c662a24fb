//! Which servers the commands ask, and which token they show.

use anyhow::bail;
use proxyherd_commands::{
    command_token::CommandToken,
    door_client,
    token::{AskError, TokenServers},
};
use proxyherd_config::{
    config::{Config, Tokens},
    door_kind::DoorKind,
};
use proxyherd_places::http_client;
use reqwest::Url;

use super::super::{ConfigurationError, HerdArgs, TokenArgs, UsageError, runtime};

/// The servers on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    #[command(flatten)]
    config: HerdArgs,

    /// The beginning of the URL of an HTTP door to ask instead of the doors in the configuration, such as
    /// https://herd.example.org
    #[arg(long, value_name = "URL", value_parser = parse_at)]
    at: Option<String>,

    #[command(flatten)]
    token: TokenArgs,
}

/// The servers that a command asks.
pub(super) struct Asked {
    pub(super) servers: TokenServers,
    /// Whether the configuration says that tokens are off. Then every caller may do everything, with any token.
    pub(super) are_tokens_off: bool,
}

impl ServerArgs {
    /// Reads the configuration and the token.
    pub(super) fn asked(&self) -> anyhow::Result<Asked> {
        let is_of_file = !self.config.is_classic();
        // A URL needs no configuration, but the configuration may have the token and the certificate.
        let config = if is_of_file || self.at.is_none() { Some(self.config.herd()?) } else { None };
        let urls = match (&self.at, &config) {
            (Some(url), _) => vec![url.clone()],
            (None, Some(config)) => urls(config)?,
            (None, None) => Vec::new(),
        };
        let token = match self.token.given()? {
            None if is_of_file => operators(config.as_ref())?,
            given => given,
        };
        self.token.check(token.as_ref(), |token| token.check_urls(&urls))?;
        let certificate =
            config.as_ref().and_then(|config| config.tls.as_ref()).map(|tls| tls.cert.as_path());
        let has_tls = urls.iter().any(|url| url.starts_with("https:"));
        let client = door_client::client(has_tls, certificate);
        let client = client.map_err(|error| anyhow::anyhow!(http_client::trouble(&error)))?;
        let is_off = |config: &Config| config.access.tokens == Tokens::Off;
        let are_tokens_off = self.at.is_none() && config.as_ref().is_some_and(is_off);
        Ok(Asked { servers: TokenServers::new(client, urls, token), are_tokens_off })
    }
}

fn operators(config: Option<&Config>) -> anyhow::Result<Option<CommandToken>> {
    let Some(config) = config else { return Ok(None) };
    CommandToken::of_operator(config).map_err(|error| ConfigurationError(error.to_string()).into())
}

fn urls(config: &Config) -> anyhow::Result<Vec<String>> {
    let doors = config.servers.iter().filter_map(|server| server.door(DoorKind::Http));
    let urls: Vec<String> = doors.map(door_client::url).collect();
    if urls.is_empty() {
        bail!("no server in {} has an `http` address; --at URL names a door", config.path.display());
    }
    Ok(urls)
}

/// Waits for the answer of a server.
pub(super) fn wait_for<T>(answer: impl Future<Output = Result<T, AskError>>) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let answer = runtime.block_on(answer);
    // The process ends without waiting for names that are still being resolved.
    runtime.shutdown_background();
    Ok(answer?)
}

/// Reads the beginning of a URL.
pub(in crate::cli) fn parse_at(text: &str) -> Result<String, String> {
    let example = "for example https://herd.example.org or http://127.0.0.1:8000";
    let url = Url::parse(text).map_err(|_| example.to_owned())?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(example.to_owned());
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(format!("a URL with a host and, if need be, a path, and nothing else: {example}"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A wrong argument.
pub(super) fn usage(said: impl Into<String>) -> anyhow::Error {
    UsageError(said.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_a_path_and_nothing_else() {
        for (text, expected) in [
            ("http://127.0.0.1:8000", Some("http://127.0.0.1:8000")),
            ("http://localhost:8000/", Some("http://localhost:8000")),
            ("http://[::1]:8000", Some("http://[::1]:8000")),
            ("https://herd.example.org", Some("https://herd.example.org")),
            ("https://example.org/herd/", Some("https://example.org/herd")),
            ("http://10.0.0.1:8000", Some("http://10.0.0.1:8000")),
            ("https://user:phd_a_0@herd.example.org", None),
            ("https://herd.example.org?token=phd_a_0", None),
            ("127.0.0.1:8000", None),
            ("tls://127.0.0.1:8000", None),
        ] {
            assert_eq!(parse_at(text).ok().as_deref(), expected, "{text}");
        }
    }
}
