//! The bounds of the OpenStreetMap provider, with their units and what happens when they are reached.

/// Most places in one block. The next place begins another block.
pub(super) const BLOCK_PLACES_MAX: usize = 128;
/// Most bytes of records in one block. The next place begins another block; the reader refuses a longer one.
pub(super) const BLOCK_LEN_MAX: usize = 128 * 1024;
/// Memory for blocks that have been read, bytes. Blocks that were not asked for of late make room for new ones.
pub(super) const CACHE_LEN_MAX: usize = 64 * 1024 * 1024;
/// Largest directory, bytes: a hundred times what the whole planet needs. The reader refuses a larger one.
pub(super) const DIRECTORY_LEN_MAX: u64 = 1 << 30;

/// Most kinds of one place. The least telling are left out.
pub(super) const KINDS_MAX: usize = 8;
/// Longest text of a place, bytes; OpenStreetMap's own limit is 255 characters. A longer one is cut.
pub(super) const TEXT_LEN_MAX: usize = 1024;
/// Most pairs of time zone and country in one file. Places of another have no opening hours.
pub(super) const LOCALES_MAX: usize = u16::MAX as usize;

/// Memory for places that are being sorted, bytes. What is beyond goes to a temporary file in sorted runs.
pub(super) const SORT_LEN_MAX: usize = 64 * 1024 * 1024;
/// For how long a state of opening hours is taken as known at most, seconds: a day, so that a newer rule of daylight
/// saving or a leap of the clock does no harm for long.
pub(super) const HOURS_KEPT_MAX_S: i64 = 86_400;

/// Memory that an import uses at most for nodes, ways and relations that wait for others, bytes for each byte of the
/// extract. Real extracts refer to a node about once in ten bytes, at 16 bytes each: this is twenty times as much. An
/// extract that needs more is damaged.
pub(super) const WAITING_RATIO_MAX: u64 = 32;
/// That memory for extracts that are shorter than half a megabyte, bytes: enough for a million nodes.
pub(super) const WAITING_LEN_MIN: u64 = 16 * 1024 * 1024;
/// Most fallbacks in the opening hours of one place, because each may be written and read with all rules behind it.
/// With more the hours cannot be read.
pub(super) const FALLBACKS_MAX: usize = 16;
