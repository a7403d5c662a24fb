//! The client's reading of what a server, or whoever is at its address, replies.

use proxyherd::fuzzing::{NotAReply, Replies, ReplyForm};
use proxyherd_core::{
    codec::line::{Line, parse},
    command::Command,
};

use crate::{memory::bounded, pieces};

/// Where replies end, and that they are none, does not depend on how they were cut. There is nothing to write again:
/// a reply is passed on as it came.
pub fn check(input: &[u8]) {
    for first in [ReplyForm::Line, ReplyForm::Places] {
        let whole = replies(&[input], first);
        for way in pieces::ways(input) {
            assert_eq!(replies(&way, first), whole);
        }
    }
    // A client that took a line for one that gets no reply, or another kind, would wait for ever.
    match (parse(input), ReplyForm::of(input)) {
        (Line::Blank, None)
        | (Line::Command(Command::Report { .. }, _) | Line::InvalidReport, Some(ReplyForm::Line))
        | (Line::Command(Command::Nearby(_), _), Some(ReplyForm::Places))
        | (Line::Invalid | Line::HttpRequest, Some(_)) => {}
        (line, form) => panic!("the server reads {line:?}, and the client awaits {form:?}"),
    }
}

/// The replies' lengths, of which every other one is an answer about places, and what ended the connection.
fn replies(pieces: &[&[u8]], first: ReplyForm) -> (Vec<usize>, Option<NotAReply>) {
    let (mut buffer, mut replies, mut lens) = (Vec::new(), Replies::default(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let other = if first == ReplyForm::Line { ReplyForm::Places } else { ReplyForm::Line };
            let form = if lens.len() % 2 == 0 { first } else { other };
            match bounded(0, 0, 1024, || replies.next(&buffer, form)) {
                Ok(Some(len)) => {
                    assert!(len > 0, "each reply takes something, or this never ends");
                    lens.push(len);
                    buffer.drain(..len);
                }
                Ok(None) => break,
                Err(error) => return (lens, Some(error)),
            }
        }
    }
    (lens, None)
}
