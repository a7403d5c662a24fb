//! OpenStreetMap's extracts, whose source may be anybody. Blobs never arrive in pieces, so the check cuts nothing. The
//! program never writes extracts, so the check writes nothing.

use proxyherd_places::fuzzing::{extract, extract_block};

use crate::memory::bounded;

/// Maximum memory for one compressed byte. Zlib unpacks at most 1032 bytes from it, and the index of the strings in
/// these bytes grows by doubling.
const PER_PACKED_BYTE: usize = 1032 * 5 / 2;
/// Maximum memory for one byte that is not compressed, for the index of strings.
const PER_BYTE: usize = 2;

/// The input can be read as a file and as the content of a blob.
pub fn check(input: &[u8]) {
    bounded(input.len(), PER_PACKED_BYTE, 1 << 16, || extract(input));
    bounded(input.len(), PER_BYTE, 1024, || extract_block(input));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_has_files_that_are_read_to_their_end() {
        for (name, frames, objects, parts) in [("all", 4, 5, 14), ("packed", 2, 2, 2)] {
            let path = format!("{}/corpora/extract/{name}", env!("CARGO_MANIFEST_DIR"));
            let seen = extract(&std::fs::read(path).expect("it is in the corpus"));
            assert_eq!((seen.frames, seen.objects, seen.parts), (frames, objects, parts), "{name}");
        }
    }

    #[test]
    fn millions_of_empty_strings_take_little_more_than_the_block() {
        let strings = [0x0a, 0].repeat(1_000_000);
        let block = [&[0x0a, 0x80, 0x89, 0x7a][..], &strings].concat();
        check(&block);
    }
}
