//! A connection between two servers, from its socket to the point where both have said HELLO; encrypted or not.
//!
//! With encryption each end knows by the other's certificate who it is before a byte of the link's protocol is said, and
//! HELLO must say the same. Without it HELLO is believed, which is why that is for loopback alone.

use std::time::Duration;

use proxyherd_core::{
    codec::link::{Encoder, Frame, FrameError, Hello, decode, may_be_hello},
    link::LinkError,
    map::Agreed,
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
    herd::{Herd, Link},
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
    /// What came behind the neighbour's HELLO.
    pub(super) received: Vec<u8>,
    pub(super) agreed: Agreed,
}

/// A connection to the neighbour of `link`, which should be at `address`.
pub(super) async fn dial(herd: &Herd, link: &Link, address: &Address) -> Result<Joined, Trouble> {
    let expected = &link.neighbor;
    let mut wire = secured(herd, reach(address).await?, expected).await?;
    let dialled_ns = clock::now_ns();
    say(&mut wire, |encoder| encoder.hello(&herd.identity.hello(dialled_ns))).await?;
    let (hello, received) = hear_hello(&mut wire).await?;
    if let Err(refused) = herd.identity.confirm(clock::now_ns(), dialled_ns, &hello, expected) {
        // The other end takes the link for agreed upon: it learns why it is not.
        let _ = say(&mut wire, |encoder| encoder.refusal(&refused.to_string())).await;
        return Err(refused.into());
    }
    Ok(Joined { wire, received, agreed: herd.identity.agreed(&hello) })
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
    let Some(credentials) = &herd.credentials else { return Ok(Wire { stream: Box::new(stream), meter }) };
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
    let (stream, shown): (Box<dyn Duplex>, Option<ServerName>) = match &herd.credentials {
        None => (Box::new(stream), None),
        Some(credentials) => {
            let (stream, server) = credentials.accept(stream).await?;
            (Box::new(stream), Some(server))
        }
    };
    let mut wire = Wire { stream, meter };
    let (hello, received) = hear_hello(&mut wire).await?;
    if let Some(shown) = shown.filter(|shown| *shown != hello.origin.server) {
        let misnamed = Trouble::Misnamed { shown, said: hello.origin.server };
        let _ = say(&mut wire, |encoder| encoder.refusal(&misnamed.to_string())).await;
        return Err(misnamed);
    }
    Ok(Caller { wire, hello, received })
}

/// Reads until one whole HELLO is there; returns it and what came behind it.
async fn hear_hello(wire: &mut Wire) -> Result<(Hello, Vec<u8>), Trouble> {
    let mut received = Vec::with_capacity(512);
    loop {
        if !may_be_hello(&received) {
            return Err(LinkError::from(FrameError::NoHerd).into());
        }
        match decode(&received).map_err(LinkError::from)? {
            Some((Frame::Hello(hello), len)) => return Ok((hello, received.split_off(len))),
            Some((Frame::Refusal(reason), _)) => return Err(Trouble::RefusedThere(reason.to_owned())),
            Some(_) => return Err(LinkError::LateHandshake.into()),
            None => {}
        }
        if wire.stream.read_buf(&mut received).await.map_err(Trouble::of_read)? == 0 {
            return Err(Trouble::Closed);
        }
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
