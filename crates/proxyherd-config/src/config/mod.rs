//! The configuration of a herd: `herd.toml`, environment variables and flags, read into checked values.
//!
//! One file describes the whole herd, and all servers read the same file. [`Config::load`] reads the file. The value of
//! a setting comes from a flag, else from a `PROXYHERD_*` variable, else from the file, else from its default.
//!
//! ```
//! # use proxyherd_config::config::{Config, Overrides};
//! # use std::path::Path;
//! let text = "[herd]\ntls = \"off\"\n[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:12000\"\n";
//! let config = Config::read(text, Path::new("herd.toml"), &Overrides::none()).unwrap();
//! assert_eq!(config.servers[0].name.as_str(), "Riley");
//! ```
//!
//! The herd of every [`Config`] can run. Each value is in range, each neighbor is a server of the herd, and exactly one
//! end of each link dials. The result for a file with mistakes is no `Config`, but [`Diagnostics`] with all of the
//! mistakes.
//!
//! Only [`Config::load`] and [`Config::load_text`] do I/O: they open the file. Nothing here resolves host names.
//!
//! Floors, lowest first: `address`, `nearest`, `secret`; `site`; `diagnostic`; `overrides`, `value`; `reader`;
//! `section`; `settings`; `log`, `places`, `reports`, `doors`; `servers`; `access`, `syntax`, `topology`; `map`;
//! `read`. `render` imports only `diagnostic` and `site`; `change` and `waiting` compare two readings of one file.

mod access;
mod address;
mod change;
mod diagnostic;
mod doors;
mod durability;
mod log;
mod map;
mod nearest;
mod overrides;
mod places;
mod read;
mod reader;
mod render;
mod reports;
mod secret;
mod section;
mod servers;
mod settings;
mod site;
mod syntax;
mod topology;
mod value;
mod waiting;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_core::{flood::ReportRules, types::ServerName};
use proxyherd_log::LogSettings;

pub use access::{AccessSettings, Network, Tokens, WebOrigin};
pub use address::{Address, AddressError};
pub use change::{HerdChange, LinkChange, LinkEnds};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use doors::{ADDRESSES_PER_DOOR_MAX, Door, DoorCertificate, DoorError, TLS_SCHEME};
pub use durability::DurabilitySettings;
pub use map::MapSettings;
pub use nearest::of as nearest_word;
pub use overrides::{Overrides, VARIABLE_PREFIX};
pub use places::PlacesBudget;
pub use servers::{LINKS_PER_SERVER_MAX, Neighbor, ServerConfig};
pub use settings::{Flood, HerdSettings, Limits, Removed, Tls};
pub use site::{Site, ValueSource};

/// Maximum length of the file, bytes. A longer file cannot be a configuration.
const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;

/// The classic herd's servers.
const CLASSIC_NAMES: [&str; 5] = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];
/// For each server of the classic herd, the neighbors that its list names.
const CLASSIC_LINKS: [&[&str]; 5] =
    [&["Jaquez", "Juzang"], &["Bernard"], &["Campbell", "Bernard"], &["Bernard"], &[]];

/// The text of the classic herd's file.
const CLASSIC_TEXT: &str = include_str!("classic.toml");
/// The beginning of the line of that text which shows the form of the operator token's hash.
const HASH_KEY: &str = "operator_token_sha256 = ";

/// The configuration of a herd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that holds this configuration.
    pub path: PathBuf,
    /// The section `[herd]`: settings that all servers share.
    pub herd: HerdSettings,
    /// The section `[places]`: the providers of places.
    pub places: proxyherd_places::Settings,
    /// Maximum numbers of requests that the herd may make to providers of places.
    pub places_budget: PlacesBudget,
    /// The section `[limits]`: the limits of each server.
    pub limits: Limits,
    /// The section `[reports]`: which reports servers refuse because they cannot be true.
    pub reports: ReportRules,
    /// Time after a client's last report at which the client is silent. `None`: no client is silent.
    pub presence_silent: Option<Duration>,
    /// The section `[log]`: what servers log.
    pub log: LogSettings,
    /// The section `[access]`: who may reach the doors, and whether tokens decide what a caller may do.
    pub access: AccessSettings,
    /// The section `[map]`: the tiles of the map.
    pub map: MapSettings,
    /// The section `[tls]`: the certificate of the doors with TLS.
    pub tls: Option<DoorCertificate>,
    /// The servers, in the order of the file.
    pub servers: Vec<ServerConfig>,
    /// Warnings: settings that are allowed but may be mistakes.
    pub warnings: Vec<Diagnostic>,
}

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read: its path or its permissions are wrong.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The file was read and has mistakes.
    #[error("{0}")]
    Wrong(Diagnostics),
}

impl Config {
    /// Reads the file at `path`. `overrides` take precedence over the file.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, LoadError> {
        Config::read(&Config::load_text(path)?, path, overrides).map_err(LoadError::Wrong)
    }

    /// Returns the text of the file at `path`, for [`Config::read`].
    pub fn load_text(path: &Path) -> Result<String, LoadError> {
        let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
        let bytes = read_file(path).map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|error| LoadError::Wrong(read::not_utf8(path, &error)))
    }

    /// Reads `text`. `path` is the file's name in messages and the base of relative paths; nothing opens it.
    pub fn read(text: &str, path: &Path, overrides: &Overrides) -> Result<Config, Diagnostics> {
        read::config(text, path, overrides)
    }

    /// The server of that name.
    pub fn server(&self, name: &str) -> Option<&ServerConfig> {
        self.servers.iter().find(|server| server.name.as_str() == name)
    }

    /// The servers' names, in the order of the file.
    pub fn names(&self) -> std::sync::Arc<[ServerName]> {
        self.servers.iter().map(|server| server.name.clone()).collect()
    }

    /// The server that an unknown name probably means.
    pub fn nearest_server(&self, name: &str) -> Option<&ServerConfig> {
        nearest::of(name, self.servers.iter().map(|server| server.name.as_str()))
            .and_then(|near| self.server(near))
    }

    /// The other servers that `name` has a link with, in the order of the file. A link exists if the entry of either
    /// end names the other end. The end whose name sorts first, byte by byte, dials the other end.
    pub fn links_of(&self, name: &ServerName) -> Vec<Neighbor> {
        servers::links_of(&self.servers, name)
    }

    /// The classic herd of five servers on this machine's loopback, without a file. `demo` runs this herd, and `init`
    /// writes its file.
    pub fn classic() -> Config {
        Config {
            path: PathBuf::from("herd.toml"),
            herd: HerdSettings::default(),
            places: proxyherd_places::Settings::default(),
            places_budget: PlacesBudget::default(),
            limits: Limits::default(),
            reports: ReportRules::default(),
            presence_silent: Some(Duration::from_secs(reports::PRESENCE_SILENT_S)),
            log: LogSettings::default(),
            access: AccessSettings::default(),
            map: MapSettings::default(),
            tls: None,
            servers: (0..).zip(CLASSIC_NAMES).map(|(index, name)| servers::classic(index, name)).collect(),
            warnings: Vec::new(),
        }
    }

    /// The classic herd as the text of a file that explains every setting. `id` is the name of the herd.
    pub fn classic_text(id: &str) -> String {
        CLASSIC_TEXT.replace("id = \"herd\"", &format!("id = {id:?}"))
    }

    /// The text of a configuration with this hash of the operator's token, as hexadecimal digits. It replaces the value
    /// of `operator_token_sha256`, also where a comment shows the key. `None`: no line of the text begins with the key.
    pub fn with_operator(text: &str, token_sha256: &str) -> Option<String> {
        let is_hash = |line: &str| line.trim_start_matches("# ").starts_with(HASH_KEY);
        let line = |line: &str| match is_hash(line) {
            true => format!("{HASH_KEY}{token_sha256:?}\n"),
            false => format!("{line}\n"),
        };
        text.lines().any(is_hash).then(|| text.lines().map(line).collect())
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::other("the file is longer than 4 MiB, so it cannot be a configuration"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
