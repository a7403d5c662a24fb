//! OwnTracks in HTTP mode: one JSON object with `_type` in a request, and an array of others' locations in the answer.
//!
//! Sources: the booklet of OwnTracks, chapters "JSON" and "HTTP" (github.com/owntracks/booklet).

use std::borrow::Cow;

use super::PhoneError;
use crate::{
    command::Whereabouts,
    types::{AttributesBuf, Coordinates, Stamp},
};

/// What a phone sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'j> {
    /// The phone's position.
    Location(Location<'j>),
    /// A message of another type, such as a will (`lwt`), a waypoint or a region's transition: nothing to report. It is
    /// answered like a report, because the app sends it again otherwise.
    Other,
}

/// A position, apart from its attributes, which are in the buffer that was passed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location<'j> {
    /// The phone's position.
    pub coordinates: Coordinates,
    /// The time of the fix.
    pub stamp: Stamp,
    /// The topic under which the phone would publish with MQTT.
    pub topic: Option<Cow<'j, str>>,
    /// The phone's tracker ID: two characters that the app shows on maps.
    pub tid: Option<Cow<'j, str>>,
}

/// Reads a message. The buffer is cleared first; afterwards it has the attributes of a position.
pub fn parse<'j>(json: &'j [u8], attributes: &mut AttributesBuf) -> Result<Message<'j>, PhoneError> {
    attributes.clear();
    let _ = json;
    Err(PhoneError::Missing("_type"))
}

/// The client's ID: `<user>/<device>`, or the one that is there, of the headers or the query; else the topic without
/// `owntracks/` in front; else the tracker ID. An empty user or device counts as absent.
pub fn client_id(
    user: Option<&[u8]>,
    device: Option<&[u8]>,
    location: &Location<'_>,
) -> Result<Vec<u8>, PhoneError> {
    let _ = (user, device, location);
    Err(PhoneError::NoId("type a user name and a device ID in the app's connection preferences"))
}

/// The answer under construction: an array of `location` objects, which the app shows as friends.
#[derive(Debug)]
#[must_use = "the answer has to be ended"]
pub struct Friends<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Friends<'o> {
    /// Begins an answer at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>) -> Friends<'o> {
        out.push(b'[');
        Friends { out, is_first: true }
    }

    /// Adds a client.
    pub fn push(&mut self, client: &Whereabouts<'_>) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        let _ = client;
        self.out.extend_from_slice(b"{}");
    }

    /// Ends the answer.
    pub fn end(self) {
        self.out.push(b']');
    }
}
