//! `proxyherd token`: asks a herd to make, list and revoke tokens, over a server's HTTP door.
//!
//! [`TokenServers`] asks one server after the other until one answers. A token is made at most once: if it is not known
//! whether a server has made it, no other server is asked. A made token is in the answer to the request, and nowhere
//! else.

mod ask;

use serde::{Deserialize, Serialize};

pub use self::ask::{AskError, TokenServers};

/// What a new token is to allow: the body of a request.
#[derive(Clone, Debug, Serialize)]
pub struct WantedToken {
    /// What the token is to allow.
    pub scopes: Vec<String>,
    /// A name for people. Empty: none.
    pub name: String,
    /// Seconds until the end of the token. `None`: it has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// Whether the token is to show positions without their past.
    pub latest_only: bool,
    /// Number of clients that the token may add. `None`: the usual number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients_max: Option<u64>,
    /// Reports per second. `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// A token as a server shows it to operators, without its secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KnownToken {
    /// The ID.
    pub id: String,
    /// What the token allows.
    pub scopes: Vec<String>,
    /// The name for people. Empty: none.
    #[serde(default)]
    pub name: String,
    /// When the token was made, RFC 3339.
    pub made_at: Option<String>,
    /// When the token ends, RFC 3339. `None`: the token has no end.
    pub expires_at: Option<String>,
    /// Whether the token shows positions without their past.
    #[serde(default)]
    pub latest_only: bool,
    /// Number of clients that the token may add.
    pub clients_max: Option<u64>,
    /// Reports per second.
    pub rate: Option<u32>,
    /// Whether the token has been revoked.
    #[serde(default)]
    pub revoked: bool,
}

/// A token that was just made. It has no `Debug`, because it has the secret.
#[derive(Deserialize)]
pub struct MadeToken {
    /// The whole text.
    pub token: String,
    /// The rest of what the server shows of the token.
    #[serde(flatten)]
    pub known: KnownToken,
}
