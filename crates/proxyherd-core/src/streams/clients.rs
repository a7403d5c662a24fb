//! The clients of which streams have entries: each has a small number, which all streams share, and a list of these
//! streams.
//!
//! Invariant: a stream is in a client's list exactly when the stream has an entry of the client (`entries`). A client
//! without streams is forgotten, and its number is given to another client.

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
    streams: Vec<u32>,
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

    /// The streams that have an entry of the client, in no particular order.
    pub(super) fn streams(&self, client: u32) -> &[u32] {
        &self.clients[client as usize].streams
    }

    /// Notes that a stream has an entry of the client from now on. `client`: the number, if the client has one.
    pub(super) fn hold(&mut self, client: Option<u32>, id: &[u8], stream: u32) -> u32 {
        let client = client.unwrap_or_else(|| self.add(id));
        let streams = &mut self.clients[client as usize].streams;
        debug_assert!(!streams.contains(&stream), "a stream has one entry of a client");
        if streams.is_empty() {
            // Most clients are in few streams.
            streams.reserve_exact(1);
        }
        streams.push(stream);
        client
    }

    /// Notes that a stream no longer has an entry of the client.
    pub(super) fn release(&mut self, client: u32, stream: u32) {
        let streams = &mut self.clients[client as usize].streams;
        let place = streams.iter().position(|held| *held == stream);
        streams.swap_remove(place.expect("the stream had an entry of the client"));
        if streams.is_empty() {
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
        let of_client = OfClient { id: id.into(), streams: Vec::new() };
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
