//! Dumps of a server's store. A file never arrives in pieces, so the check cuts nothing.

use proxyherd_data::dump_file::{DumpReader, DumpWriter, Entry, Header, LINE_LEN_MAX};
use xxhash_rust::xxh3::xxh3_64;

use crate::memory::bounded;

/// What was read is the same after it was written and read again. A reader holds one line and its record at a time.
pub fn check(input: &[u8]) {
    // A short line may hold an attribute for every six bytes, and the parser holds the longest line at most twice.
    let read = bounded(input.len().min(LINE_LEN_MAX), 16, 4096, || read_through(input));
    let with_end = with_end(input);
    let (header, entries) = match (read, read_all(&with_end)) {
        (Some(_), None) => {
            panic!("the end that the check appends takes the place of the end of a whole dump")
        }
        (_, Some(read)) => read,
        (None, None) => return,
    };
    let mut dump = Vec::new();
    let mut writer = DumpWriter::begin(&mut dump, &header).expect("a vector takes all bytes");
    for entry in &entries {
        writer.record(&entry.update()).expect("a vector takes all bytes");
    }
    writer.finish().expect("a vector takes all bytes");
    assert_eq!(read_all(&dump), Some((header, entries)));
}

/// Reads a dump without keeping its records. `None`: the dump was refused.
fn read_through(dump: &[u8]) -> Option<u64> {
    let mut reader = DumpReader::open(dump).ok()?;
    let mut records = 0;
    while reader.next_entry().ok()?.is_some() {
        records += 1;
    }
    Some(records)
}

fn read_all(dump: &[u8]) -> Option<(Header, Vec<Entry>)> {
    let mut reader = DumpReader::open(dump).ok()?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().ok()? {
        entries.push(entry);
    }
    Some((reader.header().clone(), entries))
}

/// The input with a right last line. Without it, nearly every input would be refused for its checksum alone.
fn with_end(input: &[u8]) -> Vec<u8> {
    let whole = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let mut lines: Vec<&[u8]> = input[..whole].split_inclusive(|byte| *byte == b'\n').collect();
    lines.pop_if(|last| last.starts_with(br#"{"end":"#));
    let body = lines.concat();
    let records = lines.len().saturating_sub(1);
    let end = format!("{{\"end\":true,\"records\":{records},\"xxh3\":\"{:016x}\"}}\n", xxh3_64(&body));
    [&body, end.as_bytes()].concat()
}
