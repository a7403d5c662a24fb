//! The disk of one server, as bad as a seed makes it. The core's journal runs on it, as it runs on a directory.
//!
//! The disk keeps two contents of each file, and two lists of names: what the server sees, and what is *synced*. Writes
//! and changes of names wait between the two until they are synced. A crash decides for each waiting write whether it
//! is kept, dropped or torn (`crash`). Bytes of a file count only if the file has a synced name.
//!
//! A disk can be full for a while, also in the middle of a write. It can fail a sync: then the writes that waited for
//! this sync are never synced, as with Linux, which drops such pages. It can lie: then a sync changes nothing, and says
//! that it succeeded. Only the sync of what an earlier life has left behind is never a lie. Bits can flip, and the disk
//! can come back with an earlier image of itself.
//!
//! Invariant: without lies, flips and earlier images, a crash never changes what was synced.
//!
//! The disk does not know what the files hold, and draws nothing by itself: the world says when the disk turns bad.

mod crash;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proxyherd_core::journal::{Disk, DiskError, DiskFile};

pub(crate) use self::crash::Forgotten;
use crate::rng::Rng;

/// A disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// A file that is open for writing. After a crash of its server the handle is of no use.
#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    file: FileId,
    life: u64,
}

/// What a disk holds at one moment, as in a snapshot of a virtual machine.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    files: BTreeMap<String, Vec<u8>>,
    flips: u64,
}

type FileId = u64;

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<FileId, File>,
    /// The names that the server sees.
    names: BTreeMap<String, FileId>,
    synced_names: BTreeMap<String, FileId>,
    /// The changes of names since the names were synced.
    name_changes: Vec<NameChange>,
    /// The number of these changes of which a sync has wrongly said that they are synced.
    claimed_names: usize,
    files_made: u64,
    /// The number of crashes.
    life: u64,
    /// The bytes that can still be written. `None`: the disk does not fill up.
    room: Option<u64>,
    /// The number of syncs that will fail.
    failing_syncs: u32,
    is_lying: bool,
    /// Whether something that was said to be synced is lost since the last crash.
    has_forgotten: bool,
    /// The number of bits that have flipped ...
    flips: u64,
    /// ... and of those that had when the compaction began that runs.
    flips_before: u64,
}

/// A file.
#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    /// What the server sees.
    seen: Vec<u8>,
    /// The writes since the last sync.
    writes: Vec<Write>,
    /// The number of these writes of which a sync has wrongly said that they are synced.
    claimed: usize,
}

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

/// A change of the list of names.
#[derive(Clone, Debug)]
enum NameChange {
    Create(String, FileId),
    Rename(String, String, FileId),
    Remove(String),
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the disk be full after this many more bytes. `None`: there is room again.
    pub(crate) fn set_room(&self, room: Option<u64>) {
        self.state().room = room;
    }

    /// Makes the next sync of a file fail.
    pub(crate) fn fail_a_sync(&self) {
        self.state().failing_syncs += 1;
    }

    /// Lets the disk lie about syncs, or be honest again.
    pub(crate) fn set_lying(&self, is_lying: bool) {
        self.state().is_lying = is_lying;
    }

    /// Ends everything that is wrong with the disk, as a person does who repairs it before the server starts again.
    pub(crate) fn mend(&self) {
        let state = &mut *self.state();
        (state.room, state.failing_syncs, state.is_lying) = (None, 0, false);
    }

    /// Whether everything is on the disk that the server believes to be there.
    pub(crate) fn is_sound(&self) -> bool {
        let state = self.state();
        let has_claims = state.claimed_names > 0 || state.files.values().any(|file| file.claimed > 0);
        !has_claims && !state.has_forgotten && state.flips == 0
    }

    /// A compaction begins, which replaces everything that is on the disk now.
    pub(crate) fn begin_compaction(&self) {
        let state = &mut *self.state();
        state.flips_before = state.flips;
    }

    /// The compaction has come to its end.
    pub(crate) fn end_compaction(&self) {
        let state = &mut *self.state();
        state.flips = state.flips.saturating_sub(state.flips_before);
    }

    /// What the server sees now.
    pub(crate) fn image(&self) -> Image {
        let state = self.state();
        let seen = |file| state.files.get(file).map(|file| file.seen.clone()).unwrap_or_default();
        let files = state.names.iter().map(|(name, file)| (name.clone(), seen(file))).collect();
        Image { files, flips: state.flips }
    }

    /// Another disk, with what is left of this one if a crash drops everything that is not synced.
    pub(crate) fn synced(&self) -> SimDisk {
        let state = self.state();
        let synced = |file| state.files.get(file).map(|file| file.synced.clone()).unwrap_or_default();
        let files = state.synced_names.iter().map(|(name, file)| (name.clone(), synced(file))).collect();
        let disk = SimDisk::default();
        disk.restore(&Image { files, flips: state.flips });
        disk
    }

    /// Replaces everything on the disk by an earlier image.
    pub(crate) fn restore(&self, image: &Image) {
        let state = &mut *self.state();
        state.forget_all();
        state.flips = image.flips;
        for (name, bytes) in &image.files {
            let id = state.add(File { synced: bytes.clone(), seen: bytes.clone(), ..File::default() });
            state.names.insert(name.clone(), id);
        }
        state.synced_names = state.names.clone();
    }

    /// Removes everything from the disk, as when it is replaced by another one.
    pub(crate) fn wipe(&self) {
        self.state().forget_all();
    }

    /// Flips a bit in one of the files, and returns where. `None` if there is nothing on the disk.
    pub(crate) fn flip_a_bit(&self, rng: &mut Rng) -> Option<String> {
        let state = &mut *self.state();
        let lens =
            state.names.iter().filter_map(|(name, id)| Some((name, *id, state.files.get(id)?.seen.len())));
        let lens: Vec<_> = lens.collect();
        let total: usize = lens.iter().map(|(.., len)| len).sum();
        let mut at = (total > 0).then(|| rng.index(total))?;
        let (name, id, _) = lens.into_iter().find(|&(.., len)| {
            let is_here = at < len;
            at -= if is_here { 0 } else { len };
            is_here
        })?;
        let (name, bit) = (name.clone(), 1 << rng.below(8));
        state.flips += 1;
        let file = state.files.get_mut(&id)?;
        file.seen[at] ^= bit;
        if let Some(byte) = file.synced.get_mut(at) {
            *byte ^= bit;
        }
        Some(format!("bit {bit:#04x} of byte {at} of {name}"))
    }

    /// The server of the disk was killed, and the machine runs on: the next life of the server sees what was written,
    /// whether or not it is synced. What waited for a sync that has failed is lost. Returns the same as
    /// [`SimDisk::crash`].
    pub(crate) fn kill(&self) -> Forgotten {
        let state = &mut *self.state();
        state.life += 1;
        state.files.values_mut().for_each(File::drop_failed);
        Forgotten(std::mem::take(&mut state.has_forgotten))
    }

    /// The server of the disk has crashed: each write and change of a name that is not synced is kept, dropped or torn.
    /// Returns whether the disk has forgotten something that it said was synced.
    pub(crate) fn crash(&self, rng: &mut Rng) -> Forgotten {
        self.state().crash(rng)
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let state = self.state();
        let len = |file| state.files.get(file).map_or(0, |file| file.seen.len() as u64);
        Ok(state.names.iter().map(|(name, file)| (name.clone(), len(file))).collect())
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let state = self.state();
        let seen = &state.file(name)?.seen;
        let from = seen.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let len = from.len().min(into.len());
        into[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn create(&self, name: &str) -> Result<SimFile, DiskError> {
        let state = &mut *self.state();
        if state.names.contains_key(name) {
            return Err(DiskError::Failed(format!("{name} exists")));
        }
        if state.room == Some(0) {
            return Err(DiskError::Full);
        }
        let file = state.add(File::default());
        state.names.insert(name.to_owned(), file);
        state.name_changes.push(NameChange::Create(name.to_owned(), file));
        Ok(SimFile { disk: self.clone(), file, life: state.life })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let state = &mut *self.state();
        let file = *state.names.get(from).ok_or_else(|| no_file(from))?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        state.name_changes.push(NameChange::Rename(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let state = &mut *self.state();
        state.names.remove(name).ok_or_else(|| no_file(name))?;
        state.name_changes.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_file(&self, name: &str) -> Result<(), DiskError> {
        let state = &mut *self.state();
        let id = *state.names.get(name).ok_or_else(|| no_file(name))?;
        // If the disk lied here, too, then nothing would show that the end of an earlier process's last segment is
        // missing (ARCHITECTURE, "What does not hold yet").
        let is_lying = std::mem::take(&mut state.is_lying);
        let synced = state.sync(id);
        state.is_lying = is_lying;
        synced
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        let state = &mut *self.state();
        if state.is_lying {
            state.claimed_names = state.name_changes.len();
            return Ok(());
        }
        (state.name_changes, state.claimed_names) = (Vec::new(), 0);
        state.synced_names = state.names.clone();
        state.drop_nameless();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let state = &mut *self.disk.state();
        let offset =
            usize::try_from(offset).map_err(|_| DiskError::Failed("no disk is that large".to_owned()))?;
        let len_before = state.open_file(self)?.seen.len();
        // Bytes that replace others need no room.
        let replaced = len_before.saturating_sub(offset).min(bytes.len());
        let fits = state.room.map_or(bytes.len(), |room| bytes.len().min(replaced + room as usize));
        state.open_file(self)?.write(offset, &bytes[..fits]);
        let more = state.open_file(self)?.seen.len() - len_before;
        if let Some(room) = &mut state.room {
            *room = room.saturating_sub(more as u64);
        }
        if fits < bytes.len() { Err(DiskError::Full) } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        let state = &mut *self.disk.state();
        state.open_file(self)?;
        state.sync(self.file)
    }
}

impl State {
    fn add(&mut self, file: File) -> FileId {
        self.files_made += 1;
        self.files.insert(self.files_made, file);
        self.files_made
    }

    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        let Some(file) = self.files.get_mut(&file) else { return Ok(()) };
        if self.failing_syncs > 0 {
            // What was written stays visible until the crash, but no later sync writes it.
            self.has_forgotten |= file.claimed > 0;
            (file.writes, file.claimed) = (Vec::new(), 0);
            self.failing_syncs -= 1;
            return Err(DiskError::Failed("the disk reports an error".to_owned()));
        }
        if self.is_lying {
            file.claimed = file.writes.len();
        } else {
            file.sync();
        }
        Ok(())
    }

    fn file(&self, name: &str) -> Result<&File, DiskError> {
        self.names.get(name).and_then(|id| self.files.get(id)).ok_or_else(|| no_file(name))
    }

    fn open_file(&mut self, handle: &SimFile) -> Result<&mut File, DiskError> {
        let file = self.files.get_mut(&handle.file).filter(|_| self.life == handle.life);
        file.ok_or_else(|| DiskError::Failed("the server of this handle has crashed".to_owned()))
    }

    fn forget_all(&mut self) {
        self.files.clear();
        self.names.clear();
        self.synced_names.clear();
        (self.name_changes, self.claimed_names) = (Vec::new(), 0);
        (self.has_forgotten, self.flips) = (false, 0);
        self.life += 1;
    }

    /// Drops the files that no name leads to and to which no crash can bring a name back.
    fn drop_nameless(&mut self) {
        let names: Vec<_> = self.names.values().chain(self.synced_names.values()).copied().collect();
        self.files.retain(|id, _| names.contains(id));
    }
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            put(&mut self.seen, offset, bytes);
            self.writes.push(Write { offset, bytes: bytes.to_vec() });
        }
    }

    /// Shows only what is synced or can still be synced.
    fn drop_failed(&mut self) {
        self.seen.clone_from(&self.synced);
        for Write { offset, bytes } in &self.writes {
            put(&mut self.seen, *offset, bytes);
        }
    }

    fn sync(&mut self) {
        for Write { offset, bytes } in std::mem::take(&mut self.writes) {
            put(&mut self.synced, offset, &bytes);
        }
        self.claimed = 0;
    }
}

/// Writes bytes at an offset. A gap before them becomes zeros.
fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn no_file(name: &str) -> DiskError {
    DiskError::Failed(format!("there is no {name}"))
}

#[cfg(test)]
mod tests;
