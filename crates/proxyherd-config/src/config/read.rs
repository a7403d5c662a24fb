//! Reads the text of a file. The result is a [`Config`] or all mistakes of the file.

use std::path::Path;

use super::{
    Config,
    access::{self, AccessSettings, GivenAccess},
    diagnostic::{Diagnostic, Diagnostics},
    doors::{self, GivenCertificate},
    durability::GivenDurability,
    log, map,
    overrides::{OutsideValues, Overrides},
    places,
    reader::Reader,
    reports,
    section::Section,
    servers::{self, Draft},
    settings,
    site::FileText,
    syntax::{self, Readability},
    topology,
};

pub(super) fn config(text: &str, path: &Path, overrides: &Overrides) -> Result<Config, Diagnostics> {
    let source = FileText { path, text };
    match syntax::with_lists_of_servers(source) {
        Some((meant, headers)) => read(FileText { path, text: &meant }, headers, overrides),
        None => read(source, Vec::new(), overrides),
    }
}

/// Reads a file. `before` holds the mistakes that an earlier check has found in the file.
fn read(source: FileText<'_>, before: Vec<Diagnostic>, overrides: &Overrides) -> Result<Config, Diagnostics> {
    let path = source.path;
    let mut parsed = syntax::parse(source);
    parsed.mistakes.extend(before);
    if parsed.rest == Readability::Guesswork {
        return Err(Diagnostics::only(path, parsed.mistakes));
    }
    let mut mistakes = parsed.mistakes.clone();
    let entries = OutsideValues::read(overrides, &mut mistakes);
    let mut reader = Reader::new(source, &entries, mistakes);
    let ReadFile { config, durability, certificate, access, drafts } =
        read_root(Section::root(&mut reader, &parsed.table), path);
    topology::check(&drafts, &config.herd.tls, &durability, &mut reader);
    access::check_doors(&drafts, &access, &mut reader);
    topology::check_certificate(&drafts, &certificate, &mut reader);
    let mut found = reader.finish().split_off(parsed.mistakes.len());
    found.retain(|one| !parsed.spoils(&one.site.source));
    found.extend(parsed.mistakes);
    let names: Vec<Option<&str>> =
        drafts.iter().map(|draft| draft.name.as_ref().map(|name| name.value.as_str())).collect();
    found.iter_mut().for_each(|one| one.name_servers(&names));
    let warnings = Diagnostics::refusing(path, found)?;
    let servers = drafts.into_iter().filter_map(Draft::into_server).collect();
    Ok(Config { tls: certificate.value, access: access.value, servers, warnings, ..config })
}

/// What the sections say, before the checks between them.
struct ReadFile {
    config: Config,
    durability: GivenDurability,
    certificate: GivenCertificate,
    access: GivenAccess,
    drafts: Vec<Draft>,
}

fn read_root(mut root: Section<'_, '_>, path: &Path) -> ReadFile {
    let base = path.parent().unwrap_or(Path::new(""));
    let (herd, durability) = settings::read_herd(root.table("herd"), base);
    let (places, places_budget) = places::read(root.table("places"), base);
    let (reports, presence_silent) = reports::read(root.table("reports"));
    let config = Config {
        path: path.to_owned(),
        herd,
        places,
        places_budget,
        limits: settings::read_limits(root.table("limits")),
        reports,
        presence_silent,
        log: log::read(root.table("log"), base),
        access: AccessSettings::default(),
        map: map::read(root.table("map")),
        tls: None,
        servers: Vec::new(),
        warnings: Vec::new(),
    };
    let certificate = doors::read_certificate(root.table("tls"), base);
    let access = access::read(root.table("access"));
    root.hide("database");
    settings::refuse_database(root.table("database"));
    settings::refuse_sections(&mut root);
    let drafts = root.tables("server", |index, section| servers::read(index, section, &durability));
    root.finish();
    ReadFile { config, durability, certificate, access, drafts }
}

/// The mistake of a file that is not UTF-8. Its place is the first byte that is not UTF-8.
pub(super) fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Diagnostics {
    let sound = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(&error.as_bytes()[..sound]);
    let site = FileText { path, text: &text }.site(sound..sound);
    Diagnostics::only(
        path,
        vec![Diagnostic::keyless(site, "the file is not UTF-8").help("save the file as UTF-8")],
    )
}
