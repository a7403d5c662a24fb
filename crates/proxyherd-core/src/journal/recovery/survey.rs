//! Which files of a store count, and whose they are.

use super::{Damage, RecoverError};
use crate::{
    journal::{
        Disk, DiskError, StoreIdentity,
        format::{BadHeader, FILE_HEADERS_LEN, FileHeader, FileName},
    },
    limits::SHARDS,
};

/// The files of a store that count.
pub(super) struct Survey {
    /// The newest snapshot of each shard.
    pub(super) snapshots: [Option<StoreFile>; SHARDS],
    /// The segments that come after a snapshot, or all if a shard has no snapshot. In their order.
    pub(super) segments: Vec<StoreFile>,
    /// The number of bytes of these files.
    pub(super) bytes: u64,
    /// The greatest number of any file.
    pub(super) last_number: u64,
    /// Some shards have a newer snapshot than others, so a compaction has not come to its end.
    pub(super) is_half_compacted: bool,
}

/// A file of a store.
pub(super) struct StoreFile {
    pub(super) name: String,
    pub(super) file: FileName,
    pub(super) len: u64,
    /// `None`: both copies of the header are damaged.
    pub(super) header: Option<FileHeader>,
    /// The copies of the header that are damaged.
    pub(super) damage: Vec<Damage>,
}

impl Survey {
    /// Reads the header of each file that counts. Refuses a store of another herd or server, or of a newer format.
    pub(super) fn of<D: Disk>(disk: &D, identity: &StoreIdentity) -> Result<Survey, RecoverError> {
        let mut files: Vec<_> = disk.list()?;
        files.sort();
        let files: Vec<_> =
            files.into_iter().filter_map(|(name, len)| Some((FileName::parse(&name)?, name, len))).collect();
        let last_number = files.iter().map(|(file, ..)| file.number()).max().unwrap_or_default();
        let mut newest = [0; SHARDS];
        for (file, ..) in &files {
            if let FileName::Snapshot { shard, number } = *file {
                let newest = &mut newest[usize::from(shard)];
                *newest = number.max(*newest);
            }
        }
        let oldest = newest.iter().copied().min().unwrap_or_default();
        let mut survey = Survey {
            snapshots: Default::default(),
            segments: Vec::new(),
            bytes: 0,
            last_number,
            is_half_compacted: newest.iter().any(|&number| number > oldest),
        };
        for (file, name, len) in files {
            let counts = match file {
                FileName::Segment { number } => number >= oldest,
                FileName::Snapshot { shard, number } => number == newest[usize::from(shard)],
            };
            if counts {
                let file = StoreFile::open(disk, identity, file, name, len)?;
                survey.bytes += len;
                match file.file {
                    FileName::Segment { .. } => survey.segments.push(file),
                    FileName::Snapshot { shard, .. } => survey.snapshots[usize::from(shard)] = Some(file),
                }
            }
        }
        survey.segments.sort_by_key(|segment| segment.file.number());
        Ok(survey)
    }

    /// The number of the first segment that counts for a shard.
    pub(super) fn first_for(&self, shard: usize) -> u64 {
        self.snapshots[shard].as_ref().map_or(1, |snapshot| snapshot.file.number())
    }
}

impl StoreFile {
    fn open<D: Disk>(
        disk: &D,
        identity: &StoreIdentity,
        file: FileName,
        name: String,
        len: u64,
    ) -> Result<StoreFile, RecoverError> {
        let bytes = read_headers(disk, &name)?;
        let (header, intact) = match FileHeader::decode(&bytes) {
            Ok((header, intact)) => (Some(header), intact),
            Err(BadHeader::Newer(version)) => return Err(RecoverError::Newer { file: name, version }),
            Err(BadHeader::Damaged) => (None, [false; 2]),
        };
        if let Some(FileHeader { identity: found, .. }) = &header {
            if found.herd != identity.herd {
                return Err(RecoverError::OtherHerd { file: name, herd: found.herd.clone() });
            }
            if found.server != identity.server {
                return Err(RecoverError::OtherServer { file: name, server: found.server.to_string() });
            }
        }
        // A file that was renamed is not the file that its name says.
        let header = header.filter(|header| header.file == file);
        let damage = if header.is_none() {
            vec![Damage { file: name.clone(), offset: 0, len }]
        } else {
            let damaged = (0..).zip(intact).filter(|(_, is_intact)| !is_intact);
            let copy_len = FileHeader::COPY_LEN as u64;
            let of_copy = |copy: u64| Damage { file: name.clone(), offset: copy * copy_len, len: copy_len };
            damaged.map(|(copy, _)| of_copy(copy)).collect()
        };
        Ok(StoreFile { name, file, len, header, damage })
    }
}

/// See [`super::identity_of`].
pub(super) fn identity_of<D: Disk>(disk: &D) -> Result<Option<StoreIdentity>, RecoverError> {
    let mut names: Vec<_> = disk.list()?.into_iter().map(|(name, _)| name).collect();
    names.retain(|name| FileName::parse(name).is_some());
    names.sort();
    for name in names {
        match FileHeader::decode(&read_headers(disk, &name)?) {
            Ok((header, _)) => return Ok(Some(header.identity)),
            Err(BadHeader::Newer(version)) => return Err(RecoverError::Newer { file: name, version }),
            Err(BadHeader::Damaged) => {}
        }
    }
    Ok(None)
}

fn read_headers<D: Disk>(disk: &D, name: &str) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![0; FILE_HEADERS_LEN];
    let mut filled = 0;
    while filled < bytes.len() {
        match disk.read_at(name, filled as u64, &mut bytes[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
