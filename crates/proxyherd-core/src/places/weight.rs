//! The memory that an answer takes. A cache uses it to limit its bytes.

use std::borrow::Cow;

use super::{Answer, Photo, Place, PlusCode, Text, Verbatim};

impl Answer {
    /// The memory that the value takes, including everything that it points to and owns, bytes.
    pub fn weight(&self) -> usize {
        let rest = [&self.error_message, &self.next_page_token].into_iter().flatten();
        size_of::<Answer>()
            + texts(&self.html_attributions)
            + self.places.capacity() * size_of::<Place>()
            + self.places.iter().map(owned_by).sum::<usize>()
            + self.passed_on.capacity() * size_of::<Verbatim>()
            + self.passed_on.iter().map(|result| result.as_str().len()).sum::<usize>()
            + self.info_messages.capacity() * size_of::<Text>()
            + self.info_messages.iter().chain(rest).map(text).sum::<usize>()
    }
}

fn owned_by(place: &Place) -> usize {
    let optional =
        [&place.icon, &place.icon_background_color, &place.icon_mask_base_uri, &place.scope, &place.vicinity];
    let known = optional.into_iter().flatten().chain([&place.name, &place.place_id]);
    known.map(text).sum::<usize>()
        + texts(&place.types)
        + place.photos.capacity() * size_of::<Photo>()
        + place.photos.iter().map(photo).sum::<usize>()
        + place.plus_code.as_ref().map_or(0, plus_code)
}

fn photo(photo: &Photo) -> usize {
    photo.html_attributions.capacity() * size_of::<Text>()
        + photo.html_attributions.iter().chain([&photo.photo_reference]).map(text).sum::<usize>()
}

fn plus_code(code: &PlusCode) -> usize {
    code.compound_code.iter().chain([&code.global_code]).map(text).sum()
}

/// Counts all texts as owned. For texts that are part of the program, that is a few bytes too many.
fn texts(texts: &[Text]) -> usize {
    size_of_val(texts) + texts.iter().map(text).sum::<usize>()
}

fn text(text: &Text) -> usize {
    match text {
        Cow::Borrowed(_) => 0,
        Cow::Owned(owned) => owned.capacity(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::{Geometry, Point, Viewport};

    fn place() -> Place {
        let corner = Point::new(1.0, 2.0).unwrap();
        let viewport = Viewport { northeast: corner, southwest: corner };
        Place::new("", "", Geometry { location: corner, viewport })
    }

    fn weight(place: Place) -> usize {
        Answer::found(vec![place], vec![]).weight()
    }

    #[test]
    fn every_text_that_is_owned_weighs() {
        let long = || Text::from("x".repeat(1000));
        let plain = weight(place());
        let photo = |html_attributions, photo_reference| Photo {
            height: 1,
            html_attributions,
            photo_reference,
            width: 1,
        };
        let heavier = [
            Place { icon: Some(long()), ..place() },
            Place { icon_background_color: Some(long()), ..place() },
            Place { icon_mask_base_uri: Some(long()), ..place() },
            Place { name: long(), ..place() },
            Place { place_id: long(), ..place() },
            Place { scope: Some(long()), ..place() },
            Place { vicinity: Some(long()), ..place() },
            Place { types: vec![long()].into(), ..place() },
            Place { photos: vec![photo(vec![], long())], ..place() },
            Place { photos: vec![photo(vec![long()], "".into())], ..place() },
            Place { plus_code: Some(PlusCode { compound_code: None, global_code: long() }), ..place() },
            Place {
                plus_code: Some(PlusCode { compound_code: Some(long()), global_code: "".into() }),
                ..place()
            },
        ];
        for place in heavier {
            let more = weight(place.clone()) - plain;
            assert!((1000..1200).contains(&more), "{more} {place:?}");
        }
        for answer in [
            Answer { html_attributions: vec![long()].into(), ..Answer::found(vec![place()], vec![]) },
            Answer { error_message: Some(long()), ..Answer::found(vec![place()], vec![]) },
            Answer {
                passed_on: vec![Verbatim::new(&format!("{:?}", long())).unwrap()],
                ..Answer::found(vec![place()], vec![])
            },
            Answer { info_messages: vec![long()], ..Answer::found(vec![place()], vec![]) },
            Answer { next_page_token: Some(long()), ..Answer::found(vec![place()], vec![]) },
        ] {
            assert!((1000..1200).contains(&(answer.weight() - plain)), "{answer:?}");
        }
    }

    #[test]
    fn what_stands_in_the_program_weighs_nothing() {
        static TEXT: &str = "the text is not copied";
        let known = Place { name: TEXT.into(), vicinity: Some(TEXT.into()), ..place() };
        assert_eq!(weight(known), weight(place()));
    }
}
