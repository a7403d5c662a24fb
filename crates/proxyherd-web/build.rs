//! Lists the files in `assets` for `src/lib.rs`, with their content types, lengths and ETags.
//!
//! `web/build.sh` makes the files. Each is compressed with gzip: pages are `assets/NAME.html.gz`, and all other files
//! are `assets/map/NAME.gz`. The build fails if the folder holds anything else, because no path would lead there.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hasher as _},
    path::{Path, PathBuf},
};

/// The ends of names, and the media types of such files.
const CONTENT_TYPES: [(&str, &str); 8] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];
/// The shortest file of gzip: header, an empty block and trailer, bytes.
const GZIP_LEN_MIN: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let assets = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("assets");
    println!("cargo::rerun-if-changed=assets");
    let mut text = String::from("pub(crate) static PAGES: &[WebFile] = &[\n");
    for file in files(&assets)? {
        entry(&mut text, &file, Place::Page)?;
    }
    text += "];\n\npub(crate) static FILES: &[WebFile] = &[\n";
    for file in files(&assets.join("map"))? {
        entry(&mut text, &file, Place::Map)?;
    }
    text += "];\n";
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("files.rs"), text)?;
    Ok(())
}

/// The folder of a file.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// `assets`, where the pages are.
    Page,
    /// `assets/map`, where everything is that the pages load.
    Map,
}

/// The files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "map") {
                return Err(
                    format!("{}: run web/build.sh; no path leads to this folder", path.display()).into()
                );
            }
            continue;
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

/// Appends the entry of one file.
fn entry(text: &mut String, path: &Path, place: Place) -> Result<(), Box<dyn Error>> {
    let wrong = |what: &str| format!("{}: {what}: run web/build.sh", path.display());
    let name =
        path.file_name().and_then(|name| name.to_str()).ok_or_else(|| wrong("the name is not UTF-8"))?;
    let name = name.strip_suffix(".gz").ok_or_else(|| wrong("every file ends in .gz"))?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.bytes().all(is_plain) {
        return Err(wrong("a name has only letters, digits, `-`, `_` and `.`").into());
    }
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    let kind = CONTENT_TYPES.iter().find(|(known, _)| *known == end);
    let (_, kind) = kind.ok_or_else(|| wrong("build.rs knows no content type for this file"))?;
    if (end == "html") != (place == Place::Page) {
        return Err(wrong("pages are in assets, and all other files in assets/map").into());
    }
    let packed = fs::read(path)?;
    if packed.len() < GZIP_LEN_MIN || !packed.starts_with(&[0x1f, 0x8b]) {
        return Err(wrong("the file is not compressed with gzip").into());
    }
    // The last four bytes of gzip are the length of the content, modulo 2^32 (RFC 1952, section 2.3.1).
    let trailer: [u8; 4] = packed[packed.len() - 4..].try_into()?;
    let len = u32::from_le_bytes(trailer);
    // This hasher has fixed keys, so equal files have equal ETags at every server of one version.
    let mut hasher = DefaultHasher::new();
    hasher.write(&packed);
    let etag = format!("W/\"{:016x}\"", hasher.finish());
    writeln!(
        text,
        "    WebFile {{ name: {name:?}, content_type: {kind:?}, etag: {etag:?}, len: {len}, gzip: include_bytes!({path:?}) }},",
    )?;
    Ok(())
}
