//! What a map needs to name the places that it shows: a [`Label`] for each, the most prominent first.
//!
//! A source of places makes labels for a box, and [`Labels`] keeps the most prominent ones of all sources. Labels of
//! equal prominence are in an order that depends on their names and points alone, so a box has the same labels at every
//! server with the same sources. This module does not know where labels come from.

use std::cmp::Reverse;

use super::{Point, Text};

/// How prominent a place is. A greater value is more prominent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prominence {
    /// A place that people go to, such as a museum. The number ranks kinds of such places.
    Destination(u8),
    /// A city, town or village, whose number of people is not known.
    Settlement,
    /// A city, town or village with this number of people.
    Populated(u32),
}

/// A place as a map names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The name.
    pub name: Text,
    /// Where the name belongs.
    pub location: Point,
    /// One of Google's types of places, such as `locality`.
    pub kind: Text,
    /// How prominent the place is.
    pub prominence: Prominence,
}

impl Label {
    /// The number of people who live there, if it is known.
    pub fn population(&self) -> Option<u32> {
        match self.prominence {
            Prominence::Populated(people) => Some(people),
            Prominence::Destination(_) | Prominence::Settlement => None,
        }
    }

    /// The order of labels: the most prominent first.
    fn order(&self) -> (Reverse<Prominence>, u64, Text) {
        // The points of a map are spread by this, so that labels of equal prominence do not crowd in one corner.
        let bits = self.location.latitude().to_bits() ^ self.location.longitude().to_bits().rotate_left(32);
        (
            Reverse(self.prominence),
            bits.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(32),
            self.name.clone(),
        )
    }
}

/// The most prominent labels, and whom to credit for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// The most prominent first.
    pub labels: Vec<Label>,
    /// The credits, as HTML.
    pub attributions: Vec<Text>,
}

impl Labels {
    /// Adds the labels of one more source and keeps the `most` most prominent ones. A source without labels needs no
    /// credit.
    pub fn add(&mut self, labels: Vec<Label>, attributions: &[Text], most: usize) {
        if labels.is_empty() {
            return;
        }
        self.labels.extend(labels);
        self.labels.sort_by_cached_key(Label::order);
        self.labels.truncate(most);
        self.attributions.extend_from_slice(attributions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &'static str, latitude: f64, prominence: Prominence) -> Label {
        let location = Point::new(latitude, 0.0).unwrap();
        Label { name: name.into(), location, kind: "locality".into(), prominence }
    }

    #[test]
    fn the_most_prominent_of_all_sources_are_kept() {
        let credit: [Text; 1] = ["credit".into()];
        let mut labels = Labels::default();
        let cities = [("town", Prominence::Populated(7)), ("hamlet", Prominence::Settlement)];
        labels.add(cities.map(|(name, prominence)| label(name, 1.0, prominence)).into(), &credit, 3);
        let others = [
            ("city", Prominence::Populated(8)),
            ("kiosk", Prominence::Destination(1)),
            ("museum", Prominence::Destination(9)),
        ];
        labels.add(others.map(|(name, prominence)| label(name, 2.0, prominence)).into(), &[], 4);
        labels.add(Vec::new(), &["nobody".into()], 4);
        let names: Vec<_> = labels.labels.iter().map(|label| &*label.name).collect();
        assert_eq!(names, ["city", "town", "hamlet", "museum"]);
        assert_eq!(labels.attributions, credit);
        assert_eq!(
            labels.labels.iter().map(Label::population).collect::<Vec<_>>(),
            [Some(8), Some(7), None, None]
        );
    }

    #[test]
    fn equals_are_in_the_same_order_whoever_names_them_first() {
        let all: Vec<_> = (0..50).map(|at| label("hamlet", f64::from(at), Prominence::Settlement)).collect();
        let kept = |labels: Vec<Label>| {
            let mut kept = Labels::default();
            kept.add(labels, &[], 10);
            kept.labels
        };
        let reversed = all.iter().rev().cloned().collect();
        let few = kept(all);
        assert_eq!(kept(reversed), few);
        let north = few.iter().filter(|label| label.location.latitude() >= 25.0).count();
        assert!((2..=8).contains(&north), "{north} of 10 are in the northern half");
    }
}
