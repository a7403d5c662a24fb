//! Cuts an input into pieces, as a stream may deliver it.

/// Maximum length of an input that is also cut into single bytes. For a longer input, a codec that parses everything
/// again at each piece would take too long.
const BYTEWISE_LEN_MAX: usize = 4096;

/// Several ways to cut `input`: into single bytes, in two at each of a few positions, and into pieces whose lengths are
/// bytes of the input.
pub fn ways(input: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut ways = Vec::new();
    if input.len() <= BYTEWISE_LEN_MAX {
        ways.push(input.chunks(1).collect());
    }
    for part in 1..=3 {
        let (front, back) = input.split_at(input.len() * part / 4);
        ways.push(vec![front, back]);
    }
    ways.push(by_own_bytes(input));
    ways
}

fn by_own_bytes(input: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut rest) = (Vec::new(), input);
    while let Some(&first) = rest.first() {
        let (piece, behind) = rest.split_at(usize::from(first).clamp(1, rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_every_way_are_the_whole_input() {
        let long = vec![7; BYTEWISE_LEN_MAX + 1];
        for (input, count) in [(&b""[..], 5), (b"x", 5), (b"\x03abc\x00de", 5), (&long, 4)] {
            let ways = ways(input);
            assert_eq!(ways.len(), count);
            assert!(ways.iter().all(|way| way.concat() == input));
        }
        assert_eq!(by_own_bytes(b"\x03abc\x00d"), [&b"\x03ab"[..], b"c\x00d"]);
    }
}
