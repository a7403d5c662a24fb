//! Which format the body of a request has.

/// The format of a phone app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object with `_type`: [`owntracks`](super::owntracks).
    OwnTracks,
    /// A JSON object with `locations`: [`overland`](super::overland).
    Overland,
    /// A JSON object with `location` and `device_id`: [`traccar`](super::traccar).
    Traccar,
    /// A form (`application/x-www-form-urlencoded`) with a parameter of OsmAnd: [`osmand`](super::osmand).
    OsmAnd,
}

impl Format {
    /// The format of a body, if it is one of these formats. The body may still have mistakes: a body that begins as a
    /// JSON object counts for the members in front of the first mistake.
    pub fn of(body: &[u8]) -> Option<Format> {
        let _ = body;
        None
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
