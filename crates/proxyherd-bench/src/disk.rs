//! The disk on which measured servers have their data: how long it takes for an fdatasync, and how much the servers
//! take.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::stats::Histogram;

/// Number of times that each measurement syncs the disk, and the bytes that are written before each fdatasync.
const SYNCS: u32 = 20;
pub(crate) const SYNC_LEN: usize = 16 * 1024;

/// A file that grows as a journal does, on the same disk.
pub(crate) struct Probe {
    file: File,
    pub(crate) sync: Histogram,
}

impl Probe {
    pub(crate) fn create(dir: &Path) -> Result<Probe> {
        let path = dir.join("fdatasync");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Probe { file, sync: Histogram::new() })
    }

    /// Measures the disk some times.
    pub(crate) fn measure(&mut self) -> Result<()> {
        for _ in 0..SYNCS {
            self.file.write_all(&[0xA5; SYNC_LEN]).context("cannot write to the disk")?;
            let began = Instant::now();
            self.file.sync_data().context("the disk refuses an fdatasync")?;
            self.sync.record(began.elapsed());
        }
        Ok(())
    }
}

/// The number of bytes of all files in a folder and in the folders in it. A file that goes meanwhile does not count.
pub(crate) fn bytes_in(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => bytes += bytes_in(&path)?,
            Ok(found) => bytes += found.len(),
            Err(_) => {}
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_folders_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        fs::write(dir.path().join("one"), [0; 10]).unwrap();
        fs::write(dir.path().join("inner/other"), [0; 7]).unwrap();
        assert_eq!(bytes_in(dir.path()).unwrap(), 17);
        Probe::create(dir.path()).unwrap().measure().unwrap();
        assert!(bytes_in(dir.path()).unwrap() > 17);
    }
}
