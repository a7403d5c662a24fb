//! Reads a dump, line by line, and checks all of it.

use std::io::{self, BufRead, Read as _};

use xxhash_rust::xxh3::Xxh3;

use super::{
    LINE_LEN_MAX,
    entry::Entry,
    header::{Header, HeaderError, VERSION},
    line,
    writer::end_line,
};

/// How the last line of a dump begins.
const END: &[u8] = br#"{"end":"#;

/// Why a dump was refused.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The input cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// The input is something else.
    #[error(
        "this is no dump of proxyherd: the first line is not the header that `proxyherd data dump` writes; if it \
         is compressed, decompress it first"
    )]
    NotADump,
    /// A later version of the program has made the dump.
    #[error(
        "the dump has version {version} of the format, and this program reads versions up to {VERSION}: use the version \
         of proxyherd that made the dump, or a later one"
    )]
    Newer {
        /// The version of the dump.
        version: u64,
    },
    /// A line is wrong.
    #[error("line {number}: {reason}")]
    Line {
        /// The line's number, from 1.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// The dump ends before its last line.
    #[error(
        "the dump is cut: it ends after line {lines}, without the last line that has the number of records"
    )]
    Cut {
        /// The number of whole lines.
        lines: u64,
    },
    /// The last line does not fit the lines before it.
    #[error(
        "the dump was changed after it was made: its last line has another count or checksum than its records"
    )]
    Changed,
}

/// Reads a dump: the header, and then one record after another.
///
/// All that was read counts only when [`DumpReader::next_entry`] has returned `None`: only then is the checksum right.
pub struct DumpReader<R> {
    input: R,
    header: Header,
    line: Vec<u8>,
    /// The number of lines that were read.
    lines: u64,
    records: u64,
    bytes: u64,
    checksum: Xxh3,
    has_ended: bool,
}

impl<R: BufRead> DumpReader<R> {
    /// Reads the header.
    pub fn open(mut input: R) -> Result<DumpReader<R>, DumpError> {
        let mut line = Vec::new();
        let is_whole = read_line(&mut input, &mut line)?;
        let header = match Header::parse(&line) {
            Ok(header) if is_whole => header,
            Ok(_) => return Err(DumpError::Cut { lines: 0 }),
            Err(HeaderError::NotADump) => return Err(DumpError::NotADump),
            Err(HeaderError::Newer(version)) => return Err(DumpError::Newer { version }),
            Err(HeaderError::Wrong(reason)) => return Err(DumpError::Line { number: 1, reason }),
        };
        let mut checksum = Xxh3::new();
        checksum.update(&line);
        let bytes = line.len() as u64;
        Ok(DumpReader { input, header, line, lines: 1, records: 0, bytes, checksum, has_ended: false })
    }

    /// Whose records the dump has.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next record. `None`: all records were read, and the dump is whole.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, DumpError> {
        if self.has_ended {
            return Ok(None);
        }
        let is_whole = read_line(&mut self.input, &mut self.line)?;
        if !is_whole && self.line.len() < LINE_LEN_MAX {
            return Err(DumpError::Cut { lines: self.lines });
        }
        self.lines += 1;
        self.bytes += self.line.len() as u64;
        if !is_whole {
            return Err(self.wrong(format!("a line has at most {LINE_LEN_MAX} bytes")));
        }
        let line = &self.line[..self.line.len() - 1];
        if line.starts_with(END) {
            let is_right = line == end_line(self.records, self.checksum.digest()).as_bytes();
            self.end(is_right)?;
            return Ok(None);
        }
        let entry = line::parse(line).map_err(|reason| self.wrong(reason))?;
        self.checksum.update(&self.line);
        self.records += 1;
        Ok(Some(entry))
    }

    fn end(&mut self, is_right: bool) -> Result<(), DumpError> {
        if !is_right {
            return Err(DumpError::Changed);
        }
        if !self.input.fill_buf()?.is_empty() {
            self.lines += 1;
            return Err(self.wrong("the dump goes on after its last line".to_owned()));
        }
        self.has_ended = true;
        Ok(())
    }

    fn wrong(&self, reason: String) -> DumpError {
        DumpError::Line { number: self.lines, reason }
    }
}

/// Reads a line with its end, and at most [`LINE_LEN_MAX`] bytes. Returns whether the line has its end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.take(LINE_LEN_MAX as u64).read_until(b'\n', line)?;
    Ok(line.last() == Some(&b'\n'))
}
