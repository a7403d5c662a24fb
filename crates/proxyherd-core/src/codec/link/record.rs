//! The frame that carries a record: RECORD. `flood` knows what happens to it. The files of a store (`journal`) hold
//! records in the same encoding.

use super::frame::{BodyReader, Encoder, FrameError, put_u16, put_u64};
use crate::{
    limits::DATA_LEN_MAX,
    types::{Attributes, Body, ClientId, Coordinates, Decimal, Difference, Kind, Record, Timestamp},
};

pub(super) const RECORD: u8 = 5;
/// Flag of RECORD: the record is a tombstone. Coordinates and attributes are absent.
const GONE: u8 = 0b0000_0001;
/// Flag of RECORD: the record has data, and the time for which it is kept, instead of coordinates and attributes. Every
/// record that is not about a client has either this flag or the flag of a tombstone.
const DATA: u8 = 0b0000_0010;

/// A record, with the index of its origin and its sequence.
pub(crate) fn decode_record<'a>(
    reader: &mut BodyReader<'a>,
    flags: u8,
) -> Result<Option<(u16, u64, Record<'a>)>, FrameError> {
    let broken = FrameError::Value("RECORD");
    let mut head = || {
        let (origin, seq, kind) = (reader.u16()?, reader.u64()?, reader.u8()?);
        let (nanos, shape, difference) = (reader.u64()?, reader.u8()?, reader.u64()?.cast_signed());
        let key_len = usize::from(reader.u16()?);
        Some((origin, seq, kind, nanos, shape, difference, reader.take(key_len)?))
    };
    let Some((origin, seq, kind, nanos, shape, difference, key)) = head() else { return Ok(None) };
    let has_place = flags & (GONE | DATA) == 0;
    let is_client = Kind(kind) == Kind::CLIENT;
    if ClientId::new(key).is_none() || has_place && !is_client || flags & DATA != 0 && is_client {
        return Err(broken);
    }
    let timestamp = Timestamp::from_parts(nanos, shape).ok_or(broken)?;
    let difference = Difference::from_nanos(difference, timestamp).ok_or(broken)?;
    let body = if flags & GONE != 0 {
        Body::Gone
    } else if flags & DATA != 0 {
        let Some(keep_s) = reader.u32() else { return Ok(None) };
        let bytes = reader.rest();
        if bytes.len() > DATA_LEN_MAX {
            return Err(broken);
        }
        Body::Data { keep_s, bytes }
    } else {
        let Some((latitude, longitude)) = reader.u64().zip(reader.u64()) else { return Ok(None) };
        let decimals = Decimal::from_bits(latitude).zip(Decimal::from_bits(longitude));
        let coordinates = decimals.and_then(|(latitude, longitude)| Coordinates::new(latitude, longitude));
        let attributes = Attributes::from_bytes(reader.rest()).map_err(|_| broken)?;
        Body::Location { coordinates: coordinates.ok_or(broken)?, attributes }
    };
    Ok(Some((origin, seq, Record { kind: Kind(kind), key, body, timestamp, difference })))
}

/// The flags of the frame of a record.
pub(crate) fn record_flags(record: &Record<'_>) -> u8 {
    match record.body {
        Body::Location { .. } => 0,
        Body::Gone => GONE,
        Body::Data { .. } => DATA,
    }
}

/// Appends the body of the frame of a record, with the index of its origin.
pub(crate) fn put_record(out: &mut Vec<u8>, origin: u16, seq: u64, record: &Record<'_>) {
    put_u16(out, origin);
    put_u64(out, seq);
    out.push(record.kind.0);
    put_u64(out, record.timestamp.nanos());
    out.push(record.timestamp.shape());
    put_u64(out, record.difference.nanos().cast_unsigned());
    put_u16(out, record.key.len() as u16);
    out.extend_from_slice(record.key);
    match record.body {
        Body::Location { coordinates, attributes } => {
            put_u64(out, coordinates.latitude().to_bits());
            put_u64(out, coordinates.longitude().to_bits());
            out.extend_from_slice(attributes.as_bytes());
        }
        Body::Gone => {}
        Body::Data { keep_s, bytes } => {
            out.extend_from_slice(&keep_s.to_le_bytes());
            out.extend_from_slice(bytes);
        }
    }
}

impl Encoder {
    /// Encodes a record, with the index of its origin.
    pub fn record(&mut self, origin: u16, seq: u64, record: &Record<'_>) {
        self.records += 1;
        self.frame(RECORD, record_flags(record), |out| put_record(out, origin, seq, record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::link::{
        decode,
        tests::{data, record},
    };

    #[test]
    fn a_client_has_a_place_and_other_kinds_have_data() {
        let check = |record: &Record<'_>, expected: bool| {
            let mut encoder = Encoder::default();
            encoder.record(0, 1, record);
            assert_eq!(decode(encoder.bytes()).is_ok(), expected, "{record:?}");
        };
        let client = record(b"kiwi", Attributes::NONE);
        check(&client, true);
        check(&Record { kind: Kind::QUOTA, ..client }, false);
        check(&Record { body: Body::Gone, kind: Kind::QUOTA, ..client }, true);
        check(&data(Kind::QUOTA, b""), true);
        check(&data(Kind::CLIENT, b""), false);
        check(&data(Kind::QUOTA, &[7; DATA_LEN_MAX]), true);
        check(&data(Kind::QUOTA, &[7; DATA_LEN_MAX + 1]), false);
    }
}
