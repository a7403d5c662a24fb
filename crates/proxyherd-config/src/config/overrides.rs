//! Values set outside the file: `PROXYHERD_<SECTION>_<KEY>` in the environment and `--set section.key=value`.
//!
//! A flag overrides a variable, and a variable overrides the file. Flags and variables can set any single value of the
//! sections `herd`, `places` and its tables, `tls`, `map`, `limits` and `log`. Only the file can set lists and the
//! servers of the herd, because these are the same for every server.

use std::ffi::OsString;

use super::{
    diagnostic::Diagnostic,
    nearest,
    site::{Site, ValueSource},
};

/// The beginning of the name of every variable.
pub const VARIABLE_PREFIX: &str = "PROXYHERD_";

/// The sections whose single values flags and variables can set.
pub(super) const SECTIONS: [&str; 11] = [
    "herd",
    "places",
    "places.google",
    "places.google-legacy",
    "places.osm",
    "tls",
    "limits",
    "map",
    "reports",
    "log",
    "access",
];

/// Variables that are not settings. The command line reads them.
const COMMAND_LINE_VARIABLES: [&str; 3] = ["PROXYHERD_CONFIG", "PROXYHERD_NAME", "PROXYHERD_TOKEN"];

/// The environment variables and flags of one start. [`Config::read`](super::Config::read) takes them as an argument,
/// so that reading a configuration is pure.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    variables: Vec<(OsString, OsString)>,
    sets: Vec<String>,
}

impl Overrides {
    /// No variable and no flag.
    pub fn none() -> Overrides {
        Overrides::default()
    }

    /// The variables of `environment` and the values of `--set`, without the variables of other programs.
    pub fn new(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        sets: impl IntoIterator<Item = String>,
    ) -> Overrides {
        let ours = |name: &OsString| name.to_string_lossy().starts_with(VARIABLE_PREFIX);
        let variables = environment.into_iter().filter(|(name, _)| ours(name)).collect();
        Overrides { variables, sets: sets.into_iter().collect() }
    }

    /// The variables of this process and the values of `--set`.
    pub fn from_process(sets: impl IntoIterator<Item = String>) -> Overrides {
        Overrides::new(std::env::vars_os(), sets)
    }
}

/// One value set outside the file.
pub(super) struct OutsideValue {
    /// The key, such as `log.level`, or the name of a variable.
    name: String,
    pub(super) text: String,
    pub(super) site: Site,
}

/// A key that flags and variables can set.
pub(super) struct Settable {
    /// The key with its section: `log.level`.
    pub(super) path: String,
    /// Whether hints name this key.
    pub(super) is_offered: bool,
}

/// Every value set outside the file.
pub(super) struct OutsideValues {
    flags: Vec<OutsideValue>,
    variables: Vec<OutsideValue>,
}

impl OutsideValues {
    /// Parses the overrides. An override that cannot be parsed is a mistake.
    pub(super) fn read(overrides: &Overrides, mistakes: &mut Vec<Diagnostic>) -> OutsideValues {
        OutsideValues {
            flags: overrides.sets.iter().filter_map(|set| read_flag(set, mistakes)).collect(),
            variables: overrides.variables.iter().filter_map(|pair| read_variable(pair, mistakes)).collect(),
        }
    }

    /// The value of `section.key` outside the file. The last of several flags counts.
    pub(super) fn find(&self, section: &str, key: &str) -> Option<&OutsideValue> {
        let path = format!("{section}.{key}");
        let variable = variable_of(&path);
        let by_flag = self.flags.iter().rfind(|entry| entry.name == path);
        by_flag.or_else(|| self.variables.iter().find(|entry| entry.name == variable))
    }

    /// The flags and variables that name no key. Such a flag is an error. Such a variable may belong to another
    /// program. So the variable is a warning, and only if its name is similar to the name of a key. `settable` has all
    /// keys that flags and variables can set.
    pub(super) fn strays(&self, settable: &[Settable]) -> Vec<Diagnostic> {
        let offered = settable.iter().filter(|known| known.is_offered);
        let offered: Vec<&str> = offered.map(|known| known.path.as_str()).collect();
        let is_stray = |entry: &&OutsideValue| settable.iter().all(|known| known.path != entry.name);
        let flags = self.flags.iter().filter(is_stray).map(|entry| stray_flag(entry, &offered));
        let is_stray =
            |entry: &&OutsideValue| settable.iter().all(|known| variable_of(&known.path) != entry.name);
        let variables = self.variables.iter().filter(is_stray);
        flags.chain(variables.filter_map(|entry| stray_variable(entry, &offered))).collect()
    }
}

/// The name of the variable that sets a key: `PROXYHERD_LOG_LEVEL` for `log.level`.
pub(super) fn variable_of(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.replace(['.', '-'], "_").to_ascii_uppercase())
}

fn read_flag(set: &str, mistakes: &mut Vec<Diagnostic>) -> Option<OutsideValue> {
    let before = "--set ".len();
    let line = format!("--set {set}");
    let Some((name, text)) = set.split_once('=') else {
        let site = site(ValueSource::Flag, &line, before, set);
        let mistake = Diagnostic::keyless(site, "a setting is written `section.key=value`");
        mistakes.push(mistake.found("there is no `=`").help("for example `--set log.level=debug`"));
        return None;
    };
    let site = site(ValueSource::Flag, &line, before + name.chars().count() + 1, text);
    Some(OutsideValue { name: name.trim().to_owned(), text: text.to_owned(), site })
}

fn read_variable(
    (name, value): &(OsString, OsString),
    mistakes: &mut Vec<Diagnostic>,
) -> Option<OutsideValue> {
    let (name, text) = (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned());
    let before = name.chars().count() + 1;
    let site = site(ValueSource::Variable(name.clone()), &format!("{name}={text}"), before, &text);
    if value.to_str().is_none() {
        mistakes.push(Diagnostic::keyless(site, format!("{name} is not UTF-8")));
        return None;
    }
    Some(OutsideValue { name, text, site })
}

fn site(source: ValueSource, text: &str, before: usize, stretch: &str) -> Site {
    Site::new(source, text, before + 1, stretch.chars().count())
}

fn stray_flag(entry: &OutsideValue, offered: &[&str]) -> Diagnostic {
    let width = entry.name.chars().count().max(1);
    let site = Site { column: "--set ".len() + 1, width, ..entry.site.clone() };
    // `journal` is the most likely mistake for `herd.journal`, and far from it in letters.
    let without_section = offered.iter().copied().find(|path| path.ends_with(&format!(".{}", entry.name)));
    let help = match without_section.or_else(|| nearest::of(&entry.name, offered.iter().copied())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("a flag can set any single value of {}", sections_in_words()),
    };
    Diagnostic::error(site, entry.name.as_str(), "cannot be set by a flag").help(help)
}

fn stray_variable(entry: &OutsideValue, offered: &[&str]) -> Option<Diagnostic> {
    let settings = offered.iter().map(|path| variable_of(path));
    let known: Vec<String> = settings.chain(COMMAND_LINE_VARIABLES.map(str::to_owned)).collect();
    if known.contains(&entry.name) {
        return None;
    }
    let help = match meant_variable(&entry.name, &known) {
        Meant::Nothing => return None,
        Meant::Some => format!("a variable is named {VARIABLE_PREFIX}<SECTION>_<KEY>"),
        Meant::One(near) => format!("did you mean {near}?"),
    };
    let site = Site { column: 1, width: entry.name.chars().count(), ..entry.site.clone() };
    let mut warning = Diagnostic::warning(site, "", format!("{} names no setting", entry.name));
    warning.key = None;
    Some(warning.help(help))
}

/// What an unknown variable was probably meant to set: no setting, an unknown setting, or the setting of this variable.
enum Meant {
    Nothing,
    Some,
    One(String),
}

/// Compares names without the prefix. All names have the prefix, so the prefix would make different names similar.
fn meant_variable(name: &str, known: &[String]) -> Meant {
    let bare = |name: &'_ str| name.trim_start_matches(VARIABLE_PREFIX).to_ascii_lowercase();
    let known: Vec<String> = known.iter().map(|name| bare(name)).collect();
    let known = known.iter().map(String::as_str);
    let name = bare(name);
    let is_of_a_section = SECTIONS.iter().any(|section| name.starts_with(&format!("{section}_")));
    let near = if is_of_a_section { nearest::of(&name, known) } else { nearest::slip_of(&name, known) };
    match near {
        Some(near) => Meant::One(variable_of(near)),
        None if is_of_a_section => Meant::Some,
        None => Meant::Nothing,
    }
}

fn sections_in_words() -> String {
    SECTIONS.map(|section| format!("[{section}]")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(variables: &[(&str, &str)], sets: &[&str]) -> (OutsideValues, Vec<Diagnostic>) {
        let environment = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let overrides = Overrides::new(environment, sets.iter().map(ToString::to_string));
        let mut mistakes = Vec::new();
        (OutsideValues::read(&overrides, &mut mistakes), mistakes)
    }

    fn settable(paths: &[&str]) -> Vec<Settable> {
        paths.iter().map(|path| Settable { path: path.to_string(), is_offered: true }).collect()
    }

    #[test]
    fn a_flag_goes_before_a_variable_and_the_last_flag_counts() {
        let (entries, mistakes) = entries(
            &[("PROXYHERD_LOG_LEVEL", "warn"), ("PROXYHERD_LOG_KEEP", "9"), ("HOME", "/")],
            &["log.level=debug", "log.level=error", "limits.idle_s=1=2"],
        );
        assert!(mistakes.is_empty());
        let text = |section, key| entries.find(section, key).map(|entry| entry.text.as_str());
        assert_eq!(text("log", "level"), Some("error"));
        assert_eq!(text("log", "keep"), Some("9"));
        assert_eq!(text("limits", "idle_s"), Some("1=2"));
        assert_eq!(text("log", "dir"), None);
        assert!(entries.strays(&settable(&["log.level", "log.keep", "limits.idle_s"])).is_empty());
    }

    #[test]
    fn a_site_points_at_the_value() {
        let (entries, _) = entries(&[("PROXYHERD_LOG_LEVEL", "loud")], &["log.keep=many"]);
        let stretch = |entry: &OutsideValue| {
            let site = &entry.site;
            site.text.chars().skip(site.column - 1).take(site.width).collect::<String>()
        };
        assert_eq!(entries.find("log", "level").map(stretch).as_deref(), Some("loud"));
        assert_eq!(entries.find("log", "keep").map(stretch).as_deref(), Some("many"));
    }

    #[test]
    fn flags_that_name_no_key_are_errors_and_variables_only_warn_where_they_look_like_one() {
        let (entries, mistakes) = entries(
            &[
                ("PROXYHERD_LOG_LEVLE", "x"),
                ("PROXYHERD_LOG_QQQQQQQ", "x"),
                ("PROXYHERD_CONFG", "x"),
                ("PROXYHERD_TEST_DATA", "x"),
                ("PROXYHERD_NAME", "x"),
            ],
            &["log.levle=x", "level", "qqq=x"],
        );
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].to_string().contains("section.key=value"), "{}", mistakes[0]);
        let strays = entries.strays(&settable(&["log.level", "herd.data"]));
        let lines: Vec<String> = strays.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[0].contains("error") && lines[0].contains("did you mean `log.level`?"), "{lines:?}");
        assert!(lines[1].contains("error") && lines[1].contains("[herd], [places]"), "{lines:?}");
        assert!(lines[2].contains("warning") && lines[2].contains("PROXYHERD_LOG_LEVEL?"), "{lines:?}");
        assert!(lines[3].contains("warning") && lines[3].contains("<SECTION>_<KEY>"), "{lines:?}");
        assert!(lines[4].contains("warning") && lines[4].contains("PROXYHERD_CONFIG?"), "{lines:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_is_an_error_that_names_the_variable() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(vec![b'l', 0xff]);
        let overrides = Overrides::new([("PROXYHERD_LOG_DIR".into(), value)], []);
        let mut mistakes = Vec::new();
        OutsideValues::read(&overrides, &mut mistakes);
        assert!(mistakes[0].to_string().contains("PROXYHERD_LOG_DIR is not UTF-8"));
    }
}
