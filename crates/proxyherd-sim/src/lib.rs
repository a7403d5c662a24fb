//! A simulator: many servers in one process, on a network as bad as a seed makes it, and checkers that observe them.
//!
//! # The model
//!
//! A *world* holds the servers, the wires between them, and the clients. There are 3 to 8 servers, unless another
//! number is given. Nothing in a world waits: time is a number, and a [timeline](timeline::Timeline) of events moves
//! it from one event to the next. Every random choice is drawn from the seed, so the same seed causes the same
//! events; a hash over all events proves it.
//!
//! A *server* is the real core: its replica, its handshake, its frames, its outboxes and its backoff. Only what
//! sockets and timers do around the core is simulated. One of two neighbors dials a connection; HELLO and vectors are
//! sent on it. It is flushed when the core says that there is something to flush and the wire accepts it; it sends
//! heartbeats, and is given up when it is silent. A writer flushes only when it was woken. So if the core forgets a
//! wake, the herd does not agree. A crash loses all memory; the next start is a new incarnation.
//!
//! A *connection* is two ordered streams of bytes with delay and finite bandwidth, cut into pieces anywhere. The
//! bytes on their way are bounded, so writers wait and outboxes fill. A blocked way holds bytes back, as TCP would
//! send them again. A broken connection loses what was on its way, and may cut a frame.
//!
//! *Clients* move between servers, with clocks that are ahead, behind, or count whole seconds only. They report one
//! by one and all at once, report different things to two servers at the same time, repeat old reports, and ask to be
//! forgotten.
//!
//! *Followers* come and go at each server: a swift one that wants removals, and a slow one. Each keeps a copy of the
//! records, and holds replies until they are covered, as a journal does.
//!
//! In a quarter of the herds *records expire*, and servers sweep. In these herds clocks agree and clients are
//! orderly, because only then is it exactly known what a herd has to agree on. Otherwise a report could win over
//! another and expire before it.
//!
//! *Faults* come at random: crashes (connections are reset or just fall silent), servers that stand still,
//! connections that are reset, ways that are blocked (in both directions or one), partitions, servers whose links all
//! close and open again one by one, wires that are choked, pieces that are lost and delay what is behind them, clocks
//! that jump.
//!
//! *Bad members* come with `--bad-members`: for some seconds a server sends anything that the link protocol can say.
//! It forges records under other servers' present, past and invented incarnations, with any sequence; receipts years
//! in the future; markers, vectors, IHAVE and GRAFT; link states of servers that exist and that do not; wrong sums,
//! branches and leaves; records of unknown kinds; floods of incarnations. It also repeats what it received long ago,
//! or passes nothing on. Then it starts again, honest, or stays away. A server may also go on as it was half a minute
//! or a minute ago, as a virtual machine does from a snapshot. In some herds clocks jump by years, in both
//! directions. In herds where records expire, one server's clock may be off by almost as much as the herd allows. All
//! servers speak the newest version there, because only checks find what a lie leaves behind.
//!
//! # What is checked
//!
//! A run consists of *rounds*: trouble, then peace. In peace nobody reports. All faults end, or one stays as it is: a
//! server that is down, or a partition. Then every part of the herd whose servers reach each other has to hold the
//! same records with the same vectors within a bounded time, and no less than the best of what its servers held
//! before. The other checks are:
//!
//! - Invariant I1, whenever a vector moves, against a ledger of all updates that any server ever took.
//! - No server's answer goes back in time.
//! - The bounds of the outboxes and the core's own bookkeeping, every half minute.
//! - Followers are sent only what is held. Whenever one has taken everything, and in each peace, its copy equals the
//!   replica. No position covers a report that the follower was not sent.
//! - After a peace the herd may be *calm*: clients report and nothing goes wrong. Then the copies of each change are
//!   counted; along a tree there is one for each server but the first.
//! - Enough happened; otherwise the run does not count.
//! - Each seed is run twice and has to leave the same trace.
//!
//! For a seed that fails, the simulator looks for the shortest way to the failure, with ever fewer faults and
//! clients.
//!
//! Bad members may harm only themselves. When they are gone, the others agree within the same time; no record that an
//! honest server took is lost or altered; no link between honest servers has ended because of what bad members said;
//! the spanning tree is that of the servers that are present; no record from the future is kept, and no more
//! incarnations of one server than are allowed. Only the following is exempt:
//!
//! - I1 promises nothing of an origin for which a bad member sent a marker, or that was restored from a snapshot, or
//!   that took updates while some clock was further off than the herd allows. It promises nothing of an update over
//!   which a bad member's record wins, or a record of a server in whose name markers were invented, wherever that
//!   record is. Nor does it promise anything of an update whose key a bad member sent anything about, if the update
//!   has expired by a clock that is as far ahead as clocks may be.
//! - A key need not be the same everywhere if a bad member's record of it has just expired, or is about to, or was
//!   received later than the slowest clock allows yet. It must be the same once all clocks have passed that time.
//! - An answer may be older than the one before if a bad member sent a record of the client that claims to have been
//!   received when the answer before had expired.
//! - A key is exempt if a server has issued a record of it of which bad members invented more than half as many
//!   incarnations as there is room for.
//! - Vectors need not be equal once a bad member has sent a record, nor in shards for which it sent a marker, because
//!   equal records may have come under other origins.
//!
//! # Broken rules
//!
//! To show that the checkers work, the core's rules are broken one at a time (`proxyherd_core::flood::Broken`, the
//! flag `--bad-rule`). A test proves that each of these is noticed within 200 seeds:
//!
//! - `advance-by-record`: the vector advances for each record as it arrives, and not by markers alone;
//! - `marker-overtakes`: a marker is sent before records that it covers;
//! - `old-version`: a slot that changed while it was queued is sent as it was;
//! - `trust-what-was-sent`: what was once sent counts as received when a link comes up again;
//! - `keep-to-myself`: a record that comes over a link is not passed on;
//! - `merge-by-arrival`: the record that comes last is kept;
//! - `lose-some`: now and then a record that has come is not kept. The servers themselves notice this one, and repair
//!   it;
//! - `mark-what-was-cleared`: when a link becomes lazy and its FIFO is cleared, a marker is sent all the same;
//! - `skip-the-resend`: when a link becomes eager again, what the neighbor has missed is not sent;
//! - `cover-what-waits`: a follower is told that all is covered while part of it still waits in its queue;
//! - `remove-silently`: a record is removed, and followers that want to know are not told.
//!
//! With `--bad-members`, these too:
//!
//! - `close-on-lies`: a server does not answer lies in its own name;
//! - `trust-receipts`: a record is merged however far in the future it was received;
//! - `carry-by-own-rule`: a record is not passed on once it has expired by the server's own clock;
//! - `believe-states`: a link state is believed, however far its stamp is ahead of all clocks;
//! - `origins-unbounded`: one server's name may have any number of incarnations.
//!
//! # Where things are
//!
//! `scenario` draws a scenario from a seed; `network`, `server`, `follower`, `clients`, `faults` and `liar` are its
//! parts. `world` runs them. `ledger` and `checker` know what must hold. `outcome` is the result, and `story` tells a
//! person what happened; `shorten` finds the shortest way to a failure. Imports go in this direction only: no server
//! knows of a fault, and no wire knows of a frame.

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
