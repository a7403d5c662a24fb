//! The part of the wire format of Protocol Buffers that extracts use.
//!
//! [`pick`] returns the fields of a message by number, and [`List`] and [`Deltas`] read packed lists. Nothing is
//! allocated. This module does not know what a field means.

use std::fmt;

use crate::provider::osm::index::ByteReader;

/// A violation of the format, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) struct Damage(pub(in crate::provider::osm) &'static str);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const NO_MESSAGE: Damage = Damage("its fields cannot be separated");
const NO_NUMBER: Damage = Damage("a number has no end");

/// A message, whose fields are read one after the other.
#[derive(Clone, Debug)]
pub(super) struct PbfMessage<'a> {
    wire: ByteReader<'a>,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes. No field that this reader uses has such a value.
    Fixed,
}

impl<'a> PbfMessage<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> PbfMessage<'a> {
        PbfMessage { wire: ByteReader::new(bytes) }
    }

    /// The number of bytes that are left.
    pub(super) fn len(&self) -> usize {
        self.wire.len()
    }

    /// The number and the value of the next field. `None` at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, Damage> {
        if self.wire.is_empty() {
            return Ok(None);
        }
        let tag = self.wire.varint().ok_or(NO_MESSAGE)?;
        let value = match tag & 7 {
            0 => self.wire.varint().map(Value::Number),
            1 => self.wire.take(8).map(|_| Value::Fixed),
            2 => self.bytes().map(Value::Bytes),
            5 => self.wire.take(4).map(|_| Value::Fixed),
            _ => None,
        };
        Ok(Some((tag >> 3, value.ok_or(NO_MESSAGE)?)))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.wire.varint()?).ok()?;
        self.wire.take(len)
    }
}

impl<'a> Value<'a> {
    pub(super) fn number(self) -> Result<u64, Damage> {
        match self {
            Value::Number(number) => Ok(number),
            _ => Err(Damage("another value was found where a number is expected")),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Damage> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Damage("another value was found where bytes are expected")),
        }
    }
}

/// Returns the values of the fields with these numbers, and skips other fields.
///
/// In Protocol Buffers a field may occur again, and a list may come in pieces. No writer of extracts does this, so a
/// second occurrence counts as damage.
pub(super) fn pick<const N: usize>(
    bytes: &[u8],
    numbers: [u64; N],
) -> Result<[Option<Value<'_>>; N], Damage> {
    let (mut message, mut values) = (PbfMessage::new(bytes), [None; N]);
    while let Some((number, value)) = message.field()? {
        let Some(at) = numbers.iter().position(|&wanted| wanted == number) else { continue };
        if values[at].replace(value).is_some() {
            return Err(Damage("a field occurs twice"));
        }
    }
    Ok(values)
}

/// A packed list of numbers. A missing field is an empty list.
#[derive(Clone, Debug)]
pub(super) struct List<'a>(ByteReader<'a>);

impl<'a> List<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> List<'a> {
        List(ByteReader::new(bytes))
    }

    pub(super) fn of(field: Option<Value<'a>>) -> Result<List<'a>, Damage> {
        Ok(List::new(field.map_or(Ok(&[][..]), Value::bytes)?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next number. Nothing at the end.
    pub(super) fn number(&mut self) -> Result<Option<u64>, Damage> {
        if self.0.is_empty() { Ok(None) } else { self.0.varint().map(Some).ok_or(NO_NUMBER) }
    }

    /// Splits off the numbers before the next zero, or all numbers if there is no zero. The zero is dropped.
    pub(super) fn until_zero(&mut self) -> Result<List<'a>, Damage> {
        let mut before = self.clone();
        loop {
            let len = self.0.len();
            if self.number()?.is_none_or(|number| number == 0) {
                let len = before.0.len() - len;
                return Ok(List::new(before.0.take(len).unwrap_or_default()));
            }
        }
    }
}

/// A packed list of signed numbers. Each stored value is the difference between a number and the previous number.
#[derive(Clone, Debug)]
pub(super) struct Deltas<'a> {
    wire: ByteReader<'a>,
    last: i64,
}

impl<'a> Deltas<'a> {
    pub(super) fn of(field: Option<Value<'a>>) -> Result<Deltas<'a>, Damage> {
        Ok(Deltas { wire: List::of(field)?.0, last: 0 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// The next number. Nothing at the end.
    pub(super) fn number(&mut self) -> Result<Option<i64>, Damage> {
        if self.wire.is_empty() {
            return Ok(None);
        }
        self.last = self.last.wrapping_add(self.wire.signed().ok_or(NO_NUMBER)?);
        Ok(Some(self.last))
    }
}

/// Decodes a signed number in ZigZag coding, in which small numbers of both signs are short.
pub(super) fn unfolded(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_those_of_other_kinds_skipped() {
        // 1: 300, 2: "ab", 3: eight bytes, 4: four bytes, 5: 7.
        let bytes = b"\x08\xac\x02\x12\x02ab\x19********\x25****\x28\x07";
        let [number, text, absent, last] = pick(bytes, [1, 2, 9, 5]).unwrap();
        assert_eq!(number.unwrap().number(), Ok(300));
        assert_eq!(text.unwrap().bytes(), Ok(&b"ab"[..]));
        assert!(absent.is_none());
        assert_eq!(last.unwrap().number(), Ok(7));
        assert!(text.unwrap().number().is_err() && number.unwrap().bytes().is_err());
        for len in 1..bytes.len() {
            let whole = [3, 7, 16, 21].contains(&len);
            assert_eq!(pick(&bytes[..len], [1]).is_ok(), whole, "{len}");
        }
    }

    #[test]
    fn what_makes_no_message_is_damage() {
        for bytes in [
            &b"\x0b"[..],                                         // This is a group, which is not supported.
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01ab",    // Longer than all numbers.
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", // A number without end.
            b"\x08\x01\x08\x01",                                  // The same field twice.
        ] {
            assert!(pick(bytes, [1]).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_list_is_split_at_each_zero() {
        let mut list = List::new(&[1, 2, 0, 0, 0x80, 1, 3]);
        let mut parts = Vec::new();
        while !list.is_empty() {
            let mut part = list.until_zero().unwrap();
            parts.push(std::iter::from_fn(|| part.number().unwrap()).collect::<Vec<_>>());
        }
        assert_eq!(parts, [vec![1, 2], vec![], vec![128, 3]]);
        assert!(List::new(&[1, 0x80]).until_zero().is_err());
    }

    #[test]
    fn differences_add_up() {
        let mut deltas = Deltas::of(Some(Value::Bytes(&[4, 1, 0x80, 1]))).unwrap();
        let numbers: Vec<_> = std::iter::from_fn(|| deltas.number().unwrap()).collect();
        assert_eq!(numbers, [2, 1, 65]);
        assert_eq!([0, 1, 2, 3].map(unfolded), [0, -1, 1, -2]);
    }
}
