//! The little of Redis's protocol that the comparison needs: commands as arrays, and replies that are counted.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};

use super::world::Position;

/// The key of the clients.
const KEY: &str = "proxyherd-bench";
/// Number of positions in one command.
const ADDED_TOGETHER: usize = 1000;

/// A connection to a Redis server.
pub(super) struct Redis {
    replies: BufReader<TcpStream>,
    commands: Vec<u8>,
    outstanding: usize,
}

impl Redis {
    /// Connects.
    pub(super) fn connect(address: SocketAddr) -> Result<Redis> {
        let stream = TcpStream::connect(address).with_context(|| {
            format!("no Redis server answers at {address}: start one with `redis-server`")
        })?;
        stream.set_nodelay(true)?;
        Ok(Redis { replies: BufReader::with_capacity(1 << 16, stream), commands: Vec::new(), outstanding: 0 })
    }

    /// Removes all positions of earlier runs.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.command(&["DEL", KEY]);
        self.flush().map(drop)
    }

    /// Sets the positions of clients.
    pub(super) fn set(&mut self, clients: impl IntoIterator<Item = (u32, Position)>) -> Result<()> {
        let clients: Vec<_> = clients.into_iter().collect();
        for some in clients.chunks(ADDED_TOGETHER) {
            let texts: Vec<String> = some
                .iter()
                .flat_map(|(client, at)| {
                    [
                        format!("{:.6}", at.longitude),
                        format!("{:.6}", at.latitude),
                        format!("client-{client:07}"),
                    ]
                })
                .collect();
            let words: Vec<&str> =
                ["GEOADD", KEY].into_iter().chain(texts.iter().map(String::as_str)).collect();
            self.command(&words);
            self.flush()?;
        }
        Ok(())
    }

    /// Adds a search to the commands that the next [`Redis::flush`] sends.
    pub(super) fn search(&mut self, at: Position, radius_m: f64, limit: usize) {
        let numbers = [at.longitude, at.latitude, radius_m].map(|number| format!("{number:.6}"));
        let [longitude, latitude, radius] = &numbers;
        let limit = limit.to_string();
        self.command(&[
            "GEOSEARCH",
            KEY,
            "FROMLONLAT",
            longitude,
            latitude,
            "BYRADIUS",
            radius,
            "m",
            "ASC",
            "COUNT",
            &limit,
            "WITHCOORD",
            "WITHDIST",
        ]);
    }

    /// Sends the commands, and reads their replies. Returns the number of found clients.
    pub(super) fn flush(&mut self) -> Result<usize> {
        self.replies.get_mut().write_all(&self.commands)?;
        self.commands.clear();
        let mut found = 0;
        for _ in 0..std::mem::take(&mut self.outstanding) {
            found += self.read_reply()?;
        }
        Ok(found)
    }

    fn command(&mut self, words: &[&str]) {
        self.outstanding += 1;
        // Writing into a vector does not fail.
        let _ = write!(self.commands, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(self.commands, "${}\r\n{word}\r\n", word.len());
        }
    }

    /// Reads a reply, and returns the length of its array.
    fn read_reply(&mut self) -> Result<usize> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        let number = || line[1..].trim_end().parse::<usize>().context("the Redis server sent a wrong number");
        match line.as_bytes().first() {
            Some(b':' | b'+') => Ok(0),
            Some(b'$') => {
                let len = number()?;
                let mut text = vec![0; len + 2];
                self.replies.read_exact(&mut text)?;
                Ok(0)
            }
            Some(b'*') => {
                let len = number()?;
                for _ in 0..len {
                    self.read_reply()?;
                }
                Ok(len)
            }
            _ => bail!("the Redis server answered {:?}", line.trim_end()),
        }
    }
}
