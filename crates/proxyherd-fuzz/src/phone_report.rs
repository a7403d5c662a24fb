//! What the checks of the phone apps' formats share: a report is written in the app's format and read again.

use proxyherd_core::{
    codec::{
        json::{ReportBody, write_lossy},
        rfc3339,
    },
    types::{AttributeValue, AttributesBuf, Coordinates, Stamp, Timestamp},
};

use crate::report::check_attributes;

/// The contents of a report.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) coordinates: Coordinates,
    pub(crate) time: Option<Timestamp>,
    pub(crate) attributes: AttributesBuf,
}

impl Told {
    pub(crate) fn of(body: &ReportBody<'_>, attributes: &AttributesBuf) -> Told {
        check_attributes(attributes.borrow());
        assert_eq!(body.client().is_some(), body.id.is_some(), "an ID that was read is a client ID");
        let time = match body.stamp {
            Stamp::Client(time) => Some(time),
            Stamp::Server => None,
        };
        let id = body.id.as_deref().map(<[u8]>::to_vec);
        Told { id, coordinates: body.coordinates, time, attributes: attributes.clone() }
    }

    /// The report that was written is the report that was read. Only leading zeros of POSIX seconds are not kept.
    pub(crate) fn check_again(&self, again: &Told) {
        let time = |told: &Told| told.time.map(|time| (time.nanos(), time.shape() & 0b1111));
        assert_eq!((&again.id, again.coordinates), (&self.id, self.coordinates));
        assert_eq!(time(again), time(self));
        assert_eq!(again.attributes, self.attributes);
    }

    /// The number of an attribute.
    pub(crate) fn number(&self, name: &str) -> Option<&str> {
        match self.attributes.borrow().value(name)? {
            AttributeValue::Number(digits) => Some(digits),
            AttributeValue::Text(_) => None,
        }
    }

    /// The text of an attribute.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.borrow().value(name)? {
            AttributeValue::Text(text) => Some(text),
            AttributeValue::Number(_) => None,
        }
    }

    pub(crate) fn rfc3339(&self) -> Option<String> {
        let mut text = Vec::new();
        rfc3339::write(&mut text, self.time?);
        Some(String::from_utf8(text).expect("times are ASCII"))
    }

    pub(crate) fn latitude(&self) -> String {
        shortest(|out| self.coordinates.latitude().write_shortest(out))
    }

    pub(crate) fn longitude(&self) -> String {
        shortest(|out| self.coordinates.longitude().write_shortest(out))
    }
}

fn shortest(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut text = Vec::new();
    write(&mut text);
    String::from_utf8(text).expect("numbers are ASCII")
}

/// Writes the members of a JSON object that are there.
pub(crate) fn object(members: &[(&str, Option<String>)]) -> String {
    let members = members.iter().filter_map(|(name, json)| Some(format!("\"{name}\":{}", json.as_ref()?)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// A JSON string.
pub(crate) fn string(text: &str) -> String {
    let mut out = Vec::new();
    write_lossy(&mut out, text.as_bytes());
    String::from_utf8(out).expect("what was UTF-8 still is")
}
