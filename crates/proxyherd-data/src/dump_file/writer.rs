//! Writes a dump, line by line.

use std::io::{self, Write};

use proxyherd_core::flood::Update;
use xxhash_rust::xxh3::Xxh3;

use super::{header::Header, line};

/// Writes a dump: the header first, then records in any order, then the end.
pub struct DumpWriter<W: Write> {
    out: W,
    line: Vec<u8>,
    checksum: Xxh3,
    records: u64,
    bytes: u64,
}

impl<W: Write> DumpWriter<W> {
    /// Begins a dump.
    pub fn begin(out: W, header: &Header) -> io::Result<DumpWriter<W>> {
        let line = header.to_line().into_bytes();
        let mut writer = DumpWriter { out, line, checksum: Xxh3::new(), records: 0, bytes: 0 };
        writer.put()?;
        Ok(writer)
    }

    /// Writes a record.
    pub fn record(&mut self, update: &Update<'_>) -> io::Result<()> {
        self.line.clear();
        line::write(&mut self.line, update);
        self.put()?;
        self.records += 1;
        Ok(())
    }

    /// Writes the end. Returns the number of records and the number of bytes. Without the end, no reader accepts the
    /// dump.
    pub fn finish(mut self) -> io::Result<(u64, u64)> {
        let end = end_line(self.records, self.checksum.digest());
        self.out.write_all(end.as_bytes())?;
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok((self.records, self.bytes + end.len() as u64 + 1))
    }

    fn put(&mut self) -> io::Result<()> {
        self.line.push(b'\n');
        self.checksum.update(&self.line);
        self.bytes += self.line.len() as u64;
        self.out.write_all(&self.line)
    }
}

/// The last line of a dump, without its end.
pub(super) fn end_line(records: u64, checksum: u64) -> String {
    format!(r#"{{"end":true,"records":{records},"xxh3":"{checksum:016x}"}}"#)
}
