//! Checks the certificates that a configuration names, for `check` and before a server starts.

use std::{fs, path::Path};

use proxyherd_core::types::ServerName;

use super::{
    CredentialsError, DAYS_LEFT_MIN,
    certificate::{Facts, date, days_left},
    files::{Paths, authority_path, read_authorities},
};

/// A problem with a credential, in a sentence that says what to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// Links will not come up, or strangers may do everything.
    Error(String),
    /// The herd works, but this needs a look: for example, a certificate expires soon.
    Warning(String),
}

/// Checks the files of these servers in `dir`. A host needs only the files of its own servers. So a server without
/// files is not a mistake, unless it is `insisted`.
pub fn audit(dir: &Path, servers: &[&ServerName], insisted: Option<&ServerName>, now_s: i64) -> Vec<Finding> {
    let authority = authority_path(dir);
    let authorities = match read_authorities(&authority) {
        Ok(authorities) => authorities,
        Err(error) => return vec![Finding::Error(error.to_string())],
    };
    let mut findings = Vec::new();
    for facts in authorities.iter().filter_map(|authority| Facts::of(authority).ok()) {
        findings.extend(expiry(
            &authority,
            facts.validity.not_after_s,
            now_s,
            "let another authority take over (the chapter Certificates of the book)",
        ));
    }
    let mut complete = 0;
    for &server in servers {
        let paths = Paths::new(dir, server);
        let is_insisted = insisted == Some(server);
        match of_server(&paths, is_insisted, now_s) {
            Ok(found) => {
                complete += usize::from(found.is_complete);
                findings.extend(found.findings);
            }
            Err(error) => findings.push(Finding::Error(error.to_string())),
        }
    }
    if complete == 0 && findings.is_empty() {
        let none = format!(
            "{} has no server's certificate with its key: copy both files of the server that will run here",
            dir.display()
        );
        findings.push(Finding::Error(none));
    }
    findings
}

#[derive(Default)]
struct ServerFindings {
    is_complete: bool,
    findings: Vec<Finding>,
}

fn of_server(paths: &Paths, is_insisted: bool, now_s: i64) -> Result<ServerFindings, CredentialsError> {
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    let has = (is_there(&paths.certificate), is_there(&paths.key));
    if has == (false, false) && !is_insisted {
        return Ok(ServerFindings::default());
    }
    let (certificates, facts) = paths.read_certificate(now_s)?;
    if has.1 || is_insisted {
        paths.read_key(&certificates)?;
    }
    let advice = format!("renew it with `proxyherd init --server {}`", paths.server);
    let findings = expiry(&paths.certificate, facts.validity.not_after_s, now_s, &advice);
    Ok(ServerFindings { is_complete: has.1, findings: findings.into_iter().collect() })
}

/// The finding about a certificate in `path` that expires soon or has expired, if any.
pub fn expiry(path: &Path, not_after_s: i64, now_s: i64, advice: &str) -> Option<Finding> {
    let (path, on) = (path.display(), date(not_after_s));
    match days_left(not_after_s, now_s) {
        ..0 => Some(Finding::Error(format!("{path} expired on {on}: {advice}"))),
        days @ 0..DAYS_LEFT_MIN => {
            Some(Finding::Warning(format!("{path} expires on {on} ({days} days left): {advice}")))
        }
        _ => None,
    }
}
