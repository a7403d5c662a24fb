//! Makes the herd's certificates: first for all servers, and later for one server at a time.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anstyle::Style;
use anyhow::{Context as _, bail};
use proxyherd_config::{
    clock,
    config::{Config, LoadError, Overrides, Tls},
    credentials::{AUTHORITY_NAME, Authority, Issued, Paths, authority_path, date, read_authorities},
};
use proxyherd_core::types::ServerName;

use super::file::{self, Existing, PRIVATE, PUBLIC};
use crate::usage_error::UsageError;

const BOLD: Style = Style::new().bold();

/// The text before the key in the authority's key file.
const KEY_NOTICE: &str = "\
This is the private key of the herd's authority. Whoever has it can make a server of the herd.
Only `proxyherd init` needs it: keep it off the servers, and a copy of it in a safe place.
";

/// Makes an authority in `dir` and a certificate for each of `servers`. Existing files stay, and missing files are
/// made. Returns whether the authority is new.
pub(super) fn make(dir: &Path, herd: &str, servers: &[ServerName], days: u32) -> anyhow::Result<bool> {
    let is_new = !authority_path(dir).exists();
    // No certificate that is there already is of a new authority.
    let missing = |server: &&ServerName| is_new || !is_complete(&Paths::new(dir, server));
    let missing: Vec<&ServerName> = servers.iter().filter(missing).collect();
    if !is_new && missing.is_empty() {
        return Ok(false);
    }
    // If only one of a server's certificate, its key and the authority is there, the others, newly made, would not
    // match it.
    let halves = missing.iter().flat_map(|server| Paths::new(dir, server).own());
    if let Some(half) = halves.into_iter().find(|path| path.exists()) {
        bail!("{} is there already, without what belongs to it; move it away first", half.display());
    }
    let authority = if is_new { create(dir, herd)? } else { open(dir)? };
    for server in missing {
        issue(&authority, &Paths::new(dir, server), days, Existing::Keep)?;
    }
    Ok(is_new)
}

fn is_complete(paths: &Paths) -> bool {
    paths.own().iter().all(|path| path.exists())
}

/// Makes or renews the certificate of one server, and prints where to copy it. `dir` is the directory of the
/// configuration.
pub fn renew(dir: &Path, server: &ServerName, days: u32) -> anyhow::Result<()> {
    if server.as_str() == AUTHORITY_NAME {
        let message = "no server can be named ca: ca.pem and ca.key are the authority's";
        return Err(UsageError(message.to_owned()).into());
    }
    let (config, certificates) = where_they_are(dir)?;
    refuse_a_slip(config.as_ref(), server)?;
    let paths = Paths::new(&certificates, server);
    let is_renewed = paths.certificate.exists();
    let authority = open(&certificates)?;
    let issued = issue(&authority, &paths, days, Existing::Replace)?;
    let is_known = config.is_none_or(|config| config.server(server.as_str()).is_some());
    let unaware = (!is_known).then(|| dir.join(super::FILE_NAME));
    tell(&paths, is_renewed, &issued, unaware.as_deref())?;
    Ok(())
}

/// Refuses a name that is not in the configuration but is similar to the name of one of its servers. Such a name is
/// probably misspelled. Any other name may belong to a server that will be added.
fn refuse_a_slip(config: Option<&Config>, server: &ServerName) -> Result<(), UsageError> {
    let Some(config) = config.filter(|config| config.server(server.as_str()).is_none()) else {
        return Ok(());
    };
    let Some(near) = config.nearest_server(server.as_str()) else { return Ok(()) };
    let (file, near) = (config.path.display(), &near.name);
    Err(UsageError(format!(
        "{file} has no server {:?}; did you mean {near}? For a new server of this name, add its [[server]] to {file} first",
        server.as_str()
    )))
}

/// The configuration, if the file exists, and the directory of the herd's certificates.
fn where_they_are(dir: &Path) -> anyhow::Result<(Option<Config>, PathBuf)> {
    match Config::load(&dir.join(super::FILE_NAME), &Overrides::none()) {
        Ok(config) => {
            let certificates = match &config.herd.tls {
                Tls::Certs(certificates) => certificates.clone(),
                Tls::Off => dir.join(super::CERTIFICATES),
            };
            Ok((Some(config), certificates))
        }
        Err(LoadError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok((None, dir.join(super::CERTIFICATES)))
        }
        Err(error) => Err(error.into()),
    }
}

fn key_path(dir: &Path) -> PathBuf {
    dir.join(format!("{AUTHORITY_NAME}.key"))
}

fn create(dir: &Path, herd: &str) -> anyhow::Result<Authority> {
    file::make_private_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let (authority, issued) = Authority::create(herd, clock::now_s())?;
    let key = format!("{KEY_NOTICE}{}", issued.key_pem);
    put(&key_path(dir), &key, PRIVATE, Existing::Keep)?;
    put(&authority_path(dir), &issued.certificate_pem, PUBLIC, Existing::Keep)?;
    Ok(authority)
}

fn open(dir: &Path) -> anyhow::Result<Authority> {
    let key = key_path(dir);
    let text = match fs::read_to_string(&key) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "there is no {}: certificates are made where the herd's authority is; without its key, let \
             another authority take over (the chapter Certificates of the book)",
            key.display()
        ),
        read => read.with_context(|| format!("cannot read {}", key.display()))?,
    };
    let authorities = read_authorities(&authority_path(dir))?;
    // Some editors begin a file with a byte order mark.
    Authority::open(&authorities, text.trim_start_matches('\u{feff}'))
        .with_context(|| format!("cannot use {} with {}", authority_path(dir).display(), key.display()))
}

/// Issues a certificate. The key is written first: if only the certificate existed, the pair would look complete.
fn issue(authority: &Authority, paths: &Paths, days: u32, existing: Existing) -> anyhow::Result<Issued> {
    let issued = authority.issue(&paths.server, clock::now_s(), days)?;
    put(&paths.key, &issued.key_pem, PRIVATE, existing)?;
    put(&paths.certificate, &issued.certificate_pem, PUBLIC, existing)?;
    Ok(issued)
}

fn put(path: &Path, text: &str, mode: u32, existing: Existing) -> anyhow::Result<()> {
    match file::write(path, text, mode, existing) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already, without what belongs to it; move it away first", path.display())
        }
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Prints what was made and where to copy it. `unaware` is the configuration file, if that file does not name the
/// server.
fn tell(paths: &Paths, is_renewed: bool, issued: &Issued, unaware: Option<&Path>) -> io::Result<()> {
    let (server, until) = (&paths.server, date(issued.not_after_s));
    let (authority, certificate, key) =
        (paths.authority.display(), paths.certificate.display(), paths.key.display());
    let done = if is_renewed { "Renewed" } else { "Wrote" };
    let mut out = anstream::stdout().lock();
    writeln!(
        out,
        "{done} {BOLD}{certificate}{BOLD:#}: the certificate of {server}, until {until}, with a new key.

Copy these to the machine of {server}, into the directory that `tls` names there:
  {authority}
  {certificate}
  {key}
A server that runs takes them within a few seconds, and its links stay up."
    )?;
    if let Some(file) = unaware {
        writeln!(
            out,
            "\n{} has no server of this name yet: add [[server]] with name = \"{server}\".",
            file.display()
        )?;
    }
    Ok(())
}
