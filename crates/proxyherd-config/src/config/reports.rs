//! The section `[reports]`: which reports a server refuses because they cannot be true.

use std::num::NonZeroU32;

use proxyherd_core::flood::ReportRules;

use super::{section::Section, settings::TEN_YEARS_S};

/// The default of `presence_silent_s`, which no part of this version reads.
const PRESENCE_SILENT_S: u64 = 300;
/// The greatest value of a rule. No point is so inaccurate, and nothing moves so fast.
const RULE_MAX: u64 = 1_000_000_000;

pub(super) fn read(mut section: Section<'_, '_>) -> ReportRules {
    let mut rule = |key| {
        let value = section.integer_with(key, 0..=RULE_MAX, 0, "write 0 to accept any").value;
        NonZeroU32::new(u32::try_from(value).unwrap_or(u32::MAX))
    };
    let rules = ReportRules { accuracy_m_max: rule("accuracy_m_max"), speed_mps_max: rule("speed_mps_max") };
    section.hide("presence_silent_s");
    let presence = section.integer("presence_silent_s", 0..=TEN_YEARS_S, PRESENCE_SILENT_S);
    if presence.value != PRESENCE_SILENT_S {
        section.refuse_unbuilt(&presence, "leave it out: this version does not tell who is silent");
    }
    section.finish();
    rules
}
