//! Many servers in one process, on a network as bad as a seed wants it to be, and checkers that watch.
//!
//! # The model
//!
//! A *world* holds 3 to 8 servers (or as many as one asks for), the wires between them, and the clients. Nothing
//! in it waits: time is a number, and a [timeline](timeline::Timeline) of events moves it from one to the next.
//! Every random choice is drawn from the seed, so the same seed does the same, event for event; a hash over all
//! events shows it.
//!
//! A *server* is the real core: its map, its handshake, its frames, its outboxes and its backoff. Only what
//! sockets and timers do around it is made here: a connection is dialled by one of two neighbors, says HELLO
//! and vectors, is flushed when the core says that there is something to flush and the wire takes it, says
//! that it is alive, and is given up when it is silent. A writer flushes when it was woken and otherwise never,
//! so that a wake that the core forgets is a herd that does not agree. A crash loses all memory; the next start
//! is a new incarnation.
//!
//! A *connection* is two ordered streams of bytes with delay and finite bandwidth, cut into pieces anywhere.
//! What is on its way is bounded, so writers wait and outboxes fill. A blocked way holds bytes back, as TCP
//! would send them again; a broken connection loses what was on its way, down to part of a frame.
//!
//! *Clients* move between servers, with clocks that are ahead, behind, or count whole seconds only. They report
//! alone and all at once, tell two servers different things at the same time, send again what they have sent
//! long before, and ask to be forgotten.
//!
//! *Followers* come and go at each server: one that takes what there is at once and is told what is removed, and one that is
//! slow. Each keeps a replica, and holds replies until they are covered, as a journal does.
//!
//! In a quarter of the herds *records expire*, and servers sweep. There clocks agree and clients are orderly,
//! because only then is it exact what a herd agrees on: otherwise a report may have won over another and
//! expire before it.
//!
//! *Faults* come at random: crashes (with and without a last word), servers that stand still, connections that
//! are reset, ways that are blocked (both or one), partitions, servers whose links all close and open again one by one,
//! wires that are choked, pieces that are lost and hold up what is behind them, clocks that jump.
//!
//! *Bad members*, where one asks for them (`--bad-members`): for some seconds a server says anything that the link
//! protocol can say. It forges records under other servers' present, past and invented incarnations, with any sequence;
//! receipts of years to come; markers, vectors, IHAVE and GRAFT; link states of servers that are there and that are not;
//! wrong sums, branches and leaves; records of unknown kinds; floods of incarnations; and it repeats what it heard long
//! ago, or keeps to itself what it learns. Then it starts again, honest, or stays away. A server may also go on as it was
//! half a minute or a minute ago, as a virtual machine does from a snapshot; in some herds clocks step by years, both
//! ways; and where records expire, one server's clock may be off by almost as much as the herd allows. All servers speak
//! the newest version there, since only the checks of maps find what a lie leaves behind.
//!
//! # What is checked
//!
//! A run goes in *rounds*: trouble, then peace. In peace nobody reports and all is put right, or it stays as
//! it is: a server down, a partition. Then every part of the herd whose servers reach each other has to hold
//! the same map with the same vectors within a bounded time, and no less than the best of them held before.
//! Invariant I1 is proved whenever a vector moves, against a ledger of all updates that any server ever took; no
//! server's answer goes back in time; the bounds of the outboxes and the core's own bookkeeping are looked at every
//! half minute. Followers are told nothing but what is held; whenever one has taken all, and in each peace, its replica is
//! the map; and no position claims a report that it was not told of. After a peace the herd may be *calm*: clients report and nothing goes wrong, and the copies of each
//! change are counted; along a tree there is one for each server but the first. A run in which too little happened, by
//! any of its gates, does not count. Each seed is run twice and has to leave the same trace. Of a seed that fails the
//! shortest way to its failure is looked for, with ever fewer faults and clients.
//!
//! Bad members must cost themselves only. When they are gone, the others come to agree within the same time; no record
//! that an honest server took is lost or altered; no link between honest servers has ended over what they said; the
//! spanning tree is that of the servers that are there; nothing that was received in the future is kept, and no more
//! incarnations of one server than may be. These are exempt, and nothing else:
//!
//! - I1 promises nothing of an origin of which a bad member told a marker, or that was restored from a snapshot, or that
//!   took updates while any clock was further off than the herd allows; nor of an update that a record of a bad member
//!   wins over, or one of a server in whose name markers were invented, wherever that record is; nor of one of whose key
//!   a bad member told anything and that has expired by a clock as far ahead as clocks may be.
//! - A key of which a bad member told something that has just expired, or is about to, or was received later than the
//!   slowest clock allows yet, need not be the same everywhere until all clocks have passed that time.
//! - An answer may be older than the one before where a bad member told of the client something that claims to have been
//!   received when the answer before had expired.
//! - A key that a server told of which a bad member invented more than half as many incarnations as there is room for.
//! - Vectors need not be equal once a bad member has told a record, nor in shards of which it told a marker: equal records
//!   may have come under other origins.
//!
//! # Rules that are known to be bad
//!
//! Whether the checkers check is shown by breaking the core's rules one at a time (`proxyherd_core::flood::Broken`, the
//! flag `--bad-rule`). A test holds that each is noticed within 200 seeds:
//!
//! - `advance-by-record`: the vector advances for each record as it arrives, and not by markers alone;
//! - `marker-overtakes`: a marker goes out before records that it covers;
//! - `old-version`: a slot that changed while it was queued goes out as it was;
//! - `trust-what-was-sent`: what was once sent counts as received when a link comes up again;
//! - `keep-to-myself`: what comes over a link is not passed on;
//! - `merge-by-arrival`: whatever comes last is kept;
//! - `lose-some`: now and then a record that has come is not kept. This one the servers notice themselves, and repair;
//! - `mark-what-was-cleared`: when a link is told of changes no more and its FIFO is cleared, a marker is sent all the
//!   same;
//! - `skip-the-resend`: when a link is told of changes again, what the neighbor has missed is not sent;
//! - `cover-what-waits`: a follower is told that all is covered while some of it still waits for it;
//! - `remove-silently`: a record is removed without a word to the followers that want to know.
//!
//! With `--bad-members`, these too:
//!
//! - `close-on-lies`: a server does not answer what others tell under its name;
//! - `trust-receipts`: a record is merged however far in the future it was received;
//! - `carry-by-own-rule`: what has expired by the clock of the server that carries it is not passed on;
//! - `believe-states`: what is said of any server's links is believed, however far its stamp is ahead of all clocks;
//! - `origins-unbounded`: one server's name may have any number of incarnations.
//!
//! # Where things are
//!
//! `scenario` says what a seed stands for; `network`, `server`, `follower`, `clients`, `faults` and `liar` are what it says;
//! `world` lets them happen; `ledger` and `checker` know what should be; `outcome` is what came of it, and `story` what
//! happened, for a person; `shorten` makes it shorter. Their imports go that way only: no server knows of a fault,
//! and no wire of a frame.

mod checker;
mod clients;
mod faults;
mod follower;
mod ledger;
mod liar;
mod network;
pub mod outcome;
mod rng;
pub mod scenario;
mod server;
mod shorten;
mod story;
pub mod timeline;
mod trace;
mod world;

pub use shorten::{Shortest, shorten};
pub use world::{run, run_twice};
