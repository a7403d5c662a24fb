//! The reasons why a certificate or a key can't be used. Each reason names a file and says what to do.

use std::{io, path::PathBuf};

use proxyherd_core::types::ServerName;
use proxyherd_log::refusal::refused;

use super::trust::Untrusted;

/// Why a server has no credentials. Each error names a file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no such file.
    #[error("there is no {path}: {make}", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// How this file is made.
        make: Make,
    },
    /// The file exists but can't be read.
    #[error("cannot read {}: {}", path.display(), refused(path, why))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// Users other than the owner can read the private key.
    #[error(
        "{path} can be read by others than its owner (mode {mode:04o}): chmod 600 {path}; or leave it to root and let a \
         group read it (chown root {path}, chmod 640 {path})",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file does not hold the expected content.
    #[error("{path} holds no {what} that can be read", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The expected content.
        what: &'static str,
    },
    /// The file holds other content, and this content was recognized.
    #[error("{path} {what}: {advice}", path = path.display())]
    Mistaken {
        /// The file.
        path: PathBuf,
        /// What the file holds and what it lacks.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The certificate is somebody else's.
    #[error("{path} is the certificate of {named}, not of {server}: each server has its own", path = path.display())]
    OtherServer {
        /// The file.
        path: PathBuf,
        /// The server that the certificate names.
        named: ServerName,
        /// The server that the certificate should name.
        server: ServerName,
    },
    /// Neighbors would not trust the certificate.
    #[error("{path}: {why}", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: Untrusted,
    },
    /// The new certificate is expired or not valid yet, but the certificate in use is valid.
    #[error("{path} {how}", path = path.display())]
    OutOfTime {
        /// The file.
        path: PathBuf,
        /// When it is valid, and what to do.
        how: String,
    },
    /// The key does not belong to the certificate.
    #[error("{key} is not the key of {certificate}: copy both again", key = key.display(), certificate = certificate.display())]
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The TLS library refuses the certificate or the key.
    #[error("{path}: {why}", path = path.display())]
    Library {
        /// The file.
        path: PathBuf,
        /// The library's error.
        why: rustls::Error,
    },
}

/// How a missing file is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Make {
    /// The file is the herd's. `init` makes the file together with the directory.
    Herd,
    /// The file belongs to one server. `init --server` makes the file.
    Server(ServerName),
    /// The file is for the doors. proxyherd does not make this file.
    Door,
}

impl std::fmt::Display for Make {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Make::Herd => f.write_str(
                "`proxyherd init` makes the herd's certificates; copy this one from where that was done",
            ),
            Make::Door => f.write_str(
                "`cert` in [tls] names the certificate of this server's host name, and what stands between it and its \
                 authority, as PEM (fullchain.pem); `key` names its private key",
            ),
            Make::Server(name) => write!(
                f,
                "`proxyherd init --server {name}` makes it, where the herd's authority is; copy it from there"
            ),
        }
    }
}
