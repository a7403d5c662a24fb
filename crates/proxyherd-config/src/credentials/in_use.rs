//! Certificates that are in use, and the rules for replacing them with newly read certificates.
//!
//! Links and doors share these rules. This module does not know what is made from a certificate.

use std::{path::PathBuf, sync::Arc};

use parking_lot::RwLock;

use super::{
    certificate::{OutOfTime, Validity},
    error::CredentialsError,
};
use crate::{clock, settled::FileStamps};

/// Something that is valid in a period of time.
pub trait Dated {
    /// The period in which it is valid.
    fn validity(&self) -> Validity;
}

/// What was read from some files, and the files' stamps at that time.
#[derive(Debug)]
pub struct InUse<T> {
    paths: Vec<PathBuf>,
    loaded: RwLock<Loaded<T>>,
}

#[derive(Debug)]
struct Loaded<T> {
    value: Arc<T>,
    /// The stamps of the files at the last attempt to read them. If that attempt failed, the next attempt waits until a
    /// file changes.
    stamps: FileStamps,
}

impl<T: Dated> InUse<T> {
    /// Reads the files at `paths` for the first time. Blocks.
    pub fn open(
        paths: Vec<PathBuf>,
        read: impl FnOnce() -> Result<T, CredentialsError>,
    ) -> Result<InUse<T>, CredentialsError> {
        let stamps = FileStamps::of(&paths);
        let loaded = RwLock::new(Loaded { value: Arc::new(read()?), stamps });
        Ok(InUse { paths, loaded })
    }

    /// Reads the files again. An error changes nothing. A new certificate that is not valid now does not replace a
    /// valid one. `refuse` makes the error for this case. Blocks.
    pub fn reload(
        &self,
        read: impl FnOnce() -> Result<T, CredentialsError>,
        refuse: impl FnOnce(OutOfTime) -> CredentialsError,
    ) -> Result<(), CredentialsError> {
        let (stamps, now_s) = (FileStamps::of(&self.paths), clock::now_s());
        let read = read();
        let mut loaded = self.loaded.write();
        loaded.stamps = stamps;
        let read = read?;
        if loaded.value.validity().check(now_s).is_ok() {
            read.validity().check(now_s).map_err(refuse)?;
        }
        loaded.value = Arc::new(read);
        Ok(())
    }

    /// What is in use now.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.loaded.read().value)
    }

    /// The files.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The stamps of the files at the last attempt to read them, even if that attempt failed.
    pub(crate) fn read_at(&self) -> FileStamps {
        self.loaded.read().stamps.clone()
    }

    /// When the certificate in use expires, POSIX seconds.
    pub fn not_after_s(&self) -> i64 {
        self.loaded.read().value.validity().not_after_s
    }
}
