//! What holds for every input of every codec, whoever made the input: one module a codec, each with a `check` that
//! panics where it does not hold.
//!
//! 1. No input makes a codec panic, its assertions included.
//! 2. What it holds in memory is bounded by the input's length ([`memory`]).
//! 3. Where bytes come in pieces, what comes of them does not depend on how they were cut ([`pieces`]).
//! 4. What was read is written and read again as the same.
//!
//! `fuzz` hands libFuzzer's inputs to these; the tests here replay the inputs in `corpora`, on any toolchain. This
//! crate does not know what values mean: that is for the codecs' own tests.

pub mod attributes;
pub mod budget;
pub mod certificate;
pub mod config;
pub mod extract;
pub mod google;
pub mod google_legacy;
pub mod hours;
pub mod incoming;
pub mod line;
pub mod link;
pub mod memory;
pub mod numbers;
pub mod pieces;
pub mod places_index;
pub mod query;
pub mod replies;

/// What is checked of one codec.
pub type Check = fn(&[u8]);

/// All codecs, by the names of their fuzz targets and of their folders in `corpora`.
pub const CODECS: [(&str, Check); 15] = [
    ("attributes", attributes::check),
    ("budget", budget::check),
    ("certificate", certificate::check),
    ("config", config::check),
    ("extract", extract::check),
    ("google", google::check),
    ("google_legacy", google_legacy::check),
    ("hours", hours::check),
    ("incoming", incoming::check),
    ("line", line::check),
    ("link", link::check),
    ("numbers", numbers::check),
    ("places_index", places_index::check),
    ("query", query::check),
    ("replies", replies::check),
];
