//! How the table of places is laid out: the build script writes it so, the reader reads it so.
//!
//! Places stand in **bands** of latitude from south to north, each a tenth of a degree high, and within a
//! band by longitude from west to east. So the places of a small circle are a short run in each of a few
//! bands. Angles are whole numbers of 10⁻⁵ degrees, which is how the data comes.

/// Angles are counted in this part of a degree.
pub(crate) const UNITS_PER_DEGREE: i32 = 100_000;
/// How high a band is, in units of latitude.
pub(crate) const BAND_HEIGHT: i32 = UNITS_PER_DEGREE / 10;
/// The poles' latitude in units.
pub(crate) const POLE: i32 = 90 * UNITS_PER_DEGREE;
/// The antimeridian's longitude in units; it is also the negative of itself.
pub(crate) const ANTIMERIDIAN: i32 = 180 * UNITS_PER_DEGREE;
/// How many bands there are: 1800, and one for the North Pole itself.
pub(crate) const BAND_COUNT: usize = (2 * POLE / BAND_HEIGHT) as usize + 1;

/// Longitude, latitude and the end of the name among the names, four bytes each, then the region's index in
/// two; little-endian. A name begins where that of the record before ends.
pub(crate) const RECORD_LEN: usize = 14;

/// The band of a latitude; beyond the poles, the last.
pub(crate) fn band_of(latitude: i32) -> usize {
    ((latitude.clamp(-POLE, POLE) + POLE) / BAND_HEIGHT) as usize
}
