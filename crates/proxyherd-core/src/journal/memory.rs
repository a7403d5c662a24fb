//! A disk in memory, for tests and for tools that need no files.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Disk, DiskError, DiskFile};

/// A disk in memory. Clones are the same disk.
///
/// ```
/// use proxyherd_core::journal::{Disk, DiskFile, MemoryDisk};
/// let disk = MemoryDisk::default();
/// disk.create("journal-1").unwrap().write_at(0, b"seven").unwrap();
/// assert_eq!(disk.list().unwrap(), [("journal-1".to_owned(), 5)]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    /// The number of bytes that all files may have together; `None`: any number.
    room: Option<u64>,
}

/// A file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
}

impl MemoryDisk {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content of a file.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let content = self.lock();
        content.names.get(name).map(|&file| content.files[file].clone())
    }

    /// Replaces the content of a file, or makes a file with this content.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) {
        let mut content = self.lock();
        let file = content.files.len();
        content.files.push(bytes);
        content.names.insert(name.to_owned(), file);
    }

    /// A copy of the disk as it is now.
    pub fn copy(&self) -> MemoryDisk {
        let copy = MemoryDisk::default();
        let content = self.lock();
        for (name, &file) in &content.names {
            copy.replace(name, content.files[file].clone());
        }
        copy
    }

    /// From now on all files together may have this many bytes; `None`: any number.
    pub fn set_room(&self, room: Option<u64>) {
        self.lock().room = room;
    }

    /// The number of bytes of all files.
    pub fn used(&self) -> u64 {
        self.lock().used()
    }
}

impl Content {
    fn used(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].len() as u64).sum()
    }

    fn file_of(&self, name: &str) -> Result<usize, DiskError> {
        self.names.get(name).copied().ok_or_else(|| DiskError::Failed(format!("there is no file {name}")))
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let content = self.lock();
        Ok(content
            .names
            .iter()
            .map(|(name, &file)| (name.clone(), content.files[file].len() as u64))
            .collect())
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let content = self.lock();
        let file = &content.files[content.file_of(name)?];
        let rest = usize::try_from(offset).ok().and_then(|offset| file.get(offset..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn create(&self, name: &str) -> Result<MemoryFile, DiskError> {
        let mut content = self.lock();
        if content.names.contains_key(name) {
            return Err(DiskError::Failed(format!("there is a file {name}")));
        }
        let file = content.files.len();
        content.files.push(Vec::new());
        content.names.insert(name.to_owned(), file);
        drop(content);
        Ok(MemoryFile { disk: self.clone(), file })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut content = self.lock();
        let file = content.file_of(from)?;
        content.names.remove(from);
        content.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut content = self.lock();
        let file = content.file_of(name)?;
        content.names.remove(name);
        content.files[file] = Vec::new();
        Ok(())
    }

    fn sync_file(&self, name: &str) -> Result<(), DiskError> {
        self.lock().file_of(name).map(drop)
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut content = self.disk.lock();
        let end = offset + bytes.len() as u64;
        let grows = end.saturating_sub(content.files[self.file].len() as u64);
        let room = content.room.map_or(u64::MAX, |room| room.saturating_sub(content.used()));
        // Like a real disk, a full one takes the first bytes.
        let fits = bytes.len() - grows.saturating_sub(room).min(bytes.len() as u64) as usize;
        let file = &mut content.files[self.file];
        let start = offset as usize;
        file.resize(file.len().max(start + fits), 0);
        file[start..start + fits].copy_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(DiskError::Full) } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}
