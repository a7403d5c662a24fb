//! What a herd is told about itself: `herd.toml`, the environment and flags, read into checked values.
//!
//! One file describes the whole herd, and every server of it reads the same one. Whoever holds a [`Config`] holds
//! a herd that can run: every value is in range, every name a server's, every link dialled by one of its ends.
//! Whoever wrote the file wrong hears of every mistake at once ([`Diagnostics`]).
//!
//! A setting comes from a flag, else from a `PROXYHERD_*` variable, else from the file, else from its default.
//!
//! Reading is pure but for [`Config::load`], which opens the file. Names of hosts are not resolved here.
//!
//! Floors, lowest first: `address`, `log`, `nearest`, `number`, `secret`; `diagnostic`; `source`, `overrides`, `value`;
//! `reader`; `section`; `settings`; `places`, `doors`; `servers`; `syntax`, `topology`; `read`. `render` stands on `diagnostic`
//! alone; `difference` and `waiting` compare what was read twice.

mod address;
mod diagnostic;
mod difference;
mod doors;
mod log;
mod nearest;
mod number;
mod overrides;
mod places;
mod read;
mod reader;
mod render;
mod secret;
mod section;
mod servers;
mod settings;
mod source;
mod syntax;
mod topology;
mod value;
mod waiting;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use proxyherd_core::types::ServerName;

pub use address::{Address, AddressError};
pub use diagnostic::{Diagnostic, Diagnostics, Origin, Severity, Site};
pub use difference::{Difference, LinkChange, Pair};
pub use doors::{ADDRESSES_PER_DOOR_MAX, Door, DoorCertificate, DoorError, TLS_SCHEME};
pub use log::{Log, LogFormat, LogLevel};
pub use overrides::{Overrides, VARIABLE_PREFIX};
pub use places::PlacesBudget;
pub use servers::{LINKS_PER_SERVER_MAX, Neighbor, Server};
pub use settings::{Flood, Herd, Limits, Removed, Tls};

/// The longest file that is read, bytes. A longer one is refused: it is no configuration.
const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;

/// The classic herd's servers.
const CLASSIC_NAMES: [&str; 5] = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];
/// The classic herd's links, each at the server whose list holds it.
const CLASSIC_LINKS: [&[&str]; 5] =
    [&["Jaquez", "Juzang"], &["Bernard"], &["Campbell", "Bernard"], &["Bernard"], &[]];

/// The classic herd as a file.
const CLASSIC_TEXT: &str = include_str!("classic.toml");

/// A herd, as one of its servers is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// What all servers have in common.
    pub herd: Herd,
    /// Where places come from.
    pub places: proxyherd_places::Settings,
    /// How many requests the herd may make for them.
    pub places_budget: PlacesBudget,
    /// What one server does not go beyond.
    pub limits: Limits,
    /// What is written down.
    pub log: Log,
    /// What doors with TLS show.
    pub tls: Option<DoorCertificate>,
    /// The servers, in the order of the file.
    pub servers: Vec<Server>,
    /// What may not be meant.
    pub warnings: Vec<Diagnostic>,
}

/// Why there is no configuration. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read: its path or its rights are wrong.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file was read, and says what cannot be.
    #[error("{0}")]
    Wrong(Diagnostics),
}

impl Config {
    /// Reads the file at `path`; `overrides` go before what it says.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, LoadError> {
        Config::read(&Config::load_text(path)?, path, overrides).map_err(LoadError::Wrong)
    }

    /// Reads the text of the file at `path`, for [`Config::read`].
    pub fn load_text(path: &Path) -> Result<String, LoadError> {
        let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
        let bytes = read_file(path).map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|error| LoadError::Wrong(read::not_utf8(path, &error)))
    }

    /// Reads `text`, which `path` stands for in messages and as the base of relative paths. Opens nothing.
    pub fn read(text: &str, path: &Path, overrides: &Overrides) -> Result<Config, Diagnostics> {
        read::config(text, path, overrides)
    }

    /// The server of that name.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name.as_str() == name)
    }

    /// The servers' names, in the order of the file.
    pub fn names(&self) -> std::sync::Arc<[ServerName]> {
        self.servers.iter().map(|server| server.name.clone()).collect()
    }

    /// The server that was probably meant by a name that is none's.
    pub fn nearest_server(&self, name: &str) -> Option<&Server> {
        nearest::of(name, self.servers.iter().map(|server| server.name.as_str()))
            .and_then(|near| self.server(near))
    }

    /// The other servers that `name` has a link with, in the order of the file. A link exists if either end
    /// names it; the end whose name sorts first, byte by byte, dials it.
    pub fn links_of(&self, name: &ServerName) -> Vec<Neighbor> {
        servers::links_of(&self.servers, name)
    }

    /// The classic herd of five servers on this machine's loopback, without any file: what `demo` runs and
    /// `init` writes.
    pub fn classic() -> Config {
        Config {
            path: PathBuf::from("herd.toml"),
            herd: Herd::default(),
            places: proxyherd_places::Settings::default(),
            places_budget: PlacesBudget::default(),
            limits: Limits::default(),
            log: Log::default(),
            tls: None,
            servers: (0..).zip(CLASSIC_NAMES).map(|(index, name)| servers::classic(index, name)).collect(),
            warnings: Vec::new(),
        }
    }

    /// The classic herd as a file, with every setting explained. `id` is the herd's.
    pub fn classic_text(id: &str) -> String {
        CLASSIC_TEXT.replace("id = \"herd\"", &format!("id = {id:?}"))
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::other("it is longer than 4 MiB, so it is no configuration"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
