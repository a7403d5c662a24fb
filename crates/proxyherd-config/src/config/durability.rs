//! When servers acknowledge reports: the keys `journal`, `replicas` and `ack_timeout_ms`. They stand in `[herd]`, and a
//! `[[server]]` can replace each of them for itself.

use std::time::Duration;

use proxyherd_core::limits::LINKS_MAX;

use super::{section::Section, value::Placed};

/// The range of `ack_timeout_ms`.
const ACK_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1..=600_000;

/// When a server acknowledges a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurabilitySettings {
    /// Whether the server keeps its records in a journal, in its own directory below [`super::HerdSettings::data`].
    /// Then it acknowledges a report only when the report is on the disk.
    pub journal: bool,
    /// The number of neighbors that must hold a report before it is acknowledged.
    pub replicas: usize,
    /// Maximum time until a report that was taken is acknowledged. After that time the client gets no acknowledgement.
    pub ack_timeout: Duration,
}

impl Default for DurabilitySettings {
    fn default() -> DurabilitySettings {
        DurabilitySettings { journal: false, replicas: 0, ack_timeout: Duration::from_secs(5) }
    }
}

impl DurabilitySettings {
    /// Whether an acknowledgement waits for anything.
    pub fn waits(&self) -> bool {
        self.journal || self.replicas > 0
    }
}

/// The three values where the file has them.
pub(super) struct GivenDurability {
    journal: Placed<bool>,
    pub(super) replicas: Placed<u64>,
    pub(super) ack_timeout_ms: Placed<u64>,
    gives_replicas: bool,
    gives_ack_timeout: bool,
}

impl GivenDurability {
    /// Reads `[herd]`.
    pub(super) fn read(section: &mut Section<'_, '_>) -> GivenDurability {
        let default = DurabilitySettings::default();
        let ack_timeout_ms = default.ack_timeout.as_millis() as u64;
        GivenDurability {
            journal: section.boolean("journal", default.journal),
            replicas: section.integer("replicas", 0..=LINKS_MAX as u64, default.replicas as u64),
            ack_timeout_ms: section.integer("ack_timeout_ms", ACK_TIMEOUT_MS, ack_timeout_ms),
            gives_replicas: section.is_given("replicas"),
            gives_ack_timeout: section.is_given("ack_timeout_ms"),
        }
    }

    /// Reads a `[[server]]`. What it does not set is as in `[herd]`.
    pub(super) fn read_server(&self, section: &mut Section<'_, '_>) -> GivenDurability {
        let [gives_journal, gives_replicas, gives_ack_timeout] =
            ["journal", "replicas", "ack_timeout_ms"].map(|key| section.is_given(key));
        let journal = section.boolean("journal", self.journal.value);
        let replicas = section.integer("replicas", 0..=LINKS_MAX as u64, self.replicas.value);
        let ack_timeout_ms = section.integer("ack_timeout_ms", ACK_TIMEOUT_MS, self.ack_timeout_ms.value);
        GivenDurability {
            journal: if gives_journal { journal } else { self.journal.clone() },
            replicas: if gives_replicas { replicas } else { self.replicas.clone() },
            ack_timeout_ms: if gives_ack_timeout { ack_timeout_ms } else { self.ack_timeout_ms.clone() },
            gives_replicas,
            gives_ack_timeout,
        }
    }

    /// Whether the section itself sets `replicas`.
    pub(super) fn gives_replicas(&self) -> bool {
        self.gives_replicas
    }

    /// Whether the section itself sets another `ack_timeout_ms` than the default.
    pub(super) fn gives_other_timeout(&self) -> bool {
        self.gives_ack_timeout && self.settings().ack_timeout != DurabilitySettings::default().ack_timeout
    }

    /// Whether an acknowledgement waits for anything.
    pub(super) fn waits(&self) -> bool {
        self.settings().waits()
    }

    /// The values.
    pub(super) fn settings(&self) -> DurabilitySettings {
        DurabilitySettings {
            journal: self.journal.value,
            replicas: self.replicas.value as usize,
            ack_timeout: Duration::from_millis(self.ack_timeout_ms.value),
        }
    }
}
