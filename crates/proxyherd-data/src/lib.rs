//! The commands `proxyherd data check`, `dump` and `restore` without the command line: the program reads their
//! arguments and shows their errors.
//!
//! A store is what a server with `journal = true` keeps on its disk. [`check`](check::check) reads all of a store and
//! says what it holds. [`dump`](dump::dump) writes its records as a portable text ([`dump_file`]), and
//! [`restore`](restore::restore) makes a new store of such a text.
//!
//! Invariant: `check` and `dump` only read, also while the server of the store runs. They read the files as they were
//! at one moment ([`store`]). `restore` makes a whole store or nothing.
//!
//! The crate knows neither running servers nor herd.toml: callers pass what herd.toml says.
//!
//! The commands read and write millions of records. So they are a crate of their own, and release builds optimize the
//! crate more than other commands. The functions of the commands have no type parameters. Otherwise the compiler would
//! build their loops as a part of the crate that calls them, with the optimizations of that crate.

pub mod check;
mod content;
pub mod dump;
pub mod dump_file;
pub mod restore;
pub mod store;
#[cfg(test)]
mod tests;

/// The size of the buffers in front of the input and the output of commands, bytes.
const BUFFER_LEN: usize = 256 * 1024;

/// Is told which share of the work is done, from 0 to 1.
pub type Progress<'p> = &'p mut dyn FnMut(f64);
