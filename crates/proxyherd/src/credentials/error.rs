//! Why a certificate or a key can't be used: each reason names a file, and says what to do.

use std::{io, path::PathBuf};

use proxyherd_core::types::ServerName;
use proxyherd_log::refusal::refused;

use super::trust::Untrusted;

/// Why a server has no credentials. Each names a file, and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no such file.
    #[error("there is no {path}: {make}", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// How it comes to be.
        make: Make,
    },
    /// It is there and can't be read.
    #[error("cannot read {}: {}", path.display(), refused(path, why))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// Others can read the private key.
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
    /// It does not hold what it should.
    #[error("{path} holds no {what} that can be read", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// It has something else, and it shows what.
    #[error("{path} {what}: {advice}", path = path.display())]
    Mistaken {
        /// The file.
        path: PathBuf,
        /// What it has, and what it lacks.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The certificate is somebody else's.
    #[error("{path} is the certificate of {named} and not of {server}: each server has its own", path = path.display())]
    OtherServer {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        named: ServerName,
        /// Whose it should be.
        server: ServerName,
    },
    /// Neighbors would not believe the certificate.
    #[error("{path}: {why}", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: Untrusted,
    },
    /// The certificate is out of time, and the one in use is not.
    #[error("{path} {how}", path = path.display())]
    OutOfTime {
        /// The file.
        path: PathBuf,
        /// When it is valid, and what to do.
        how: String,
    },
    /// The key does not belong to the certificate.
    #[error("{key} is not the key of {certificate}: copy both anew", key = key.display(), certificate = certificate.display())]
    KeyMismatch {
        /// The one file ...
        certificate: PathBuf,
        /// ... and the other.
        key: PathBuf,
    },
    /// The TLS library refuses them.
    #[error("{path}: {why}", path = path.display())]
    Library {
        /// The file.
        path: PathBuf,
        /// Its words for why.
        why: rustls::Error,
    },
}

/// How a file that is missing comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Make {
    /// It is the herd's: `init` makes it with the directory.
    Herd,
    /// It is one server's: `init --server` makes it.
    Server(ServerName),
    /// It is the doors': somebody else makes it.
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
