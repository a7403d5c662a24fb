//! The client's half of the line protocol: which line gets which reply, and where a reply ends.
//!
//! This module only finds the ends of replies. If a connection breaks in the middle of a reply, that reply is dropped,
//! and its line is sent again on the next connection.

/// The reply to a token that the server accepts.
pub(super) const AUTH_ACCEPTED: &[u8] = b"AUTH ok\n";
/// The beginning of the reply to a token that the server refuses.
pub(super) const AUTH_REFUSED: &[u8] = b"? AUTH";

/// Maximum length of a reply, bytes. An answer with twenty places is far shorter.
const REPLY_LEN_MAX: usize = 4 * 1024 * 1024;

/// The form of the reply to a valid command. The reply to an invalid command is always one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyForm {
    /// A single line.
    Line,
    /// An AT line, then JSON up to the first empty line.
    Places,
}

impl ReplyForm {
    /// The form of the reply to `line`. `None` if the line is blank, because a blank line gets no reply.
    pub fn of(line: &[u8]) -> Option<ReplyForm> {
        let name = fields(line).next()?;
        Some(if name == b"WHATSAT" { ReplyForm::Places } else { ReplyForm::Line })
    }
}

/// The fields of a line. They are separated by white space as protocol.md defines it: space, tab, CR, LF, FF, VT.
pub(super) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).filter(|field| !field.is_empty())
}

/// Why received bytes are not a reply to the line that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReply {
    /// The bytes do not begin as a reply does.
    #[error("the program that listens there does not speak the herd's line protocol")]
    Foreign,
    /// The bytes are longer than any reply.
    #[error("its reply is longer than {} MiB", REPLY_LEN_MAX >> 20)]
    TooLong,
    /// The bytes came before a line was sent.
    #[error("it sent something that was not a reply to a line")]
    Unasked,
}

/// Finds the replies of one connection. The finder remembers how far it has searched, so a long reply that comes in
/// many small pieces is not searched again from its start.
#[derive(Debug, Default)]
pub struct Replies {
    searched: usize,
}

impl Replies {
    /// The length of the reply at the front of `received`, which holds all bytes that were received and not yet
    /// consumed. `None` if the reply is incomplete.
    pub fn next(&mut self, received: &[u8], form: ReplyForm) -> Result<Option<usize>, NotAReply> {
        if !begins_like_a_reply(received) {
            return Err(NotAReply::Foreign);
        }
        let end: &[u8] = match (form, received.first()) {
            (ReplyForm::Places, Some(b'A')) => b"\n\n",
            _ => b"\n",
        };
        // The last byte that was searched may be the first of two newlines.
        let from = self.searched.saturating_sub(end.len() - 1);
        if let Some(at) = memchr::memmem::find(&received[from..], end) {
            self.searched = 0;
            return Ok(Some(from + at + end.len()));
        }
        self.searched = received.len();
        if received.len() > REPLY_LEN_MAX { Err(NotAReply::TooLong) } else { Ok(None) }
    }
}

/// Whether `received` could be, or become, the beginning of a reply.
pub(super) fn begins_like_a_reply(received: &[u8]) -> bool {
    [b"AT " as &[u8], b"? ", AUTH_ACCEPTED].iter().any(|start| {
        let len = start.len().min(received.len());
        start[..len] == received[..len]
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: &str = "AT Riley +0.263873386 kiwi +34.068930-118.445127 1621464827.959498503\n";
    const PLACES: &str =
        "AT Riley +0.1 kiwi +34.0-118.4 1\n{\n   \"results\" : [],\n   \"status\" : \"OK\"\n}\n\n";
    const INVALID: &str = "? WHATSAT emu 10 5\n";

    /// The replies to lines of these forms, when `stream` comes in pieces that end at `cuts`.
    fn replies_of(stream: &[u8], forms: &[ReplyForm], cuts: &[usize]) -> Result<Vec<Vec<u8>>, NotAReply> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let (mut replies, mut found, mut consumed) = (Replies::default(), Vec::new(), 0);
        for received in cuts {
            while let Some(&form) = forms.get(found.len())
                && let Some(len) = replies.next(&stream[consumed..received], form)?
            {
                found.push(stream[consumed..consumed + len].to_vec());
                consumed += len;
            }
        }
        Ok(found)
    }

    #[test]
    fn a_line_without_a_word_gets_no_reply_and_only_whatsat_gets_places() {
        for (line, form) in [
            ("", None),
            (" \t\r\x0b\x0c", None),
            ("IAMAT kiwi +1+1 1", Some(ReplyForm::Line)),
            ("\t\x0bWHATSAT\x0ckiwi", Some(ReplyForm::Places)),
            ("WHATSAT", Some(ReplyForm::Places)),
            ("WHATSATX kiwi 10 5", Some(ReplyForm::Line)),
            ("whatsat kiwi 10 5", Some(ReplyForm::Line)),
            ("\0", Some(ReplyForm::Line)),
        ] {
            assert_eq!(ReplyForm::of(line.as_bytes()), form, "{line:?}");
        }
    }

    #[test]
    fn replies_are_found_wherever_the_stream_is_cut() {
        let whole = [PLACES, AT, INVALID, PLACES, INVALID, AT];
        let forms = [
            ReplyForm::Places,
            ReplyForm::Line,
            ReplyForm::Places,
            ReplyForm::Places,
            ReplyForm::Line,
            ReplyForm::Line,
        ];
        let stream = whole.concat().into_bytes();
        let expected: Vec<Vec<u8>> = whole.iter().map(|reply| reply.as_bytes().to_vec()).collect();
        for cut in 0..=stream.len() {
            assert_eq!(replies_of(&stream, &forms, &[cut]), Ok(expected.clone()), "cut at {cut}");
        }
        let every: Vec<usize> = (0..=stream.len()).collect();
        assert_eq!(replies_of(&stream, &forms, &every), Ok(expected));
    }

    #[test]
    fn a_reply_is_not_there_before_its_last_byte() {
        for (reply, form) in
            [(AT, ReplyForm::Line), (PLACES, ReplyForm::Places), (INVALID, ReplyForm::Places)]
        {
            let reply = reply.as_bytes();
            for cut in 0..reply.len() {
                assert_eq!(replies_of(&reply[..cut], &[form], &[]), Ok(vec![]), "cut at {cut}");
            }
        }
    }

    #[test]
    fn whoever_speaks_otherwise_is_found_out_at_the_first_wrong_byte() {
        for stream in ["HTTP/1.1 400 Bad Request\r\n", "AX", "AUTHORIZED", "?x", "\n", "{", "IAMAT kiwi"] {
            for form in [ReplyForm::Line, ReplyForm::Places] {
                assert_eq!(
                    replies_of(stream.as_bytes(), &[form], &[]),
                    Err(NotAReply::Foreign),
                    "{stream:?}"
                );
            }
        }
        assert_eq!(replies_of(b"A", &[ReplyForm::Line], &[]), Ok(vec![]));
    }

    #[test]
    fn a_reply_without_end_is_refused() {
        let mut stream = b"AT Riley +0.1 kiwi +34.0-118.4 1\n".to_vec();
        stream.resize(REPLY_LEN_MAX, b'x');
        assert_eq!(replies_of(&stream, &[ReplyForm::Places], &[]), Ok(vec![]));
        stream.push(b'x');
        assert_eq!(replies_of(&stream, &[ReplyForm::Places], &[]), Err(NotAReply::TooLong));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_replies(
            stream in "(AT [ab\n{}]{0,12}|[?] [ab]{0,3}\n|\n){0,8}",
            forms in proptest::collection::vec(prop_oneof![Just(ReplyForm::Line), Just(ReplyForm::Places)], 0..8),
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            let stream = stream.as_bytes();
            prop_assert_eq!(replies_of(stream, &forms, &cuts), replies_of(stream, &forms, &[]));
        }
    }
}
