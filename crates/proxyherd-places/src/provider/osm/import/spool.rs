//! A temporary file for ways that are places. These ways wait for the points of their nodes.
//!
//! [`Spool::put`] appends a way, and [`Spool::drain`] returns all ways in the same order, once. This module does not
//! know where nodes are.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::super::index::{ByteReader, put_signed, put_text, put_varint};
use super::super::tags::Described;

/// The file and the number of ways in it.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    count: u64,
    buffer: Vec<u8>,
}

/// A way that is a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WaitingWay {
    pub(super) id: i64,
    pub(super) version: u32,
    pub(super) described: Described,
    pub(super) refs: Vec<i64>,
}

impl Spool {
    /// Makes an empty file in `directory`. It has no name and vanishes with the process.
    pub(super) fn new(directory: &Path) -> io::Result<Spool> {
        let file = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(directory)?);
        Ok(Spool { file, count: 0, buffer: Vec::new() })
    }

    pub(super) fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn put(&mut self, way: &WaitingWay) -> io::Result<()> {
        self.buffer.clear();
        way.encode(&mut self.buffer);
        self.count += 1;
        self.file.write_all(&(self.buffer.len() as u32).to_le_bytes())?;
        self.file.write_all(&self.buffer)
    }

    /// Passes every way to `take`, with the number of ways before it.
    pub(super) fn drain<E: From<io::Error>>(
        self,
        mut take: impl FnMut(u64, &WaitingWay) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut bytes = Vec::new();
        for number in 0..self.count {
            let mut len = [0; 4];
            file.read_exact(&mut len)?;
            bytes.resize(u32::from_le_bytes(len) as usize, 0);
            file.read_exact(&mut bytes)?;
            let way = WaitingWay::decode(&bytes);
            let way =
                way.ok_or_else(|| io::Error::other("a temporary file does not hold what was written"))?;
            take(number, &way)?;
        }
        Ok(())
    }
}

impl WaitingWay {
    fn encode(&self, out: &mut Vec<u8>) {
        put_signed(self.id, out);
        put_varint(self.version.into(), out);
        put_varint(self.described.kinds.len() as u64, out);
        out.extend_from_slice(&self.described.kinds);
        let Described { name, street, number, city, hours, also, .. } = &self.described;
        for text in [name, street, number, city, hours, also] {
            put_text(text, out);
        }
        out.extend_from_slice(&packed(&self.refs));
    }

    fn decode(bytes: &[u8]) -> Option<WaitingWay> {
        let mut wire = ByteReader::new(bytes);
        let (id, version) = (wire.signed()?, u32::try_from(wire.varint()?).ok()?);
        let kinds = usize::try_from(wire.varint()?).ok()?;
        let kinds = wire.take(kinds)?.to_vec();
        let mut text = || wire.text().map(str::to_owned);
        let described = Described {
            kinds,
            name: text()?,
            street: text()?,
            number: text()?,
            city: text()?,
            hours: text()?,
            also: text()?,
        };
        Some(WaitingWay { id, version, described, refs: unpacked(wire).collect() })
    }
}

/// Encodes references to nodes by their differences, which are small.
pub(super) fn packed(refs: &[i64]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(refs.len() * 2 + 8);
    let mut last = 0_i64;
    for &id in refs {
        put_signed(id.wrapping_sub(last), &mut out);
        last = id;
    }
    out.into()
}

/// Decodes the output of [`packed`].
pub(super) fn unpacked(mut wire: ByteReader<'_>) -> impl Iterator<Item = i64> {
    let mut last = 0_i64;
    std::iter::from_fn(move || {
        last = last.wrapping_add(wire.signed()?);
        Some(last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_back_in_order() {
        let way = |id: i64, refs: &[i64]| WaitingWay {
            id,
            version: id.unsigned_abs() as u32,
            described: Described {
                kinds: vec![3, 1, 0],
                name: format!("Haus {id}"),
                hours: "24/7".to_owned(),
                ..Described::default()
            },
            refs: refs.to_vec(),
        };
        let ways = [way(9, &[5, 3, 12_000_000_000, 4, 5]), way(2, &[]), way(-7, &[i64::MAX, i64::MIN, -5])];
        let mut spool = Spool::new(&std::env::temp_dir()).unwrap();
        ways.iter().for_each(|way| spool.put(way).unwrap());
        assert_eq!(spool.len(), 3);
        let mut found = Vec::new();
        spool
            .drain(|number, way| {
                assert_eq!(number, found.len() as u64);
                found.push(way.clone());
                io::Result::Ok(())
            })
            .unwrap();
        assert_eq!(found, ways);
    }
}
