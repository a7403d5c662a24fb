//! The files of a server's store: the directory `<data>/<server>/journal`.
//!
//! A server opens its store with [`FileDisk::open`], and commands look into a store with [`FileDisk::read_only`]. Both
//! return a [`FileDisk`], on which core's journal (`proxyherd_core::journal`) reads and writes.
//!
//! One process at a time can write to a store: [`FileDisk::open`] locks the file `journal.lock` beside the directory. A
//! command may read a store while its server runs.
//!
//! This crate knows no format. It does not know what the files contain, nor whose they are.
//!
//! ```
//! use proxyherd_core::{journal::{Disk, DiskFile}, types::ServerName};
//! use proxyherd_journal::FileDisk;
//!
//! # let data = std::env::temp_dir().join(format!("proxyherd-journal-{}", std::process::id()));
//! let disk = FileDisk::open(&data, &ServerName::new("Riley").unwrap()).unwrap();
//! let mut file = disk.create("journal-1").unwrap();
//! file.write_at(0, b"bytes").unwrap();
//! file.sync().unwrap();
//! // The file's name is on the disk only after this:
//! disk.sync_names().unwrap();
//! assert_eq!(disk.list().unwrap(), [("journal-1".to_owned(), 5)]);
//! # std::fs::remove_dir_all(data).unwrap();
//! ```

mod disk;
mod lock;
mod names;
mod store;

pub use self::{
    disk::{FileDisk, StoreFile, disk_error},
    store::{StoreError, directory},
};
