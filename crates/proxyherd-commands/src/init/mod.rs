//! The work of `proxyherd init`: the first files of a herd, and certificates of single servers later. The program reads
//! the arguments, and shows what to do next.
//!
//! [`write()`] writes herd.toml, the operator's token and all certificates. [`renew`] makes or renews one certificate.
//! Each file is written completely or not at all.

mod certificates;
mod file;

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    path::Path,
    process,
};

use anyhow::{Context as _, bail};
use proxyherd_config::{
    config::Config,
    credentials::{hex, new_operator_token, operator_token_path, read_token_file, token_hash},
};
use proxyherd_core::types::ServerName;
use proxyherd_log::refusal;

use self::file::{PRIVATE, PUBLIC};
pub use self::{certificates::renew, file::Existing};

/// The name of the configuration file.
pub const FILE_NAME: &str = "herd.toml";
/// The value of `tls` in the written file.
pub const CERTIFICATES: &str = "certs";

/// Writes the files of a herd into `dir`. `existing`: what happens to a herd.toml that is already there; all other
/// files stay. The certificates are valid for `days`. Returns whether the authority is new.
pub fn write(dir: &Path, days: u32, existing: Existing) -> anyhow::Result<bool> {
    let path = dir.join(FILE_NAME);
    if path.exists() && existing == Existing::Keep {
        bail!("{} is there already; --force replaces it", path.display());
    }
    if let Err(error) = fs::create_dir_all(dir) {
        let advice = refusal::advice(dir, &error, "or name another directory");
        bail!("cannot make {}: {error}; {advice}", dir.display());
    }
    let hash = operator_hash(&path)?;
    let (id, servers) = (random_id(), Config::classic().servers);
    let servers: Vec<ServerName> = servers.into_iter().map(|server| server.name).collect();
    let is_new = certificates::make(&dir.join(CERTIFICATES), &id, &servers, days)?;
    file::write(&path, &Config::classic_text_with_operator(&id, &hash), PUBLIC, existing)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(is_new)
}

/// The hash of the operator's token. Writes the token into its file if that file does not exist. The token is shown
/// nowhere.
fn operator_hash(herd_toml: &Path) -> anyhow::Result<String> {
    let path = operator_token_path(herd_toml);
    let token = match read_token_file(&path) {
        Err(error) if error.is_missing() => {
            let token = new_operator_token().context("this system has no random numbers")?;
            let line = format!("{}\n", token.reveal());
            file::write(&path, &line, PRIVATE, Existing::Keep)
                .with_context(|| format!("cannot write {}", path.display()))?;
            token.reveal().to_owned()
        }
        read => read?,
    };
    Ok(hex(&token_hash(&token)))
}

/// A random ID such as `herd-7f3a9c`. Different herds need different IDs, so that one herd does not take the reports of
/// another herd.
fn random_id() -> String {
    // The random seed of the standard library's hash tables is good enough, because the ID is not a secret.
    let random = RandomState::new().hash_one(process::id());
    format!("herd-{:06x}", random & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_herds_have_two_ids() {
        let ids: BTreeSet<String> = (0..20).map(|_| random_id()).collect();
        assert!(ids.len() > 1);
    }
}
