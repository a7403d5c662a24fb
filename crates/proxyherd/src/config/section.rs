//! A small typed reader over TOML's tables that goes on after a mistake, so that all mistakes are reported at once.
//!
//! What a section is asked for is what it knows: there is no second list of keys to keep in step. A value set
//! outside the file stands in for the file's, and is checked by the same rules.

use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    diagnostic::{Diagnostic, Origin, Severity, Site},
    nearest,
    number::grouped,
    overrides::{self, Entries},
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
struct Known {
    section: String,
    keys: Vec<&'static str>,
}

/// A key of the file that no section asked for.
struct Stray {
    path: String,
    kind: String,
    key: String,
    site: Site,
}

/// A table of the file, or the lack of it.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    path: String,
    /// The section as keys of all its like are remembered by: without an index.
    kind: String,
    table: Option<&'a DeTable<'a>>,
    site: Site,
    asked: Vec<&'static str>,
}

/// A checked value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) site: Site,
}

/// A value as it was given.
pub(super) struct Given<'a> {
    raw: Raw<'a>,
    key: String,
    site: Site,
}

enum Raw<'a> {
    Toml(&'a DeValue<'a>),
    /// From outside the file: `true` and `5` have no quotes to tell them from texts.
    Text(&'a str),
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: Source<'a>, entries: &'a Entries, mistakes: Vec<Diagnostic>) -> Reader<'a> {
        Reader { source, entries, mistakes, known: Vec::new(), strays: Vec::new() }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.mistakes.push(diagnostic);
    }

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

    pub(super) fn whole(&self) -> Site {
        self.source.whole()
    }

    /// The file's outermost table.
    pub(super) fn root(&mut self, table: &'a DeTable<'a>) -> Section<'_, 'a> {
        let site = self.source.whole();
        self.section(String::new(), String::new(), Some(table), site)
    }

    fn section(
        &mut self,
        path: String,
        kind: String,
        table: Option<&'a DeTable<'a>>,
        site: Site,
    ) -> Section<'_, 'a> {
        Section { reader: self, path, kind, table, site, asked: Vec::new() }
    }

    /// Everything that was found, once every section was read.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        let strays = std::mem::take(&mut self.strays);
        let strays: Vec<Diagnostic> = strays.iter().map(|stray| self.describe(stray)).collect();
        self.mistakes.extend(strays);
        let settable =
            self.known.iter().filter(|known| overrides::SECTIONS.contains(&known.section.as_str()));
        let settable: Vec<String> =
            settable.flat_map(|known| known.keys.iter().map(|key| join(&known.section, key))).collect();
        self.mistakes.extend(self.entries.strays(&settable));
        self.mistakes
    }

    fn describe(&self, stray: &Stray) -> Diagnostic {
        let of_its_section = self.known.iter().filter(|known| known.section == stray.kind);
        let keys: Vec<&str> = of_its_section.flat_map(|known| known.keys.iter().copied()).collect();
        let elsewhere = self.known.iter().find(|known| known.keys.contains(&stray.key.as_str()));
        let help = match (nearest::of(&stray.key, keys.iter().copied()), elsewhere) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(known)) => format!("`{}` belongs to {}", stray.key, header(&known.section)),
            (None, None) => format!("known here: {}", one_each(&keys).join(", ")),
        };
        let key = join(&stray.path, &stray.key);
        Diagnostic::error(stray.site.clone(), key, "is not a known key").help(help)
    }
}

impl<'r, 'a> Section<'r, 'a> {
    /// Where the section begins.
    pub(super) fn site(&self) -> Site {
        self.site.clone()
    }

    /// The full path of one of the section's keys.
    pub(super) fn key(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.reader.report(diagnostic);
    }

    /// Refuses a value whose feature is not built yet, and says what to do without it.
    pub(super) fn refuse_unbuilt<T>(&mut self, placed: &Placed<T>, instead: &str) {
        let mistake = Diagnostic::error(placed.site.clone(), &placed.key, "is not available in this version");
        self.report(mistake.help(instead));
    }

    /// A table within, or the lack of it. It ends when it is dropped from sight by [`Section::finish`].
    pub(super) fn table(&mut self, key: &'static str) -> Section<'_, 'a> {
        let given = self.take_from_file(key);
        let (path, kind) = (join(&self.path, key), join(&self.kind, key));
        let Some(given) = given else {
            let site = self.reader.whole();
            return self.reader.section(path, kind, None, site);
        };
        let table = match given.raw {
            Raw::Toml(DeValue::Table(table)) => Some(table),
            _ => {
                self.refuse(
                    &given,
                    "must be a table",
                    &format!("write its keys below a line {}", header(&path)),
                );
                None
            }
        };
        self.reader.section(path, kind, table, given.site)
    }

    /// The tables of a list such as `[[server]]`, each handed to `read` with its index.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(usize, Section<'_, 'a>) -> T,
    ) -> Vec<T> {
        let Some(given) = self.take_from_file(key) else { return Vec::new() };
        let Raw::Toml(DeValue::Array(tables)) = given.raw else {
            self.refuse(&given, "must be a list of tables", &format!("begin each with a line [[{key}]]"));
            return Vec::new();
        };
        let mut values = Vec::with_capacity(tables.len());
        for (index, item) in tables.iter().enumerate() {
            let given = self.given(format!("{}[{index}]", self.key(key)), item);
            let Raw::Toml(DeValue::Table(table)) = given.raw else {
                self.refuse(&given, "must be a table", &format!("begin it with a line [[{key}]]"));
                continue;
            };
            let kind = join(&self.kind, key);
            values.push(read(index, self.reader.section(given.key, kind, Some(table), given.site)));
        }
        values
    }

    /// Was this key given in the file? For keys that are refused whatever their value is.
    pub(super) fn any(&mut self, key: &'static str) -> Option<Placed<()>> {
        let given = self.take_from_file(key)?;
        Some(Placed { value: (), key: given.key, site: given.site })
    }

    /// A whole number in `range`, or its default.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Placed<u64> {
        debug_assert!(range.contains(&default), "{key}: the default is a value that may be given");
        let expected =
            format!("takes a whole number from {} to {}", grouped(*range.start()), grouped(*range.end()));
        let help = format!("the default is {}", grouped(default));
        let read = |raw: &Raw<'a>| raw.integer().filter(|value| range.contains(value));
        self.value(key, read, &expected, &help).unwrap_or_else(|| self.placed(key, default))
    }

    /// `true` or `false`, or its default.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> Placed<bool> {
        let help = format!("the default is {default}");
        let read = self.value(key, Raw::boolean, "takes true or false", &help);
        read.unwrap_or_else(|| self.placed(key, default))
    }

    /// One of several words, if it is given.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<Placed<T>> {
        let given = self.take(key)?;
        let found = given.raw.text();
        if let Some((_, value)) = choices.iter().find(|(word, _)| Some(*word) == found) {
            return Some(Placed { value: *value, key: given.key, site: given.site });
        }
        let expected = format!("takes {}", any_of(choices.iter().map(|(word, _)| *word)));
        let near = found.and_then(|found| nearest::of(found, choices.iter().map(|(word, _)| *word)));
        let help = near.map(|near| format!("did you mean {near:?}?")).unwrap_or_default();
        self.refuse(&given, &expected, &help);
        None
    }

    /// A text that `parse` takes, if it is given. `expected` goes on from the key: "takes an address".
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Placed<T>> {
        let given = self.take(key)?;
        self.parse(given, expected, parse)
    }

    /// A text that must be given.
    pub(super) fn required<T, E: Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        help: &str,
    ) -> Option<Placed<T>> {
        let Some(given) = self.take(key) else {
            let missing = Diagnostic::error(self.site(), self.key(key), "is missing");
            self.report(missing.help(help));
            return None;
        };
        self.parse(given, expected, parse)
    }

    /// A list of texts that `parse` takes. Those that it does not take are reported and left out.
    pub(super) fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<Placed<T>> {
        let Some(given) = self.take(key) else { return Vec::new() };
        let Raw::Toml(DeValue::Array(items)) = given.raw else {
            let help = match given.raw {
                Raw::Toml(_) => "a list stands in square brackets: [\"a\", \"b\"]",
                Raw::Text(_) => "a list is set in the file alone",
            };
            self.refuse(&given, "takes a list of texts", help);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let given = self.given(format!("{}[{index}]", given.key), item);
            values.extend(self.parse(given, expected, &parse));
        }
        values
    }

    /// Every key of the file that was not asked for is a mistake, to be described when all sections are read.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let (site, key) = (self.reader.source.site(key.span()), key.get_ref().to_string());
            if !self.asked.contains(&key.as_str()) {
                let (path, kind) = (self.path.clone(), self.kind.clone());
                self.reader.strays.push(Stray { path, kind, key, site });
            }
        }
        self.reader.known.push(Known { section: self.kind, keys: self.asked });
    }

    fn take(&mut self, key: &'static str) -> Option<Given<'a>> {
        let entry = self.reader.entries.find(&self.path, key);
        let from_file = self.take_from_file(key);
        let from_outside = entry.map(|entry| Given {
            raw: Raw::Text(&entry.text),
            key: self.key(key),
            site: entry.site.clone(),
        });
        from_outside.or(from_file)
    }

    fn take_from_file(&mut self, key: &'static str) -> Option<Given<'a>> {
        self.asked.push(key);
        let item = self.table?.get(key)?;
        Some(self.given(self.key(key), item))
    }

    fn given(&self, key: String, item: &'a Spanned<DeValue<'a>>) -> Given<'a> {
        Given { raw: Raw::Toml(item.get_ref()), key, site: self.reader.source.site(item.span()) }
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Raw<'a>) -> Option<T>,
        expected: &str,
        help: &str,
    ) -> Option<Placed<T>> {
        let given = self.take(key)?;
        match read(&given.raw) {
            Some(value) => Some(Placed { value, key: given.key, site: given.site }),
            None => {
                self.refuse(&given, expected, help);
                None
            }
        }
    }

    fn parse<T, E: Display>(
        &mut self,
        given: Given<'a>,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Placed<T>> {
        let Some(text) = given.raw.text() else {
            self.refuse(&given, expected, "a text stands in quotes");
            return None;
        };
        match parse(text) {
            Ok(value) => Some(Placed { value, key: given.key, site: given.site }),
            Err(error) => {
                self.refuse(&given, expected, &error.to_string());
                None
            }
        }
    }

    fn placed<T>(&self, key: &str, value: T) -> Placed<T> {
        Placed { value, key: self.key(key), site: self.site.clone() }
    }

    fn refuse(&mut self, given: &Given<'_>, expected: &str, help: &str) {
        let found = format!("found {}", given.raw.describe());
        self.report(Diagnostic::error(given.site.clone(), &given.key, expected).found(found).help(help));
    }
}

impl Placed<PathBuf> {
    /// The path, where the file names it relative to the file's own directory.
    pub(super) fn relative_to(self, base: &Path) -> PathBuf {
        match self.site.origin {
            Origin::Line(..) | Origin::File(_) => base.join(self.value),
            Origin::Variable(_) | Origin::Flag => self.value,
        }
    }
}

impl Raw<'_> {
    fn integer(&self) -> Option<u64> {
        let read = |integer: &DeInteger<'_>| u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        match self {
            Raw::Toml(DeValue::Integer(integer)) => read(integer),
            Raw::Toml(_) => None,
            Raw::Text(text) => DeValue::parse(text.trim()).ok()?.get_ref().as_integer().and_then(read),
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Raw::Toml(value) => value.as_bool(),
            Raw::Text(text) => text.trim().parse().ok(),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Raw::Toml(value) => value.as_str(),
            Raw::Text(text) => Some(text),
        }
    }

    fn describe(&self) -> String {
        match self {
            Raw::Text(text) => format!("{text:?}"),
            Raw::Toml(DeValue::String(text)) => format!("the text {text:?}"),
            Raw::Toml(DeValue::Integer(integer)) => integer.to_string(),
            Raw::Toml(DeValue::Float(float)) => float.as_str().to_owned(),
            Raw::Toml(DeValue::Boolean(value)) => value.to_string(),
            Raw::Toml(DeValue::Datetime(_)) => "a date".to_owned(),
            Raw::Toml(DeValue::Array(_)) => "a list".to_owned(),
            Raw::Toml(DeValue::Table(_)) => "a table".to_owned(),
        }
    }
}

/// `"a", "b" or "c"`
fn any_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("{word:?}")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// How a section's header is written.
fn header(section: &str) -> String {
    match section {
        "" => "the top of the file".to_owned(),
        "server" => "[[server]]".to_owned(),
        _ => format!("[{section}]"),
    }
}

fn one_each<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut once = Vec::new();
    for key in keys {
        if !once.contains(key) {
            once.push(*key);
        }
    }
    once
}
