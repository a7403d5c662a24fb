//! The bounds that several modules of the OpenStreetMap provider share, with their units and what happens at each
//! bound.

/// Most places in one block. The next place begins another block.
pub(super) const BLOCK_PLACES_MAX: usize = 128;
/// Most bytes of records in one block. The next place begins another block. The reader refuses a longer block.
pub(super) const BLOCK_LEN_MAX: usize = 128 * 1024;
/// Memory for blocks that have been read, bytes. Blocks that nobody has needed recently make room for new ones.
pub(super) const CACHE_LEN_MAX: usize = 64 * 1024 * 1024;
/// Largest directory, bytes: a hundred times what the whole planet needs. The reader refuses a larger one.
pub(super) const DIRECTORY_LEN_MAX: u64 = 1 << 30;

/// Most kinds of one place. The least specific kinds are left out.
pub(super) const KINDS_MAX: usize = 8;
/// Longest text of a place, bytes; OpenStreetMap's own limit is 255 characters. A longer one is cut.
pub(super) const TEXT_LEN_MAX: usize = 1024;
/// Most pairs of time zone and country in one file. Places of further pairs have no opening hours.
pub(super) const LOCALES_MAX: usize = u16::MAX as usize;

/// Memory for places that are being sorted, bytes. Further places go to a temporary file in sorted runs.
pub(super) const SORT_LEN_MAX: usize = 64 * 1024 * 1024;
/// How long the state of opening hours is believed at most, seconds. This is a day, so that a new rule of daylight
/// saving time or a jump of the clock does no harm for long.
pub(super) const HOURS_KEPT_MAX_S: i64 = 86_400;

/// Most memory of an import for nodes, ways and relations that wait for others, bytes for each byte of the extract.
/// Real extracts refer to a node about once in ten bytes, and each reference takes 16 bytes, so this is twenty times as
/// much. An extract that needs more is damaged.
pub(super) const WAITING_RATIO_MAX: u64 = 32;
/// The same for extracts shorter than half a megabyte, bytes: enough for a million nodes.
pub(super) const WAITING_LEN_MIN: u64 = 16 * 1024 * 1024;
/// Most fallbacks in the opening hours of one place, because each of them may be written and parsed together with all
/// rules behind it. Hours with more fallbacks count as unreadable.
pub(super) const FALLBACKS_MAX: usize = 16;
