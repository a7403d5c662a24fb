//! Who is asked after whom, and how much of the deadline each may take.

use std::iter::once;
use std::sync::Arc;
use std::time::Duration;

use proxyherd_core::places::Query;
use tokio::time::timeout;

use super::Answered;
use super::limits::LOCAL_RESERVE_MAX;
use super::single_flight::{Net, Remote};
use crate::provider::{Failure, Provider};
use crate::{FieldMask, ProviderName, Settings};

/// At least one provider, in the order in which they are asked.
pub(super) struct Chain {
    first: Member,
    rest: Vec<Member>,
}

/// One provider.
pub(super) enum Member {
    /// On this machine: it is asked as it is.
    Local(Arc<dyn Provider>),
    /// Over the network.
    Remote(Arc<Remote>),
}

impl Chain {
    pub(super) fn new(first: Member, rest: Vec<Member>) -> Chain {
        Chain { first, rest }
    }

    pub(super) fn first(&self) -> &Member {
        &self.first
    }

    pub(super) fn remotes(&self) -> impl Iterator<Item = &Arc<Remote>> {
        once(&self.first).chain(&self.rest).filter_map(|member| match member {
            Member::Local(_) => None,
            Member::Remote(remote) => Some(remote),
        })
    }

    /// Whether at least one of them knows that type of places.
    pub(super) fn knows_kind(&self, kind: &str) -> bool {
        once(&self.first).chain(&self.rest).any(|member| member.knows_kind(kind))
    }

    /// Whether nobody else is asked after the first one has failed so.
    pub(super) fn is_final(&self, failure: &Failure) -> bool {
        self.rest.is_empty() || matches!(failure, Failure::BadQuery(_))
    }

    /// Each provider, and which share it may take of the time that is left.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Member, Share)> {
        once(&self.first).chain(&self.rest).enumerate().map(|(place, member)| {
            let after = &self.rest[place..];
            let remotes = after.iter().filter(|member| matches!(member, Member::Remote(_))).count();
            (member, Share { remotes, has_locals: remotes < after.len() })
        })
    }
}

/// Who is still to be asked after someone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    remotes: usize,
    has_locals: bool,
}

impl Share {
    /// How much of the time that is left one may take so that those after it have theirs: providers over the network get
    /// equal parts, those on this machine the little that they need.
    pub(super) fn of(self, left: Duration) -> Duration {
        let reserve = if self.has_locals { (left / 4).min(LOCAL_RESERVE_MAX) } else { Duration::ZERO };
        let parts = u32::try_from(self.remotes + 1).unwrap_or(u32::MAX);
        (left - reserve) / parts
    }
}

impl Member {
    pub(super) fn new(provider: Arc<dyn Provider>, config: &Settings, net: &Arc<Net>) -> Member {
        if !provider.is_remote() {
            return Member::Local(provider);
        }
        let mask = mask(provider.name(), config);
        Member::Remote(Remote::new(provider, mask, config, Arc::clone(net)))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Member::Local(provider) => provider.name(),
            Member::Remote(remote) => remote.name(),
        }
    }

    fn knows_kind(&self, kind: &str) -> bool {
        match self {
            Member::Local(provider) => provider.knows_kind(kind),
            Member::Remote(remote) => remote.knows_kind(kind),
        }
    }

    /// The answer, within so much time.
    pub(super) async fn ask(&self, query: &Query, within: Duration) -> Result<Answered, Failure> {
        match self {
            Member::Remote(remote) => remote.ask(query, within).await,
            Member::Local(provider) => match timeout(within, provider.nearby(query)).await {
                Ok(outcome) => outcome.map(|answer| Answered::here(provider.name(), answer)),
                Err(_) => Err(Failure::Late(within)),
            },
        }
    }
}

/// Which fields a provider is asked for: they shape its answers.
fn mask(provider: &str, config: &Settings) -> &'static str {
    match config.google.mask {
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
            let share = Share { remotes, has_locals }.of(Duration::from_millis(left_ms));
            assert_eq!(share, Duration::from_millis(share_ms), "{remotes} {has_locals} {left_ms}");
        }
    }
}
