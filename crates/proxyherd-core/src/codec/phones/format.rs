//! Which format the body of a request has.

use super::osmand;
use crate::codec::json::members;

/// The format of a phone app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object with `_type`: [`owntracks`](super::owntracks).
    OwnTracks,
    /// A JSON object with `locations`: [`overland`](super::overland).
    Overland,
    /// A JSON object with `location` and `device_id`: [`traccar`](super::traccar).
    Traccar,
    /// A form (`application/x-www-form-urlencoded`) with an ID or a position: [`osmand`].
    OsmAnd,
}

impl Format {
    /// The format of a body, if it is one of these formats. The body may still have mistakes: the members of a JSON
    /// object count up to the first mistake, so that the module of the format can say what is wrong.
    ///
    /// ```
    /// use proxyherd_core::codec::phones::Format;
    /// assert_eq!(Format::of(br#"{"_type":"location","lat":48.85,"lon":2.29}"#), Some(Format::OwnTracks));
    /// assert_eq!(Format::of(b"id=7&lat=48.85&lon=2.29"), Some(Format::OsmAnd));
    /// assert_eq!(Format::of(br#"{"lat":48.85,"lon":2.29}"#), None);
    /// ```
    pub fn of(body: &[u8]) -> Option<Format> {
        match body.trim_ascii_start().first() {
            Some(b'{') => Format::of_object(body),
            Some(b'[') | None => None,
            Some(_) => osmand::is_form(body).then_some(Format::OsmAnd),
        }
    }

    fn of_object(json: &[u8]) -> Option<Format> {
        let (mut has_type, mut has_locations, mut has_location, mut has_device) =
            (false, false, false, false);
        let _ = members::read(json, |name, _| {
            match name {
                "_type" => has_type = true,
                "locations" => has_locations = true,
                "location" => has_location = true,
                "device_id" => has_device = true,
                _ => {}
            }
            Ok::<(), ()>(())
        });
        if has_type {
            Some(Format::OwnTracks)
        } else if has_locations {
            Some(Format::Overland)
        } else {
            (has_location && has_device).then_some(Format::Traccar)
        }
    }

    /// The format in a word, for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Format::OwnTracks => "owntracks",
            Format::Overland => "overland",
            Format::Traccar => "traccar",
            Format::OsmAnd => "osmand",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<Format>) {
        assert_eq!(Format::of(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn a_body_is_told_apart_by_its_members() {
        for body in [
            r#"{"_type":"location"}"#,
            " \n{\"tst\":1,\"\\u005ftype\":null}",
            r#"{"locations":[],"location":{},"device_id":"a","_type":"lwt"}"#,
            r#"{"_type":"location","lat":}"#,
        ] {
            check(body, Some(Format::OwnTracks));
        }
        check(r#"{"locations":[]}"#, Some(Format::Overland));
        check(r#"{"device_id":"a","locations":7,"location":{}}"#, Some(Format::Overland));
        check(r#"{"location":{},"device_id":"a"}"#, Some(Format::Traccar));
        check(r#"{"device_id":7,"location":[]"#, Some(Format::Traccar));
        for body in [
            "",
            " ",
            "{}",
            "[]",
            "{",
            "7",
            r#"[{"_type":"location"}]"#,
            r#"{"location":{}}"#,
            r#"{"device_id":"a"}"#,
            r#"{"a":{"_type":"location"}}"#,
            r#"{"lat":,"_type":"location"}"#,
        ] {
            check(body, None);
        }
    }

    #[test]
    fn a_form_has_an_id_or_a_position() {
        for body in ["id=7", "deviceid=", "x=1&id=7", "lat=1&lon=2", "location=1,2", "i%64=7"] {
            check(body, Some(Format::OsmAnd));
        }
        for body in ["x=1", "ids=7", "&", "=id", "hello", "token=x&timestamp=1"] {
            check(body, None);
        }
    }
}
