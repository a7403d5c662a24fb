//! The format of a dump: what `data dump` writes and `data restore` reads.
//!
//! A dump is text, one JSON object on each line. The first line is the [`Header`]. Each further line is one record,
//! with everything that the record has: no digit, no decimal and no byte is lost. The last line has the number of
//! records and a checksum of all lines before it, so a dump that was cut or changed is noticed. [`DumpWriter`] writes a
//! dump, and [`DumpReader`] reads one.
//!
//! Invariant: a record that was written and read again is the same record, byte for byte. Where the readable form of a
//! key or of attributes would lose something, the line has the bytes as base64 instead.
//!
//! Nothing here knows files on disk, herds, or what a restore does with the records.

mod entry;
mod header;
mod line;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use self::header::time_text;
pub use self::{
    entry::Entry,
    header::{FORMAT, Header, VERSION},
    reader::{DumpError, DumpReader},
    writer::DumpWriter,
};

/// Maximum length of a line with its end, bytes. The longest record has a key of 256 bytes and data of 16 KiB, which is
/// less than 24 KiB as base64. A reader refuses a longer line.
pub const LINE_LEN_MAX: usize = 64 * 1024;
