//! The clients of which streams have entries: each has a small number, which all streams share, and a list of these
//! streams.
//!
//! Invariant: a stream is in a client's list exactly when the stream has an entry of the client (`entries`), or had one
//! that has not been released yet (`bookkeeping`). A client without streams is forgotten, and its number is given to
//! another client.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A client's entry in the table: part of the hash of its ID, and its number.
type Indexed = (u32, u32);

/// The clients.
#[derive(Debug)]
pub(super) struct Clients {
    table: HashTable<Indexed>,
    clients: Vec<OfClient>,
    free: Vec<u32>,
    seed: u64,
}

/// One client.
#[derive(Debug, Default)]
struct OfClient {
    id: Box<[u8]>,
    streams: Holders,
}

/// The number of streams from which on a client's list is a table, and below which it is a list again.
const MANY: usize = 64;
const FEW: usize = 16;

/// The streams that have an entry of a client. Most clients are in few streams. A popular client may be in all of them,
/// so a long list is a table, in which a stream is found at once.
#[derive(Debug)]
enum Holders {
    Few(Vec<u32>),
    Many(Box<HashTable<u32>>),
}

impl Default for Holders {
    fn default() -> Holders {
        Holders::Few(Vec::new())
    }
}

impl Holders {
    fn len(&self) -> usize {
        match self {
            Holders::Few(list) => list.len(),
            Holders::Many(table) => table.len(),
        }
    }

    fn contains(&self, stream: u32) -> bool {
        match self {
            Holders::Few(list) => list.contains(&stream),
            Holders::Many(table) => table.find(spread(stream), |held| *held == stream).is_some(),
        }
    }

    fn add(&mut self, stream: u32) {
        debug_assert!(!self.contains(stream), "a stream has one entry of a client");
        match self {
            Holders::Few(list) if list.len() == MANY => {
                let mut table = HashTable::with_capacity(2 * MANY);
                for held in list.iter().copied().chain([stream]) {
                    table.insert_unique(spread(held), held, |held| spread(*held));
                }
                *self = Holders::Many(Box::new(table));
            }
            Holders::Few(list) => {
                if list.is_empty() {
                    list.reserve_exact(1);
                }
                list.push(stream);
            }
            Holders::Many(table) => {
                table.insert_unique(spread(stream), stream, |held| spread(*held));
            }
        }
    }

    fn remove(&mut self, stream: u32) {
        match self {
            Holders::Few(list) => {
                let place = list.iter().position(|held| *held == stream);
                list.swap_remove(place.expect("the stream had an entry of the client"));
            }
            Holders::Many(table) => {
                let entry = table.find_entry(spread(stream), |held| *held == stream);
                entry.expect("the stream had an entry of the client").remove();
                if table.len() < FEW {
                    *self = Holders::Few(table.iter().copied().collect());
                }
            }
        }
    }
}

impl Clients {
    /// No clients. Whoever knows `seed` can choose IDs that collide.
    pub(super) fn new(seed: u64) -> Clients {
        Clients { table: HashTable::new(), clients: Vec::new(), free: Vec::new(), seed }
    }

    /// The number of a client.
    #[inline]
    pub(super) fn find(&self, id: &[u8]) -> Option<u32> {
        let hash = self.hash(id);
        let is_it = |&(part, client): &Indexed| part == hash && *self.clients[client as usize].id == *id;
        self.table.find(spread(hash), is_it).map(|&(_, client)| client)
    }

    pub(super) fn id(&self, client: u32) -> &[u8] {
        &self.clients[client as usize].id
    }

    /// Adds the streams that have an entry of the client to a list, in no particular order.
    pub(super) fn add_streams(&self, client: u32, streams: &mut Vec<u32>) {
        match &self.clients[client as usize].streams {
            Holders::Few(list) => streams.extend_from_slice(list),
            Holders::Many(table) => streams.extend(table.iter()),
        }
    }

    /// Whether the client's list has this stream.
    pub(super) fn lists(&self, client: u32, stream: u32) -> bool {
        self.clients[client as usize].streams.contains(stream)
    }

    /// Notes that a stream has an entry of the client from now on. `client`: the number, if the client has one.
    pub(super) fn hold(&mut self, client: Option<u32>, id: &[u8], stream: u32) -> u32 {
        let client = client.unwrap_or_else(|| self.add(id));
        self.clients[client as usize].streams.add(stream);
        client
    }

    /// Notes that a stream no longer has an entry of the client.
    pub(super) fn release(&mut self, client: u32, stream: u32) {
        let streams = &mut self.clients[client as usize].streams;
        streams.remove(stream);
        if streams.len() == 0 {
            let hash = self.hash(self.id(client));
            let entry = self.table.find_entry(spread(hash), |&(_, held)| held == client);
            entry.expect("a client with streams is in the table").remove();
            self.clients[client as usize] = OfClient::default();
            self.free.push(client);
        }
    }

    /// The number of clients.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The number of streams in all lists together.
    pub(super) fn listed(&self) -> usize {
        self.clients.iter().map(|client| client.streams.len()).sum()
    }

    fn add(&mut self, id: &[u8]) -> u32 {
        let of_client = OfClient { id: id.into(), streams: Holders::default() };
        let client = if let Some(client) = self.free.pop() {
            self.clients[client as usize] = of_client;
            client
        } else {
            self.clients.push(of_client);
            (self.clients.len() - 1) as u32
        };
        let hash = self.hash(id);
        self.table.insert_unique(spread(hash), (hash, client), |&(part, _)| spread(part));
        client
    }

    #[inline]
    fn hash(&self, id: &[u8]) -> u32 {
        xxh3_64_with_seed(id, self.seed) as u32
    }
}

/// Expands the 32 bits that are kept to the 64 bits that the table needs.
fn spread(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
