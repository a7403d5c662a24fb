//! Reads an extract from front to back, as often as needed.
//!
//! [`ExtractFile::pass`] passes the blocks with objects of one kind to a closure. The first pass decodes all blobs. For
//! each blob it remembers in one byte which kinds of objects the blob holds. Later passes decode only the blobs that
//! they need. This module reads the file and returns errors. [`pbf`](crate::provider::osm::pbf) decodes the bytes.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::{ImportError, Progress};
use crate::provider::osm::pbf::{
    BlobError, Content, Damage, FrameKind, PbfBlock, PbfFrame, PbfHeader, unpack,
};

/// The features that this program supports and that a file may therefore require.
const FEATURES: [&str; 3] = ["OsmSchema-V0.6", "DenseNodes", "LocationsOnWays"];

/// An extract.
#[derive(Debug)]
pub(super) struct ExtractFile {
    path: PathBuf,
    len: u64,
    /// The kinds of objects in each blob, as bits of [`Content`]. Empty before the first pass.
    contents: Vec<u8>,
}

/// Why a pass ends early.
#[derive(Debug)]
pub(super) enum Halt {
    /// The block is damaged.
    Damage(Damage),
    /// Something else.
    Error(ImportError),
}

impl From<Damage> for Halt {
    fn from(damage: Damage) -> Halt {
        Halt::Damage(damage)
    }
}

impl From<ImportError> for Halt {
    fn from(error: ImportError) -> Halt {
        Halt::Error(error)
    }
}

impl ExtractFile {
    pub(super) fn open(path: &Path) -> Result<ExtractFile, ImportError> {
        let unreadable = |error| ImportError::Unreadable(path.to_owned(), error);
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(io::Error::other(
                "it is not a regular file, and has to be read several times",
            )));
        }
        Ok(ExtractFile { path: path.to_owned(), len: metadata.len(), contents: Vec::new() })
    }

    /// The length of the file, bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The second since 1970 up to which the file is current. 0 if the file does not say.
    pub(super) fn up_to_date_s(&self) -> Result<i64, ImportError> {
        let mut frames = Frames::open(self)?;
        match frames.next()? {
            Some(PbfFrame { kind: FrameKind::Header, blob_len }) => frames.header(blob_len),
            _ => Err(ImportError::Foreign(self.path.clone())),
        }
    }

    /// Passes every block that holds objects of the wanted kind to `visit`.
    pub(super) fn pass(
        &mut self,
        wanted: Content,
        progress: &mut dyn Progress,
        mut visit: impl FnMut(&PbfBlock<'_>) -> Result<(), Halt>,
    ) -> Result<(), ImportError> {
        let (mut frames, is_first) = (Frames::open(self)?, self.contents.is_empty());
        let (mut number, mut has_data) = (0, false);
        while let Some(PbfFrame { kind, blob_len }) = frames.next()? {
            let mut contents = 0;
            match (kind, is_first) {
                // If several extracts were joined into one file, each extract has a header.
                (FrameKind::Header, true) => drop(frames.header(blob_len)?),
                (FrameKind::Data, true) => {
                    has_data = true;
                    contents = frames.block(blob_len, |block| {
                        let contents = block.contents()?;
                        if contents & wanted as u8 != 0 {
                            visit(block)?;
                        }
                        Ok(contents)
                    })?;
                }
                (FrameKind::Data, false)
                    if self.contents.get(number).is_some_and(|it| it & wanted as u8 != 0) =>
                {
                    frames.block(blob_len, &mut visit)?;
                }
                _ => frames.skip(blob_len)?,
            }
            if is_first {
                self.contents.push(contents);
            }
            number += 1;
            progress.advance(frames.at);
        }
        if is_first && !has_data { Err(ImportError::Empty(self.path.clone())) } else { Ok(()) }
    }
}

/// Reads the frames of the file one after the other.
struct Frames {
    path: PathBuf,
    len: u64,
    file: BufReader<File>,
    /// The number of bytes of the file that have been read.
    at: u64,
    /// The position at which the last frame began.
    start: u64,
    blob: Vec<u8>,
    unpacked: Vec<u8>,
}

impl Frames {
    fn open(source: &ExtractFile) -> Result<Frames, ImportError> {
        let file =
            File::open(&source.path).map_err(|error| ImportError::Unreadable(source.path.clone(), error))?;
        Ok(Frames {
            path: source.path.clone(),
            len: source.len,
            file: BufReader::with_capacity(1 << 20, file),
            at: 0,
            start: 0,
            blob: Vec::new(),
            unpacked: Vec::new(),
        })
    }

    /// The header of the next frame. `None` at the end of the file. The caller then reads or skips the blob. A file
    /// whose first frame cannot be read is not an extract.
    fn next(&mut self) -> Result<Option<PbfFrame>, ImportError> {
        self.start = self.at;
        if self.at == self.len && self.at > 0 {
            return Ok(None);
        }
        match self.frame() {
            Ok(frame) => Ok(Some(frame)),
            Err(Halt::Error(error @ ImportError::Unreadable(..))) => Err(error),
            Err(_) if self.start == 0 => Err(ImportError::Foreign(self.path.clone())),
            Err(halt) => Err(self.explain(halt)),
        }
    }

    fn frame(&mut self) -> Result<PbfFrame, Halt> {
        self.read(4)?;
        let before = self.blob.first_chunk().expect("four bytes were read");
        let len = PbfFrame::header_len(*before)?;
        self.read(len)?;
        Ok(PbfFrame::read(&self.blob)?)
    }

    /// Reads the blob of a frame of the kind [`FrameKind::Header`]. Returns the second up to which the file is current.
    fn header(&mut self, blob_len: usize) -> Result<i64, ImportError> {
        self.read(blob_len)?;
        let header = match unpack(&self.blob, &mut self.unpacked) {
            Ok(bytes) => PbfHeader::read(bytes, &FEATURES).map_err(|damage| self.explain(damage.into()))?,
            Err(error) => return Err(self.explain_blob(error)),
        };
        match header.unknown_feature {
            Some(feature) => Err(ImportError::Feature(self.path.clone(), feature)),
            None => Ok(header.up_to_date_s),
        }
    }

    /// Reads the blob of a frame of the kind [`FrameKind::Data`].
    fn block<T>(
        &mut self,
        blob_len: usize,
        visit: impl FnOnce(&PbfBlock<'_>) -> Result<T, Halt>,
    ) -> Result<T, ImportError> {
        self.read(blob_len)?;
        let visited = match unpack(&self.blob, &mut self.unpacked) {
            Ok(bytes) => PbfBlock::read(bytes).map_err(Halt::from).and_then(|block| visit(&block)),
            Err(error) => return Err(self.explain_blob(error)),
        };
        visited.map_err(|halt| self.explain(halt))
    }

    fn skip(&mut self, len: usize) -> Result<(), ImportError> {
        self.reach(len)?;
        // A blob is at most 32 MiB long.
        self.file.seek_relative(len as i64).map_err(|error| self.unreadable(error))
    }

    fn read(&mut self, len: usize) -> Result<(), ImportError> {
        self.reach(len)?;
        self.blob.resize(len, 0);
        match self.file.read_exact(&mut self.blob) {
            Ok(()) => Ok(()),
            // The file has become shorter after it was opened.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ImportError::Cut(self.path.clone()))
            }
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// Advances by this many bytes. Fails if the file ends before that.
    fn reach(&mut self, len: usize) -> Result<(), ImportError> {
        self.at += len as u64;
        if self.at <= self.len { Ok(()) } else { Err(ImportError::Cut(self.path.clone())) }
    }

    fn unreadable(&self, error: io::Error) -> ImportError {
        ImportError::Unreadable(self.path.clone(), error)
    }

    fn explain(&self, halt: Halt) -> ImportError {
        match halt {
            Halt::Damage(damage) => ImportError::Damaged(self.path.clone(), self.start, damage.to_string()),
            Halt::Error(error) => error,
        }
    }

    fn explain_blob(&self, error: BlobError) -> ImportError {
        match error {
            BlobError::Damaged(damage) => self.explain(damage.into()),
            BlobError::Compression(name) => ImportError::Compression(self.path.clone(), name),
        }
    }
}
