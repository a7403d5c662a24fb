//! The scenario of a seed: the topology, the speed of wires and the offsets of clocks, the frequency of faults, and how
//! much must happen for the run to count.

use crate::{
    outcome::Tally,
    rng::Rng,
    timeline::{MILLISECOND, Nanos, SECOND},
};

/// Minimum number of servers of a herd in which there can be more than one path.
pub const SERVERS_MIN: u64 = 3;
/// Maximum number of servers of a simulated herd. With more servers, the checkers take too much time.
pub const SERVERS_MAX: u64 = 30;

/// Maximum offset between two clocks.
pub(crate) const CLOCK_OFFSET_MAX_NS: u64 = 60 * SECOND;

/// Maximum time for links to find out that they are dead and to come up again, on fast wires ...
const SWIFT_LINKS_MAX: Nanos = 8 * SECOND;
/// ... and on wires that are slow or lose pieces.
const SLOW_LINKS_MAX: Nanos = 20 * SECOND;

/// The servers of the classic herd. The further servers of larger herds have numbers for names.
const NAMES: [&str; 5] = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];
/// The classic herd's six links.
const CLASSIC: [(usize, usize); 6] = [(0, 1), (0, 2), (4, 1), (4, 2), (4, 3), (2, 3)];

/// Everything that determines a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed from which the scenario was drawn.
    pub seed: u64,
    /// The number of servers.
    pub servers: usize,
    /// The pairs of neighbors, each pair once. The first server of a pair dials.
    pub edges: Vec<(usize, usize)>,
    /// The time during which things go wrong, all rounds together.
    pub length: Nanos,
    /// The number of times that the herd is left in peace and has to agree.
    pub rounds: u64,
    /// The wires.
    pub network: NetworkSettings,
    /// The clients.
    pub clients: ClientSettings,
    /// The faults.
    pub faults: FaultSettings,
    /// The lead of each server's clock, nanoseconds.
    pub clock_offsets: Vec<i64>,
    /// Whether changes go along a spanning tree.
    pub has_tree: bool,
    /// The servers that speak an earlier version.
    pub old_servers: Vec<bool>,
    /// The time after its receipt at which a report expires. In herds with such a time, clocks agree and clients are
    /// orderly, so a newer report also expires later. Otherwise one server may have forgotten a record that won over a
    /// record that another server still holds (a tombstone outlives a newer report). These two servers agree only when
    /// the other record has expired as well.
    pub client_ttl: Option<Nanos>,
    /// Whether clocks jump by more than servers accept. Then servers refuse and drop records that other servers hold,
    /// and only the servers' checks of each other bring these records back.
    pub has_far_jumps: bool,
    /// The possible behavior of bad members, if there are any.
    pub bad: Option<BadSettings>,
    /// What the acknowledgements of reports wait for.
    pub durability: Durability,
    /// The disks, and how servers use them. Without a journal nobody uses them.
    pub disks: DiskSettings,
}

/// What the acknowledgements of reports wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durability {
    /// The server's own journal.
    pub has_journal: bool,
    /// Copies at this many neighbors.
    pub replicas: usize,
}

/// The disks of a herd, and how its servers use them.
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// Average time between two commits of a journal.
    pub commit_interval: Nanos,
    /// Maximum time that one step of a commit or of a compaction takes.
    pub step_max: Nanos,
    /// The number of acknowledgements in a thousand of which it is proved that the disk has their records.
    pub proved_per_mille: u64,
    /// Average time between two compactions that no journal asks for.
    pub compaction_interval: Nanos,
    /// Whether time passes now and then in which a server, or the whole herd, is away for longer than tombstones live.
    pub has_nights: bool,
}

/// The possible behavior of the bad members of a herd.
#[derive(Clone, Debug)]
pub struct BadSettings {
    /// Whether clocks jump by years, in both directions.
    pub has_lost_years: bool,
    /// In herds where reports expire, a server whose clock is off by almost as much as allowed. It has no clients,
    /// because the reports that it took would expire in another order than older reports.
    pub skewed: Option<usize>,
}

/// The properties of the wires.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// The minimum and the maximum delay from one server to another.
    pub delay: (Nanos, Nanos),
    /// Bytes per second, in each direction on each link.
    pub bandwidth: u64,
    /// The number of bytes that may be in transit before a writer has to wait.
    pub window: usize,
    /// The number of pieces in a thousand that are lost, and sent again.
    pub loss_per_mille: u64,
}

/// The properties of the clients.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The number of clients.
    pub count: usize,
    /// Average time between two reports of the herd's clients.
    pub interval: Nanos,
    /// The probability that all clients report at once, and not only one client, in thousandths.
    pub burst_per_mille: u64,
    /// Maximum length of a note on a report, bytes.
    pub note_len_max: u64,
    /// Whether no client repeats reports, counts whole seconds, or asks to be forgotten.
    pub are_orderly: bool,
}

/// The properties of the faults.
#[derive(Clone, Debug)]
pub struct FaultSettings {
    /// Average time between two faults.
    pub interval: Nanos,
    /// Maximum duration of a fault.
    pub length_max: Nanos,
}

/// The part of a scenario that is given and not drawn from the seed.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The number of servers. `None`: 3 to 8.
    pub servers: Option<usize>,
    /// The time during which things go wrong.
    pub length: Nanos,
    /// Whether members turn bad for a while.
    pub has_bad_members: bool,
    /// What acknowledgements wait for. `None`: in a third of the herds for a journal, neighbors or both.
    pub durability: Option<Durability>,
}

impl Durability {
    /// What acknowledgements wait for in the herd of a seed, if that is not given.
    fn of_seed(seed: u64) -> Durability {
        match seed % 12 {
            0 | 6 => Durability { has_journal: true, replicas: 0 },
            3 => Durability { has_journal: true, replicas: 1 },
            9 => Durability { has_journal: false, replicas: 1 + seed as usize / 12 % 2 },
            _ => Durability::default(),
        }
    }
}

impl DiskSettings {
    fn draw(rng: &mut Rng) -> DiskSettings {
        DiskSettings {
            commit_interval: [10, 50, 500][rng.index(3)] * MILLISECOND,
            step_max: [1, 10, 100][rng.index(3)] * MILLISECOND,
            proved_per_mille: 20,
            compaction_interval: [5, 30][rng.index(2)] * SECOND,
            has_nights: rng.chance(500),
        }
    }
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64, given: Given) -> Scenario {
        let rng = &mut Rng::new(seed).split("scenario");
        let servers = given.servers.unwrap_or_else(|| rng.between(3, 9) as usize);
        let is_classic = servers == NAMES.len() && rng.chance(500);
        let edges = if is_classic { CLASSIC.to_vec() } else { random_edges(rng, servers) };
        let bandwidth = [10_000, 40_000, 200_000, 10_000_000][rng.index(4)];
        let delay = [MILLISECOND, 10 * MILLISECOND, 100 * MILLISECOND][rng.index(3)];
        let clients = [5, 40, 150, 600][rng.index(4)];
        let client_ttl = rng.chance(250).then(|| rng.between(20, 120) * SECOND);
        let mut clock_offset = || if client_ttl.is_some() { 0 } else { clock_offset(rng) };
        let clock_offsets = (0..servers).map(|_| clock_offset()).collect();
        // Some herds are in the middle of an upgrade, server by server.
        let is_mixed = rng.chance(200);
        let old_servers = (0..servers).map(|_| is_mixed && rng.chance(400)).collect();
        let mut scenario = Scenario {
            seed,
            servers,
            edges,
            length: given.length,
            rounds: (given.length / (150 * SECOND)).max(1),
            network: NetworkSettings {
                delay: (delay / 10, delay),
                bandwidth,
                window: [2_000, 16_000, 64_000][rng.index(3)],
                loss_per_mille: [0, 2, 20][rng.index(3)],
            },
            clients: ClientSettings {
                count: clients,
                interval: 250 * MILLISECOND,
                burst_per_mille: 300 / (clients as u64 + 40),
                note_len_max: [0, 100, 470][rng.index(3)],
                are_orderly: client_ttl.is_some(),
            },
            faults: FaultSettings {
                interval: [2, 5, 10][rng.index(3)] * SECOND,
                length_max: [2, 8, 20][rng.index(3)] * SECOND,
            },
            clock_offsets,
            client_ttl,
            old_servers,
            has_tree: rng.chance(800),
            has_far_jumps: rng.chance(250),
            bad: None,
            durability: Durability::default(),
            disks: DiskSettings::draw(&mut Rng::new(seed).split("disks")),
        };
        // Bad members make it uncertain which records must survive.
        scenario.durability = given.durability.unwrap_or_else(|| {
            if given.has_bad_members { Durability::default() } else { Durability::of_seed(seed) }
        });
        if given.has_bad_members {
            scenario.turn_bad(rng);
        }
        scenario
    }

    /// Adds bad members. All servers speak the newest version, because only checks find what a lie leaves behind.
    fn turn_bad(&mut self, rng: &mut Rng) {
        self.old_servers.fill(false);
        let has_lost_years = self.client_ttl.is_none() && rng.chance(300);
        let skewed = (self.client_ttl.is_some() && rng.chance(500)).then(|| rng.index(self.servers));
        if let Some(server) = skewed {
            // `check` refuses a herd in which records expire sooner than clocks may be apart.
            self.client_ttl = Some(rng.between(61, 120) * SECOND);
            let offset = rng.between(20 * SECOND, 57 * SECOND).cast_signed();
            self.clock_offsets[server] = if rng.chance(700) { offset } else { -offset };
        }
        self.bad = Some(BadSettings { has_lost_years, skewed });
    }

    /// The name of a server.
    pub fn name(server: usize) -> String {
        NAMES.get(server).map_or_else(|| format!("Server-{server}"), |&name| name.to_owned())
    }

    /// The neighbors of a server, each with whether the server dials it.
    pub fn neighbors(&self, server: usize) -> Vec<(usize, bool)> {
        let of = |&(dials, answers): &(usize, usize)| match server {
            _ if server == dials => Some((answers, true)),
            _ if server == answers => Some((dials, false)),
            _ => None,
        };
        self.edges.iter().filter_map(of).collect()
    }

    /// Maximum time for the herd to agree once nothing goes wrong any more, if the herd holds `bytes` of records. In
    /// this time links detect that they are dead, are dialed again, and carry everything from end to end.
    pub fn settling_max(&self, bytes: u64) -> Nanos {
        let transfer = bytes * SECOND / self.network.bandwidth;
        let links = if self.is_swift() { SWIFT_LINKS_MAX } else { SLOW_LINKS_MAX };
        links + 2 * self.servers as u64 * transfer
    }
}

/// Methods about how often a change is sent.
impl Scenario {
    /// Whether the wires are so good that every promise is met in time.
    pub fn is_swift(&self) -> bool {
        let NetworkSettings { delay, bandwidth, loss_per_mille, .. } = self.network;
        delay.1 <= 10 * MILLISECOND && bandwidth >= 200_000 && loss_per_mille == 0
    }

    /// Whether a report comes to all servers within a second when nothing goes wrong, even if all clients report at
    /// once.
    pub fn is_prompt(&self) -> bool {
        self.network.bandwidth >= 200_000 && self.network.loss_per_mille == 0
    }

    /// Whether all changes go along a tree.
    pub fn is_all_tree(&self) -> bool {
        self.has_tree && !self.old_servers.contains(&true)
    }

    /// Maximum number of records that `changes` may be sent as, on all links together, while nothing goes wrong.
    pub fn payloads_max(&self, changes: u64) -> u64 {
        let (servers, edges) = (self.servers as u64, self.edges.len() as u64);
        // If there are few changes, one unneeded question has a large effect. All runs together stay below 1.05.
        let some = 2 * servers;
        if self.is_all_tree() {
            changes * (servers - 1) * 105 / 100 + some
        } else {
            changes * (2 * edges - servers + 1) + some
        }
    }
}

/// The condition that enough happened. Otherwise a run does not count.
impl Scenario {
    /// Describes the kind of event of which too little happened, if there is one.
    pub fn too_little(&self, tally: &Tally) -> Option<String> {
        let minutes = self.length / (60 * SECOND);
        // A single run may have no event of some kind. Many runs together have enough of all kinds.
        let rarer = tally.pauses + tally.one_ways + tally.swizzles + tally.chokes;
        // A member that is bad, or whose clock is far off, gets no requests during that time.
        let (reports, reads) = if self.bad.is_some() { (25, 15) } else { (60, 20) };
        let gates = [
            ("reports that were news", tally.accepted, reports * minutes),
            ("reads", tally.reads, reads * minutes),
            ("crashes", tally.crashes, minutes / 4),
            ("blocked paths", tally.cuts, minutes / 4),
            ("connections reset", tally.resets, minutes / 8),
            ("pauses, paths blocked in one direction, swizzles and choked wires", rarer, minutes / 2),
            ("links that came up", tally.links, self.edges.len() as u64),
        ];
        let lies = if self.bad.is_some() { minutes } else { 0 };
        let gates = gates.into_iter().chain([("lies", tally.lies, lies)]);
        let missed = gates.into_iter().find(|(_, happened, least)| happened < least);
        missed.map(|(what, happened, least)| format!("{happened} {what} in {minutes} minutes, not {least}"))
    }
}

/// The edges of a tree, which connect all servers, and some more edges.
fn random_edges(rng: &mut Rng, servers: usize) -> Vec<(usize, usize)> {
    let mut edges = Vec::new();
    for server in 1..servers {
        edges.push((rng.index(server), server));
    }
    for _ in 0..rng.index(servers) {
        let (a, b) = (rng.index(servers), rng.index(servers));
        if a != b && !edges.iter().any(|&(one, other)| (one, other) == (a, b) || (one, other) == (b, a)) {
            edges.push((a, b));
        }
    }
    edges
}

/// The offset of a clock. Most clocks are nearly right, and some are seconds off.
fn clock_offset(rng: &mut Rng) -> i64 {
    let most = if rng.chance(300) { 8 * SECOND } else { 50 * MILLISECOND };
    rng.below(2 * most).cast_signed() - most.cast_signed()
}
