//! Sorts places into the order of the index, in bounded memory.
//!
//! [`Sorter::push`] takes places in any order. Places that do not fit into memory go to a temporary file in sorted
//! runs, and [`Sorted::each`] merges the runs. This module does not know what a record means.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::super::index::{IndexPoint, band_of};

/// Takes places with their encoded records.
#[derive(Debug)]
pub(super) struct Sorter {
    entries: Vec<(SortKey, u32, u32)>,
    records: Vec<u8>,
    spill: Spill,
    len_max: usize,
}

/// The order of the index: band by band, and from west to east. Entries of equal longitude are sorted by
/// latitude, so the result does not depend on the order of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    band: u16,
    longitude: i32,
    latitude: i32,
}

/// The runs that did not fit into memory.
#[derive(Debug)]
struct Spill {
    file: BufWriter<File>,
    /// The position at which each run begins, and the position at which the last run ends.
    starts: Vec<u64>,
}

impl Sorter {
    /// Makes a sorter that holds at most `len_max` bytes in memory. The temporary file is in `directory`, has no name
    /// and vanishes with the process.
    pub(super) fn new(directory: &Path, len_max: usize) -> io::Result<Sorter> {
        let file = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(directory)?);
        let spill = Spill { file, starts: vec![0] };
        Ok(Sorter { entries: Vec::new(), records: Vec::new(), spill, len_max })
    }

    /// Takes a place.
    pub(super) fn push(&mut self, point: IndexPoint, record: &[u8]) -> io::Result<()> {
        let len = self.entries.len() * size_of::<(SortKey, u32, u32)>() + self.records.len();
        if len + record.len() > self.len_max && !self.entries.is_empty() {
            self.spill()?;
        }
        let start = self.records.len() as u32;
        self.records.extend_from_slice(record);
        self.entries.push((SortKey::of(point), start, record.len() as u32));
        Ok(())
    }

    fn sort(&mut self) {
        let records = &self.records;
        self.entries.sort_unstable_by_key(|&(key, start, len)| (key, bytes(records, start, len)));
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut end = self.spill.starts[self.spill.starts.len() - 1];
        for &(key, start, len) in &self.entries {
            let record = bytes(&self.records, start, len);
            write_one(&mut self.spill.file, key, record)?;
            end += (HEAD_LEN + record.len()) as u64;
        }
        self.spill.starts.push(end);
        self.entries.clear();
        self.records.clear();
        Ok(())
    }

    /// Ends the input.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        if self.spill.starts.len() == 1 {
            self.sort();
            return Ok(Sorted::InMemory(self.entries, self.records));
        }
        self.spill()?;
        let file = self.spill.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Sorted::InFile(file, self.spill.starts))
    }
}

/// The sorted places. They can be read several times.
#[derive(Debug)]
pub(super) enum Sorted {
    InMemory(Vec<(SortKey, u32, u32)>, Vec<u8>),
    /// The file with sorted runs, and the positions of the runs. Each run begins where the previous run ends.
    InFile(File, Vec<u64>),
}

impl Sorted {
    /// Passes every place to `take`, in order.
    pub(super) fn each(&self, mut take: impl FnMut(IndexPoint, &[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Sorted::InMemory(entries, records) => entries
                .iter()
                .try_for_each(|&(key, start, len)| take(key.point(), bytes(records, start, len))),
            Sorted::InFile(file, starts) => merge(file, starts, take),
        }
    }
}

impl SortKey {
    fn of(point: IndexPoint) -> SortKey {
        let band = u16::try_from(band_of(point.latitude)).expect("there are some thousand bands");
        SortKey { band, longitude: point.longitude, latitude: point.latitude }
    }

    fn point(self) -> IndexPoint {
        IndexPoint { longitude: self.longitude, latitude: self.latitude }
    }
}

fn bytes(records: &[u8], start: u32, len: u32) -> &[u8] {
    &records[start as usize..][..len as usize]
}

/// Length of the longitude, the latitude and the length field before a record, bytes.
const HEAD_LEN: usize = 12;

fn write_one(out: &mut impl io::Write, key: SortKey, record: &[u8]) -> io::Result<()> {
    out.write_all(&key.longitude.to_le_bytes())?;
    out.write_all(&key.latitude.to_le_bytes())?;
    out.write_all(&(record.len() as u32).to_le_bytes())?;
    out.write_all(record)
}

/// A run that is read from the temporary file.
struct Run<'a> {
    file: BufReader<FileWindow<'a>>,
    left: u64,
}

/// A reading position in a file that several runs read at the same time.
struct FileWindow<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for FileWindow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(into, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Run<'_> {
    fn next(&mut self) -> io::Result<Option<(SortKey, Vec<u8>)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut head = [0; HEAD_LEN];
        self.file.read_exact(&mut head)?;
        let [longitude, latitude, len] =
            [0, 4, 8].map(|at| i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let mut record = vec![0; len as usize];
        self.file.read_exact(&mut record)?;
        self.left -= (HEAD_LEN + record.len()) as u64;
        Ok(Some((SortKey::of(IndexPoint { longitude, latitude }), record)))
    }
}

fn merge(
    file: &File,
    starts: &[u64],
    mut take: impl FnMut(IndexPoint, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut heads = BinaryHeap::new();
    for (number, ends) in starts.windows(2).enumerate() {
        let window = FileWindow { file, at: ends[0] };
        let mut run = Run { file: BufReader::with_capacity(1 << 16, window), left: ends[1] - ends[0] };
        heads.extend(run.next()?.map(|(key, record)| Reverse((key, record, number))));
        runs.push(run);
    }
    while let Some(Reverse((key, record, number))) = heads.pop() {
        take(key.point(), &record)?;
        heads.extend(runs[number].next()?.map(|(key, record)| Reverse((key, record, number))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_come_out_in_order_however_little_memory_there_is(
            places in proptest::collection::vec((-500_000..500_000i32, -500_000..500_000i32, any::<u16>()), 0..60),
            len_max in 1usize..600,
        ) {
            let mut sorter = Sorter::new(&std::env::temp_dir(), len_max).unwrap();
            let mut expected = Vec::new();
            for &(longitude, latitude, record) in &places {
                let (point, record) = (IndexPoint { longitude, latitude }, record.to_be_bytes().to_vec());
                sorter.push(point, &record).unwrap();
                expected.push((SortKey::of(point), record));
            }
            expected.sort();
            let sorted = sorter.sorted().unwrap();
            for _ in 0..2 {
                let mut found = Vec::new();
                sorted.each(|point, record| {
                    found.push((SortKey::of(point), record.to_vec()));
                    Ok(())
                }).unwrap();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
