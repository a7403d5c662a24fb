//! `/v1/tokens`: makes, lists and revokes tokens, for operators.
//!
//! The text of a token is in the answer to the request that makes it, and nowhere else.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use proxyherd_config::clock;
use proxyherd_core::{
    access::{Scopes, TokenId, TokenRecord, TokenState},
    limits::{TOKEN_CLIENTS_MAX, TOKEN_EXPIRES_S_MAX, TOKEN_NAME_LEN_MAX},
};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{durability, media, problem::Problem, query::Query, request_body, small_json};
use crate::{
    access::{NewToken, TokenError},
    caller::Caller,
    herd::{Herd, TokenRefusal},
};

/// The body of a request for a new token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    scopes: Vec<String>,
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "small_json::whole")]
    expires_s: Option<u64>,
    #[serde(default)]
    latest_only: bool,
    #[serde(default, deserialize_with = "small_json::whole")]
    clients_max: Option<u64>,
    #[serde(default, deserialize_with = "small_json::whole")]
    rate: Option<u32>,
}

/// A token as the API shows it.
#[derive(Serialize)]
struct Shown {
    /// The text, in the answer to the request that made the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    id: String,
    scopes: Vec<String>,
    name: String,
    made_at: Option<String>,
    expires_at: Option<String>,
    latest_only: bool,
    clients_max: Option<u64>,
    rate: Option<u32>,
    revoked: bool,
}

#[derive(Serialize)]
struct All {
    tokens: Vec<Shown>,
}

/// Makes a token.
pub(super) async fn post_token(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    media::of_body(&headers, &[small_json::MEDIA_TYPE])?;
    let new = wanted(&request_body::whole(body).await?)?;
    let maker = Arc::clone(&herd);
    let made = waiting(move || maker.make_token(&caller, clock::now_ns(), new)).await?;
    let (text, record) = made?;
    durability::wait_for_key(&herd, text.id().as_str().as_bytes()).await?;
    let shown = Shown { token: Some(text.reveal().to_owned()), ..Shown::of(text.id(), &record) };
    Ok((StatusCode::CREATED, small_json::answer(&shown)).into_response())
}

/// All tokens that have not ended.
pub(super) async fn get_tokens(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    media::accepted(&headers, &[small_json::MEDIA_TYPE])?;
    let tokens = herd.tokens(&caller, clock::now_ns())?;
    let tokens = tokens.iter().map(|(id, record)| Shown::of(id, record)).collect();
    Ok(small_json::answer(&All { tokens }))
}

/// Revokes a token.
pub(super) async fn delete_token(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let id = TokenId::parse(id).map_err(|bad| Problem::invalid(bad.to_string()))?;
    let (revoker, key) = (Arc::clone(&herd), id.clone());
    waiting(move || revoker.revoke_token(&caller, clock::now_ns(), &id)).await??;
    durability::wait_for_key(&herd, key.as_str().as_bytes()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Reads the body of a request for a token.
fn wanted(body: &[u8]) -> Result<NewToken, Problem> {
    let Wanted { scopes, name, expires_s, latest_only, clients_max, rate } =
        small_json::read(body, "a token")?;
    if name.len() > TOKEN_NAME_LEN_MAX {
        return Err(Problem::invalid(format!("`name` has at most {TOKEN_NAME_LEN_MAX} bytes")));
    }
    if expires_s.is_some_and(|after_s| !(1..=TOKEN_EXPIRES_S_MAX).contains(&after_s)) {
        return Err(Problem::invalid(format!("`expires_s` is from 1 to {TOKEN_EXPIRES_S_MAX}")));
    }
    if clients_max.is_some_and(|clients_max| !(1..=TOKEN_CLIENTS_MAX).contains(&clients_max)) {
        let detail = format!(
            "`clients_max` is from 1 to {TOKEN_CLIENTS_MAX}; leave it out for a tenth of the servers' `max_clients`"
        );
        return Err(Problem::invalid(detail));
    }
    if rate == Some(0) {
        return Err(Problem::invalid("`rate` is at least 1; leave it out for no limit"));
    }
    let scopes = Scopes::parse(scopes.iter().map(String::as_bytes));
    let scopes = scopes.map_err(|bad| Problem::invalid(format!("`scopes`: {bad}")))?;
    Ok(NewToken { scopes, name, expires_s, is_latest_only: latest_only, clients_max, rate })
}

/// Runs what waits for the disk where it may wait.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|_| Problem::unavailable("this server is stopping"))
}

impl Shown {
    fn of(id: &TokenId, record: &TokenRecord) -> Shown {
        let time = |time_ns: u64| {
            jiff::Timestamp::from_nanosecond(time_ns.into()).ok().map(|time| format!("{time:.0}"))
        };
        Shown {
            token: None,
            id: id.to_string(),
            scopes: record.scopes.iter().map(ToString::to_string).collect(),
            name: record.name.clone(),
            made_at: time(record.made_at_ns),
            expires_at: record.expires_at_ns.and_then(time),
            latest_only: record.is_latest_only,
            clients_max: record.clients_max,
            rate: record.rate,
            revoked: record.state == TokenState::Revoked,
        }
    }
}

impl From<TokenRefusal> for Problem {
    fn from(refusal: TokenRefusal) -> Problem {
        match refusal {
            TokenRefusal::Denied(denied) => denied.into(),
            TokenRefusal::Failed(TokenError::Unknown) => {
                Problem::new(StatusCode::NOT_FOUND, TokenError::Unknown.to_string())
            }
            TokenRefusal::Failed(
                failed @ (TokenError::Full
                | TokenError::TooManyShares
                | TokenError::TooManySharesKept
                | TokenError::Machine
                | TokenError::Audit(_)),
            ) => Problem::unavailable(failed.to_string()),
        }
    }
}
