//! The strings of a block, to which objects refer by number, and the tags of an object, which are such references.
//!
//! [`Strings`] does not copy strings. It remembers the position of every fourth string, and a look-up walks on from
//! such a position. So a block of millions of empty strings takes little more memory than its own bytes. [`TagIter`]
//! iterates over the tags of one object. This module does not know what tags mean.

use super::message::{Damage, List, PbfMessage};

/// The table remembers the position of each string whose number is divisible by this.
const STRIDE: usize = 4;

#[derive(Debug)]
pub(super) struct Strings<'a> {
    table: &'a [u8],
    /// The positions at which the strings 0, [`STRIDE`], 2 × [`STRIDE`] … begin.
    starts: Vec<u32>,
    count: u64,
}

impl<'a> Strings<'a> {
    pub(super) fn read(table: &'a [u8]) -> Result<Strings<'a>, Damage> {
        let (mut message, mut starts, mut count) = (PbfMessage::new(table), Vec::new(), 0);
        loop {
            let at = table.len() - message.len();
            match message.field()? {
                None => return Ok(Strings { table, starts, count }),
                Some((1, value)) => {
                    value.bytes()?;
                    if count % STRIDE as u64 == 0 {
                        starts.push(u32::try_from(at).map_err(|_| Damage("its strings are too long"))?);
                    }
                    count += 1;
                }
                // Otherwise an input could make every look-up walk over millions of fields.
                Some(_) => return Err(Damage("its list of strings has another kind of field")),
            }
        }
    }

    /// The string with this number.
    pub(super) fn get(&self, number: u64) -> Result<&'a [u8], Damage> {
        const OUT_OF_RANGE: Damage = Damage("an object refers to a string that does not exist");
        if number >= self.count {
            return Err(OUT_OF_RANGE);
        }
        let start = self.starts.get(number as usize / STRIDE).ok_or(OUT_OF_RANGE)?;
        let mut message = PbfMessage::new(&self.table[*start as usize..]);
        for _ in 0..number as usize % STRIDE {
            message.field()?;
        }
        message.field()?.ok_or(OUT_OF_RANGE)?.1.bytes()
    }
}

/// Iterates over the tags. A tag that is not UTF-8 is skipped.
#[derive(Clone, Debug)]
pub(in crate::provider::osm) struct TagIter<'a> {
    strings: &'a Strings<'a>,
    keys: List<'a>,
    /// `None` if each value follows its key in the list of keys.
    values: Option<List<'a>>,
}

/// A key and its value, not yet checked to be UTF-8.
type Pair<'a> = (&'a [u8], &'a [u8]);

impl<'a> TagIter<'a> {
    pub(super) fn new(strings: &'a Strings<'a>, keys: List<'a>, values: Option<List<'a>>) -> TagIter<'a> {
        TagIter { strings, keys, values }
    }

    pub(super) fn strings(&self) -> &'a Strings<'a> {
        self.strings
    }

    fn tag(&mut self) -> Result<Option<Pair<'a>>, Damage> {
        const UNEQUAL: Damage = Damage("the numbers of keys and values of an object differ");
        let Some(key) = self.keys.number()? else {
            let is_over = self.values.as_ref().is_none_or(List::is_empty);
            return if is_over { Ok(None) } else { Err(UNEQUAL) };
        };
        let value = self.values.as_mut().unwrap_or(&mut self.keys).number()?.ok_or(UNEQUAL)?;
        Ok(Some((self.strings.get(key)?, self.strings.get(value)?)))
    }
}

impl<'a> Iterator for TagIter<'a> {
    type Item = Result<(&'a str, &'a str), Damage>;

    /// After an error the iterator must not be used again.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.tag().transpose()? {
                Ok((key, value)) => {
                    if let (Ok(key), Ok(value)) = (str::from_utf8(key), str::from_utf8(value)) {
                        return Some(Ok((key, value)));
                    }
                }
                Err(damage) => return Some(Err(damage)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::writing::bytes_field;
    use super::*;

    #[test]
    fn every_string_is_found_by_its_number() {
        for count in 0..12_u64 {
            let texts: Vec<String> = (0..count).map(|number| "x".repeat(number as usize)).collect();
            let table: Vec<u8> = texts.iter().flat_map(|text| bytes_field(1, text.as_bytes())).collect();
            let strings = Strings::read(&table).unwrap();
            for (number, text) in (0..).zip(&texts) {
                assert_eq!(strings.get(number), Ok(text.as_bytes()));
            }
            assert!(strings.get(count).is_err() && strings.get(u64::MAX).is_err());
        }
    }

    #[test]
    fn millions_of_empty_strings_take_half_as_much_as_the_block() {
        let table = [0x0a, 0].repeat(1_000_000);
        let strings = Strings::read(&table).unwrap();
        assert_eq!(strings.count, 1_000_000);
        assert!(strings.starts.len() * size_of::<u32>() <= table.len() / 2);
    }

    #[test]
    fn a_table_that_is_cut_is_damage() {
        assert!(Strings::read(b"\x0a\x02a").is_err());
        assert!(Strings::read(b"\x08\x02").is_err(), "a string is no number");
        assert!(Strings::read(&bytes_field(2, b"a")).is_err(), "and there is nothing else");
    }
}
