//! The section `[log]`: what a server writes down, and how.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    section::Section,
    settings::{MEGABYTE, parse_path},
};

/// The section `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where the servers' files are: `<dir>/<server>.log`.
    pub dir: PathBuf,
    /// How much is written.
    pub level: LogLevel,
    /// For whom it is written.
    pub format: LogFormat,
    /// Size at which a file is put aside and a new one begun, bytes.
    pub max_bytes: u64,
    /// How many files put aside are kept; the oldest goes first.
    pub keep: u32,
    /// Most lines a server writes in a second; what is over is counted and left out.
    pub lines_per_s: u32,
}

/// How much is written, least first: each level holds all that the levels before it hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// What stopped working.
    Error,
    /// What may soon stop working, or is not as it should be.
    Warn,
    /// Clients' commands and their replies, and links made, lost and made again.
    Info,
    /// The links' traffic too.
    Debug,
}

/// The form of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people to read.
    Text,
    /// One JSON object a line, for programs to read.
    Json,
}

impl LogLevel {
    /// Every level, least first.
    pub const ALL: [LogLevel; 4] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];

    /// The level's name in configuration and log.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

impl LogFormat {
    /// Every format.
    pub const ALL: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];

    /// The format's name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Default for Log {
    fn default() -> Log {
        Log {
            dir: PathBuf::from("log"),
            level: LogLevel::Info,
            format: LogFormat::Text,
            max_bytes: 64 * MEGABYTE,
            keep: 4,
            lines_per_s: 10_000,
        }
    }
}

/// A path of the file is relative to the file; one from a flag or a variable is the shell's, and so relative to
/// the directory in which it was typed.
pub(super) fn read(mut section: Section<'_, '_>, base: &Path) -> Log {
    let default = Log::default();
    let dir = section.parsed("dir", "takes a directory", parse_path);
    let level = section.choice("level", &LogLevel::ALL.map(|level| (level.as_str(), level)));
    let format = section.choice("format", &LogFormat::ALL.map(|format| (format.as_str(), format)));
    let log = Log {
        dir: dir.map_or(base.join(default.dir), |dir| dir.relative_to(base)),
        level: level.map_or(default.level, |level| level.value),
        format: format.map_or(default.format, |format| format.value),
        max_bytes: section.integer("max_mb", 1..=1_000_000, default.max_bytes / MEGABYTE).value * MEGABYTE,
        keep: section.integer("keep", 0..=10_000, default.keep.into()).value as u32,
        lines_per_s: section.integer("lines_per_s", 1..=10_000_000, default.lines_per_s.into()).value as u32,
    };
    section.finish();
    log
}
