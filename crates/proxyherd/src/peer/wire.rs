//! A connection between two servers, from its socket to the point where both have said HELLO; encrypted or not.
//!
//! With encryption each end knows by the other's certificate who it is before a byte of the link's protocol is said, and
//! HELLO must say the same. Without it HELLO is believed, which is why that is for loopback alone.

use std::time::Duration;

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
use crate::{
    clock,
    config::Address,
    herd::{Herd, Inside, Link},
};

/// How long it may take to say the little that a handshake says.
const SAY_MAX: Duration = Duration::from_secs(1);

/// Whatever reads and writes.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, encrypted or not, whose bytes are counted.
pub(super) struct Wire {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) meter: Meter,
}

/// Someone who has connected and said HELLO.
pub(super) struct Caller {
    pub(super) wire: Wire,
    pub(super) hello: Hello,
    /// What came behind the HELLO.
    pub(super) received: Vec<u8>,
}

/// A connection on which both have said HELLO, and agreed.
pub(super) struct Joined {
    pub(super) wire: Wire,
    /// What came behind the neighbor's HELLO.
    pub(super) received: Vec<u8>,
    pub(super) agreed: Agreed,
}

/// A connection to the neighbor of `link`, which should be at `address`.
pub(super) async fn dial(herd: &Herd, link: &Link, address: &Address) -> Result<Joined, Trouble> {
    let expected = &link.neighbor;
    let mut wire = secured(herd, reach(address).await?, expected).await?;
    let dialled_ns = clock::now_ns();
    say(&mut wire, |encoder| encoder.hello(&herd.identity().hello(dialled_ns))).await?;
    let (hello, received) = match hear(&mut wire).await? {
        Heard::Hello(hello, received) => (hello, received),
        Heard::Refusal(why, received) => return Err(heed_refusal(herd, link, &mut wire, why, received).await),
    };
    if let Err(refused) = herd.identity().confirm(clock::now_ns(), dialled_ns, &hello, expected) {
        note_clock(herd, link, &refused);
        // The other end takes the link for agreed upon: it learns why it is not.
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

/// Nothing is said to whoever can't show that it is `expected`.
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

/// Lets whoever has connected say who it is, and makes sure of that.
pub(super) async fn answer(herd: &Herd, stream: TcpStream) -> Result<Caller, Trouble> {
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
    let (hello, received) = match hear(&mut wire).await? {
        Heard::Hello(hello, received) => (hello, received),
        Heard::Refusal(why, _) => return Err(Trouble::RefusedThere(why)),
    };
    if let Some(shown) = shown.filter(|shown| *shown != hello.origin.server) {
        let misnamed = Trouble::Misnamed { shown, said: hello.origin.server };
        let _ = say(&mut wire, |encoder| encoder.refusal(&misnamed.to_string())).await;
        return Err(misnamed);
    }
    Ok(Caller { wire, hello, received })
}

/// The other end's first frame, and the bytes that came behind it.
enum Heard {
    Hello(Hello, Vec<u8>),
    Refusal(String, Vec<u8>),
}

/// Reads until one whole HELLO or refusal is there.
async fn hear(wire: &mut Wire) -> Result<Heard, Trouble> {
    let mut received = Vec::with_capacity(512);
    loop {
        if !may_be_hello(&received) {
            return Err(LinkError::from(FrameError::NoHerd).into());
        }
        match decode(&received).map_err(LinkError::from)? {
            Some((Frame::Hello(hello), len)) => return Ok(Heard::Hello(hello, received.split_off(len))),
            Some((Frame::Refusal(reason), len)) => {
                return Ok(Heard::Refusal(reason.to_owned(), received.split_off(len)));
            }
            Some(_) => return Err(LinkError::LateHandshake.into()),
            None => {}
        }
        if wire.stream.read_buf(&mut received).await.map_err(Trouble::of_read)? == 0 {
            return Err(Trouble::Closed);
        }
    }
}

/// Handles a refusal. A frame behind it may give the reason in a form that this program understands; earlier versions close
/// the connection without one.
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
                herd.map().note_refused_clock(link.id, ahead_ns.saturating_neg());
                return Trouble::RefusedThere(why);
            }
            Ok(Some((Frame::Namesake(incarnation), _))) => {
                herd.map().hear_of_namesake(incarnation);
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

/// Records the clock offset if that is why the neighbor was refused.
pub(super) fn note_clock(herd: &Herd, link: &Link, refused: &Refused) {
    if let Refused::Clock(_, _, offset_ns) = refused {
        herd.map().note_refused_clock(link.id, *offset_ns);
    }
}

/// Tells the other end why there is no link: in words, and behind them in a frame where there is one for the reason.
pub(super) async fn refuse(mut wire: Wire, refused: Refused) -> Result<(), Trouble> {
    let _ = say(&mut wire, |encoder| {
        encoder.refusal(&refused.to_string());
        encode_reason(encoder, &refused);
    })
    .await;
    Err(refused.into())
}

/// Encodes the reason for a refusal as a frame, where there is one for it.
fn encode_reason(encoder: &mut Encoder, refused: &Refused) {
    match refused {
        Refused::Clock(_, _, offset_ns) => encoder.offset(*offset_ns),
        Refused::Namesake(_, incarnation) => encoder.namesake(*incarnation),
        _ => {}
    }
}

/// Says one thing of the handshake.
pub(super) async fn say(wire: &mut Wire, encode: impl FnOnce(&mut Encoder)) -> Result<(), Trouble> {
    let mut encoder = Encoder::default();
    encode(&mut encoder);
    let written = timeout(SAY_MAX, async {
        wire.stream.write_all(encoder.bytes()).await?;
        wire.stream.flush().await
    });
    Ok(written.await.map_err(|_| Trouble::Stuck)??)
}
