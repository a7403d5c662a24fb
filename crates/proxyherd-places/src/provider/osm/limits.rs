//! The bounds that several modules of the OpenStreetMap provider share, with their units and with the behavior at each
//! bound.

/// Maximum number of places in one block. The next place begins another block.
pub(super) const BLOCK_PLACES_MAX: usize = 128;
/// Maximum size of the records in one block, bytes. The next place begins another block. The reader refuses a longer
/// block.
pub(super) const BLOCK_LEN_MAX: usize = 128 * 1024;
/// Maximum memory for blocks that have been read, bytes. Blocks that were not used recently are dropped to make room
/// for new blocks.
pub(super) const CACHE_LEN_MAX: usize = 64 * 1024 * 1024;
/// Maximum number of blocks that are read for the labels of one box. A box that touches more blocks has no labels, and
/// the map shows cities there. 128 blocks have up to 16,384 places.
pub(super) const LABEL_BLOCKS_MAX: usize = 128;
/// Maximum size of the directory, bytes: a hundred times the size for the whole planet. The reader refuses a larger
/// directory.
pub(super) const DIRECTORY_LEN_MAX: u64 = 1 << 30;

/// Maximum number of kinds of one place. The least specific kinds are left out.
pub(super) const KINDS_MAX: usize = 8;
/// Maximum length of a text of a place, bytes. A longer text is cut. OpenStreetMap's own limit is 255 characters.
pub(super) const TEXT_LEN_MAX: usize = 1024;
/// Maximum number of pairs of a time zone and a country in one file. Places with further pairs have no opening hours.
pub(super) const LOCALES_MAX: usize = u16::MAX as usize;

/// Maximum memory for places that are being sorted, bytes. Further places go to a temporary file in sorted runs.
pub(super) const SORT_LEN_MAX: usize = 64 * 1024 * 1024;
/// Maximum time that a state of opening hours is valid, seconds. This is a day, so that a new rule of daylight saving
/// time or a jump of the clock does no harm for long.
pub(super) const HOURS_KEPT_MAX_S: i64 = 86_400;

/// Maximum memory of an import for nodes, ways and relations that wait for other objects, bytes for each byte of the
/// extract. Real extracts refer to a node about once in ten bytes, and each reference takes 16 bytes. So this limit is
/// twenty times the need of real extracts. An extract that needs more is damaged.
pub(super) const WAITING_RATIO_MAX: u64 = 32;
/// Minimum value of this limit, bytes, which holds for extracts shorter than half a megabyte. A million nodes fit.
pub(super) const WAITING_LEN_MIN: u64 = 16 * 1024 * 1024;
/// Maximum number of fallbacks in the opening hours of one place. Hours with more fallbacks count as unreadable. The
/// reason for the limit: each fallback may be written and parsed together with all rules after it.
pub(super) const FALLBACKS_MAX: usize = 16;
