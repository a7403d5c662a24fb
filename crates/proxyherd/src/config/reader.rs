//! What the sections of one file have in common: its text, what is set outside it, which keys turned out to be
//! known, and what was found to be wrong.

use std::ops::Range;

use super::{
    diagnostic::{Diagnostic, Severity, Site},
    nearest,
    overrides::{Entries, Entry, Settable},
    source::Source,
};

/// Reads one file, and remembers what was wrong and which keys are known.
pub(super) struct Reader<'a> {
    source: Source<'a>,
    entries: &'a Entries,
    mistakes: Vec<Diagnostic>,
    known: Vec<Known>,
    strays: Vec<Stray>,
}

/// What one section was asked for.
pub(super) struct Known {
    /// The section's path, without an index: all servers are asked for the same.
    pub(super) section: String,
    pub(super) keys: Vec<&'static str>,
    /// Those of the keys whose features are not built: no hint offers them.
    pub(super) not_built: Vec<&'static str>,
    /// Those of the keys that can also be set outside the file.
    pub(super) settable: Vec<&'static str>,
}

/// A key of the file that no section asked for.
pub(super) struct Stray {
    /// The section's path.
    pub(super) path: String,
    /// The same without an index.
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) site: Site,
}

impl Known {
    /// The keys that hints offer.
    fn offered(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(|key| !self.not_built.contains(key)).copied()
    }

    /// What can be set outside the file.
    fn settable(&self) -> impl Iterator<Item = Settable> {
        self.settable
            .iter()
            .map(|key| Settable { path: join(&self.section, key), is_offered: !self.not_built.contains(key) })
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: Source<'a>, entries: &'a Entries, mistakes: Vec<Diagnostic>) -> Reader<'a> {
        Reader { source, entries, mistakes, known: Vec::new(), strays: Vec::new() }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.mistakes.push(diagnostic);
    }

    /// Was an error reported of anything?
    pub(super) fn has_errors(&self) -> bool {
        self.mistakes.iter().any(|mistake| mistake.severity == Severity::Error)
    }

    /// Was an error reported of this key or of what is in it?
    pub(super) fn has_errors_in(&self, key: &str) -> bool {
        let within = |path: &String| {
            path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        self.mistakes.iter().any(|mistake| mistake.key.as_ref().is_some_and(within))
    }

    /// Does the file have a section that is nearly named so, and is none?
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
    pub(super) fn set_outside(&self, section: &str, key: &str) -> Option<&'a Entry> {
        self.entries.find(section, key)
    }

    /// A section was read: these keys it knows, and those of the file it does not.
    pub(super) fn learn(&mut self, known: Known, strays: Vec<Stray>) {
        self.known.push(known);
        self.strays.extend(strays);
    }

    /// Everything that was found, once every section was read.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        let strays = std::mem::take(&mut self.strays);
        let strays: Vec<Diagnostic> = strays.iter().map(|stray| self.describe(stray)).collect();
        self.mistakes.extend(strays);
        let settable: Vec<Settable> = self.known.iter().flat_map(Known::settable).collect();
        self.mistakes.extend(self.entries.strays(&settable));
        self.mistakes
    }

    /// The key of a feature that is not built which was probably meant.
    fn not_built_near(&self, stray: &Stray) -> Option<&'static str> {
        let of_its_section = self.known.iter().filter(|known| known.section == stray.kind);
        nearest::of(&stray.key, of_its_section.flat_map(|known| known.not_built.iter().copied()))
    }

    fn describe(&self, stray: &Stray) -> Diagnostic {
        let of_its_section = self.known.iter().filter(|known| known.section == stray.kind);
        let keys: Vec<&str> = of_its_section.flat_map(Known::offered).collect();
        let elsewhere = self.known.iter().find(|known| known.offered().any(|key| key == stray.key));
        let near = nearest::of(&stray.key, keys.iter().copied());
        let help = match (near, elsewhere, self.not_built_near(stray)) {
            // At the top of the file there are sections alone.
            (Some(near), ..) if stray.kind.is_empty() => format!("did you mean {}?", header(near)),
            (Some(near), ..) => format!("did you mean `{near}`?"),
            (None, Some(known), _) => format!("`{}` belongs to {}", stray.key, header(&known.section)),
            (None, None, Some(near)) => {
                format!("did you mean `{near}`? It is not available in this version: leave it out")
            }
            (None, None, None) if keys.is_empty() => "nothing is known here in this version".to_owned(),
            (None, None, None) => format!("known here: {}", one_each(&keys).join(", ")),
        };
        let key = join(&stray.path, &stray.key);
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

/// Each key once: several servers are asked for the same.
fn one_each<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut once = Vec::new();
    for key in keys {
        if !once.contains(key) {
            once.push(*key);
        }
    }
    once
}
