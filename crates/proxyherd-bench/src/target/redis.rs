//! Redis servers, without files: one primary, and replicas of it. And the few commands that the comparison needs.
//!
//! Redis is not part of this project. It takes part only if its program is on the PATH.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::ServerProcess;
use crate::load::client_name;

const PROGRAM: &str = "redis-server";
/// Maximum time until replicas follow their primary.
const LINKED_MAX: Duration = Duration::from_secs(30);
/// Number of commands that are sent together.
const TOGETHER: u32 = 512;
/// Time for which a connection waits for a reply.
const SILENCE_MAX: Duration = Duration::from_secs(70);

/// Running servers. The first one is the primary. They are killed when this is dropped.
pub(crate) struct RedisServers {
    pub(crate) servers: Vec<RedisServer>,
}

/// One running server.
pub(crate) struct RedisServer {
    pub(crate) address: SocketAddr,
    pub(crate) process: ServerProcess,
}

/// The version of Redis. `None`: its program is not on the PATH.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    Some(version.to_owned())
}

/// Starts a primary and so many replicas. When this returns, the replicas follow the primary.
pub(crate) fn start(replicas: usize) -> Result<RedisServers> {
    let primary = start_one(&[])?;
    let port = primary.address.port().to_string();
    let mut servers = vec![primary];
    for _ in 0..replicas {
        servers.push(start_one(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"])?);
    }
    let all = RedisServers { servers };
    ensure!(
        all.wait_until_copied(LINKED_MAX)?.is_some(),
        "the replicas of Redis did not follow their primary within {LINKED_MAX:?}"
    );
    Ok(all)
}

fn start_one(options: &[&str]) -> Result<RedisServer> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    let address = listener.local_addr()?;
    drop(listener);
    let mut command = Command::new(PROGRAM);
    command
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--repl-diskless-sync-delay", "0"])
        .args(options)
        .current_dir(std::env::temp_dir());
    Ok(RedisServer { address, process: ServerProcess::start_at(command, address)? })
}

impl RedisServers {
    /// Waits until every replica has everything that the primary has, at most for `longest`. Returns the time that it
    /// took, or `None` if it took longer.
    pub(crate) fn wait_until_copied(&self, longest: Duration) -> Result<Option<Duration>> {
        let began = Instant::now();
        let replicas = self.servers.len() - 1;
        let mut stream = connect(self.servers[0].address)?;
        while began.elapsed() < longest {
            // WAIT is about what the same connection has written before.
            let wait = format!("SET last 1\r\nWAIT {replicas} {}\r\n", longest.as_millis().min(1000));
            let replies = exchange(&mut stream, wait.as_bytes(), 2)?;
            let copies: usize = replies[1].trim_start_matches(':').parse().context("WAIT told no number")?;
            if copies >= replicas {
                return Ok(Some(began.elapsed()));
            }
        }
        Ok(None)
    }

    /// Stores so many clients. The first million has the same names as those of `load`.
    pub(crate) fn fill(&self, clients: u32) -> Result<()> {
        let mut stream = connect(self.servers[0].address)?;
        let mut first = 0;
        while first < clients {
            let next = clients.min(first + TOGETHER);
            let commands: String = (first..next)
                .map(|client| {
                    let (name, row, column) = (client_name(client), client / 1000, client % 1000);
                    let (north, east) = (33.9 + f64::from(row) * 15e-5, -118.1 - f64::from(column) * 2e-4);
                    format!("GEOADD k {east:.6} {north:.6} {name}\r\n")
                })
                .collect();
            for reply in exchange(&mut stream, commands.as_bytes(), (next - first) as usize)? {
                ensure!(reply.starts_with(':'), "Redis answers GEOADD with {reply:?}");
            }
            first = next;
        }
        Ok(())
    }
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).with_context(|| format!("no Redis at {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    Ok(BufReader::with_capacity(1 << 16, stream))
}

/// Sends commands, and returns so many replies, each of which is one line.
fn exchange(stream: &mut BufReader<TcpStream>, commands: &[u8], replies: usize) -> Result<Vec<String>> {
    stream.get_mut().write_all(commands).context("cannot send to Redis")?;
    let mut lines = Vec::with_capacity(replies);
    for _ in 0..replies {
        let mut line = String::new();
        if stream.read_line(&mut line).context("Redis does not answer")? == 0 {
            bail!("Redis closed a connection");
        }
        lines.push(line.trim_end().to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_copy_what_the_primary_has() {
        if version().is_none() {
            eprintln!("not tested: redis-server is not on the PATH");
            return;
        }
        let all = start(2).unwrap();
        all.fill(1000).unwrap();
        assert!(all.wait_until_copied(LINKED_MAX).unwrap().is_some());
        for server in &all.servers {
            let mut stream = connect(server.address).unwrap();
            assert_eq!(exchange(&mut stream, b"ZCARD k\r\n", 1).unwrap(), [":1000"], "{}", server.address);
        }
    }
}
