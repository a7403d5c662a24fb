//! Answers questions about places.

mod environment;
mod facade;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
pub mod http_client;
pub mod provider;
mod quota;
mod settings;

pub use environment::{Environment, Event, Observer};
pub use facade::{Answered, Looked, LookupOutcome, Places, Question, RemoteStatus};
pub use failure::Failure;
pub use quota::{Quota, ReservedQuota, Rest, Unlimited};
pub use settings::{
    CacheSettings, FieldMask, GoogleSettings, KeySource, ProviderName, RequestSettings, Settings,
};
