//! Properties that hold for every input of every codec. Each codec has a module with a function `check`, which panics
//! if one of these properties does not hold:
//!
//! 1. No input makes a codec panic. Failed assertions count as panics.
//! 2. The memory that a codec holds is bounded by the input's length ([`memory`]).
//! 3. If bytes arrive in pieces, the result does not depend on how they were cut ([`pieces`]).
//! 4. A value that was read, written and read again is the same value.
//!
//! The targets in `fuzz` call these functions with libFuzzer's inputs. The tests here replay the inputs in `corpora`,
//! on any toolchain. This crate does not check the meaning of values: the codecs' own tests do this.

pub mod attributes;
pub mod batch;
pub mod certificate;
pub mod config;
pub mod dump;
pub mod extract;
pub mod google;
pub mod google_legacy;
pub mod hours;
pub mod incoming;
pub mod line;
pub mod link;
pub mod memory;
pub mod message;
pub mod numbers;
pub mod osmand;
pub mod overland;
pub mod owntracks;
mod phone_report;
pub mod pieces;
pub mod places_index;
pub mod polygon;
pub mod query;
pub mod quota;
pub mod replies;
pub mod report;
pub mod rfc3339;
pub mod store;
pub mod tokens;
pub mod traccar;
pub mod url_id;
pub mod where_clause;

/// The check of one codec. Its argument is the input.
pub type Check = fn(&[u8]);

/// All codecs. Its fuzz target and its folder in `corpora` have the same name as the codec.
pub const CODECS: [(&str, Check); 29] = [
    ("attributes", attributes::check),
    ("batch", batch::check),
    ("certificate", certificate::check),
    ("config", config::check),
    ("dump", dump::check),
    ("extract", extract::check),
    ("google", google::check),
    ("google_legacy", google_legacy::check),
    ("hours", hours::check),
    ("incoming", incoming::check),
    ("line", line::check),
    ("link", link::check),
    ("message", message::check),
    ("numbers", numbers::check),
    ("osmand", osmand::check),
    ("overland", overland::check),
    ("owntracks", owntracks::check),
    ("places_index", places_index::check),
    ("polygon", polygon::check),
    ("query", query::check),
    ("quota", quota::check),
    ("replies", replies::check),
    ("report", report::check),
    ("rfc3339", rfc3339::check),
    ("store", store::check),
    ("tokens", tokens::check),
    ("traccar", traccar::check),
    ("url_id", url_id::check),
    ("where_clause", where_clause::check),
];
