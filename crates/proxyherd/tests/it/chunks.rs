//! Tests that the replies do not depend on how a stream of lines is cut into pieces.

use crate::harness::{Client, Plan};

/// A stream with every kind of line. Some answers are short, and some are long.
fn stream() -> Vec<u8> {
    let mut stream =
        b"IAMAT kiwi +34.068930-118.445127 1621464827.959498503\nWHATSAT kiwi 10 2\nHELLO\n\r\n\n".to_vec();
    stream.extend_from_slice(b" \tWHATSAT\x0bkiwi\x0c50 0\r\nIAMAT m\xffa +1.5-1.5 7\nIAMAT kiwi +1+1 bad\n");
    stream.extend_from_slice(b"WHATSAT nobody 1 1\n\0\nAT Riley +1 kiwi +1+1 1\nWHATSAT kiwi 20 20\n");
    stream.extend_from_slice(&[b'x'; 300]);
    stream.extend_from_slice(b"\nIAMAT kiwi +2+2 1621464828\nWHATSAT kiwi 5.5 1");
    stream
}

/// The replies to [`stream`] if the stream comes in pieces of these lengths, with the rest in one piece. Parts that
/// change with the time are replaced with constants.
fn replies(client: &mut Client, lengths: impl Iterator<Item = usize>) -> String {
    let stream = stream();
    let mut rest = &stream[..];
    for len in lengths {
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        client.send(piece);
        rest = behind;
    }
    client.send(rest);
    client.finish();
    let replies = client.rest();
    let lines = replies.split(|byte| *byte == b'\n').map(|line| line.escape_ascii().to_string());
    lines.map(|line| without_difference(&line) + "\n").collect()
}

fn without_difference(line: &str) -> String {
    match line.strip_prefix("AT Riley +").and_then(|rest| rest.split_once(' ')) {
        Some((_, report)) => format!("AT Riley … {report}"),
        None => line.to_owned(),
    }
}

/// Lengths of 1 to `longest` bytes. The same seed makes the same lengths.
fn lengths(seed: u64, longest: u64) -> impl Iterator<Item = usize> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + ((state >> 33) % longest) as usize
    })
    .take(stream().len())
}

#[test]
fn any_chunking_of_a_stream_gives_the_same_replies() {
    let herd = Plan::single().start();
    // From here on, the last report of the stream is not new to the herd, so every run finds the herd in the same
    // state.
    replies(&mut herd.client("Riley"), std::iter::empty());
    let whole = replies(&mut herd.client("Riley"), std::iter::empty());
    assert_eq!(whole.matches("AT Riley … ").count(), 7, "{whole}");
    assert_eq!(whole.matches("? ").count(), 6, "{whole}");

    let bytewise = replies(&mut herd.client("Riley"), std::iter::repeat_n(1, stream().len()));
    assert_eq!(bytewise, whole);
    for seed in 0..100 {
        let longest = [2, 7, 40, 200][seed as usize % 4];
        let chunked = replies(&mut herd.client("Riley"), lengths(seed, longest));
        assert_eq!(chunked, whole, "seed {seed}");
    }
}

#[test]
fn replies_come_in_the_order_of_the_commands_however_many_are_sent_at_once() {
    const COMMANDS: usize = 20_000;
    let herd = Plan::single().start();
    let mut client = herd.client("Riley");
    let lines: String = (0..COMMANDS)
        .map(|index| match index % 3 {
            0 => format!("IAMAT client-{} +1+1 {index}\n", index % 100),
            1 => format!("HELLO {index}\n"),
            _ => format!("WHATSAT client-{} 1 0\n", (index - 2) % 100),
        })
        .collect();
    std::thread::scope(|scope| {
        let stream = client.stream().try_clone().unwrap();
        scope.spawn(move || std::io::Write::write_all(&mut { stream }, lines.as_bytes()).unwrap());
        let mut reported = String::new();
        for index in 0..COMMANDS {
            match index % 3 {
                0 => {
                    reported = client.line();
                    assert!(reported.ends_with(&format!(" +1+1 {index}")), "{index}: {reported}");
                }
                1 => assert_eq!(client.line(), format!("? HELLO {index}")),
                _ => assert_eq!(client.read_nearby().at, reported),
            }
        }
    });
}

/// Busy connections are distributed among the server's threads. In this test most connections move to another thread in
/// the middle of a line.
#[test]
fn busy_connections_have_all_their_lines_answered_wherever_they_are_served() {
    let herd = Plan::single().start();
    std::thread::scope(|scope| {
        for connection in 0..8 {
            let mut client = herd.client("Riley");
            scope.spawn(move || {
                for burst in 0..50 {
                    let lines: String = (0..1 + (burst * 37) % 100)
                        .map(|line| format!("IAMAT client-{connection} +1+1 {burst}.{line}\n"))
                        .collect();
                    let (now, later) = lines.split_at(lines.len() - 9);
                    client.send(now.as_bytes());
                    for (answered, line) in lines.lines().enumerate() {
                        if answered == now.matches('\n').count() {
                            client.send(later.as_bytes());
                        }
                        let reply = client.line();
                        assert!(reply.ends_with(&line["IAMAT".len()..]), "{line}: {reply}");
                    }
                }
            });
        }
    });
}
