//! Splits a piped input into lines. The chunks of the input and the lines may have any length.

use proxyherd_core::{
    codec::line::{Lines, NextLine, StreamState},
    limits::LINE_LEN_MAX,
};

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScriptLine<'a> {
    /// A line without its end.
    Line(&'a [u8]),
    /// The start of a line that is too long: one byte more than a line may have. The rest of the line is skipped,
    /// because no server reads it.
    Overlong(&'a [u8]),
}

/// Splits an input into lines.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The input that has arrived. The bytes before `start` are consumed.
    buffer: Vec<u8>,
    start: usize,
    lines: Lines,
    is_skipping: bool,
    has_ended: bool,
}

impl Script {
    /// Takes the next chunk of the input.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// Ends the input. The remaining bytes are the last line.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether more input may come.
    pub(super) fn is_open(&self) -> bool {
        !self.has_ended
    }

    /// Whether the input has ended and all its lines have been taken.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.start == self.buffer.len()
    }

    /// The next line. `None` if no complete line has arrived.
    pub(super) fn next(&mut self) -> Option<ScriptLine<'_>> {
        if self.is_skipping && !self.skip() {
            return None;
        }
        let start = self.start;
        let (len, line_len) = match self.lines.next(&self.buffer[start..], StreamState::new(self.has_ended)) {
            NextLine::Line(line, len) => (len, line.len()),
            NextLine::Incomplete => return None,
            NextLine::TooLong(_) => {
                self.lines = Lines::default();
                self.is_skipping = true;
                self.start += LINE_LEN_MAX + 1;
                return Some(ScriptLine::Overlong(&self.buffer[start..self.start]));
            }
        };
        self.start += len;
        Some(ScriptLine::Line(&self.buffer[start..start + line_len]))
    }

    /// Skips the bytes of an overlong line that have arrived. Returns whether the end of the line was found.
    fn skip(&mut self) -> bool {
        let end = memchr::memchr(b'\n', &self.buffer[self.start..]);
        self.start = end.map_or(self.buffer.len(), |at| self.start + at + 1);
        self.is_skipping = end.is_none();
        end.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `input` when it comes in pieces that end at `cuts`.
    fn said(input: &[u8], cuts: &[usize]) -> Vec<(bool, Vec<u8>)> {
        let (mut script, mut said, mut fed) = (Script::default(), Vec::new(), 0);
        for &cut in cuts.iter().chain([&input.len()]) {
            script.feed(&input[fed..cut]);
            fed = cut;
            collect(&mut script, &mut said);
        }
        script.end();
        collect(&mut script, &mut said);
        assert!(script.is_over());
        said
    }

    fn collect(script: &mut Script, said: &mut Vec<(bool, Vec<u8>)>) {
        while let Some(next) = script.next() {
            said.push(match next {
                ScriptLine::Line(line) => (false, line.to_vec()),
                ScriptLine::Overlong(start) => (true, start.to_vec()),
            });
        }
    }

    fn line(text: &str) -> (bool, Vec<u8>) {
        (false, text.as_bytes().to_vec())
    }

    #[test]
    fn an_input_cut_at_every_byte_says_the_same() {
        let input = b"IAMAT kiwi +1+1 1\n\r\nHELLO\nlast";
        let whole = vec![line("IAMAT kiwi +1+1 1"), line("\r"), line("HELLO"), line("last")];
        for cut in 0..=input.len() {
            assert_eq!(said(input, &[cut]), whole, "cut at {cut}");
        }
        let every: Vec<usize> = (0..=input.len()).collect();
        assert_eq!(said(input, &every), whole);
    }

    #[test]
    fn an_input_that_says_nothing_is_over_at_once() {
        assert_eq!(said(b"", &[]), []);
    }

    #[test]
    fn an_overlong_line_is_cut_and_the_next_one_is_whole() {
        let overlong = (true, vec![b'x'; LINE_LEN_MAX + 1]);
        for extra in [1, 2, LINE_LEN_MAX, 10 * LINE_LEN_MAX] {
            let long = vec![b'x'; LINE_LEN_MAX + extra];
            let input = [b"a\n", long.as_slice(), b"\nb\n"].concat();
            let whole = vec![line("a"), overlong.clone(), line("b")];
            for cut in
                [0, 1, 2, LINE_LEN_MAX, LINE_LEN_MAX + 2, LINE_LEN_MAX + 3, input.len() - 3, input.len()]
            {
                assert_eq!(said(&input, &[cut]), whole, "{extra} too many, cut at {cut}");
            }
            assert_eq!(said(&long, &[]), std::slice::from_ref(&overlong), "{extra} too many, and no end");
        }
        let longest = "x".repeat(LINE_LEN_MAX);
        assert_eq!(said(longest.as_bytes(), &[]), [line(&longest)]);
    }
}
