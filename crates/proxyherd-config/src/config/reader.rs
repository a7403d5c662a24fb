//! What all sections of one file share while the file is read: the text of the file, the values that are set outside
//! the file, the known keys, and the mistakes.

use std::ops::Range;

use super::{
    diagnostic::{Diagnostic, Severity},
    nearest,
    overrides::{OutsideValue, OutsideValues, Settable},
    secret::{HIDDEN, looks_secret},
    site::{FileText, Site},
};

/// Collects the mistakes and the known keys of one file.
pub(super) struct Reader<'a> {
    source: FileText<'a>,
    entries: &'a OutsideValues,
    mistakes: Vec<Diagnostic>,
    known: Vec<KnownKeys>,
    strays: Vec<Stray>,
}

/// The keys that callers have asked one section for. These are the known keys of the section.
pub(super) struct KnownKeys {
    /// The section's path without an index, since all servers have the same keys.
    pub(super) section: String,
    pub(super) keys: Vec<&'static str>,
    /// The keys whose features are not built. A hint names such a key only if the file misspells the name of this key.
    pub(super) not_built: Vec<&'static str>,
    /// The keys that a flag or a variable can set.
    pub(super) settable: Vec<&'static str>,
}

/// A key of the file that is not among the known keys of its section.
pub(super) struct Stray {
    /// The section's path.
    pub(super) path: String,
    /// The section's path without an index.
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) site: Site,
}

impl KnownKeys {
    /// The keys that hints offer.
    fn offered(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().copied().filter(|key| self.is_offered(key))
    }

    fn is_offered(&self, key: &&str) -> bool {
        !self.not_built.contains(key)
    }

    /// The keys that a flag or a variable can set.
    fn settable(&self) -> impl Iterator<Item = Settable> {
        self.settable
            .iter()
            .map(|key| Settable { path: join(&self.section, key), is_offered: self.is_offered(key) })
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: FileText<'a>,
        entries: &'a OutsideValues,
        mistakes: Vec<Diagnostic>,
    ) -> Reader<'a> {
        Reader { source, entries, mistakes, known: Vec::new(), strays: Vec::new() }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.mistakes.push(diagnostic);
    }

    /// Whether any error was reported.
    pub(super) fn has_errors(&self) -> bool {
        self.mistakes.iter().any(|mistake| mistake.severity == Severity::Error)
    }

    /// Whether an error of this key, or of a value below this key, was reported.
    pub(super) fn has_errors_in(&self, key: &str) -> bool {
        let within = |path: &String| {
            path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        self.mistakes.iter().any(|mistake| mistake.key.as_ref().is_some_and(within))
    }

    /// Whether the file has an unknown section that was probably meant to be this one.
    pub(super) fn has_slip_of_section(&self, section: &str) -> bool {
        let is_slip = |stray: &Stray| nearest::of(&stray.key, std::iter::once(section)).is_some();
        self.strays.iter().any(|stray| stray.kind.is_empty() && is_slip(stray))
    }

    /// The file as a whole.
    pub(super) fn whole(&self) -> Site {
        self.source.whole()
    }

    /// The stretch `span` of the file.
    pub(super) fn site(&self, span: Range<usize>) -> Site {
        self.source.site(span)
    }

    /// What `section.key` is set to outside the file.
    pub(super) fn set_outside(&self, section: &str, key: &str) -> Option<&'a OutsideValue> {
        self.entries.find(section, key)
    }

    /// Records the known keys of a section, and the unknown keys that the file has in this section.
    pub(super) fn learn(&mut self, known: KnownKeys, strays: Vec<Stray>) {
        self.known.push(known);
        self.strays.extend(strays);
    }

    /// All mistakes. The caller must have read every section before.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        let strays = std::mem::take(&mut self.strays);
        let strays: Vec<Diagnostic> = strays.iter().map(|stray| self.describe(stray)).collect();
        self.mistakes.extend(strays);
        let settable: Vec<Settable> = self.known.iter().flat_map(KnownKeys::settable).collect();
        self.mistakes.extend(self.entries.strays(&settable));
        self.mistakes
    }

    /// The key that was probably meant, among the keys whose features are not built.
    fn not_built_near(&self, stray: &Stray) -> Option<&'static str> {
        let of_its_section = self.known.iter().filter(|known| known.section == stray.kind);
        nearest::of(&stray.key, of_its_section.flat_map(|known| known.not_built.iter().copied()))
    }

    fn describe(&self, stray: &Stray) -> Diagnostic {
        let of_its_section = self.known.iter().filter(|known| known.section == stray.kind);
        let keys: Vec<&str> = of_its_section.flat_map(KnownKeys::offered).collect();
        let elsewhere = self.known.iter().find(|known| known.offered().any(|key| key == stray.key));
        let help = if let Some(near) = nearest::of(&stray.key, keys.iter().copied()) {
            // The top of the file holds only sections.
            let near = if stray.kind.is_empty() { header(near) } else { format!("`{near}`") };
            format!("did you mean {near}?")
        } else if let Some(longer) = longer_keys(&stray.key, &keys) {
            format!("did you mean {longer}?")
        } else if let Some(known) = elsewhere {
            format!("`{}` belongs to {}", stray.key, header(&known.section))
        } else if let Some(near) = self.not_built_near(stray) {
            format!("did you mean `{near}`? It is not available in this version: leave it out")
        } else if keys.is_empty() {
            "this version has no settings here".to_owned()
        } else {
            format!("known keys: {}", one_each(&keys).join(", "))
        };
        // Somebody may have pasted a secret where its key should stand.
        let key = if looks_secret(&stray.key) { HIDDEN.to_string() } else { join(&stray.path, &stray.key) };
        Diagnostic::error(stray.site.clone(), key, "is not a known key").help(help)
    }
}

/// The full path of a key.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// How a section's header is written.
pub(super) fn header(section: &str) -> String {
    match section {
        "" => "the top of the file".to_owned(),
        "server" => "[[server]]".to_owned(),
        _ => format!("[{section}]"),
    }
}

/// The known keys that begin with this key, in words: for `key`, "`key_env` or `key_file`".
fn longer_keys(key: &str, keys: &[&str]) -> Option<String> {
    let is_longer = |known: &&&str| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('_'));
    let longer: Vec<String> = keys.iter().filter(is_longer).map(|known| format!("`{known}`")).collect();
    (!longer.is_empty()).then(|| longer.join(" or "))
}

/// Removes repeated keys. Several servers have the same keys.
fn one_each<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut once = Vec::new();
    for key in keys {
        if !once.contains(key) {
            once.push(*key);
        }
    }
    once
}
