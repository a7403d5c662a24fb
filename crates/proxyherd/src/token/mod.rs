//! `proxyherd token`: asks a herd to make, list and revoke tokens, over a server's HTTP door.
//!
//! [`TokenServers`] asks one server after the other until one answers. A token is made at most once: if it is not known
//! whether a server has made it, no other server is asked. A made token is in the answer to the request, and nowhere
//! else.

mod ask;

use serde::{Deserialize, Serialize};

pub(crate) use self::ask::{AskError, TokenServers};

/// What a new token is to allow: the body of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WantedToken {
    pub(crate) scopes: Vec<String>,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_s: Option<u64>,
    pub(crate) latest_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clients_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u32>,
}

/// A token as a server shows it to operators, without its secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KnownToken {
    pub(crate) id: String,
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) name: String,
    /// RFC 3339.
    pub(crate) made_at: Option<String>,
    /// RFC 3339. `None`: the token has no end.
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) latest_only: bool,
    pub(crate) clients_max: Option<u64>,
    pub(crate) rate: Option<u32>,
    #[serde(default)]
    pub(crate) revoked: bool,
}

/// A token that was just made. It has no `Debug`, because it has the secret.
#[derive(Deserialize)]
pub(crate) struct MadeToken {
    /// The whole text.
    pub(crate) token: String,
    #[serde(flatten)]
    pub(crate) known: KnownToken,
}
