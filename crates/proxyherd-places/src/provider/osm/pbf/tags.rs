//! The tags of one object.

use super::message::{Damage, List};
use super::strings::Strings;

/// Iterates over the tags. A tag that is not UTF-8 is skipped.
#[derive(Clone, Debug)]
pub(in crate::provider::osm) struct TagIter<'a> {
    strings: &'a Strings<'a>,
    keys: List<'a>,
    /// Nothing if each value follows its key in the list of keys.
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
        const UNEQUAL: Damage = Damage("an object has not as many values as keys");
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

    /// After an error the iterator must not be used any more.
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
