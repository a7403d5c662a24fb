//! Shows a token at the beginning of a connection, before any line of the user.
//!
//! The token is sent and the reply is read here, so neither appears among the lines and replies of the conversation.
//! Nothing here prints the token.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    replies::{AUTH_ACCEPTED, AUTH_REFUSED},
    stream::DoorStream,
};
use crate::command_token::CommandToken;

/// Maximum time until the reply. Servers answer a wrong token up to two seconds late.
const REPLY_MAX: Duration = Duration::from_secs(5);

/// Why a server does not take the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    /// The server refuses the token.
    #[error("{NOT_ACCEPTED}")]
    Refused,
    /// The server's reply is no reply to a token.
    #[error("it does not speak the herd's line protocol")]
    Foreign,
    /// The server has not replied in time.
    #[error("no reply to the token for {} s", REPLY_MAX.as_secs())]
    Silent,
    /// The connection has failed.
    #[error(transparent)]
    Connection(#[from] io::Error),
}

/// What the user is told about a server that refuses the token.
pub(super) const NOT_ACCEPTED: &str = "it does not accept the token";

/// Shows the token, and waits for the reply.
pub(super) async fn authenticate(stream: &mut dyn DoorStream, token: &CommandToken) -> Result<(), AuthError> {
    let shown = async {
        stream.write_all(format!("AUTH {}\n", token.reveal()).as_bytes()).await?;
        stream.flush().await?;
        read_reply(stream).await
    };
    timeout(REPLY_MAX, shown).await.unwrap_or(Err(AuthError::Silent))
}

/// Reads one line. A server sends nothing behind it, because it was asked for nothing else.
async fn read_reply(stream: &mut dyn DoorStream) -> Result<(), AuthError> {
    let mut reply = Vec::new();
    while !reply.ends_with(b"\n") {
        if reply.len() > AUTH_ACCEPTED.len() {
            // An older server repeats the line, and this line has the token.
            return Err(if reply.starts_with(AUTH_REFUSED) {
                AuthError::Refused
            } else {
                AuthError::Foreign
            });
        }
        if stream.read_buf(&mut reply).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    match reply.as_slice() {
        AUTH_ACCEPTED => Ok(()),
        reply if reply.starts_with(AUTH_REFUSED) => Err(AuthError::Refused),
        _ => Err(AuthError::Foreign),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn told(reply: &[u8]) -> String {
        let (mut here, mut there) = duplex(1024);
        let token = CommandToken::of_line("s3cret".to_owned());
        there.write_all(reply).await.unwrap();
        let done = authenticate(&mut here, &token).await;
        let mut said = vec![0; 12];
        there.read_exact(&mut said).await.unwrap();
        assert_eq!(said, b"AUTH s3cret\n");
        done.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    #[tokio::test]
    async fn each_reply_to_a_token_is_told_without_the_token() {
        for (reply, expected) in [
            ("AUTH ok\n", "ok"),
            ("? AUTH\n", "it does not accept the token"),
            ("? AUTH s3cret\n", "it does not accept the token"),
            ("? AUTH s3cret that is so long that its end has not come yet", "it does not accept the token"),
            ("HTTP/1.1 400 Bad Request\r\n", "it does not speak the herd's line protocol"),
            ("AUTH ok\nAT Riley", "it does not speak the herd's line protocol"),
        ] {
            assert_eq!(told(reply.as_bytes()).await, expected, "{reply:?}");
        }
    }
}
