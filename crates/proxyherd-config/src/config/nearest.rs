//! Finds the known word that was probably meant by an unknown one.

/// Minimum Jaro-Winkler similarity of two words that differ in many letters.
const SIMILARITY_MIN: f64 = 0.87;

/// The candidate nearest to `word`, if that candidate is near enough. For words that surely mean one of the candidates.
pub fn of<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, candidate) = nearest(word, candidates)?;
    let is_alike = || strsim::jaro_winkler(&word.to_lowercase(), candidate) >= SIMILARITY_MIN;
    (is_within(distance, word, 3) || is_alike()).then_some(candidate)
}

/// The candidate that `word` misspells. For words that may mean none of the candidates.
pub(super) fn slip_of<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, candidate) = nearest(word, candidates)?;
    is_within(distance, word, 5).then_some(candidate)
}

fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    let word = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    candidates.map(|candidate| (distance(candidate), candidate)).min()
}

/// Whether at most one letter in every `letters` letters is wrong. One wrong letter is always allowed, except in a word
/// of one letter.
fn is_within(distance: usize, word: &str, letters: usize) -> bool {
    let len = word.chars().count();
    distance <= (len / letters).max(1) && distance < len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_a_stranger_is_not() {
        let known = ["name", "listen", "peer", "advertise", "http", "neighbors", "max_clients"];
        for (word, expected) in [
            ("lisen", Some("listen")),
            ("neighbours", Some("neighbors")),
            ("neighbor", Some("neighbors")),
            ("Name", Some("name")),
            ("max_client", Some("max_clients")),
            ("maxclients", Some("max_clients")),
            ("htpp", Some("http")),
            ("zzz", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(of(word, known.into_iter()), expected, "{word}");
        }
        assert_eq!(of("a", [].into_iter()), None);
        assert_eq!(of("a", ["b"].into_iter()), None, "a single letter is like no other");
    }

    #[test]
    fn a_word_that_may_mean_something_else_must_be_nearer() {
        let known = ["herd_data", "log_level"];
        assert_eq!(of("test_data", known.into_iter()), Some("herd_data"));
        assert_eq!(slip_of("test_data", known.into_iter()), None);
        assert_eq!(slip_of("loglevel", known.into_iter()), Some("log_level"));
    }
}
