//! A simulator: many servers in one process, on a network that is as bad as a seed makes it, and checkers that observe
//! the servers.
//!
//! # The model
//!
//! A *world* holds the servers, the wires between them, and the clients. There are 3 to 8 servers, unless another
//! number is given. No code in a world waits: time is a number, and a [timeline](timeline::Timeline) of events moves
//! the time from one event to the next. Every random choice is drawn from the seed, so the same seed causes the same
//! events. A hash over all events proves this.
//!
//! A *server* is the real core: its replica, its handshake, its frames, its outboxes and its backoff. Only the work of
//! sockets and timers around the core is simulated. One of two neighbors dials a connection, and HELLO and vectors are
//! sent on the connection. The connection is flushed when the core says that there is something to flush and the wire
//! accepts it. The server sends heartbeats on the connection, and closes the connection when it is silent. A writer
//! flushes only when it was woken. So if the core forgets a wake, the herd does not agree. A crash loses all memory.
//! The next start is a new incarnation.
//!
//! A *connection* is two ordered streams of bytes with delay and finite bandwidth, cut into pieces anywhere. The number
//! of bytes in transit is bounded, so writers wait and outboxes fill. A blocked path holds bytes back, because TCP
//! would send them again. A broken connection loses the bytes in transit, and may cut a frame.
//!
//! *Clients* move between servers, with clocks that are ahead, behind, or count whole seconds only. Clients report one
//! by one and all at once, report different positions to two servers at the same time, repeat old reports, and ask to
//! be forgotten.
//!
//! *Followers* come and go at each server: a fast follower that wants removals, and a slow follower. Each keeps a copy
//! of the records, and holds replies until their reports are covered, as a journal does.
//!
//! *Readers* of live streams read at any server, with filters of many sorts. Each server runs the core's streams behind
//! one more follower. Readers are fast or slow, lose their connections and their last events, resume at the same server
//! or at another one, and take over streams whose connections are still open. Now and then a server's streams lose
//! changes and begin anew.
//!
//! Each server also runs the core's *presence*: who comes, falls silent, is back and is gone.
//!
//! In a quarter of the herds *records expire*, and servers sweep. In these herds clocks agree and clients are orderly,
//! because only then is it exactly known on what a herd has to agree. Otherwise a report could win over another report
//! and expire before it.
//!
//! *Faults* come at random: crashes (connections are reset or just fall silent), servers that pause, connections that
//! are reset, paths that are blocked (in both directions or one), partitions, servers whose links are all blocked and
//! then unblocked one by one, wires that are choked, pieces that are lost and delay the pieces behind them, clocks that
//! jump.
//!
//! In a third of the herds, *acknowledgements wait*: for a journal, for copies at neighbors, or for both (`--journal`
//! and `--replicas` choose). A journal is the core's, on a simulated disk: what was not synced is dropped, kept or torn
//! at a crash, and so are changes of names. A commit has three steps, a compaction has many, and the server can crash
//! between any two of them. Disks also lie about syncs, fill up for a while, fail a sync, flip bits, are replaced by
//! empty ones, and come back as they were some time before. Sometimes all servers crash at once. In these herds
//! somebody also makes and revokes access tokens, which are records of another kind. After some rounds a *night* comes:
//! a server, or the whole herd, is off for longer than tombstones live, while the clocks of all move on.
//!
//! *Bad members* come with `--bad-members`: for some seconds a server sends anything that the link protocol can
//! express. The bad member forges records under other servers' present, past and invented incarnations, with any
//! sequence; times of receipt years in the future; markers, vectors, IHAVE and GRAFT; link states of servers that exist
//! and of servers that do not; wrong sums, branches and leaves; records of unknown kinds; floods of incarnations. The
//! bad member also repeats frames that it received long ago, or passes nothing on. Then the server starts again as an
//! honest one, or stays away. A server may also continue from its state of half a minute or a minute ago, like a
//! virtual machine that is restored from a snapshot. In some herds clocks jump by years, in both directions. In herds
//! where records expire, one server's clock may be off by almost as much as the herd allows. In herds with bad members
//! all servers speak the newest version, because only checks find what a lie leaves behind.
//!
//! # What is checked
//!
//! A run consists of *rounds*: trouble, then peace. In peace no client reports. All faults end, except that one may
//! last: a server that is down, or a partition. Then every part of the herd whose servers reach each other has to hold
//! the same records with the same vectors within a bounded time. These records must be at least as good as the best
//! that any of its servers held before. The other checks are:
//!
//! - Invariant I1, whenever a vector moves, against a ledger of all updates that any server ever took.
//! - No server's answer goes back in time.
//! - The bounds of the outboxes and the core's own bookkeeping, every half minute.
//! - Followers are sent only records that are held. Whenever a follower has taken everything, and in each peace, its
//!   copy equals the replica. No position covers a report that the follower was not sent.
//! - Each event of a stream is true when the reader is told it. In each peace, each reader holds exactly what its
//!   filter matches at its server. Exempt are reports with a time to live of their own in herds in which clocks jump.
//! - After a peace the herd may be *calm*: clients report and nothing goes wrong. Then the transmissions of each change
//!   are counted. Along a tree, each change is sent once to each server other than the first.
//! - In a calm on fast wires with clocks that agree, all servers tell the same events of presence with the same IDs.
//! - What was acknowledged survives as the chosen durability says. With a journal: any crashes of the server, unless
//!   its disk lied, changed or lost what it held. With `k` copies: the crashes of any `k` servers.
//! - When an acknowledgement leaves, enough neighbors hold the record. For some acknowledgements the disk is read as a
//!   crash would leave it that drops everything that is not synced: the record must be there.
//! - The same holds for tokens: a token that was made is there, and a token that was revoked stays revoked.
//! - Nothing comes back that all servers of a herd had replaced or forgotten, also not after a night.
//! - A server that starts from its store while nobody reports is sent almost nothing.
//! - Enough happened; otherwise the run does not count.
//! - Each seed is run twice and has to leave the same trace.
//!
//! For a seed that fails, the simulator looks for a run that shows the same failure with as few faults and clients as
//! possible.
//!
//! Bad members may harm only themselves. When the bad members are gone, the other servers agree within the same time.
//! No record that an honest server took is lost or altered. No link between honest servers has ended because of a bad
//! member's messages. The spanning tree is that of the servers that are present. No record from the future is kept, and
//! no more incarnations of one server than are allowed. Only the following is exempt:
//!
//! - I1 promises nothing of three kinds of origins: origins for which a bad member sent a marker, origins that were
//!   restored from a snapshot, and origins that took updates while some clock was further off than the herd allows. I1
//!   promises nothing of an update over which a bad member's record wins, nor of an update over which a record of a
//!   server wins in whose name markers were invented, wherever that record is. If a bad member sent anything about an
//!   update's key, I1 promises nothing of the update once it has expired by a clock that is as far ahead as clocks may
//!   be.
//! - A key need not have the same record everywhere if a bad member's record of the key has just expired, is about to
//!   expire, or was received later than the slowest clock allows yet. The key must have the same record once all clocks
//!   have passed that time.
//! - An answer may be older than the answer before if a bad member sent a record of the client that claims to have been
//!   received when the answer before had expired.
//! - A key is exempt if its record was issued by a server of which bad members invented more than half as many
//!   incarnations as there is room for.
//! - The revocation of a token may stay in the name of a server that has not issued it, because nothing wins over a
//!   revocation.
//! - Vectors need not be equal once a bad member has sent a record, nor in shards for which a bad member sent a marker,
//!   because equal records may have come under other origins.
//!
//! # Broken rules
//!
//! To show that the checkers work, the simulator can break the core's rules one at a time
//! (`proxyherd_core::flood::Broken`, the flag `--bad-rule`). A test proves that the checkers notice each of these
//! broken rules within 200 seeds:
//!
//! - `advance-by-record`: the vector advances for each record as it arrives, and not only by markers;
//! - `marker-overtakes`: a marker is sent before records that it covers;
//! - `old-version`: a slot that changed while it was queued is sent with its old content;
//! - `trust-what-was-sent`: when a link comes up again, everything that was once sent counts as received;
//! - `keep-to-myself`: a record that comes over a link is not passed on;
//! - `merge-by-arrival`: the record that comes last is kept;
//! - `lose-some`: now and then a received record is not kept. The servers themselves notice this broken rule, and
//!   repair the effect;
//! - `mark-what-was-cleared`: when a link becomes lazy and its FIFO is cleared, a marker is still sent;
//! - `skip-the-resend`: when a link becomes eager again, the records that the neighbor has missed are not sent;
//! - `cover-what-waits`: a follower is told that all is covered while part of it is still in the follower's queue;
//! - `remove-silently`: a record expires or is removed, and followers that want removals are not told. Readers of
//!   streams notice this, too.
//!
//! With `--journal`, these broken rules, too:
//!
//! - `skip-the-sync`: a journal says that changes are durable, and has not synced its file;
//! - `durable-when-written`: a journal says so as soon as it has written its file, before the sync;
//! - `trust-behind-damage`: when a store is read, vectors behind damaged bytes count.
//!
//! With `--bad-members`, these broken rules, too:
//!
//! - `close-on-lies`: a server does not answer lies in its own name;
//! - `trust-receipts`: a record is merged even if its time of receipt is far in the future;
//! - `carry-by-own-rule`: a record is not passed on once it has expired by the server's own clock;
//! - `believe-states`: a link state is believed even if its stamp is far ahead of all clocks;
//! - `origins-unbounded`: one server's name may have any number of incarnations.
//!
//! # Where things are
//!
//! `scenario` draws a scenario from a seed; `network`, `server`, `follower`, `streaming`, `presence`, `clients`,
//! `faults` and `liar` are its parts. `disk` is a server's disk, `store` the journal on it, and `acks` the
//! acknowledgements that wait. `world` runs them. `ledger` and `checker` know what must hold. `outcome` is the
//! result, and `story` tells a person what happened. `shorten` looks for the smallest run that still fails. Imports go
//! in this direction only: no server knows of a fault, and no wire knows of a frame.

mod acks;
mod checker;
mod clients;
mod disk;
mod faults;
mod follower;
mod ledger;
mod liar;
mod network;
pub mod outcome;
mod presence;
mod rng;
pub mod scenario;
mod server;
mod shorten;
mod store;
mod story;
mod streaming;
pub mod timeline;
mod trace;
mod world;

pub use shorten::{Shortest, shorten};
pub use world::{run, run_twice};
