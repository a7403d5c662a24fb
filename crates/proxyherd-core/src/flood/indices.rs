//! The indices by which a link knows the origins of one shard, so that the shard need not search the link's
//! [`Encoder`] for each record.

use super::origins::Origins;
use crate::codec::link::Encoder;

/// The index of an origin that the link has not named, as far as this table knows.
const UNNAMED: u16 = u16::MAX;

/// For each origin, by its place, the index that the encoder gave it. All indices are of one numbering. When the
/// encoder begins a new numbering, all indices in this table are void.
#[derive(Debug, Default)]
pub(super) struct Indices {
    indices: Vec<u16>,
    numbering: u64,
}

impl Indices {
    /// Makes room in the encoder for the origins at these places that have no index yet. The number of such origins
    /// must not exceed the number that one frame may name.
    pub(super) fn make_room(&self, places: impl ExactSizeIterator<Item = u16>, encoder: &mut Encoder) {
        let is_unnamed =
            |place: &u16| self.indices.get(usize::from(*place)).is_none_or(|index| *index == UNNAMED);
        let is_current = self.numbering == encoder.numbering();
        encoder.make_room(if is_current { places.filter(is_unnamed).count() } else { places.len() });
    }

    /// The index of the origin at `place`. The first call names the origin to the link; the caller has made room for
    /// the origin in the encoder. `None`: the link is exhausted.
    pub(super) fn of(&mut self, place: u16, origins: &Origins, encoder: &mut Encoder) -> Option<u16> {
        if self.numbering != encoder.numbering() {
            self.begin_anew(encoder.numbering());
        }
        let at = usize::from(place);
        if self.indices.len() <= at {
            self.indices.resize(at + 1, UNNAMED);
        }
        let index = &mut self.indices[at];
        if *index == UNNAMED {
            *index = encoder.index_of(origins.origin(place))?;
        }
        Some(*index)
    }

    #[cold]
    fn begin_anew(&mut self, numbering: u64) {
        self.indices.fill(UNNAMED);
        self.numbering = numbering;
    }

    /// Notes that another origin may have this place from now on.
    pub(super) fn forget(&mut self, place: u16) {
        if let Some(index) = self.indices.get_mut(usize::from(place)) {
            *index = UNNAMED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::link::{Frame, decode, numbering::ANEW_VERSION},
        flood::Rules,
        types::{Origin, ServerName},
    };

    fn life(incarnation: u64) -> Origin {
        Origin { server: ServerName::new("Riley").unwrap(), incarnation }
    }

    /// The origins that have been named since the last call, each with its index.
    fn named(encoder: &mut Encoder) -> Vec<(u16, u64)> {
        let (mut named, mut bytes) = (Vec::new(), encoder.bytes());
        while let Some((frame, len)) = decode(bytes).unwrap() {
            let Frame::Origin { index, origin } = frame else { panic!("{frame:?}") };
            named.push((index, origin.incarnation));
            bytes = &bytes[len..];
        }
        encoder.clear();
        named
    }

    #[test]
    fn an_index_is_remembered_until_its_place_or_the_numbering_is_anothers() {
        let mut origins = Origins::new(life(1), Rules::default());
        let places = [2, 3].map(|incarnation| origins.place_or_insert(&life(incarnation), u16::MAX).unwrap());
        let mut encoder = Encoder::default().with_origins_max(3);
        encoder.agree(ANEW_VERSION);
        let mut indices = Indices::default();
        for _ in 0..2 {
            assert_eq!(places.map(|place| indices.of(place, &origins, &mut encoder)), [Some(0), Some(1)]);
        }
        assert_eq!(named(&mut encoder), [(0, 2), (1, 3)]);
        // The encoder still remembers the index that this table forgot.
        indices.forget(places[0]);
        indices.forget(99);
        assert_eq!(indices.of(places[0], &origins, &mut encoder), Some(0));
        assert_eq!(named(&mut encoder), []);
        indices.make_room(places.into_iter(), &mut encoder);
        assert_eq!(encoder.numbering(), 0, "both have an index");
        indices.make_room([places[0], 0].into_iter(), &mut encoder);
        assert_eq!(encoder.numbering(), 0, "there is room for a third");
        encoder.make_room(2);
        assert_eq!(encoder.numbering(), 1);
        indices.make_room([places[0], places[1], 0].into_iter(), &mut encoder);
        assert_eq!(places.map(|place| indices.of(place, &origins, &mut encoder)), [Some(0), Some(1)]);
        assert_eq!(indices.of(0, &origins, &mut encoder), Some(2));
        assert_eq!(named(&mut encoder), [(0, 2), (1, 3), (2, 1)]);
    }
}
