//! Finds out which reports a server shows, by questions without places (WHATSAT with a limit of 0).
//!
//! [`Asker`] asks one server about clients. [`Probe`] measures the time from the answer to a report until
//! another server shows the report. [`wait_until_shown`] waits until servers show the last reports of clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memchr::{memchr, memmem};

use super::Clock;
use super::bursts::{ClientReport, LOS_ANGELES, client_name, report_of};

/// Maximum number of questions under way on one connection.
const BURST: usize = 250;
/// Maximum time for which a server may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Time for which [`Probe`] asks without a pause.
const PATIENCE: Duration = Duration::from_millis(1);
/// Interval between two rounds of questions about reports that a server did not show.
const ASK_INTERVAL: Duration = Duration::from_millis(5);

/// A connection on which one server is asked about clients.
pub(crate) struct Asker {
    address: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
    buffer: Vec<u8>,
}

impl Asker {
    pub(crate) fn connect(address: SocketAddr) -> Result<Asker> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(Asker { address, stream, received: Vec::new(), buffer: vec![0; 64 * 1024] })
    }

    /// Sends a report, and waits for its answer.
    pub(crate) fn report(&mut self, report: ClientReport) -> Result<()> {
        let (client, unix_ns) = report;
        let line = report_of(LOS_ANGELES, client, unix_ns);
        self.stream.write_all(line.as_bytes()).with_context(|| format!("cannot send to {}", self.address))?;
        let answer = self.next_answer(Form::Line)?;
        let address = self.address;
        ensure!(answer.starts_with(b"AT "), "{address} answers a report with {:?}", printable(&answer));
        ensure!(shows(&answer, report), "{address} answers a report with {:?}", printable(&answer));
        Ok(())
    }

    /// Whether the server shows this very report.
    pub(crate) fn is_shown(&mut self, report: ClientReport) -> Result<bool> {
        Ok(self.count_shown(&[report])? == 1)
    }

    /// The number of these reports that the server shows.
    pub(crate) fn count_shown(&mut self, reports: &[ClientReport]) -> Result<usize> {
        let mut count = 0;
        for some in reports.chunks(BURST) {
            let lines: String =
                some.iter().map(|(client, _)| format!("WHATSAT {} 1 0\n", client_name(*client))).collect();
            self.stream
                .write_all(lines.as_bytes())
                .with_context(|| format!("cannot send to {}", self.address))?;
            for report in some {
                let answer = self.next_answer(Form::Question)?;
                count += usize::from(shows(&answer, *report));
            }
        }
        Ok(count)
    }

    /// The next answer of the server.
    fn next_answer(&mut self, form: Form) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = end_of_answer(&self.received, form) {
                let rest = self.received.split_off(end);
                return Ok(std::mem::replace(&mut self.received, rest));
            }
            let context = || format!("{} does not answer", self.address);
            match self.stream.read(&mut self.buffer).with_context(context)? {
                0 => bail!("{} closed a connection", self.address),
                len => self.received.extend_from_slice(&self.buffer[..len]),
            }
        }
    }
}

/// The form of an answer.
#[derive(Clone, Copy)]
enum Form {
    /// One line.
    Line,
    /// An AT line, JSON and an empty line. A line that begins with `?` if the client is not known.
    Question,
}

/// The end of the first answer in `received`. `None`: it is not complete.
fn end_of_answer(received: &[u8], form: Form) -> Option<usize> {
    match (form, received.first()?) {
        (Form::Line, _) | (_, b'?') => memchr(b'\n', received).map(|end| end + 1),
        (Form::Question, _) => memmem::find(received, b"\n\n").map(|end| end + 2),
    }
}

/// Whether the AT line of an answer shows this report. Only the client and the timestamp are compared.
fn shows(answer: &[u8], (client, unix_ns): ClientReport) -> bool {
    let at = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let report = report_of(LOS_ANGELES, client, unix_ns);
    let Some(stamp) = report.split_ascii_whitespace().next_back() else { return false };
    let mut fields = at.split(|&byte| byte == b' ').skip(3);
    let name = fields.next();
    name == Some(client_name(client).as_bytes()) && fields.nth(1) == Some(stamp.as_bytes())
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

/// Waits until all servers show all these reports, at most for `longest`. Returns the time that it took, or
/// `None` if it took longer.
pub(crate) fn wait_until_shown(
    addresses: &[SocketAddr],
    reports: &[ClientReport],
    longest: Duration,
) -> Result<Option<Duration>> {
    let began = Instant::now();
    for address in addresses {
        let mut asker = Asker::connect(*address)?;
        while asker.count_shown(reports)? < reports.len() {
            if began.elapsed() > longest {
                return Ok(None);
            }
            thread::sleep(ASK_INTERVAL);
        }
    }
    Ok(Some(began.elapsed()))
}

/// Measures how soon one server shows what was reported at another one.
pub(crate) struct Probe {
    reporter: Asker,
    asker: Asker,
    client: u32,
    clock: Clock,
}

impl Probe {
    /// A probe that reports `client` at one server and asks another one. Waits until the other server knows the client.
    pub(crate) fn between(reporter: SocketAddr, asked: SocketAddr, client: u32) -> Result<Probe> {
        let (reporter, asker) = (Asker::connect(reporter)?, Asker::connect(asked)?);
        let mut probe = Probe { reporter, asker, client, clock: Clock::started()? };
        probe.measure()?;
        Ok(probe)
    }

    /// The time from the answer to a report until the other server shows it.
    pub(crate) fn measure(&mut self) -> Result<Duration> {
        let report = (self.client, self.clock.unix_ns(Instant::now()));
        self.reporter.report(report)?;
        let answered = Instant::now();
        loop {
            if self.asker.is_shown(report)? {
                return Ok(answered.elapsed());
            }
            let waited = answered.elapsed();
            // Questions without a pause would load the server. The pause makes the result at most a tenth longer.
            if waited > PATIENCE {
                thread::sleep(waited / 10);
            }
            if waited > SILENCE_MAX {
                let asked = self.asker.address;
                bail!("{asked} does not show within {SILENCE_MAX:?} what {} was told", self.reporter.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::io::{BufRead, BufReader};
    use std::net::{Ipv4Addr, TcpListener};

    /// A server that shows each report only when it is asked for the `delay`th time.
    fn server(delay: u32) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut held, mut asked) = (HashMap::new(), HashMap::new());
            for stream in listener.incoming().map_while(Result::ok) {
                let mut writer = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let fields: Vec<&str> = line.split_whitespace().collect();
                    let name = fields[1].to_owned();
                    let answer = if fields[0] == "IAMAT" {
                        held.insert(name.clone(), fields[1..].join(" "));
                        format!("AT Riley +0.000000001 {}\n", held[&name])
                    } else {
                        let times = asked.entry(name.clone()).or_insert(0);
                        *times += 1;
                        match held.get(&name).filter(|_| *times >= delay) {
                            Some(report) => {
                                format!("AT Riley +0.000000001 {report}\n{{\"results\": []}}\n\n")
                            }
                            None => format!("? {line}\n"),
                        }
                    };
                    if writer.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        address
    }

    #[test]
    fn a_server_is_asked_until_it_shows_every_report() {
        let address = server(3);
        let reports: Vec<ClientReport> = (0..600).map(|client| (client, 1_621_464_827_000_000_007)).collect();
        {
            let mut asker = Asker::connect(address).unwrap();
            reports.iter().for_each(|report| asker.report(*report).unwrap());
            assert_eq!(asker.count_shown(&reports).unwrap(), 0, "it does not show them yet");
        }
        assert!(wait_until_shown(&[address], &reports, SILENCE_MAX).unwrap().is_some());
        let newer = [(7, 1_621_464_827_000_000_008)];
        assert_eq!(
            wait_until_shown(&[address], &newer, Duration::ZERO).unwrap(),
            None,
            "an older one is shown"
        );
    }

    #[test]
    fn an_answer_shows_a_report_if_the_client_and_the_time_are_the_same() {
        let at =
            |name: &str, stamp: &str| format!("AT Riley +0.1 {name} +1.0+2.0 {stamp}\n{{}}\n\n").into_bytes();
        let (name, stamp) = (client_name(7), "1621464827.000000007");
        let report = (7, 1_621_464_827_000_000_007);
        assert!(shows(&at(&name, stamp), report));
        assert!(!shows(&at(&name, "1621464827.000000008"), report));
        assert!(!shows(&at(&client_name(8), stamp), report));
        assert!(!shows(format!("? WHATSAT {name} 1 0\n").as_bytes(), report));
    }

    #[test]
    fn the_end_of_an_answer_depends_on_its_form() {
        for (received, form, end) in [
            (&b""[..], Form::Line, None),
            (b"AT x", Form::Line, None),
            (b"AT x\nAT", Form::Line, Some(5)),
            (b"AT x\n{}\n", Form::Question, None),
            (b"AT x\n{}\n\nAT", Form::Question, Some(9)),
            (b"? WHATSAT\nAT", Form::Question, Some(10)),
        ] {
            assert_eq!(end_of_answer(received, form), end, "{received:?}");
        }
    }
}
