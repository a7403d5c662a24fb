//! `proxyherd data`: checks, dumps and restores the store of a server.

pub mod dump_file;
