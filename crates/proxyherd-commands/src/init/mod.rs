//! The work of `proxyherd init`: the first files of a herd, and certificates of single servers later. The program reads
//! the arguments, and shows what to do next.
//!
//! [`write()`] writes herd.toml, the operator's token and all certificates, for the classic herd or for the herd of a
//! file that somebody has prepared. [`renew`] makes or renews one certificate.
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
    config::{Config, LoadError, Overrides, Tls},
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

/// What the written herd.toml is made of.
#[derive(Clone, Copy, Debug)]
pub enum Template<'p> {
    /// The classic herd, with an ID of its own.
    Classic,
    /// This file, with the hash of the operator's token.
    File(&'p Path),
}

/// Writes the files of a herd into `dir`. `existing`: what happens to a herd.toml that is already there; all other
/// files stay. The certificates are valid for `days`. Returns whether the authority is new, and the configuration.
pub fn write(
    dir: &Path,
    template: Template<'_>,
    days: u32,
    existing: Existing,
) -> anyhow::Result<(bool, Config)> {
    let path = dir.join(FILE_NAME);
    if path.exists() && existing == Existing::Keep {
        bail!("{} is there already; --force replaces it", path.display());
    }
    let prepared = match template {
        Template::Classic => Config::classic_text(&random_id()),
        Template::File(file) => Config::load_text(file)?,
    };
    // Mistakes in the file are found before anything is written. Any hash will do for that.
    read_prepared(&prepared, template, &path, &"0".repeat(64))?;
    if let Err(error) = fs::create_dir_all(dir) {
        let advice = refusal::advice(dir, &error, "or name another directory");
        bail!("cannot make {}: {error}; {advice}", dir.display());
    }
    let hash = operator_hash(&path)?;
    let (text, config) = read_prepared(&prepared, template, &path, &hash)?;
    let servers: Vec<ServerName> = config.servers.iter().map(|server| server.name.clone()).collect();
    let is_new = match &config.herd.tls {
        Tls::Certs(certificates) => certificates::make(certificates, &config.herd.id, &servers, days)?,
        Tls::Off => false,
    };
    file::write(&path, &text, PUBLIC, existing)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok((is_new, config))
}

/// The text of the configuration with the hash of the operator's token, and what the text means as the file `path`.
fn read_prepared(
    prepared: &str,
    template: Template<'_>,
    path: &Path,
    hash: &str,
) -> anyhow::Result<(String, Config)> {
    let source = match template {
        Template::Classic => path,
        Template::File(file) => file,
    };
    let Some(text) = Config::with_operator(prepared, hash) else {
        bail!(
            "{} has no line for the hash of the operator's token: write `operator_token_sha256 = \"\"` below [access]",
            source.display()
        );
    };
    let config = Config::read(&text, path, &Overrides::none()).map_err(LoadError::Wrong)?;
    Ok((text, config))
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
