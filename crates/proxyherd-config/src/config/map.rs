//! The section `[map]`: the map tiles that the page of the map may load from elsewhere. Without it, the page draws the
//! outlines of countries that are part of the program, and no request leaves the herd.

use super::{
    access::{WebOrigin, check_authority},
    diagnostic::Diagnostic,
    section::Section,
};

/// Maximum length of the URL of tiles, bytes. It is in the policy that every page of the map has.
const TILES_LEN_MAX: usize = 1000;
/// Maximum length of the attribution, characters. A phone shows it in a few lines.
const ATTRIBUTION_LEN_MAX: usize = 300;
/// What stands in the URL for the numbers of a tile.
const PLACEHOLDERS: [&str; 3] = ["{z}", "{x}", "{y}"];
const EXAMPLE: &str = "for example \"https://tiles.example.org/{z}/{x}/{y}.png\"";

/// The section `[map]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapSettings {
    /// The URL of map tiles, with `{z}`, `{x}` and `{y}` in its path or query. `None`: the map has no tiles.
    pub tiles: Option<String>,
    /// What the map says about the source of the tiles.
    pub attribution: String,
}

impl MapSettings {
    /// The origin from which the page loads tiles.
    pub fn tile_origin(&self) -> Option<WebOrigin> {
        self.tiles.as_deref().and_then(WebOrigin::of_url)
    }
}

pub(super) fn read(mut section: Section<'_, '_>) -> MapSettings {
    let is_tiles_given = section.is_given("tiles");
    let tiles = section.parsed("tiles", "takes a URL of map tiles", parse_tiles);
    let tiles = tiles.and_then(|tiles| tiles.value);
    let attribution = section.parsed("attribution", "takes a text without HTML", parse_attribution);
    if let Some(given) = attribution.as_ref().filter(|given| !given.value.is_empty())
        && !is_tiles_given
    {
        let warning = Diagnostic::warning(given.site.clone(), &given.key, "has no effect without `tiles`");
        section.report(warning.help("the map shows it beside the tiles; leave it out, or set `tiles`"));
    }
    section.finish();
    MapSettings { tiles, attribution: attribution.map(|given| given.value).unwrap_or_default() }
}

/// Reads the URL of tiles. `None` for the empty text, which is the default.
fn parse_tiles(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > TILES_LEN_MAX {
        return Err(format!("a URL of tiles has at most {TILES_LEN_MAX} bytes"));
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("https" | "http"), rest)) => (scheme, rest),
        _ => return Err(EXAMPLE.to_owned()),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(
            "everybody who opens the map sees this URL: write it without a user and a password".to_owned()
        );
    }
    if authority.contains('{') {
        return Err("the host is fixed, because the page's policy names it: write one host".to_owned());
    }
    let address = check_authority(authority).map_err(|error| format!("{error}; {EXAMPLE}"))?;
    check_path(path)?;
    if scheme == "http" && !address.is_loopback() {
        return Err(
            "http:// is accepted on loopback only, since anybody on the way could change the map: write https://"
                .to_owned(),
        );
    }
    Ok(Some(text.to_owned()))
}

/// Checks what stands behind the host.
fn check_path(path: &str) -> Result<(), String> {
    if path.contains('#') {
        return Err("browsers send no fragment: write the URL without `#`".to_owned());
    }
    if let Some(missing) = PLACEHOLDERS.iter().find(|placeholder| !path.contains(**placeholder)) {
        return Err(format!("{missing} is missing; {EXAMPLE}"));
    }
    let rest = PLACEHOLDERS.iter().fold(path.to_owned(), |rest, placeholder| rest.replace(placeholder, ""));
    if rest.contains(['{', '}']) {
        return Err("only {z}, {x} and {y} can be in braces".to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte);
    if rest.bytes().all(is_plain) {
        Ok(())
    } else {
        Err("other characters than those of a URL must be percent-encoded".to_owned())
    }
}

fn parse_attribution(text: &str) -> Result<String, String> {
    if text.chars().count() > ATTRIBUTION_LEN_MAX {
        return Err(format!("an attribution has at most {ATTRIBUTION_LEN_MAX} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("an attribution is one line, without control characters".to_owned());
    }
    if text.contains(['<', '>']) {
        return Err("the map shows a text and no HTML: \"© OpenStreetMap contributors\"".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_tiles_names_the_three_numbers_and_one_host() {
        for url in [
            "https://tiles.example.org/{z}/{x}/{y}.png",
            "https://tiles.example.org:8443/{z}/{y}/{x}@2x.png?key=a%20b",
            "https://tiles.example.org?z={z}&x={x}&y={y}",
            "http://127.0.0.1:8080/{z}/{x}/{y}.png",
            "http://localhost/{z}/{x}/{y}.png",
            "http://[::1]:80/{z}/{x}/{y}.png",
        ] {
            assert_eq!(parse_tiles(url), Ok(Some(url.to_owned())));
        }
        assert_eq!(parse_tiles(""), Ok(None));
        for (url, expected) in [
            ("tiles.example.org/{z}/{x}/{y}.png", EXAMPLE),
            ("ftp://tiles.example.org/{z}/{x}/{y}.png", EXAMPLE),
            ("https:///{z}/{x}/{y}.png", "the host is missing"),
            ("https://a.example/{z}/{x}.png", "{y} is missing"),
            ("https://{s}.a.example/{z}/{x}/{y}.png", "the host is fixed"),
            ("https://a.example/{z}/{x}/{y}{r}.png", "only {z}, {x} and {y}"),
            ("https://a.example/{z}/{x}/{-y}.png", "{y} is missing"),
            ("https://me:secret@a.example/{z}/{x}/{y}.png", "everybody who opens the map"),
            ("https://a.example/{z}/{x}/{y}.png#a", "browsers send no fragment"),
            ("https://a.example/{z}/{x}/{y} .png", "other characters"),
            ("https://a.example/{z}/{x}/{y}.png\r\nX: y", "other characters"),
            ("https://a.example; script-src *//{z}/{x}/{y}", "a host name has only"),
            ("http://a.example/{z}/{x}/{y}.png", "http:// is accepted on loopback only"),
            ("http://10.0.0.1/{z}/{x}/{y}.png", "http:// is accepted on loopback only"),
        ] {
            let refused = parse_tiles(url).unwrap_err();
            assert!(refused.starts_with(expected), "{url}: {refused}");
        }
        let long = format!("https://a.example/{}/{{z}}/{{x}}/{{y}}", "a".repeat(TILES_LEN_MAX));
        assert!(parse_tiles(&long).is_err());
    }

    #[test]
    fn the_origin_of_tiles_is_as_browsers_write_it() {
        for (url, origin) in [
            ("https://Tiles.example.org:443/{z}/{x}/{y}.png", "https://tiles.example.org"),
            ("https://a.example?z={z}&x={x}&y={y}", "https://a.example"),
            ("http://[::1]:8080/{z}/{x}/{y}", "http://[::1]:8080"),
        ] {
            let map = MapSettings { tiles: parse_tiles(url).unwrap(), ..MapSettings::default() };
            assert_eq!(map.tile_origin(), WebOrigin::parse(origin).ok(), "{url}");
        }
        assert_eq!(MapSettings::default().tile_origin(), None);
    }

    #[test]
    fn an_attribution_is_one_line_of_text() {
        for text in ["", "© OpenStreetMap contributors", "Tiles & style: us"] {
            assert_eq!(parse_attribution(text), Ok(text.to_owned()));
        }
        for text in ["<a href=x>us</a>", "a\nb", &"a".repeat(ATTRIBUTION_LEN_MAX + 1)] {
            assert!(parse_attribution(text).is_err(), "{text}");
        }
    }
}
