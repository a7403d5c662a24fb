//! The record of a place in the index: everything but its point.
//!
//! [`IndexRecord::encode`] and [`IndexRecord::decode`] are inverse functions. This module does not know where records
//! are stored.

use super::wire::{ByteReader, put_text, put_varint};
use crate::provider::osm::limits::{KINDS_MAX, TEXT_LEN_MAX};

/// An object of OpenStreetMap: its kind, and its number among objects of this kind. A negative number means that an
/// editor has made the object and has not uploaded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::provider::osm) struct ObjectId {
    pub(in crate::provider::osm) object: Object,
    /// The number of the object, between -[`NUMBER_MAX`] and [`NUMBER_MAX`].
    pub(in crate::provider::osm) number: i64,
}

/// The greatest number of an object. A record stores the number together with two bits for the kind.
pub(in crate::provider::osm) const NUMBER_MAX: i64 = i64::MAX >> 2;

/// The three kinds of objects in OpenStreetMap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::provider::osm) enum Object {
    Node = 0,
    Way = 1,
    Relation = 2,
}

impl Object {
    /// The letter that OpenStreetMap's tools use for the kind.
    pub(in crate::provider::osm) fn letter(self) -> char {
        match self {
            Object::Node => 'n',
            Object::Way => 'w',
            Object::Relation => 'r',
        }
    }
}

/// A place in the file. Unknown texts are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) struct IndexRecord<'a> {
    pub(in crate::provider::osm) id: ObjectId,
    /// The number of the place's locale in the directory, counted from 1. 0 if the locale is unknown.
    pub(in crate::provider::osm) locale: u16,
    /// Positions in the table of kinds, the most specific kind first.
    pub(in crate::provider::osm) kinds: &'a [u8],
    pub(in crate::provider::osm) name: &'a str,
    /// A short address.
    pub(in crate::provider::osm) vicinity: &'a str,
    /// The value of `opening_hours` in OpenStreetMap.
    pub(in crate::provider::osm) hours: &'a str,
    /// Further texts that a keyword may match: other names, brand, cuisine.
    pub(in crate::provider::osm) also: &'a str,
}

impl<'a> IndexRecord<'a> {
    pub(in crate::provider::osm) fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.kinds.len() <= KINDS_MAX, "the mapping keeps to the limit");
        assert!(self.id.number.abs() <= NUMBER_MAX, "the importer refuses other IDs");
        put_varint((self.id.number << 2) as u64 | self.id.object as u64, out);
        put_varint(self.locale.into(), out);
        out.push(self.kinds.len() as u8);
        out.extend_from_slice(self.kinds);
        for text in self.texts() {
            assert!(text.len() <= TEXT_LEN_MAX, "the importer cuts texts");
            put_text(text, out);
        }
    }

    /// Reads all of `bytes`.
    pub(in crate::provider::osm) fn decode(bytes: &'a [u8]) -> Option<IndexRecord<'a>> {
        let mut wire = ByteReader::new(bytes);
        let id = ObjectId::unfold(wire.varint()?)?;
        let locale = u16::try_from(wire.varint()?).ok()?;
        let len = usize::from(wire.u8()?);
        let kinds = (len <= KINDS_MAX).then(|| wire.take(len))??;
        let (name, vicinity, hours, also) = (wire.text()?, wire.text()?, wire.text()?, wire.text()?);
        let record = IndexRecord { id, locale, kinds, name, vicinity, hours, also };
        let fits = record.texts().iter().all(|text| text.len() <= TEXT_LEN_MAX);
        (wire.is_empty() && fits).then_some(record)
    }

    fn texts(&self) -> [&'a str; 4] {
        [self.name, self.vicinity, self.hours, self.also]
    }
}

impl ObjectId {
    fn unfold(folded: u64) -> Option<ObjectId> {
        let object = match folded & 3 {
            0 => Object::Node,
            1 => Object::Way,
            2 => Object::Relation,
            _ => return None,
        };
        let number = folded as i64 >> 2;
        (number >= -NUMBER_MAX).then_some(ObjectId { object, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_signs_and_sizes_come_back() {
        for number in [0, 1, -1, 17_000_000_000, -17_000_000_000, NUMBER_MAX, -NUMBER_MAX] {
            let id = ObjectId { object: Object::Way, number };
            let record =
                IndexRecord { id, locale: 0, kinds: &[], name: "", vicinity: "", hours: "", also: "" };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(IndexRecord::decode(&bytes), Some(record));
        }
    }

    #[test]
    fn a_record_comes_back_whole_or_not_at_all() {
        let record = IndexRecord {
            id: ObjectId { object: Object::Relation, number: 17_000_000_000 },
            locale: 300,
            kinds: &[4, 2, 0],
            name: "Café Königin",
            vicinity: "",
            hours: "Mo-Su 08:00-20:00",
            also: "coffee_shop",
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(IndexRecord::decode(&bytes), Some(record));
        for len in 0..bytes.len() {
            assert_eq!(IndexRecord::decode(&bytes[..len]), None, "{len}");
        }
        bytes.push(0);
        assert_eq!(IndexRecord::decode(&bytes), None);
    }
}
