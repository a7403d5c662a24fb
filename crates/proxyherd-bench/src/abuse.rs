//! Measures how malformed input affects a server. The measurement sends malformed input of every kind to a running
//! server. At the same time another client, the probe, sends one line after the other, and measures the time until each
//! reply.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::procfs::resident;
use crate::stats::Histogram;
use crate::target::herd::LoneServer;

/// Number of inputs that are sent on one connection. Then the sending side of the connection is shut down, and the
/// replies are read.
const INPUTS_PER_CONNECTION: u64 = 100;
/// One in this many inputs is sent before the server's memory is first read.
const WARM_UP_PART: u64 = 5;
/// Maximum time that the probe may wait in 99 of 100 cases.
const PROBE_P99_MAX: Duration = Duration::from_millis(50);
/// Maximum growth of the server's memory, bytes. Some growth is normal, because an allocator does not return all memory
/// at once.
const GROWTH_MAX: u64 = 8_000_000;

/// Lines from which malformed inputs are made.
const TEMPLATES: [&[u8]; 4] = [
    b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503\n",
    b"WHATSAT kiwi.cs.ucla.edu 10 5\n",
    b"AT Riley +0.263873386 kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503\n",
    b"IAMAT x +0-0 0\n",
];

/// Sends `inputs` malformed inputs and prints what was measured. Returns whether the server kept within the limits.
pub(crate) fn measure(herd: &LoneServer, inputs: u64, seed: u64) -> Result<bool> {
    let (address, pid) = (herd.target.address, herd.target.process.id());
    let mut garbage = Garbage(seed);
    send_all(address, &mut garbage, inputs / WARM_UP_PART)?;
    let before = resident(pid)?;
    let is_over = AtomicBool::new(false);
    let waited = thread::scope(|scope| {
        let probe = scope.spawn(|| probe(address, &is_over));
        let sent = send_all(address, &mut garbage, inputs - inputs / WARM_UP_PART);
        is_over.store(true, Relaxed);
        let waited = probe.join().expect("the probe does not panic");
        sent.and(waited)
    })?;
    let growth = resident(pid).context("the server is gone")?.saturating_sub(before);
    let p99 = waited.percentile(0.99);
    println!(
        "{inputs} malformed inputs (seed {seed}): another client waited for replies, p99 {:.1} ms, p50 {:.2} ms; \
         the server's memory grew by {:.1} MB",
        p99.as_secs_f64() * 1e3,
        waited.percentile(0.5).as_secs_f64() * 1e3,
        growth as f64 / 1e6,
    );
    Ok(p99 <= PROBE_P99_MAX && growth <= GROWTH_MAX)
}

fn send_all(address: SocketAddr, garbage: &mut Garbage, inputs: u64) -> Result<()> {
    for _ in 0..inputs.div_ceil(INPUTS_PER_CONNECTION) {
        let bytes: Vec<u8> = (0..INPUTS_PER_CONNECTION).flat_map(|_| garbage.input()).collect();
        let stream = TcpStream::connect(address).context("the server takes no more connections")?;
        let reader = stream.try_clone()?;
        thread::scope(|scope| {
            let answered = scope.spawn(|| read_to_end(reader));
            // A failure is ignored, because the server may close the connection before it has read everything.
            let _ = (&stream).write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
            answered.join().expect("reading does not panic")
        })?;
    }
    Ok(())
}

fn read_to_end(mut stream: TcpStream) -> Result<()> {
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            Err(error).context("the server fell silent")
        }
        _ => Ok(()),
    }
}

/// Sends one line after the other until `is_over`, and records how long each reply took.
fn probe(address: SocketAddr, is_over: &AtomicBool) -> Result<Histogram> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let (mut waited, mut answer) = (Histogram::new(), String::new());
    while !is_over.load(Relaxed) {
        let asked = Instant::now();
        stream.write_all(b"PROBE\n").context("the probe was closed")?;
        answer.clear();
        answers.read_line(&mut answer).context("the probe has no answer")?;
        ensure!(answer == "? PROBE\n", "the probe was answered {answer:?}");
        waited.record(asked.elapsed());
    }
    Ok(waited)
}

/// A generator of malformed inputs. The same seed makes the same inputs.
struct Garbage(u64);

impl Garbage {
    /// xorshift64* (Vigna 2016).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn input(&mut self) -> Vec<u8> {
        let mut line = TEMPLATES[self.below(TEMPLATES.len())].to_vec();
        match self.below(8) {
            0 => return (0..self.below(300)).map(|_| self.next() as u8).collect(),
            1 => line.truncate(self.below(line.len())),
            2 => (0..1 + self.below(5)).for_each(|_| {
                let at = self.below(line.len());
                line[at] = self.next() as u8;
            }),
            3 => line.insert(self.below(line.len()), b"\0\r\x0b\x0c\xff\n"[self.below(6)]),
            4 => return vec![b"x \0\xff"[self.below(4)]; self.below(9000)],
            5 => line.extend_from_within(..self.below(line.len())),
            6 => line = line.repeat(1 + self.below(3)).split_off(self.below(line.len())),
            _ => {
                let middle = self.below(line.len());
                line.rotate_left(middle);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_few_are_valid() {
        let inputs = |seed| {
            let mut garbage = Garbage(seed);
            (0..1000).map(|_| garbage.input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
        let good = inputs(7).iter().filter(|input| TEMPLATES.contains(&input.as_slice())).count();
        assert!(good < 100, "{good}");
    }
}
