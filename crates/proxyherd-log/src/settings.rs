//! What an operator can choose about a log.

use std::{fmt, path::PathBuf};

/// Where a log is, what it holds, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The directory of the log files. Each server writes `<dir>/<server>.log`.
    pub dir: PathBuf,
    /// How much servers log.
    pub level: LogLevel,
    /// The form of the lines.
    pub format: LogFormat,
    /// The size at which the server rotates a file, bytes.
    pub max_bytes: u64,
    /// How many rotated files the server keeps. It removes the oldest.
    pub keep: u32,
    /// The most lines that a server writes in a second. It leaves out further lines and counts them.
    pub lines_per_s: u32,
}

/// How much servers log, the least first. Each level has all that the levels before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// What has stopped working.
    Error,
    /// Also what may soon stop working, or is not as it should be.
    Warn,
    /// Also the commands of clients, their replies, and links that come up and go down.
    Info,
    /// Also the traffic of the links.
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

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings {
            dir: PathBuf::from("log"),
            level: LogLevel::Info,
            format: LogFormat::Text,
            max_bytes: 64_000_000,
            keep: 4,
            lines_per_s: 10_000,
        }
    }
}
