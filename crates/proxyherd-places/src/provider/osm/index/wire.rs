//! Reads and writes numbers and texts as bytes. Reading never panics and never allocates: if bytes are missing or
//! invalid, the result is `None`.

/// Bytes that are read from the front.
#[derive(Clone, Debug)]
pub(in crate::provider::osm) struct ByteReader<'a> {
    bytes: &'a [u8],
}

impl<'a> ByteReader<'a> {
    pub(in crate::provider::osm) fn new(bytes: &'a [u8]) -> ByteReader<'a> {
        ByteReader { bytes }
    }

    pub(in crate::provider::osm) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes that are left.
    pub(in crate::provider::osm) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(in crate::provider::osm) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(in crate::provider::osm) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(in crate::provider::osm) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(in crate::provider::osm) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// A number with seven bits in each byte, the least significant first. The last byte is below 128.
    pub(in crate::provider::osm) fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A signed number, as [`put_signed`] writes it.
    pub(in crate::provider::osm) fn signed(&mut self) -> Option<i64> {
        let folded = self.varint()?;
        Some((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    /// A text that follows its length.
    pub(in crate::provider::osm) fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint()?).ok()?;
        std::str::from_utf8(self.take(len)?).ok()
    }
}

/// Appends what [`ByteReader::varint`] reads.
pub(in crate::provider::osm) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a signed number. Numbers near 0 are short.
pub(in crate::provider::osm) fn put_signed(number: i64, out: &mut Vec<u8>) {
    put_varint((number << 1 ^ number >> 63) as u64, out);
}

/// Appends what [`ByteReader::text`] reads.
pub(in crate::provider::osm) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_read_and_what_was_cut_is_not(
            number in any::<u64>(), signed in any::<i64>(), text in ".{0,40}",
        ) {
            let mut bytes = Vec::new();
            put_varint(number, &mut bytes);
            put_signed(signed, &mut bytes);
            put_text(&text, &mut bytes);
            let read = |bytes| {
                let mut wire = ByteReader::new(bytes);
                let all = (wire.varint()?, wire.signed()?, wire.text()?.to_owned());
                wire.is_empty().then_some(all)
            };
            prop_assert_eq!(read(&bytes), Some((number, signed, text)));
            for len in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..len]), None);
            }
        }
    }
}
