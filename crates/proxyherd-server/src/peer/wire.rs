//! A connection between two servers, encrypted or not, from its socket until both servers have sent HELLO.
//!
//! With encryption, each end knows the other end's name from its certificate before it sends a byte of the link
//! protocol. HELLO must give the same name. Without encryption, each end trusts the name in HELLO. So links without
//! encryption are only for loopback.

use std::time::Duration;

use proxyherd_config::{clock, config::Address};
use proxyherd_core::{
    codec::link::{Encoder, Frame, FrameError, Hello, decode, may_be_hello},
    link::{LinkError, Refused},
    replica::Agreed,
    types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    Trouble,
    meter::{Meter, Metered},
};
use crate::herd::{Herd, Internals, Link};

/// Maximum time in which the other end must accept a frame of the handshake. Such a frame is short.
const SAY_MAX: Duration = Duration::from_secs(1);

/// A stream of bytes in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, encrypted or not, whose bytes are counted.
pub(super) struct Wire {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) meter: Meter,
}

/// An accepted connection on which the dialing end has sent HELLO.
pub(super) struct Accepted {
    pub(super) wire: Wire,
    pub(super) hello: Hello,
    /// The bytes after the HELLO.
    pub(super) received: Vec<u8>,
}

/// A connection on which both ends have sent HELLO and agreed on a link.
pub(super) struct Joined {
    pub(super) wire: Wire,
    /// The bytes after the neighbor's HELLO.
    pub(super) received: Vec<u8>,
    pub(super) agreed: Agreed,
}

/// Connects to the neighbor of `link` at `address` and agrees on the link.
pub(super) async fn dial(herd: &Herd, link: &Link, address: &Address) -> Result<Joined, Trouble> {
    let expected = &link.neighbor;
    let mut wire = secured(herd, reach(address).await?, expected).await?;
    let dialed_ns = clock::now_ns();
    say(&mut wire, |encoder| encoder.hello(&herd.identity().hello(dialed_ns))).await?;
    let (hello, received) = match first_frame(&mut wire).await? {
        FirstFrame::Hello(hello, received) => (hello, received),
        FirstFrame::Refusal(why, received) => {
            return Err(heed_refusal(herd, link, &mut wire, why, received).await);
        }
    };
    if let Err(refused) = herd.identity().confirm(clock::now_ns(), dialed_ns, &hello, expected) {
        note_clock(herd, link, &refused);
        // The other end has already agreed, so it must learn why there is no link.
        let _ = say(&mut wire, |encoder| {
            encode_reason(encoder, &refused);
            encoder.refusal(&refused.to_string());
        })
        .await;
        return Err(refused.into());
    }
    Ok(Joined { wire, received, agreed: herd.identity().agreed(&hello) })
}

async fn reach(address: &Address) -> Result<TcpStream, Trouble> {
    let stream = TcpStream::connect((address.host(), address.port())).await.map_err(Trouble::Unreachable)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Checks that the other end is `expected`. Before this check no byte of the link protocol is sent.
async fn secured(herd: &Herd, stream: TcpStream, expected: &ServerName) -> Result<Wire, Trouble> {
    let stream = Metered::new(stream);
    let meter = stream.meter();
    let Some(credentials) = herd.credentials() else { return Ok(Wire { stream: Box::new(stream), meter }) };
    let (stream, server) = credentials.connect(stream).await?;
    if server != *expected {
        return Err(Trouble::OtherServer { shown: server, expected: expected.clone() });
    }
    Ok(Wire { stream: Box::new(stream), meter })
}

/// Waits for the HELLO of the dialing end, and checks that its certificate names the same server.
pub(super) async fn accept(herd: &Herd, stream: TcpStream) -> Result<Accepted, Trouble> {
    stream.set_nodelay(true)?;
    let stream = Metered::new(stream);
    let meter = stream.meter();
    let (stream, shown): (Box<dyn Duplex>, Option<ServerName>) = match herd.credentials() {
        None => (Box::new(stream), None),
        Some(credentials) => {
            let (stream, server) = credentials.accept(stream).await?;
            (Box::new(stream), Some(server))
        }
    };
    let mut wire = Wire { stream, meter };
    let (hello, received) = match first_frame(&mut wire).await? {
        FirstFrame::Hello(hello, received) => (hello, received),
        FirstFrame::Refusal(why, _) => return Err(Trouble::RefusedThere(why)),
    };
    if let Some(shown) = shown.filter(|shown| *shown != hello.origin.server) {
        let misnamed = Trouble::Misnamed { shown, said: hello.origin.server };
        let _ = say(&mut wire, |encoder| encoder.refusal(&misnamed.to_string())).await;
        return Err(misnamed);
    }
    Ok(Accepted { wire, hello, received })
}

/// The other end's first frame, and the bytes after this frame.
enum FirstFrame {
    Hello(Hello, Vec<u8>),
    Refusal(String, Vec<u8>),
}

/// Reads until one complete HELLO or refusal has arrived.
async fn first_frame(wire: &mut Wire) -> Result<FirstFrame, Trouble> {
    let mut received = Vec::with_capacity(512);
    loop {
        if !may_be_hello(&received) {
            return Err(LinkError::from(FrameError::NoHerd).into());
        }
        match decode(&received).map_err(LinkError::from)? {
            Some((Frame::Hello(hello), len)) => return Ok(FirstFrame::Hello(hello, received.split_off(len))),
            Some((Frame::Refusal(reason), len)) => {
                return Ok(FirstFrame::Refusal(reason.to_owned(), received.split_off(len)));
            }
            Some(_) => return Err(LinkError::LateHandshake.into()),
            None => {}
        }
        if wire.stream.read_buf(&mut received).await.map_err(Trouble::of_read)? == 0 {
            return Err(Trouble::Closed);
        }
    }
}

/// Handles a refusal. The next frame may give the reason in a form that this program understands. Earlier versions
/// close the connection without such a frame.
async fn heed_refusal(
    herd: &Herd,
    link: &Link,
    wire: &mut Wire,
    why: String,
    mut received: Vec<u8>,
) -> Trouble {
    loop {
        match decode(&received) {
            Ok(Some((Frame::Offset(ahead_ns), _))) => {
                herd.replica().note_refused_clock(link.id, ahead_ns.saturating_neg());
                return Trouble::RefusedThere(why);
            }
            Ok(Some((Frame::Namesake(incarnation), _))) => {
                herd.replica().hear_of_namesake(incarnation);
                return Trouble::NamesakeThere(why);
            }
            Ok(None) => {}
            _ => return Trouble::RefusedThere(why),
        }
        if !wire.stream.read_buf(&mut received).await.is_ok_and(|len| len > 0) {
            return Trouble::RefusedThere(why);
        }
    }
}

/// Records the clock offset if the neighbor was refused because of its clock.
pub(super) fn note_clock(herd: &Herd, link: &Link, refused: &Refused) {
    if let Refused::Clock(_, _, offset_ns) = refused {
        herd.replica().note_refused_clock(link.id, *offset_ns);
    }
}

/// Tells the other end why there is no link, in words. If there is a frame for the reason, the frame follows the words.
pub(super) async fn refuse(mut wire: Wire, refused: Refused) -> Result<(), Trouble> {
    let _ = say(&mut wire, |encoder| {
        encoder.refusal(&refused.to_string());
        encode_reason(encoder, &refused);
    })
    .await;
    Err(refused.into())
}

/// Encodes the reason for a refusal as a frame, if there is a frame for this reason.
fn encode_reason(encoder: &mut Encoder, refused: &Refused) {
    match refused {
        Refused::Clock(_, _, offset_ns) => encoder.offset(*offset_ns),
        Refused::Namesake(_, incarnation) => encoder.namesake(*incarnation),
        _ => {}
    }
}

/// Sends frames of the handshake.
pub(super) async fn say(wire: &mut Wire, encode: impl FnOnce(&mut Encoder)) -> Result<(), Trouble> {
    let mut encoder = Encoder::default();
    encode(&mut encoder);
    let written = timeout(SAY_MAX, async {
        wire.stream.write_all(encoder.bytes()).await?;
        wire.stream.flush().await
    });
    Ok(written.await.map_err(|_| Trouble::Stuck)??)
}
