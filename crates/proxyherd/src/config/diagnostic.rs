//! What is wrong with a configuration, said so that it can be put right: where, which key, what was found, what
//! is expected, and what to write instead.
//!
//! A [`Diagnostic`] carries the line it speaks of, so it can be shown long after the file was read. `render` draws it
//! for a terminal.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::site::Site;

/// One thing that is wrong, or that may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// May the herd run in spite of it?
    pub severity: Severity,
    /// The key's full path, such as `server[2].listen`.
    pub key: Option<String>,
    /// What the sentence calls the key where it is a server's: "`listen` of server Riley".
    pub subject: Option<String>,
    /// A sentence whose subject is the key, where there is one: "takes a whole number from 1 to 9".
    pub message: String,
    /// Where it is.
    pub site: Site,
    /// What was found there; may be empty.
    pub found: String,
    /// Another place that has to do with it, and what is there.
    pub related: Option<(Site, String)>,
    /// What to write instead; may be empty.
    pub help: String,
}

/// How grave a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts with this configuration.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
}

/// Everything that is wrong with a configuration, in the order of the file. At least one is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    path: PathBuf,
    all: Vec<Diagnostic>,
}

impl Diagnostic {
    pub(super) fn error(site: Site, key: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            key: Some(key.into()),
            subject: None,
            message: message.into(),
            site,
            found: String::new(),
            related: None,
            help: String::new(),
        }
    }

    pub(super) fn warning(site: Site, key: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(site, key, message) }
    }

    /// About the file as a whole or its syntax, where no key can be named.
    pub(super) fn keyless(site: Site, message: impl Into<String>) -> Diagnostic {
        Diagnostic { key: None, ..Diagnostic::error(site, "", message) }
    }

    pub(super) fn found(self, found: impl Into<String>) -> Diagnostic {
        Diagnostic { found: found.into(), ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Diagnostic {
        Diagnostic { help: help.into(), ..self }
    }

    pub(super) fn related(self, site: Site, what: impl Into<String>) -> Diagnostic {
        Diagnostic { related: Some((site, what.into())), ..self }
    }

    /// One line, for where its severity is shown anyway: the place, and the whole sentence with what was found and what
    /// to do.
    pub fn told(&self) -> String {
        format!("{}: {}{}", self.site, self.sentence(), self.details())
    }

    /// What was found and what to do, as far as there is something to say.
    fn details(&self) -> String {
        let parts: Vec<&str> = [&self.found, &self.help]
            .map(String::as_str)
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) }
    }

    /// The whole sentence: the key, where there is one, and what is said of it.
    pub fn sentence(&self) -> String {
        match (&self.subject, &self.key) {
            (Some(subject), _) => format!("{subject} {}", self.message),
            (None, Some(key)) => format!("`{key}` {}", self.message),
            (None, None) => self.message.clone(),
        }
    }

    /// Calls servers by their names, as far as they have any, instead of by their places in the file.
    pub(super) fn name_servers(&mut self, names: &[Option<&str>]) {
        self.subject = self.key.as_ref().and_then(|key| of_server(key, names));
        let mut parts = self.message.split('`');
        let mut message = parts.next().unwrap_or_default().to_owned();
        while let Some(key) = parts.next() {
            let Some(rest) = parts.next() else {
                // A backtick that no other one follows.
                message = message + "`" + key;
                break;
            };
            message += &of_server(key, names).unwrap_or_else(|| format!("`{key}`"));
            message += rest;
        }
        self.message = message;
    }
}

/// `server[0].listen` as "`listen` of server Riley"; `None` if it is no server's key, or the server has no name.
fn of_server(key: &str, names: &[Option<&str>]) -> Option<String> {
    let (index, key) = key.strip_prefix("server[")?.split_once(']')?;
    let name = names.get(index.parse::<usize>().ok()?)?.as_ref()?;
    Some(match key.strip_prefix('.') {
        Some(key) => format!("`{key}` of server {name}"),
        None => format!("server {name}"),
    })
}

/// Puts them in the order of the file.
fn sort(all: &mut [Diagnostic]) {
    all.sort_by(|one, two| (&one.site.source, one.site.column).cmp(&(&two.site.source, two.site.column)));
}

impl Diagnostics {
    /// What was found, at least one error, in any order.
    pub(super) fn only(path: &Path, mut all: Vec<Diagnostic>) -> Diagnostics {
        sort(&mut all);
        debug_assert!(all.iter().any(|one| one.severity == Severity::Error), "a refusal has a reason");
        Diagnostics { path: path.to_owned(), all }
    }

    /// Takes what was found for a refusal if any of it is an error; else it is warnings. Puts it in order.
    pub(super) fn refusing(path: &Path, mut all: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Diagnostics> {
        sort(&mut all);
        let refuses = all.iter().any(|one| one.severity == Severity::Error);
        if refuses { Err(Diagnostics::only(path, all)) } else { Ok(all) }
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.all.iter()
    }

    /// The file they are about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many are errors.
    pub fn error_count(&self) -> usize {
        self.iter().filter(|one| one.severity == Severity::Error).count()
    }

    /// How many are warnings.
    pub fn warning_count(&self) -> usize {
        self.all.len() - self.error_count()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// One line, for a log.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}{}", self.site, self.severity, self.sentence(), self.details())
    }
}

/// One line each.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{one}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
