//! Splits a run of bytes from the wire into the pieces that become lines of the log.
//!
//! A line of the wire is a line of the log, with one exception. The JSON of places in a reply has a hundred lines or
//! more, and becomes one piece. The JSON begins where a line of a reply begins with `{`: every other line of a reply
//! begins with `AT ` or `? `. The JSON ends with the empty line that ends the reply. Input from clients is never
//! folded. Each run is split by itself: if a reply was split into two runs, the log shows its second part line by line.

use memchr::{memchr, memchr_iter, memmem};

use super::Direction;

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A line of the wire without its LF.
    Line(&'a [u8]),
    /// The JSON of places, including the empty line that ends the reply.
    Answer(&'a [u8]),
}

/// The pieces of a run, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces<'a> {
    rest: &'a [u8],
    folds: bool,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(direction: Direction, run: &'a [u8]) -> Pieces<'a> {
        Pieces { rest: run, folds: direction == Direction::Out }
    }

    /// The number of bytes of the run that remain.
    pub(super) fn rest_len(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let first = *self.rest.first()?;
        let is_answer = self.folds && first == b'{';
        let len = if is_answer { answer_len(self.rest) } else { line_len(self.rest) };
        let (piece, rest) = self.rest.split_at(len);
        self.rest = rest;
        if is_answer {
            return Some(Piece::Answer(piece));
        }
        Some(Piece::Line(piece.strip_suffix(b"\n").unwrap_or(piece)))
    }
}

fn line_len(run: &[u8]) -> usize {
    memchr(b'\n', run).map_or(run.len(), |at| at + 1)
}

fn answer_len(run: &[u8]) -> usize {
    memmem::find(run, b"\n\n").map_or(run.len(), |at| at + 2)
}

/// The number of pieces in a run. A run without places costs one or two vectorized passes over its bytes.
pub(super) fn count(direction: Direction, run: &[u8]) -> u64 {
    if direction == Direction::Out && holds_answer(run) {
        return Pieces::of(direction, run).count() as u64;
    }
    let is_unended = run.last().is_some_and(|&last| last != b'\n');
    memchr_iter(b'\n', run).count() as u64 + u64::from(is_unended)
}

fn holds_answer(run: &[u8]) -> bool {
    memchr_iter(b'{', run).any(|at| at == 0 || run[at - 1] == b'\n')
}

/// The longest head of a run with at most `pieces_max` pieces and `len_max` bytes, and the number of its pieces.
pub(super) fn head(direction: Direction, run: &[u8], pieces_max: u64, len_max: usize) -> (&[u8], u64) {
    let mut pieces = Pieces::of(direction, run);
    let (mut len, mut kept) = (0, 0);
    while kept < pieces_max && pieces.next().is_some() {
        let end = run.len() - pieces.rest_len();
        if end > len_max {
            break;
        }
        (len, kept) = (end, kept + 1);
    }
    (&run[..len], kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPLIES: &[u8] = b"AT Riley +0.1 kiwi +1+1 1\n{\n   \"status\" : \"OK\"\n}\n\n? HELLO\n";

    fn pieces(direction: Direction, run: &[u8]) -> Vec<Piece<'_>> {
        Pieces::of(direction, run).collect()
    }

    #[test]
    fn a_line_of_the_wire_is_a_piece() {
        assert_eq!(pieces(Direction::In, b""), []);
        let expected = [Piece::Line(b"a b"), Piece::Line(b""), Piece::Line(b"c")];
        assert_eq!(pieces(Direction::In, b"a b\n\nc\n"), expected);
        assert_eq!(pieces(Direction::In, b"a b\n\nc"), expected);
    }

    #[test]
    fn the_places_of_a_reply_are_one_piece() {
        let expected = [
            Piece::Line(b"AT Riley +0.1 kiwi +1+1 1"),
            Piece::Answer(b"{\n   \"status\" : \"OK\"\n}\n\n"),
            Piece::Line(b"? HELLO"),
        ];
        assert_eq!(pieces(Direction::Out, REPLIES), expected);
    }

    #[test]
    fn what_a_client_sends_is_not_folded() {
        assert_eq!(pieces(Direction::In, b"{\n}\n\n"), [b"{", b"}", &b""[..]].map(Piece::Line));
    }

    #[test]
    fn a_head_ends_between_pieces_and_within_both_bounds() {
        assert_eq!(head(Direction::Out, REPLIES, 9, 999), (REPLIES, 3));
        assert_eq!(head(Direction::Out, REPLIES, 1, 999), (&REPLIES[..26], 1));
        assert_eq!(head(Direction::Out, REPLIES, 9, 30), (&REPLIES[..26], 1));
        assert_eq!(head(Direction::Out, REPLIES, 9, 25), (&b""[..], 0));
        assert_eq!(head(Direction::Out, REPLIES, 0, 999), (&b""[..], 0));
    }

    proptest! {
        #[test]
        fn counting_agrees_with_cutting(run in "[a{}\n]{0,40}") {
            for direction in [Direction::In, Direction::Out] {
                let pieces = pieces(direction, run.as_bytes());
                prop_assert_eq!(count(direction, run.as_bytes()), pieces.len() as u64);
                let (head, kept) = head(direction, run.as_bytes(), u64::MAX, usize::MAX);
                prop_assert_eq!((head, kept), (run.as_bytes(), pieces.len() as u64));
            }
        }
    }
}
