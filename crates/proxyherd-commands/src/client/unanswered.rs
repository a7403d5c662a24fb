//! The lines that have no complete reply yet, in order, and the number of their bytes that the current connection has
//! taken.
//!
//! Every line gets one reply, and replies come in order, so the number of replies shows which lines are answered. When
//! a connection breaks, the unanswered lines are sent on the next connection. This is safe: a repeated report does no
//! harm, and a question only reads. Blank lines are not kept here, because they get no reply.

use std::collections::VecDeque;

use proxyherd_core::limits::LINE_LEN_MAX;

use super::replies::ReplyForm;

/// Maximum size of the lines that wait for replies, bytes. Further lines are not taken. This limit bounds the memory,
/// and the number of bytes that are sent again after a connection breaks. The limit is larger than the buffers of the
/// sockets, so that a fast server does not wait for lines.
const WINDOW_LEN: usize = 256 * 1024;

/// Lines without a reply.
#[derive(Debug, Default)]
pub(super) struct UnansweredLines {
    /// The lines with their ends. The bytes before `answered` belong to lines that are answered.
    text: Vec<u8>,
    answered: usize,
    /// Number of bytes of `text` that the current connection has taken.
    sent: usize,
    lines: VecDeque<UnansweredLine>,
}

#[derive(Debug)]
struct UnansweredLine {
    len: usize,
    form: ReplyForm,
    ends_connection: bool,
}

impl UnansweredLines {
    /// Adds a line, without its end, that gets a reply of this form.
    pub(super) fn push(&mut self, line: &[u8], form: ReplyForm) {
        debug_assert!(line.len() <= LINE_LEN_MAX, "a longer line is cut, and ends its connection");
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.lines.push_back(UnansweredLine { len: line.len() + 1, form, ends_connection: false });
    }

    /// Adds the start of a line that is too long: one byte more than a line may have. The server answers it and closes
    /// the connection, so no further line is taken until the connection is closed.
    pub(super) fn push_overlong(&mut self, start: &[u8]) {
        debug_assert_eq!(start.len(), LINE_LEN_MAX + 1, "exactly one byte more than a line may have");
        self.text.extend_from_slice(start);
        self.lines.push_back(UnansweredLine {
            len: start.len(),
            form: ReplyForm::Line,
            ends_connection: true,
        });
    }

    /// Whether there is room for another line.
    pub(super) fn has_room(&self) -> bool {
        self.text.len() - self.answered < WINDOW_LEN
            && self.lines.back().is_none_or(|line| !line.ends_connection)
    }

    /// Whether every line has its reply.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The bytes that the current connection has not taken.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.text[self.sent..]
    }

    /// Notes that the connection has taken `len` more bytes.
    pub(super) fn mark_sent(&mut self, len: usize) {
        self.sent += len;
        debug_assert!(self.sent <= self.text.len(), "only bytes of the lines are sent");
    }

    /// The form of the next reply. `None` if no reply can come, because the connection has not taken a whole line yet.
    pub(super) fn awaited(&self) -> Option<ReplyForm> {
        let line = self.lines.front()?;
        (self.answered + line.len <= self.sent).then_some(line.form)
    }

    /// The line that the next reply is about, without its end. There must be such a line.
    pub(super) fn first(&self) -> &[u8] {
        let len = self.lines.front().map_or(0, |line| line.len);
        let line = &self.text[self.answered..self.answered + len];
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// Notes that the next reply has come. Returns whether the server closes the connection after it.
    pub(super) fn answer(&mut self) -> bool {
        let line = self.lines.pop_front().expect("the caller awaited a reply");
        self.answered += line.len;
        debug_assert!(self.answered <= self.sent, "only a line that was sent is answered");
        // Fewer bytes are moved than removed, so each byte is moved at most once.
        if self.answered * 2 >= self.text.len() {
            self.text.drain(..self.answered);
            self.sent -= self.answered;
            self.answered = 0;
        }
        line.ends_connection
    }

    /// Notes that the connection is gone. All lines without replies will be sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = self.answered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unanswered(lines: &[&str]) -> UnansweredLines {
        let mut unanswered = UnansweredLines::default();
        for line in lines {
            unanswered.push(line.as_bytes(), ReplyForm::of(line.as_bytes()).unwrap());
        }
        unanswered
    }

    #[test]
    fn what_is_not_answered_is_sent_again_and_nothing_else() {
        let mut unanswered = unanswered(&["IAMAT a", "WHATSAT b", "c"]);
        assert_eq!(unanswered.unsent(), b"IAMAT a\nWHATSAT b\nc\n");
        unanswered.mark_sent(12);
        assert_eq!(unanswered.unsent(), b"SAT b\nc\n");
        assert_eq!(unanswered.awaited(), Some(ReplyForm::Line));
        assert!(!unanswered.answer());
        unanswered.rewind();
        assert_eq!(unanswered.unsent(), b"WHATSAT b\nc\n");
        unanswered.mark_sent(12);
        assert_eq!(unanswered.awaited(), Some(ReplyForm::Places));
        unanswered.answer();
        unanswered.answer();
        assert!(unanswered.is_empty() && unanswered.unsent().is_empty());
    }

    #[test]
    fn no_reply_is_awaited_before_its_line_is_sent_whole() {
        let mut unanswered = unanswered(&["ab"]);
        for _ in 0..3 {
            assert_eq!(unanswered.awaited(), None);
            unanswered.mark_sent(1);
        }
        assert_eq!(unanswered.awaited(), Some(ReplyForm::Line));
        unanswered.rewind();
        assert_eq!(unanswered.awaited(), None);
    }

    #[test]
    fn the_window_bounds_what_waits_however_much_has_gone_through() {
        let mut unanswered = UnansweredLines::default();
        let line = [b'x'; 1000];
        let (mut taken, mut most) = (0, 0);
        for _ in 0..100 {
            while unanswered.has_room() {
                unanswered.push(&line, ReplyForm::Line);
                taken += 1;
            }
            unanswered.mark_sent(unanswered.unsent().len());
            for _ in 0..50 {
                unanswered.answer();
            }
            most = most.max(unanswered.text.len());
        }
        assert!(taken > 5000, "{taken}");
        assert!(most <= 2 * (WINDOW_LEN + line.len() + 1), "{most}");
    }

    #[test]
    fn nothing_follows_a_line_that_ends_its_connection() {
        let mut unanswered = unanswered(&["first"]);
        unanswered.push_overlong(&[b'x'; LINE_LEN_MAX + 1]);
        assert!(!unanswered.has_room());
        unanswered.mark_sent(unanswered.unsent().len());
        assert!(!unanswered.answer());
        assert!(!unanswered.has_room());
        assert!(unanswered.answer());
        assert!(unanswered.has_room());
    }
}
