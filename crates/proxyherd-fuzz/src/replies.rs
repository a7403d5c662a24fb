//! Replies of a server, or of any other program at its address, as `proxyherd client` reads them.

use proxyherd_commands::fuzzing::{NotAReply, Replies, ReplyForm};
use proxyherd_core::{
    codec::line::{Line, parse},
    command::Command,
};

use crate::{memory::bounded, pieces};

/// The ends of replies and the errors do not depend on how the stream is cut. The client never writes replies: it
/// passes them on unchanged.
pub fn check(input: &[u8]) {
    for first in [ReplyForm::Line, ReplyForm::Places] {
        let whole = replies(&[input], first);
        for way in pieces::ways(input) {
            assert_eq!(replies(&way, first), whole);
        }
    }
    // A client that expects a reply of another form than the server sends would wait for ever.
    match (parse(input), ReplyForm::of(input)) {
        (Line::Blank, None)
        | (
            Line::Command(Command::Report { .. }, _)
            | Line::InvalidReport
            | Line::Auth(_)
            | Line::InvalidAuth,
            Some(ReplyForm::Line),
        )
        | (Line::Command(Command::Nearby(_), _), Some(ReplyForm::Places))
        | (Line::Invalid | Line::HttpRequest, Some(_)) => {}
        (line, form) => panic!("the server reads {line:?}, and the client expects {form:?}"),
    }
}

/// The lengths of the replies and the error that ended the connection. Every other reply is about places.
fn replies(pieces: &[&[u8]], first: ReplyForm) -> (Vec<usize>, Option<NotAReply>) {
    let (mut buffer, mut replies, mut lens) = (Vec::new(), Replies::default(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let other = if first == ReplyForm::Line { ReplyForm::Places } else { ReplyForm::Line };
            let form = if lens.len() % 2 == 0 { first } else { other };
            match bounded(0, 0, 1024, || replies.next(&buffer, form)) {
                Ok(Some(len)) => {
                    assert!(len > 0, "each reply has a length, or this loop would never end");
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
