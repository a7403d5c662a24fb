//! The built web pages of a server, as bytes in the program: the map (`/`), the page of shares (`/share`), and the
//! files that these pages load (`/map/NAME`).
//!
//! The folder `assets` holds the files, and `web/build.sh` makes them from the sources in `web`. They are committed, so
//! a plain `cargo build` needs no Node.js. The stage `web` of `./test` builds them again and compares.
//!
//! - `assets/NAME.html.gz` is a page. Its name stays the same, so browsers must ask whether it has changed.
//! - `assets/map/NAME.gz` is a file that a page loads. Its name has a hash of its content, so browsers may keep it for
//!   ever.
//!
//! ```
//! let page = proxyherd_web::page("index.html").expect("the map is always there");
//! assert_eq!(page.content_type, "text/html; charset=utf-8");
//! assert!(page.gzip.starts_with(&[0x1f, 0x8b]));
//! assert!(proxyherd_web::file("../index.html").is_none());
//! ```
//!
//! Each file is in the program once, compressed with gzip. Every browser accepts gzip, also over plain HTTP, where
//! browsers do not offer brotli. For a client that accepts no gzip, the door unpacks the file.
//!
//! This crate knows neither HTTP nor the herd, and has no dependencies.

/// One built file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebFile {
    /// The name, without folder and without `.gz`.
    pub name: &'static str,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `ETag`, of the weak form `W/"…"`, because the file may be sent packed or unpacked.
    pub etag: &'static str,
    /// The length of the unpacked file, bytes.
    pub len: u32,
    /// The file, compressed with gzip.
    pub gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The page of this name, such as `index.html`.
pub fn page(name: &str) -> Option<&'static WebFile> {
    PAGES.iter().find(|page| page.name == name)
}

/// The file of this name, which a page loads.
pub fn file(name: &str) -> Option<&'static WebFile> {
    FILES.iter().find(|file| file.name == name)
}

/// All pages, in the order of their names.
pub fn pages() -> &'static [WebFile] {
    PAGES
}

/// All files that the pages load, in the order of their names.
pub fn files() -> &'static [WebFile] {
    FILES
}
