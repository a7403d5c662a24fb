//! The known word that was probably meant.

/// As alike as two words must be, by Jaro and Winkler's measure, where they differ in many places.
const SIMILARITY_MIN: f64 = 0.87;

/// The candidate nearest to `word`, if any is near enough to be offered.
pub(super) fn of<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let (distance, candidate) = candidates.map(|candidate| (distance(candidate), candidate)).min()?;
    let near = distance <= (word.chars().count() / 3).max(1);
    (near || strsim::jaro_winkler(&word, candidate) >= SIMILARITY_MIN).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
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
    }
}
