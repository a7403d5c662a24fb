//! The values that the herd works with. Each is valid by construction: a value exists only if it was checked.

mod attributes;
mod client_id;
mod coordinates;
mod digits;
mod id_pattern;
mod key_hash;
pub mod number;
mod origin;
mod radius;
mod record;
mod report;
mod server_name;
mod timestamp;

pub use attributes::{AttributeError, AttributeValue, Attributes, AttributesBuf, TTL_NAME};
pub use client_id::ClientId;
pub(crate) use client_id::{find_white_space, is_white_space};
pub use coordinates::{Coordinates, Decimal};
pub use id_pattern::IdPattern;
pub use key_hash::KeyHash;
pub use origin::{Advertisement, Origin};
pub use radius::Radius;
pub use record::{Body, Kind, Record};
pub(crate) use record::{TOKEN_LIVE, TOKEN_REVOKED};
pub use report::{Report, Stamp};
pub use server_name::{BadServerName, ServerName};
pub use timestamp::{Difference, Timestamp, Version};
