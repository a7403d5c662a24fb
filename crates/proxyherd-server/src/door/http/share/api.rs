//! `/v1/shares`: makes, lists and revokes shares. `/v1/share`: what the token of a share shows.
//!
//! The text of a share's token is in the answer to the request that makes the share, and nowhere else.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use proxyherd_config::clock;
use proxyherd_core::{
    access::{Maker, Share, TokenId, TokenRecord},
    codec::json,
    limits::SHARE_EXPIRES_S_MAX,
    types::ClientId,
};
use serde::{Deserialize, Serialize};

use super::LinkBase;
use crate::{
    access::TokenError,
    caller::Caller,
    door::http::{
        durability, media,
        problem::Problem,
        query::Query,
        request_body,
        searches::{NoResult, Searches},
        small_json,
    },
    herd::{Herd, TokenRefusal},
};

/// The body of a request for a share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    id: String,
    #[serde(deserialize_with = "small_json::whole")]
    expires_s: Option<u64>,
}

/// A new share.
#[derive(Serialize)]
struct Made {
    url: String,
    token: String,
    share: String,
    id: String,
    expires: String,
    /// Whether the herd knows the client at present.
    known: bool,
}

/// A share in a list.
#[derive(Serialize)]
struct Listed {
    share: String,
    id: String,
    made: String,
    expires: String,
    /// The ID of a token, or `operator`, or `anybody`.
    made_by: String,
}

#[derive(Serialize)]
struct All {
    shares: Vec<Listed>,
}

/// Makes a share.
pub(in crate::door::http) async fn post_share(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    Extension(searches): Extension<Arc<Searches>>,
    Extension(base): Extension<LinkBase>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    media::of_body(&headers, &[small_json::MEDIA_TYPE])?;
    let (id, expires_s) = wanted(&request_body::whole(body).await?)?;
    let (asker, maker) = (caller.clone(), Arc::clone(&herd));
    let making = move |_: &_| {
        let client = ClientId::new(id.as_bytes()).expect("only valid IDs are read");
        let made = maker.make_share(&asker, clock::now_ns(), client, expires_s)?;
        let known = maker.locate(&asker, clock::now_ns(), client, |_| ())?.is_some();
        Ok::<_, TokenRefusal>((made, known))
    };
    let (made, turn) = searches.run(&caller, making).await.map_err(not_done)?;
    drop(turn);
    let ((text, record), known) = made?;
    durability::wait_for_key(&herd, text.id().as_str().as_bytes()).await?;
    let Some(share) = &record.share else { return Err(Problem::unavailable("the share was not made")) };
    let made = Made {
        url: base.link(&headers, &text),
        token: text.reveal().to_owned(),
        share: text.id().to_string(),
        id: id_of(share),
        expires: time(record.expires_at_ns.unwrap_or(u64::MAX)),
        known,
    };
    Ok((StatusCode::CREATED, small_json::answer(&made)).into_response())
}

/// The shares that show something: those that the caller has made, or all.
pub(in crate::door::http) async fn get_shares(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    Extension(searches): Extension<Arc<Searches>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    media::accepted(&headers, &[small_json::MEDIA_TYPE])?;
    let asker = caller.clone();
    let listing = move |_: &_| herd.shares(&asker, clock::now_ns());
    let (shares, turn) = searches.run(&caller, listing).await.map_err(not_done)?;
    let shares = shares?.iter().filter_map(|(id, record)| Listed::of(id, record)).collect();
    let mut response = small_json::answer(&All { shares });
    // The handler of the request drops the turn when the body counts against the buffers.
    response.extensions_mut().insert(turn);
    Ok(response)
}

/// Revokes a share.
pub(in crate::door::http) async fn delete_share(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    Extension(searches): Extension<Arc<Searches>>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let id =
        TokenId::parse(id).map_err(|bad| Problem::invalid(format!("a share's ID is a token's: {bad}")))?;
    let (asker, revoker, key) = (caller.clone(), Arc::clone(&herd), id.clone());
    let revoking = move |_: &_| revoker.revoke_share(&asker, clock::now_ns(), &id);
    let (revoked, turn) = searches.run(&caller, revoking).await.map_err(not_done)?;
    drop(turn);
    match revoked {
        Err(TokenRefusal::Failed(TokenError::Unknown)) => {
            Err(Problem::new(StatusCode::NOT_FOUND, "no share that has not ended has this ID at this server"))
        }
        revoked => {
            revoked?;
            durability::wait_for_key(&herd, key.as_str().as_bytes()).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    }
}

/// What the share shows whose token the request has.
pub(in crate::door::http) async fn get_share(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Query::of(&uri, &[], &[])?;
    media::accepted(&headers, &[small_json::MEDIA_TYPE])?;
    let grant = caller.rights.grant();
    let Some((grant, client)) = grant.and_then(|grant| Some((grant, grant.shared_client()?))) else {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this path needs the token of a share"));
    };
    let mut body = Vec::with_capacity(512);
    body.extend_from_slice(b"{\"id\":");
    json::write_lossy(&mut body, client.as_bytes());
    body.extend_from_slice(b",\"expires\":");
    json::write_string(&mut body, &time(grant.ends_at_ns()));
    body.extend_from_slice(b",\"client\":");
    let before = body.len();
    herd.locate(&caller, clock::now_ns(), client, |found| json::write_client(&mut body, found, None))?;
    if body.len() == before {
        body.extend_from_slice(b"null");
    }
    body.extend_from_slice(b"}\n");
    Ok(small_json::of_bytes(body))
}

/// Reads the body of a request for a share: the client's ID and the number of seconds.
fn wanted(body: &[u8]) -> Result<(String, u64), Problem> {
    let Wanted { id, expires_s } = small_json::read(body, "a share")?;
    if ClientId::new(id.as_bytes()).is_none() {
        return Err(Problem::invalid("`id` is a client's ID: 1 to 256 bytes without white space"));
    }
    let expires_s = expires_s.filter(|expires_s| (1..=SHARE_EXPIRES_S_MAX).contains(expires_s));
    let invalid = || Problem::invalid(format!("`expires_s` is required, from 1 to {SHARE_EXPIRES_S_MAX}"));
    Ok((id, expires_s.ok_or_else(invalid)?))
}

fn not_done(why: NoResult) -> Problem {
    Problem::unavailable(match why {
        NoResult::Crowded => "too many requests about shares and searches for clients wait already",
        NoResult::TimedOut => "the request took too long, with its wait for others; look at GET /v1/shares",
        NoResult::Failed => "the request failed; the server's log says why",
    })
}

impl Listed {
    fn of(id: &TokenId, record: &TokenRecord) -> Option<Listed> {
        let share = record.share.as_ref()?;
        let made_by = match share.maker() {
            Maker::Token(id) => id.to_string(),
            Maker::Operator(_) => "operator".to_owned(),
            Maker::Anybody => "anybody".to_owned(),
        };
        Some(Listed {
            share: id.to_string(),
            id: id_of(share),
            made: time(record.made_at_ns),
            expires: time(record.expires_at_ns.unwrap_or(u64::MAX)),
            made_by,
        })
    }
}

fn id_of(share: &Share) -> String {
    String::from_utf8_lossy(share.client().as_bytes()).into_owned()
}

/// RFC 3339 in UTC, with milliseconds.
fn time(time_ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(time_ns.into());
    let time = time.expect("64 bits of nanoseconds end in 2554");
    format!("{time:.3}")
}
