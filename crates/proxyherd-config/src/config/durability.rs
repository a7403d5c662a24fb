//! When servers acknowledge reports: the keys `journal`, `replicas` and `ack_timeout_ms`. They stand in `[herd]`, and a
//! `[[server]]` can replace each of them for itself.

use std::{collections::BTreeSet, time::Duration};

use super::{
    diagnostic::Diagnostic,
    reader::Reader,
    section::Section,
    servers::{Draft, LINKS_PER_SERVER_MAX},
    value::Placed,
};

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
    replicas: Placed<u64>,
    ack_timeout_ms: Placed<u64>,
    /// Whether the section itself sets `replicas`, and whether it sets `ack_timeout_ms`.
    gives: [bool; 2],
}

impl GivenDurability {
    /// Reads `[herd]`.
    pub(super) fn read(section: &mut Section<'_, '_>) -> GivenDurability {
        let default = DurabilitySettings::default();
        let gives = ["replicas", "ack_timeout_ms"].map(|key| section.is_given(key));
        let ack_timeout_ms = default.ack_timeout.as_millis() as u64;
        GivenDurability {
            journal: section.boolean("journal", default.journal),
            replicas: section.integer("replicas", 0..=LINKS_PER_SERVER_MAX as u64, default.replicas as u64),
            ack_timeout_ms: section.integer("ack_timeout_ms", ACK_TIMEOUT_MS, ack_timeout_ms),
            gives,
        }
    }

    /// Reads a `[[server]]`. What it does not set is as in `[herd]`.
    pub(super) fn read_server(&self, section: &mut Section<'_, '_>) -> GivenDurability {
        let gives = ["replicas", "ack_timeout_ms"].map(|key| section.is_given(key));
        let is_given = section.is_given("journal");
        let journal = section.boolean("journal", self.journal.value);
        let replicas = section.integer("replicas", 0..=LINKS_PER_SERVER_MAX as u64, self.replicas.value);
        let ack_timeout_ms = section.integer("ack_timeout_ms", ACK_TIMEOUT_MS, self.ack_timeout_ms.value);
        GivenDurability {
            journal: if is_given { journal } else { self.journal.clone() },
            replicas: if gives[0] { replicas } else { self.replicas.clone() },
            ack_timeout_ms: if gives[1] { ack_timeout_ms } else { self.ack_timeout_ms.clone() },
            gives,
        }
    }

    /// Whether the section sets another time than the default, and none of the servers waits.
    fn sets_unused_timeout(&self, drafts: &[&Draft]) -> bool {
        let differs = self.settings().ack_timeout != DurabilitySettings::default().ack_timeout;
        self.gives[1] && differs && !drafts.iter().any(|draft| draft.durability.settings().waits())
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

/// Reports servers that wait for more neighbors than they have, and a time that nobody waits.
pub(super) fn check(
    herd: &GivenDurability,
    drafts: &[Draft],
    links: &[BTreeSet<usize>],
    reader: &mut Reader<'_>,
) {
    for (draft, linked) in drafts.iter().zip(links) {
        let replicas = &draft.durability.replicas;
        if replicas.value > linked.len() as u64 {
            reader.report(too_many_replicas(draft, linked.len()));
        }
        if draft.durability.sets_unused_timeout(&[draft]) {
            reader.report(no_effect(&draft.durability.ack_timeout_ms));
        }
    }
    if herd.sets_unused_timeout(&drafts.iter().collect::<Vec<_>>()) {
        reader.report(no_effect(&herd.ack_timeout_ms));
    }
}

fn too_many_replicas(draft: &Draft, neighbors: usize) -> Diagnostic {
    let replicas = &draft.durability.replicas;
    let server = draft.name.as_ref().map_or_else(|| draft.path.clone(), |name| name.value.to_string());
    let count = match neighbors {
        0 => "has no neighbor".to_owned(),
        1 => "has only 1 neighbor".to_owned(),
        more => format!("has only {more} neighbors"),
    };
    let message = format!("is more than server {server} can have: {server} {count}");
    let help = if draft.durability.gives[0] {
        format!("write at most {neighbors}, or give {server} more neighbors")
    } else {
        format!("write replicas = {neighbors} below the [[server]] {server}, or give {server} more neighbors")
    };
    let mistake = Diagnostic::error(replicas.site.clone(), &replicas.key, message);
    mistake.found(format!("found {}", replicas.value)).help(help)
}

fn no_effect(ack_timeout_ms: &Placed<u64>) -> Diagnostic {
    let message = "has no effect: without `journal` and `replicas`, a report is acknowledged at once";
    let help = "leave it out, or write journal = true or replicas = 1";
    Diagnostic::warning(ack_timeout_ms.site.clone(), &ack_timeout_ms.key, message).help(help)
}
