//! What a herd is told about itself: `herd.toml`, the environment and flags, read into checked values.

mod log;

pub use log::{Log, LogFormat, LogLevel};
