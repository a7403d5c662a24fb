//! Reads an extract in PBF format from front to back, as often as it takes.
//!
//! A pass decodes only the blobs that hold what it wants; which ones do is known after the first. Nothing of the
//! file is kept but a byte a blob. This module knows the file format's frames and errors, not what tags mean.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use osmpbf::{BlobDecode, BlobError, BlobReader, ErrorKind, HeaderBlock, PrimitiveBlock};

use super::{ImportError, Progress};

/// What this program understands of what a file may require of its readers.
const FEATURES: [&str; 2] = ["OsmSchema-V0.6", "DenseNodes"];

/// An extract.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    len: u64,
    /// What each blob holds, once it is known: bits of [`Content`].
    contents: Vec<u8>,
}

/// What a blob may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nodes = 1,
    Ways = 2,
    Relations = 4,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Source, ImportError> {
        let unreadable = |error| ImportError::Unreadable(path.to_owned(), error);
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(io::Error::other(
                "it is not a regular file, and has to be read several times",
            )));
        }
        Ok(Source { path: path.to_owned(), len: metadata.len(), contents: Vec::new() })
    }

    /// How long the file is, bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// To which second since 1970 the file is up to date; 0 if it does not say.
    pub(super) fn up_to_date_s(&self) -> Result<i64, ImportError> {
        let mut frames = Frames::open(self)?;
        let blob = frames.next()?.ok_or_else(|| ImportError::Foreign(self.path.clone()))?;
        match frames.decoded(blob.decode())? {
            BlobDecode::OsmHeader(header) => self.understood(&header),
            _ => Err(ImportError::Foreign(self.path.clone())),
        }
    }

    fn understood(&self, header: &HeaderBlock) -> Result<i64, ImportError> {
        match header.required_features().iter().find(|feature| !FEATURES.contains(&feature.as_str())) {
            Some(feature) => Err(ImportError::Feature(self.path.clone(), feature.clone())),
            None => Ok(header.osmosis_replication_timestamp().unwrap_or(0)),
        }
    }

    /// Shows `visit` every block that holds what is wanted.
    pub(super) fn pass(
        &mut self,
        wanted: Content,
        progress: &mut dyn Progress,
        mut visit: impl FnMut(&PrimitiveBlock) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let mut frames = Frames::open(self)?;
        let mut number = 0;
        while let Some(blob) = frames.next()? {
            progress.advance(frames.read());
            let known = self.contents.get(number).copied();
            if known.is_none_or(|contents| contents & wanted as u8 != 0) {
                let decoded = frames.decoded(blob.decode())?;
                let contents = match &decoded {
                    BlobDecode::OsmData(block) => contents_of(block),
                    _ => 0,
                };
                if let (BlobDecode::OsmData(block), true) = (&decoded, contents & wanted as u8 != 0) {
                    visit(block)?;
                }
                if known.is_none() {
                    self.contents.push(contents);
                }
            }
            number += 1;
        }
        Ok(())
    }
}

fn contents_of(block: &PrimitiveBlock) -> u8 {
    block.groups().fold(0, |contents, group| {
        let has_nodes = group.nodes().next().is_some() || group.dense_nodes().next().is_some();
        let has = |content: Content, there: bool| if there { content as u8 } else { 0 };
        contents
            | has(Content::Nodes, has_nodes)
            | has(Content::Ways, group.ways().next().is_some())
            | has(Content::Relations, group.relations().next().is_some())
    })
}

/// The frames of the file, one after the other, each read whole.
struct Frames {
    source: PathBuf,
    len: u64,
    blobs: BlobReader<Counted>,
    read: Arc<AtomicU64>,
    /// Where the last frame began and where it ended.
    last: (u64, u64),
}

impl Frames {
    fn open(source: &Source) -> Result<Frames, ImportError> {
        let file =
            File::open(&source.path).map_err(|error| ImportError::Unreadable(source.path.clone(), error))?;
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted { reader: BufReader::with_capacity(1 << 20, file), read: Arc::clone(&read) };
        Ok(Frames {
            source: source.path.clone(),
            len: source.len,
            blobs: BlobReader::new(counted),
            read,
            last: (0, 0),
        })
    }

    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The next frame; nothing at the end of the file, which is where a frame ends.
    fn next(&mut self) -> Result<Option<osmpbf::Blob>, ImportError> {
        let start = self.last.1;
        let blob = self.blobs.next();
        self.last = (start, self.read());
        match blob {
            Some(Ok(blob)) => Ok(Some(blob)),
            Some(Err(error)) => Err(self.explain(&error)),
            None if start == self.len && start > 0 => Ok(None),
            None if start == 0 => Err(ImportError::Foreign(self.source.clone())),
            None => Err(ImportError::Cut(self.source.clone())),
        }
    }

    fn decoded<T>(&self, outcome: osmpbf::Result<T>) -> Result<T, ImportError> {
        outcome.map_err(|error| self.explain(&error))
    }

    /// What is wrong with the last frame.
    fn explain(&self, error: &osmpbf::Error) -> ImportError {
        let path = self.source.clone();
        match error.kind() {
            ErrorKind::Io(error) => {
                ImportError::Unreadable(path, io::Error::new(error.kind(), error.to_string()))
            }
            ErrorKind::Blob(BlobError::Empty) => match compression_at(&self.source, self.last.0) {
                Some(compression) => ImportError::Compression(path, compression),
                None if self.last.1 == self.len => ImportError::Cut(path),
                None => ImportError::Damaged(path, self.last.0, "a block is empty".to_owned()),
            },
            // Something else has no sense at all from its first frame on; an extract is cut where it ends.
            _ if self.last.0 == 0 => ImportError::Foreign(path),
            _ if self.last.1 == self.len && self.is_cut() => ImportError::Cut(path),
            _ => ImportError::Damaged(path, self.last.0, error.to_string()),
        }
    }

    /// Whether the last frame says that it is longer than the file.
    fn is_cut(&self) -> bool {
        let said = frame_at(&self.source, self.last.0).map(|(start, len)| start.saturating_add(len));
        said.is_none_or(|end| end > self.len)
    }
}

/// A reader that tells how far it is.
#[derive(Debug)]
struct Counted {
    reader: BufReader<File>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(into)?;
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// How a frame is compressed, if it is in one of the ways that the format knows and the reader does not.
fn compression_at(path: &Path, at: u64) -> Option<&'static str> {
    let (start, len) = frame_at(path, at)?;
    let bytes = bytes_at(path, start, len)?;
    fields(&bytes).find_map(|(field, _)| match field {
        4 => Some("LZMA"),
        5 => Some("bzip2"),
        6 => Some("LZ4"),
        7 => Some("Zstandard"),
        _ => None,
    })
}

/// Where the body of the frame at `at` begins, and how long it says it is.
fn frame_at(path: &Path, at: u64) -> Option<(u64, u64)> {
    const HEADER_LEN_MAX: u64 = 64 * 1024;
    let header_len = u32::from_be_bytes(bytes_at(path, at, 4)?.try_into().ok()?).into();
    let header = (header_len <= HEADER_LEN_MAX).then(|| bytes_at(path, at + 4, header_len))??;
    let (_, len) = fields(&header).find(|&(field, _)| field == 3)?;
    Some((at + 4 + header_len, len))
}

fn bytes_at(path: &Path, at: u64, len: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == len).then_some(bytes)
}

/// The fields of a message in Protocol Buffers' wire format: each one's number, and its value or its length.
fn fields(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let mut wire = super::super::index::Wire::new(bytes);
    std::iter::from_fn(move || {
        let tag = wire.varint()?;
        let value = wire.varint()?;
        match tag & 7 {
            0 => {}
            2 => drop(wire.take(usize::try_from(value).ok()?)?),
            _ => return None,
        }
        Some((tag >> 3, value))
    })
}
