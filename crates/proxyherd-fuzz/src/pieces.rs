//! An input as a stream may bring it: cut here and there.

/// Longest input that is also brought byte by byte. Whoever looks at all that has come with each piece would take too
/// long over a longer one.
const BYTEWISE_LEN_MAX: usize = 4096;

/// Ways to cut `input`: byte by byte, in two at each of a few places, and in pieces whose lengths are its own bytes.
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
    fn every_way_brings_the_whole_input() {
        let long = vec![7; BYTEWISE_LEN_MAX + 1];
        for (input, count) in [(&b""[..], 5), (b"x", 5), (b"\x03abc\x00de", 5), (&long, 4)] {
            let ways = ways(input);
            assert_eq!(ways.len(), count);
            assert!(ways.iter().all(|way| way.concat() == input));
        }
        assert_eq!(by_own_bytes(b"\x03abc\x00d"), [&b"\x03ab"[..], b"c\x00d"]);
    }
}
