//! Reads the section `[log]`: what a server logs, and how.

use std::path::Path;

use proxyherd_log::{LogFormat, LogLevel, LogSettings};

use super::{
    section::Section,
    settings::{MEGABYTE, parse_path},
};

/// Reads the section. A relative path in the file starts at `base`, the directory of the file. A relative path in a
/// flag or a variable starts at the current directory, as paths in a shell do.
pub(super) fn read(mut section: Section<'_, '_>, base: &Path) -> LogSettings {
    let default = LogSettings::default();
    let dir = section.parsed("dir", "takes a directory", parse_path);
    let level = section.choice("level", &LogLevel::ALL.map(|level| (level.as_str(), level)));
    let format = section.choice("format", &LogFormat::ALL.map(|format| (format.as_str(), format)));
    let log = LogSettings {
        dir: dir.map_or(base.join(default.dir), |dir| dir.relative_to(base)),
        level: level.map_or(default.level, |level| level.value),
        format: format.map_or(default.format, |format| format.value),
        max_bytes: section.integer("max_mb", 1..=1_000_000, default.max_bytes / MEGABYTE).value * MEGABYTE,
        keep: section.integer("keep", 0..=10_000, default.keep.into()).value as u32,
        positions: section.boolean("positions", default.positions).value,
        lines_per_s: section.integer("lines_per_s", 1..=10_000_000, default.lines_per_s.into()).value as u32,
    };
    section.finish();
    log
}
