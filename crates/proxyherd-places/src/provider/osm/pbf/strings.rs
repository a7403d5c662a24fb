//! The strings of a block, to which objects refer by number.
//!
//! Strings are not copied. The table remembers where every fourth string begins, and a look-up walks from there. So a
//! block of millions of empty strings takes little more memory than its own bytes.

use super::message::{Damage, Message};

/// The table remembers where every string of a number divisible by this begins.
const STRIDE: usize = 4;

#[derive(Debug)]
pub(super) struct Strings<'a> {
    table: &'a [u8],
    /// Where the strings 0, [`STRIDE`], 2 × [`STRIDE`] … begin.
    starts: Vec<u32>,
    count: u64,
}

impl<'a> Strings<'a> {
    pub(super) fn read(table: &'a [u8]) -> Result<Strings<'a>, Damage> {
        let (mut message, mut starts, mut count) = (Message::new(table), Vec::new(), 0);
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
                // Otherwise an input could make each look-up walk over millions of fields.
                Some(_) => return Err(Damage("among its strings is something else")),
            }
        }
    }

    /// The string with this number.
    pub(super) fn get(&self, number: u64) -> Result<&'a [u8], Damage> {
        const OUT_OF_RANGE: Damage = Damage("an object names a string that is not there");
        if number >= self.count {
            return Err(OUT_OF_RANGE);
        }
        let start = self.starts.get(number as usize / STRIDE).ok_or(OUT_OF_RANGE)?;
        let mut message = Message::new(&self.table[*start as usize..]);
        for _ in 0..number as usize % STRIDE {
            message.field()?;
        }
        message.field()?.ok_or(OUT_OF_RANGE)?.1.bytes()
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
