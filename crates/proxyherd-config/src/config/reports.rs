//! The section `[reports]`: which reports a server refuses because they cannot be true, and when a client is silent.

use std::{num::NonZeroU32, time::Duration};

use proxyherd_core::flood::ReportRules;

use super::{section::Section, settings::TEN_YEARS_S};

/// The default of `presence_silent_s`.
pub(super) const PRESENCE_SILENT_S: u64 = 300;
/// The greatest value of a rule. No point is so inaccurate, and nothing moves so fast.
const RULE_MAX: u64 = 1_000_000_000;

/// The rules, and the time after which a client is silent. `None`: no client is silent.
pub(super) fn read(mut section: Section<'_, '_>) -> (ReportRules, Option<Duration>) {
    let mut rule = |key| {
        let value = section.integer_with(key, 0..=RULE_MAX, 0, "write 0 to accept any").value;
        NonZeroU32::new(u32::try_from(value).unwrap_or(u32::MAX))
    };
    let rules = ReportRules { accuracy_m_max: rule("accuracy_m_max"), speed_mps_max: rule("speed_mps_max") };
    let silent_s = section.integer("presence_silent_s", 0..=TEN_YEARS_S, PRESENCE_SILENT_S).value;
    section.finish();
    (rules, (silent_s > 0).then(|| Duration::from_secs(silent_s)))
}
