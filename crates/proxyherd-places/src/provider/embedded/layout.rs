//! The layout of the table of cities. The build script and the provider both include this file, so they always agree on
//! the layout.
//!
//! Cities are sorted into *bands* of latitude from south to north, each a tenth of a degree high, and within a band by
//! longitude from west to east. So the cities in a small circle are a short run of records in each of a few bands. A
//! list has the cities with many people in the order of their populations, for the labels of a map.
//! Angles are whole numbers of 10⁻⁵ degrees, as in the data.

/// Units of angle in one degree.
pub(crate) const UNITS_PER_DEGREE: i32 = 100_000;
/// The height of a band, units.
pub(crate) const BAND_HEIGHT: i32 = UNITS_PER_DEGREE / 10;
/// The latitude of the poles, units.
pub(crate) const POLE: i32 = 90 * UNITS_PER_DEGREE;
/// The longitude of the antimeridian, units. The negative of this is the same meridian.
pub(crate) const ANTIMERIDIAN: i32 = 180 * UNITS_PER_DEGREE;
/// The number of bands: 1800, and one more for the North Pole.
pub(crate) const BAND_COUNT: usize = (2 * POLE / BAND_HEIGHT) as usize + 1;

/// The length of a record, bytes: longitude, latitude and the end of the name among the names, four bytes each, then
/// the index of the region in two bytes, all little-endian. A name begins where the name of the previous record ends.
pub(crate) const RECORD_LEN: usize = 14;

/// The length of an entry of the list of prominent cities, bytes: the index of the record and the number of people,
/// four bytes each, little-endian. The largest city is first. Cities whose populations are not known are not in the
/// list.
pub(crate) const PROMINENT_LEN: usize = 8;

/// The band of a latitude. A latitude beyond a pole is in the outermost band.
pub(crate) fn band_of(latitude: i32) -> usize {
    ((latitude.clamp(-POLE, POLE) + POLE) / BAND_HEIGHT) as usize
}
