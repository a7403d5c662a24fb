//! The mistakes of a configuration. Each [`Diagnostic`] holds the place of the mistake, the key, what was found, what
//! is expected, and what to write instead.
//!
//! A diagnostic holds a copy of its line, so it can be shown after the text of the file is gone. [`Diagnostic::render`]
//! draws it for a terminal, [`Diagnostic::told`] writes it as one line for a log.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::site::Site;

/// A mistake, or something that may be a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the herd can run in spite of the mistake.
    pub severity: Severity,
    /// The key's full path, such as `server[2].listen`.
    pub key: Option<String>,
    /// The key in words, if it is a key of a server: "`listen` of server Riley".
    pub subject: Option<String>,
    /// The sentence without its subject: "takes a whole number from 1 to 9". The subject is the key, if there is a key.
    pub message: String,
    /// The place of the mistake.
    pub site: Site,
    /// What was found at that place. May be empty.
    pub found: String,
    /// Another place that is part of the mistake, and what the file has there.
    pub related: Option<(Site, String)>,
    /// What to write instead. May be empty.
    pub help: String,
}

/// How severe a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No server starts with this configuration.
    Error,
    /// Servers start with this configuration, but may not do what was meant.
    Warning,
}

/// All mistakes of a configuration, in the order of the file. At least one of them is an error.
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

    /// A mistake that concerns no key, but the syntax or the file as a whole.
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

    /// The diagnostic as one line without its severity, for a log that shows the severity itself: the place, the
    /// sentence, what was found and what to write instead.
    pub fn told(&self) -> String {
        format!("{}: {}{}", self.site, self.sentence(), self.details())
    }

    /// What was found and what to write instead, without the parts that are empty.
    fn details(&self) -> String {
        let parts: Vec<&str> = [&self.found, &self.help]
            .map(String::as_str)
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) }
    }

    /// The whole sentence, with the key as its subject if there is one.
    pub fn sentence(&self) -> String {
        match (&self.subject, &self.key) {
            (Some(subject), _) => format!("{subject} {}", self.message),
            (None, Some(key)) => format!("`{key}` {}", self.message),
            (None, None) => self.message.clone(),
        }
    }

    /// Replaces the index of each server with its name, if the server has a name.
    pub(super) fn name_servers(&mut self, names: &[Option<&str>]) {
        self.subject = self.key.as_ref().and_then(|key| of_server(key, names));
        let mut parts = self.message.split('`');
        let mut message = parts.next().unwrap_or_default().to_owned();
        while let Some(key) = parts.next() {
            let Some(rest) = parts.next() else {
                // A single backtick at the end.
                message = message + "`" + key;
                break;
            };
            message += &of_server(key, names).unwrap_or_else(|| format!("`{key}`"));
            message += rest;
        }
        self.message = message;
    }
}

/// Words for `server[0].listen`: "`listen` of server Riley". `None` if the key belongs to no server or to a server
/// without a name.
fn of_server(key: &str, names: &[Option<&str>]) -> Option<String> {
    let (index, key) = key.strip_prefix("server[")?.split_once(']')?;
    let name = names.get(index.parse::<usize>().ok()?)?.as_ref()?;
    Some(match key.strip_prefix('.') {
        Some(key) => format!("`{key}` of server {name}"),
        None => format!("server {name}"),
    })
}

/// Sorts diagnostics by their places in the file.
fn sort(all: &mut [Diagnostic]) {
    all.sort_by(|one, two| (&one.site.source, one.site.column).cmp(&(&two.site.source, two.site.column)));
}

impl Diagnostics {
    /// A refusal for these reasons, in any order. At least one of the reasons must be an error.
    pub(super) fn only(path: &Path, mut all: Vec<Diagnostic>) -> Diagnostics {
        sort(&mut all);
        debug_assert!(all.iter().any(|one| one.severity == Severity::Error), "a refusal has a reason");
        Diagnostics { path: path.to_owned(), all }
    }

    /// Refuses the configuration if one of the diagnostics is an error. Otherwise returns them as warnings, in order.
    pub(super) fn refusing(path: &Path, mut all: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Diagnostics> {
        sort(&mut all);
        let refuses = all.iter().any(|one| one.severity == Severity::Error);
        if refuses { Err(Diagnostics::only(path, all)) } else { Ok(all) }
    }

    /// The mistakes, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.all.iter()
    }

    /// The file that has the mistakes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of errors.
    pub fn error_count(&self) -> usize {
        self.iter().filter(|one| one.severity == Severity::Error).count()
    }

    /// Number of warnings.
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

/// One line with the severity.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}{}", self.site, self.severity, self.sentence(), self.details())
    }
}

/// One line for each mistake.
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
