//! What an operator can choose about a log.

use std::{fmt, path::PathBuf};

/// The settings of a log: its directory, its level and form, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The directory of the log files. Each server writes `<dir>/<server>.log`.
    pub dir: PathBuf,
    /// The level up to which servers log.
    pub level: LogLevel,
    /// The form of the lines.
    pub format: LogFormat,
    /// The size at which the server rotates a file, bytes.
    pub max_bytes: u64,
    /// Number of rotated files that the server keeps. The server removes the oldest files.
    pub keep: u32,
    /// Maximum number of lines that a server writes in a second. The server leaves out further lines and counts them.
    pub lines_per_s: u32,
    /// Whether lines may have the positions of clients, and the names of places near clients.
    pub positions: bool,
}

/// The levels of a log, from the fewest lines to the most. Each level includes all levels before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Things that have stopped working.
    Error,
    /// In addition, things that may soon stop working, or are not as they should be.
    Warn,
    /// In addition, the commands of clients, the replies, and links that come up and go down.
    Info,
    /// In addition, the traffic of the links.
    Debug,
}

/// The form of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people to read.
    Text,
    /// One JSON object in each line, for programs to read.
    Json,
}

impl LogLevel {
    /// Every level, least first.
    pub const ALL: [LogLevel; 4] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];

    /// The level's name in the configuration and in the log.
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

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings {
            dir: PathBuf::from("log"),
            level: LogLevel::Info,
            format: LogFormat::Text,
            max_bytes: 64_000_000,
            keep: 4,
            lines_per_s: 10_000,
            positions: true,
        }
    }
}
