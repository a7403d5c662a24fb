//! Fills a server with clients, each of which reports once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};

use crate::format::grouped;
use crate::load::{Dialect, LOS_ANGELES, ReplyChecker, client_name};
use crate::progress::Progress;

/// Number of connections, and number of reports that each of them has outstanding.
const CONNECTIONS: u32 = 8;
const BURST: u32 = 512;
/// Maximum time that the server may take to acknowledge anything.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Interval between two looks at the progress.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Reports `clients` clients. When this returns, the server has acknowledged all of them.
pub(crate) fn fill(address: SocketAddr, clients: u32) -> Result<()> {
    let done = AtomicU32::new(0);
    let mut progress = Progress::new();
    thread::scope(|scope| {
        let part = |number: u32| {
            let bound =
                |number: u32| (u64::from(clients) * u64::from(number) / u64::from(CONNECTIONS)) as u32;
            bound(number)..bound(number + 1)
        };
        let running: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (part, done) = (part(number), &done);
                scope.spawn(move || report(address, part, done))
            })
            .collect();
        while running.iter().any(|each| !each.is_finished()) {
            let reported = || {
                let (done, all) = (f64::from(done.load(Relaxed)), f64::from(clients));
                format!("filling: {} of {} clients", grouped(done), grouped(all))
            };
            progress.show(reported);
            thread::sleep(LOOK_INTERVAL);
        }
        running.into_iter().try_for_each(|each| each.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

fn report(address: SocketAddr, clients: Range<u32>, done: &AtomicU32) -> Result<()> {
    let context = || format!("reporting at {address}");
    let mut stream = TcpStream::connect(address).with_context(context)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let mut replies = ReplyChecker::new(Dialect::Herd);
    let mut buffer = vec![0; 64 * 1024];
    let mut first = clients.start;
    while first < clients.end {
        let next = clients.end.min(first + BURST);
        let lines: String = (first..next).map(line).collect::<Result<_>>()?;
        stream.write_all(lines.as_bytes()).with_context(context)?;
        let mut ended = 0;
        while ended < (next - first) as usize {
            let len = stream.read(&mut buffer).with_context(context)?;
            ensure!(len > 0, "{address} closed a connection before it had acknowledged all reports");
            ended += replies.take(&buffer[..len]).with_context(context)?;
        }
        done.fetch_add(next - first, Relaxed);
        first = next;
    }
    Ok(())
}

/// The report of a client. The clients stand where those of `load` stand, and the first million has the same names.
fn line(client: u32) -> Result<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    let (row, column) = (client / 1000, client % 1000);
    let north = LOS_ANGELES.0 + f64::from(row) * 15e-5;
    let east = LOS_ANGELES.1 + 0.1 - f64::from(column) * 2e-4;
    let (name, seconds, nanoseconds) = (client_name(client), now.as_secs(), now.subsec_nanos());
    Ok(format!("IAMAT {name} {north:+.6}{east:+.6} {seconds}.{nanoseconds:09}\n"))
}
