//! Media types: which one a request accepts, and which one a body has. Everything here is pure.

use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Problem;

/// One of the media ranges in the header Accept (RFC 9110, section 12.5.1).
pub(super) struct MediaRange<'a> {
    /// The media type without parameters, such as `text/plain`.
    pub(super) kind: &'a str,
    pub(super) version: Option<&'a str>,
    /// The weight, from 0 (not acceptable) to 1.
    pub(super) quality: f32,
}

impl<'a> MediaRange<'a> {
    /// All media ranges that a request accepts.
    pub(super) fn all(headers: &HeaderMap) -> impl Iterator<Item = MediaRange<'_>> {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(MediaRange::read)
    }

    fn read(text: &'a str) -> MediaRange<'a> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = MediaRange { kind: parts.next().unwrap_or_default(), version: None, quality: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "version" => range.version = Some(value.trim_matches('"')),
                "q" | "Q" => range.quality = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        range
    }

    /// How closely the range names a media type: 0 if it does not, 3 if it names exactly this type.
    fn closeness(&self, kind: &str) -> u8 {
        if self.kind.eq_ignore_ascii_case(kind) {
            return 3;
        }
        match self.kind.strip_suffix("/*") {
            Some("*") => 1,
            Some(family) if kind.split('/').next().is_some_and(|own| own.eq_ignore_ascii_case(family)) => 2,
            _ => 0,
        }
    }
}

/// The offered media type that a request prefers; the first of several that it likes equally. 406 if it accepts none of
/// them. A request without Accept accepts everything.
pub(super) fn accepted(headers: &HeaderMap, offers: &[&'static str]) -> Result<&'static str, Problem> {
    let first = offers.first().copied().unwrap_or_default();
    if !headers.contains_key(header::ACCEPT) {
        return Ok(first);
    }
    let mut best = (0.0, first);
    for &offer in offers {
        let quality = quality_of(headers, offer);
        if quality > best.0 {
            best = (quality, offer);
        }
    }
    if best.0 > 0.0 {
        return Ok(best.1);
    }
    let detail = format!("the answer is {}; name it in Accept, or leave Accept out", offers.join(" or "));
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, detail))
}

/// The weight of the range that names a media type most closely.
fn quality_of(headers: &HeaderMap, kind: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in MediaRange::all(headers) {
        let closeness = range.closeness(kind);
        if closeness > best.0 || (closeness > 0 && closeness == best.0 && range.quality > best.1) {
            best = (closeness, range.quality);
        }
    }
    best.1
}

/// The media type of a request's body, if it is among `known`. 415 otherwise.
pub(super) fn of_body(headers: &HeaderMap, known: &[&'static str]) -> Result<&'static str, Problem> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = named.split(';').next().unwrap_or_default().trim();
    known.iter().copied().find(|known| known.eq_ignore_ascii_case(kind)).ok_or_else(|| {
        let detail = format!("Content-Type must be {}", known.join(" or "));
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const OFFERS: [&str; 2] = ["application/json", "application/geo+json"];

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_preferred_media_type_is_chosen() {
        for (accept, expected) in [
            (&[][..], Some(OFFERS[0])),
            (&["*/*"], Some(OFFERS[0])),
            (&["application/*"], Some(OFFERS[0])),
            (&["application/geo+json"], Some(OFFERS[1])),
            (&["Application/Geo+JSON, application/json;q=0.9"], Some(OFFERS[1])),
            (&["application/json;q=0.1", "application/geo+json;q=0.2"], Some(OFFERS[1])),
            (&["*/*;q=0.5, application/json;q=0"], Some(OFFERS[1])),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], Some(OFFERS[0])),
            (&["text/html"], None),
            (&["application/json;q=0"], None),
            (&["application/json;q=x"], None),
            (&["text/*"], None),
            (&[""], None),
        ] {
            let found = accepted(&headers(&header::ACCEPT, accept), &OFFERS);
            assert_eq!(found.ok(), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_body_of_another_media_type_is_refused() {
        for (kind, expected) in [
            ("application/json", Some(OFFERS[0])),
            ("application/json; charset=utf-8", Some(OFFERS[0])),
            ("Application/GEO+json ;x=y", Some(OFFERS[1])),
            ("application/jsonx", None),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(of_body(&headers(&header::CONTENT_TYPE, &[kind]), &OFFERS).ok(), expected, "{kind}");
        }
        assert_eq!(of_body(&HeaderMap::new(), &OFFERS).map_err(|problem| problem.status.as_u16()), Err(415));
    }
}
