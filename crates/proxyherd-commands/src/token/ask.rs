//! Sends the requests, and says what a server's refusal means.

use proxyherd_log::escape;
use proxyherd_places::http_client;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};

use super::{KnownToken, MadeToken, WantedToken};
use crate::{
    command_token::{self, CommandToken},
    door_client,
};

/// Maximum length of an answer, bytes. A herd has room for far fewer tokens.
const ANSWER_LEN_MAX: usize = 64 * 1024 * 1024;
/// Maximum length of a server's explanation that is shown, bytes.
const DETAIL_LEN_MAX: usize = 500;

/// The servers that are asked, and the token that they are shown.
pub struct TokenServers {
    client: Client,
    /// Beginnings of URLs, without a slash at the end.
    urls: Vec<String>,
    token: Option<CommandToken>,
}

/// Why no server has done what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No server has answered. Each has its reason.
    #[error("no server answers: {}; is the herd running?", .0.join("; "))]
    NoneAnswers(Vec<String>),
    /// No server has answered, and a connection with TLS has failed. Each has its reason.
    #[error("no server can be asked: {}", .0.join("; "))]
    NoTls(Vec<String>),
    /// No server can do it now. Each has its reason.
    #[error("no server can do this now: {}", .0.join("; "))]
    Unavailable(Vec<String>),
    /// A server may have done it, but its answer is missing.
    #[error(
        "{url}: {why}; the token may have been made, and its text is lost: `proxyherd token list` shows it, and \
             `proxyherd token revoke` ends it"
    )]
    Unknown {
        /// The URL that was asked.
        url: String,
        /// Why there is no answer.
        why: String,
    },
    /// The server has asked for a token.
    #[error("{url} asks for a token: set {variable}, or keep operator.token beside herd.toml", variable = command_token::VARIABLE)]
    NoToken {
        /// The URL that was asked.
        url: String,
    },
    /// The server does not accept the token.
    #[error("{url} does not accept the token of {token}: the token is wrong, revoked or past its end")]
    WrongToken {
        /// The URL that was asked.
        url: String,
        /// Where the token comes from.
        token: String,
    },
    /// The token does not allow this.
    #[error("{url}, with the token of {token}: {detail}")]
    NotEnough {
        /// The URL that was asked.
        url: String,
        /// Where the token comes from.
        token: String,
        /// The server's explanation.
        detail: String,
    },
    /// The server has refused the request.
    #[error("{url}: {detail}")]
    Refused {
        /// The URL that was asked.
        url: String,
        /// The server's explanation.
        detail: String,
    },
    /// The server's answer is something else.
    #[error("{url} answers in a form that this version does not know; is that a server's `http` address?")]
    Foreign {
        /// The URL that was asked.
        url: String,
    },
}

/// The explanation in an answer with an error (RFC 9457).
#[derive(Deserialize)]
struct ProblemDetails {
    detail: Option<String>,
    title: Option<String>,
}

#[derive(Deserialize)]
struct AllTokens {
    tokens: Vec<KnownToken>,
}

impl TokenServers {
    /// Servers at these URLs, asked in this order.
    pub fn new(client: Client, urls: Vec<String>, token: Option<CommandToken>) -> TokenServers {
        TokenServers { client, urls, token }
    }

    /// Makes a token.
    pub async fn make(&self, wanted: &WantedToken) -> Result<MadeToken, AskError> {
        let body = serde_json::to_vec(wanted).expect("texts and numbers are always JSON");
        let request =
            |request: RequestBuilder| request.header("content-type", "application/json").body(body.clone());
        let (url, response) = self.ask(&Method::POST, "/v1/tokens", request).await?;
        read(url, response, |why| AskError::Unknown { url: url.to_owned(), why }).await
    }

    /// All tokens that have not ended.
    pub async fn list(&self) -> Result<Vec<KnownToken>, AskError> {
        let (url, response) = self.ask(&Method::GET, "/v1/tokens", |request| request).await?;
        let cut_off = |why| AskError::NoneAnswers(vec![format!("{url}: {why}")]);
        read::<AllTokens>(url, response, cut_off).await.map(|all| all.tokens)
    }

    /// Revokes a token. The ID has letters and digits only.
    pub async fn revoke(&self, id: &str) -> Result<(), AskError> {
        let path = format!("/v1/tokens/{id}");
        self.ask(&Method::DELETE, &path, |request| request).await.map(drop)
    }

    /// Asks one server after the other. Returns the first answer that is no error, with the server's URL.
    async fn ask(
        &self,
        method: &Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<(&str, Response), AskError> {
        let (mut silent, mut is_one_there, mut has_tls_failed) = (Vec::new(), false, false);
        for url in &self.urls {
            let mut request = with(self.client.request(method.clone(), format!("{url}{path}")));
            if let Some(token) = &self.token {
                request = request.bearer_auth(token.reveal());
            }
            match request.send().await {
                Ok(response) if response.status().is_success() => return Ok((url, response)),
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    is_one_there = true;
                    silent.push(format!("{url}: {}", detail(response).await));
                }
                Ok(response) => return Err(self.refused(url, response).await),
                // The request may have reached the server.
                Err(error) if *method == Method::POST && !error.is_connect() => {
                    return Err(AskError::Unknown { url: url.clone(), why: door_client::failure(&error) });
                }
                Err(error) => {
                    has_tls_failed |= http_client::tls_error(&error).is_some();
                    silent.push(format!("{url}: {}", door_client::failure(&error)));
                }
            }
        }
        Err(match (is_one_there, has_tls_failed) {
            (true, _) => AskError::Unavailable(silent),
            (false, true) => AskError::NoTls(silent),
            (false, false) => AskError::NoneAnswers(silent),
        })
    }

    async fn refused(&self, url: &str, response: Response) -> AskError {
        let url = url.to_owned();
        match (response.status(), &self.token) {
            (StatusCode::UNAUTHORIZED, None) => AskError::NoToken { url },
            (StatusCode::UNAUTHORIZED, Some(token)) => AskError::WrongToken { url, token: token.to_string() },
            (StatusCode::FORBIDDEN, Some(token)) => {
                AskError::NotEnough { url, token: token.to_string(), detail: detail(response).await }
            }
            _ => AskError::Refused { url, detail: detail(response).await },
        }
    }
}

/// What the server says about its refusal, without characters that a terminal would obey.
async fn detail(response: Response) -> String {
    let code = response.status();
    let body = door_client::body(response, ANSWER_LEN_MAX).await.ok().flatten().unwrap_or_default();
    let problem = serde_json::from_slice::<ProblemDetails>(&body).ok();
    let said = problem.and_then(|problem| problem.detail.or(problem.title));
    match said {
        Some(said) => {
            let (head, _) = escape::cut(said.as_bytes(), DETAIL_LEN_MAX);
            escape::shown(head)
        }
        None => format!("it answers HTTP {}; is another program there?", code.as_u16()),
    }
}

/// Reads an answer. `cut_off` is the error for an answer that ends too early.
async fn read<T: DeserializeOwned>(
    url: &str,
    response: Response,
    cut_off: impl FnOnce(String) -> AskError,
) -> Result<T, AskError> {
    let body = door_client::body(response, ANSWER_LEN_MAX).await.map_err(cut_off)?;
    let read = body.and_then(|body| serde_json::from_slice(&body).ok());
    read.ok_or_else(|| AskError::Foreign { url: url.to_owned() })
}
