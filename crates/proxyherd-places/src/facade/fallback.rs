//! The order in which providers are asked, and the share of the deadline that each provider may use.
//!
//! A question goes to the first provider. While providers fail, the question goes on to the next provider. Each
//! provider may use a [`TimeShare`] of the time that is left, so that the later providers have time to answer too. This
//! module does not know why a provider fails.

use std::iter::once;
use std::sync::Arc;
use std::time::Duration;

use proxyherd_core::places::Query;
use tokio::time::timeout;

use super::Answered;
use super::single_flight::{Network, RemoteProvider};
use crate::failure::Failure;
use crate::provider::Provider;
use crate::{FieldMask, ProviderName, Settings};

/// Maximum time that is reserved for providers on this machine while a provider over the network is asked. Providers on
/// this machine get a quarter of the time that is left, but at most this time.
const LOCAL_RESERVE_MAX: Duration = Duration::from_millis(250);

/// At least one provider, in the order in which they are asked.
pub(super) struct FallbackChain {
    first: FallbackMember,
    rest: Vec<FallbackMember>,
}

/// One provider.
pub(super) enum FallbackMember {
    /// A provider on this machine. The facade asks it directly.
    Local(Arc<dyn Provider>),
    /// A provider over the network.
    Remote(Arc<RemoteProvider>),
}

impl FallbackChain {
    pub(super) fn new(first: FallbackMember, rest: Vec<FallbackMember>) -> FallbackChain {
        FallbackChain { first, rest }
    }

    pub(super) fn first(&self) -> &FallbackMember {
        &self.first
    }

    pub(super) fn remotes(&self) -> impl Iterator<Item = &Arc<RemoteProvider>> {
        once(&self.first).chain(&self.rest).filter_map(|member| match member {
            FallbackMember::Local(_) => None,
            FallbackMember::Remote(remote) => Some(remote),
        })
    }

    /// The providers on this machine.
    pub(super) fn locals(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        once(&self.first).chain(&self.rest).filter_map(|member| match member {
            FallbackMember::Local(provider) => Some(provider),
            FallbackMember::Remote(_) => None,
        })
    }

    /// Whether at least one of the providers may know places of this type.
    pub(super) fn knows_kind(&self, kind: &str) -> bool {
        once(&self.first).chain(&self.rest).any(|member| member.knows_kind(kind))
    }

    /// Whether no other provider is asked after the first one has failed in this way.
    pub(super) fn is_final(&self, failure: &Failure) -> bool {
        self.rest.is_empty() || matches!(failure, Failure::BadQuery(_))
    }

    /// Each provider, and its share of the time that is left when it is asked.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&FallbackMember, TimeShare)> {
        once(&self.first).chain(&self.rest).enumerate().map(|(place, member)| {
            let after = &self.rest[place..];
            let remotes = after.iter().filter(|member| matches!(member, FallbackMember::Remote(_))).count();
            (member, TimeShare { remotes, has_locals: remotes < after.len() })
        })
    }
}

/// The share of the time that a provider may use. It depends on the providers that come after this provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeShare {
    remotes: usize,
    has_locals: bool,
}

impl TimeShare {
    /// The part of the time that is left that a provider may use. Providers over the network get equal parts. Providers
    /// on this machine get only the short time that they need.
    pub(super) fn of(self, left: Duration) -> Duration {
        let reserve = if self.has_locals { (left / 4).min(LOCAL_RESERVE_MAX) } else { Duration::ZERO };
        let parts = u32::try_from(self.remotes + 1).unwrap_or(u32::MAX);
        (left - reserve) / parts
    }
}

impl FallbackMember {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        settings: &Settings,
        network: &Arc<Network>,
    ) -> FallbackMember {
        if !provider.is_remote() {
            return FallbackMember::Local(provider);
        }
        let mask = mask(provider.name(), settings);
        FallbackMember::Remote(RemoteProvider::new(provider, mask, settings, Arc::clone(network)))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            FallbackMember::Local(provider) => provider.name(),
            FallbackMember::Remote(remote) => remote.name(),
        }
    }

    fn knows_kind(&self, kind: &str) -> bool {
        match self {
            FallbackMember::Local(provider) => provider.knows_kind(kind),
            FallbackMember::Remote(remote) => remote.knows_kind(kind),
        }
    }

    /// Returns the answer within this time.
    pub(super) async fn ask(&self, query: &Query, within: Duration) -> Result<Answered, Failure> {
        match self {
            FallbackMember::Remote(remote) => remote.ask(query, within).await,
            FallbackMember::Local(provider) => match timeout(within, provider.nearby(query)).await {
                Ok(outcome) => outcome.map(|answer| Answered::here(provider.name(), answer)),
                Err(_) => Err(Failure::Late(within)),
            },
        }
    }
}

/// The name of the set of fields that a provider is asked for. Answers with different fields are stored under different
/// keys.
fn mask(provider: &str, settings: &Settings) -> &'static str {
    match settings.google.mask {
        _ if provider != ProviderName::Google.as_str() => "",
        FieldMask::Pro => "pro",
        FieldMask::Enterprise => "enterprise",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leaves_time_for_those_after_it() {
        for (remotes, has_locals, left_ms, share_ms) in [
            (0, false, 5000, 5000),
            (0, true, 5000, 4750),
            (0, true, 400, 300),
            (1, false, 5000, 2500),
            (1, true, 5000, 2375),
            (2, true, 6250, 2000),
            (0, true, 0, 0),
        ] {
            let share = TimeShare { remotes, has_locals }.of(Duration::from_millis(left_ms));
            assert_eq!(share, Duration::from_millis(share_ms), "{remotes} {has_locals} {left_ms}");
        }
    }
}
