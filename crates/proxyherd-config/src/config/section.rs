//! A typed reader for TOML tables. It continues after a mistake, so that all mistakes are reported at once.
//!
//! A [`Section`] remembers the keys that its caller has asked for, so there is no second list of keys.
//! [`Section::finish`] reports all other keys of the table. A value from a flag or a variable replaces the value of the
//! file, and the same checks apply to the replacement.

use std::{fmt::Display, ops::RangeInclusive};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::Diagnostic,
    nearest, overrides,
    reader::{KnownKeys, Reader, Stray, header, join},
    site::Site,
    value::{GivenValue, Placed, RawValue, grouped},
};

/// A table of the file. If the table is missing, every setting has its default.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    path: String,
    /// The path without an index, since all servers have the same keys.
    kind: String,
    table: Option<&'a DeTable<'a>>,
    site: Site,
    asked: Vec<&'static str>,
    not_built: Vec<&'static str>,
    settable: Vec<&'static str>,
}

/// The value of a key that may hold one text or a list of texts.
pub(super) struct OneOrMore<T> {
    /// The texts that could be read.
    pub(super) values: Vec<Placed<T>>,
    /// The number of texts that were given.
    pub(super) count: usize,
    pub(super) key: String,
    pub(super) site: Site,
}

impl<'r, 'a> Section<'r, 'a> {
    /// The file's outermost table.
    pub(super) fn root(reader: &'r mut Reader<'a>, table: &'a DeTable<'a>) -> Section<'r, 'a> {
        let site = reader.whole();
        Section::new(reader, String::new(), String::new(), Some(table), site)
    }

    fn new(
        reader: &'r mut Reader<'a>,
        path: String,
        kind: String,
        table: Option<&'a DeTable<'a>>,
        site: Site,
    ) -> Section<'r, 'a> {
        let (asked, not_built, settable) = (Vec::new(), Vec::new(), Vec::new());
        Section { reader, path, kind, table, site, asked, not_built, settable }
    }

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

    /// Refuses a value whose feature is not built yet. `instead` says what to write instead.
    pub(super) fn refuse_unbuilt<T>(&mut self, placed: &Placed<T>, instead: &str) {
        let mistake = Diagnostic::error(placed.site.clone(), &placed.key, "is not available in this version");
        self.report(mistake.help(instead));
    }

    /// The table `key` of this section. The table may be missing. The caller ends the new section with
    /// [`Section::finish`].
    pub(super) fn table(&mut self, key: &'static str) -> Section<'_, 'a> {
        let given = self.take_from_file(key);
        let (path, kind) = (join(&self.path, key), join(&self.kind, key));
        let Some(given) = given else {
            let site = self.reader.whole();
            return Section::new(self.reader, path, kind, None, site);
        };
        let table = match given.raw {
            RawValue::Toml(DeValue::Table(table)) => Some(table),
            _ => {
                self.refuse(
                    &given,
                    "must be a table",
                    &format!("write its keys below a line {}", header(&path)),
                );
                None
            }
        };
        Section::new(self.reader, path, kind, table, given.site)
    }

    /// Reads each table of a list such as `[[server]]` with `read`, which takes the index and the table.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(usize, Section<'_, 'a>) -> T,
    ) -> Vec<T> {
        let Some(given) = self.take_from_file(key) else { return Vec::new() };
        let RawValue::Toml(DeValue::Array(tables)) = given.raw else {
            let named =
                given.raw.first_table().map(|name| format!("write [[{key}]], and name = {name:?} below it"));
            let help = named.unwrap_or_else(|| format!("begin each with a line [[{key}]]"));
            self.refuse(&given, "must be a list of tables", &help);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(tables.len());
        for (index, item) in tables.iter().enumerate() {
            let given = self.given(format!("{}[{index}]", self.key(key)), item);
            let RawValue::Toml(DeValue::Table(table)) = given.raw else {
                self.refuse(&given, "must be a table", &format!("begin it with a line [[{key}]]"));
                continue;
            };
            let kind = join(&self.kind, key);
            values.push(read(index, Section::new(self.reader, given.key, kind, Some(table), given.site)));
        }
        values
    }

    /// Marks a key whose feature is not built. A hint names such a key only if the file misspells the name of this key.
    pub(super) fn hide(&mut self, key: &'static str) {
        self.not_built.push(key);
    }

    /// Whether the file sets this key. The caller asks this for keys whose features are not built. Such a key is
    /// refused with any value.
    pub(super) fn not_built(&mut self, key: &'static str) -> Option<Placed<()>> {
        self.hide(key);
        let given = self.take_from_file(key)?;
        Some(Placed { value: (), key: given.key, site: given.site })
    }

    /// A whole number in `range`, or the default.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Placed<u64> {
        self.integer_with(key, range, default, &format!("the default is {}", grouped(default)))
    }

    /// [`Section::integer`] with a hint for a number that is out of range.
    pub(super) fn integer_with(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
        hint: &str,
    ) -> Placed<u64> {
        debug_assert!(range.contains(&default), "{key}: the default is a value that may be given");
        let expected =
            format!("takes a whole number from {} to {}", grouped(*range.start()), grouped(*range.end()));
        let read = |raw: &RawValue<'a>| raw.integer().filter(|value| range.contains(value));
        let help = |raw: &RawValue<'a>| match raw.fraction() {
            Some(number) => format!(
                "write it without decimals: {}",
                grouped((number.round().max(0.0) as u64).clamp(*range.start(), *range.end()))
            ),
            None => hint.to_owned(),
        };
        self.value(key, read, &expected, help).unwrap_or_else(|| self.placed(key, default))
    }

    /// `true` or `false`, or the default.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> Placed<bool> {
        let help = |_: &RawValue<'a>| format!("the default is {default}");
        let read = self.value(key, RawValue::boolean, "takes true or false", help);
        read.unwrap_or_else(|| self.placed(key, default))
    }

    /// One of several words, if the key is set.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<Placed<T>> {
        let given = self.take(key)?;
        let found = given.raw.text();
        if let Some((_, value)) = choices.iter().find(|(word, _)| Some(*word) == found) {
            return Some(Placed { value: *value, key: given.key, site: given.site });
        }
        let expected = format!("takes {}", any_of(choices.iter().map(|(word, _)| *word)));
        // Words such as "on" and "off" look like the values of a switch.
        let switch = given.raw.boolean().map(|is_on| if is_on { "on" } else { "off" });
        let switch = switch.filter(|meant| choices.iter().any(|(word, _)| word == meant));
        let near = found.and_then(|found| nearest::of(found, choices.iter().map(|(word, _)| *word)));
        let near = switch.or(near);
        let help = near.map(|near| format!("did you mean {near:?}?")).unwrap_or_default();
        self.refuse(&given, &expected, &help);
        None
    }

    /// A text that `parse` accepts, if the key is set. `expected` continues the sentence after the key: "takes an
    /// address".
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Placed<T>> {
        let given = self.take(key)?;
        self.parse(given, expected, parse)
    }

    /// A text that `parse` accepts. The key must be set.
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

    /// A list of texts. Texts that `parse` does not accept are reported and omitted.
    pub(super) fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<Placed<T>> {
        let Some(given) = self.take(key) else { return Vec::new() };
        let RawValue::Toml(DeValue::Array(items)) = given.raw else {
            let help = match given.raw {
                RawValue::Toml(_) => "write a list in square brackets: [\"a\", \"b\"]",
                RawValue::Text(_) => "a list can only be set in the file",
            };
            self.refuse(&given, "takes a list of texts", help);
            return Vec::new();
        };
        self.each(&given.key, items, expected, parse)
    }

    /// One text or a list of texts, if the key is set. Texts that `parse` does not accept are reported and omitted.
    pub(super) fn one_or_more<T, E: Display>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<OneOrMore<T>> {
        let given = self.take(key)?;
        let (key, site) = (given.key.clone(), given.site.clone());
        Some(match given.raw {
            RawValue::Toml(DeValue::Array(items)) => {
                let values = self.each(&key, items, expected, parse);
                OneOrMore { values, count: items.len(), key, site }
            }
            _ => {
                let values = self.parse(given, expected, parse).into_iter().collect();
                OneOrMore { values, count: 1, key, site }
            }
        })
    }

    fn each<T, E: Display>(
        &mut self,
        key: &str,
        items: &'a [Spanned<DeValue<'a>>],
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<Placed<T>> {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let given = self.given(format!("{key}[{index}]"), item);
            values.extend(self.parse(given, expected, &parse));
        }
        values
    }

    /// Whether the key is set to any value, in the file or outside the file.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
            || self.is_settable() && self.reader.set_outside(&self.path, key).is_some()
    }

    /// Ends the section. Each key of the table that nobody has asked for is a mistake. The reader describes these
    /// mistakes after it has read all sections.
    pub(super) fn finish(self) {
        let keys = self.table.into_iter().flat_map(|table| table.keys());
        let stray = |(key, site)| Stray { path: self.path.clone(), kind: self.kind.clone(), key, site };
        let strays = keys
            .map(|key| (key.get_ref().to_string(), self.reader.site(key.span())))
            .filter(|(key, _)| !self.asked.contains(&key.as_str()))
            .map(stray)
            .collect();
        let section = self.kind.clone();
        let (keys, not_built) = (self.asked, self.not_built);
        let known = KnownKeys { section, keys, not_built, settable: self.settable };
        self.reader.learn(known, strays);
    }

    /// The value that is set outside the file, or else the value in the file.
    fn take(&mut self, key: &'static str) -> Option<GivenValue<'a>> {
        let from_file = self.take_from_file(key);
        if !self.is_settable() {
            return from_file;
        }
        self.settable.push(key);
        let from_outside = self.reader.set_outside(&self.path, key).map(|entry| GivenValue {
            raw: RawValue::Text(&entry.text),
            key: self.key(key),
            site: entry.site.clone(),
        });
        from_outside.or(from_file)
    }

    /// Whether flags and variables can set values of this section.
    fn is_settable(&self) -> bool {
        overrides::SECTIONS.contains(&self.path.as_str())
    }

    fn take_from_file(&mut self, key: &'static str) -> Option<GivenValue<'a>> {
        self.asked.push(key);
        let item = self.table?.get(key)?;
        Some(self.given(self.key(key), item))
    }

    fn given(&self, key: String, item: &'a Spanned<DeValue<'a>>) -> GivenValue<'a> {
        GivenValue { raw: RawValue::Toml(item.get_ref()), key, site: self.reader.site(item.span()) }
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&RawValue<'a>) -> Option<T>,
        expected: &str,
        help: impl Fn(&RawValue<'a>) -> String,
    ) -> Option<Placed<T>> {
        let given = self.take(key)?;
        if let Some(value) = read(&given.raw) {
            return Some(Placed { value, key: given.key, site: given.site });
        }
        let unquoted = given.raw.text().filter(|text| read(&RawValue::Text(text)).is_some());
        let unquoted = unquoted.map(|text| format!("write it without quotes: {text}"));
        self.refuse(&given, expected, &unquoted.unwrap_or_else(|| help(&given.raw)));
        None
    }

    fn parse<T, E: Display>(
        &mut self,
        given: GivenValue<'a>,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Placed<T>> {
        let Some(text) = given.raw.text() else {
            let help = match given.raw {
                RawValue::Toml(DeValue::Array(_)) => "write only one, without square brackets",
                _ => "write a text in quotes",
            };
            self.refuse(&given, expected, help);
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

    fn refuse(&mut self, given: &GivenValue<'_>, expected: &str, help: &str) {
        let found = format!("found {}", given.raw.describe());
        self.report(Diagnostic::error(given.site.clone(), &given.key, expected).found(found).help(help));
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
