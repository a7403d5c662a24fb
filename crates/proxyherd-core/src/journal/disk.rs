//! The disk of a store, as this module sees it: files of one folder, by name.
//!
//! The server implements [`Disk`] with files, and the simulator with memory that tears, drops and lies. A file is
//! written at known offsets, so a write that failed can be repeated. A name is safe only after [`Disk::sync_names`],
//! and bytes are safe only after [`DiskFile::sync`]. Until then a crash may keep any part of them.

/// Why the disk did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// The disk has no room. Parts of the bytes may have been written. The same call may succeed later.
    #[error("the disk is full")]
    Full,
    /// The disk failed, and nobody knows what it holds now. After a failed sync the store must not be written any more,
    /// because a later sync may succeed although the disk has dropped bytes.
    #[error("{0}")]
    Failed(String),
}

/// A folder of files.
pub trait Disk {
    /// An open file.
    type File: DiskFile;

    /// The names and the lengths of all files.
    fn list(&self) -> Result<Vec<(String, u64)>, DiskError>;

    /// Reads bytes of a file from `offset` on, and returns how many bytes were read: fewer than asked for only if the
    /// file ends there.
    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError>;

    /// Creates an empty file. It is an error if a file of this name exists.
    fn create(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Renames a file; a file that has the name `to` is replaced. A [`DiskFile`] of the file stays usable.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Makes all bytes of a file safe, whoever wrote them. A process that was killed may have written bytes that
    /// another process sees, and that a crash of the machine drops.
    fn sync_file(&self, name: &str) -> Result<(), DiskError>;

    /// Makes all names safe: returns when a crash can no longer undo a creation, a renaming or a removal.
    fn sync_names(&self) -> Result<(), DiskError>;
}

/// An open file of a [`Disk`].
pub trait DiskFile {
    /// Writes bytes at an offset.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes all written bytes and the file's length safe.
    fn sync(&mut self) -> Result<(), DiskError>;
}

impl<D: Disk> Disk for std::sync::Arc<D> {
    type File = D::File;

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        (**self).list()
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        (**self).read_at(name, offset, into)
    }

    fn create(&self, name: &str) -> Result<D::File, DiskError> {
        (**self).create(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        (**self).rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        (**self).remove(name)
    }

    fn sync_file(&self, name: &str) -> Result<(), DiskError> {
        (**self).sync_file(name)
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        (**self).sync_names()
    }
}
