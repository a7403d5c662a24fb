//! A bad member sends records of one client in the names of several servers, over all its links, in any order. After
//! it has left, none of them stands in any of these names.

use proptest::prelude::*;
use proxyherd_core::{
    codec::link::Encoder,
    flood::{LinkId, Wake},
    link::Incoming,
    replica::{Agreed, Replica},
    types::{Attributes, Body, Coordinates, Difference, Kind, Origin, Record, Timestamp},
};

use crate::herd::{End, NOW_NS, SECOND_NS, content, empty_vectors, join, link, replica, report};

const NAMES: [&str; 4] = ["Bernard", "Campbell", "Jaquez", "Riley"];
/// Eve's link, at each server.
const EVES: usize = 9;
/// Lets servers compare everything that they hold, several times.
const SOON_S: u64 = 20;
const CLIENT: &[u8] = b"kiwi";

/// How servers are linked.
const LINE: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 3)];
const OTHER_LINE: &[(usize, usize)] = &[(2, 0), (0, 3), (3, 1)];
const STAR: &[(usize, usize)] = &[(1, 0), (1, 2), (1, 3)];
const RING: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 3), (3, 0)];
const FULL: &[(usize, usize)] = &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
const NETS: [&[(usize, usize)]; 5] = [LINE, OTHER_LINE, STAR, RING, FULL];

/// The four servers, and Eve, who has links with some.
struct Net<'m> {
    replicas: &'m [Replica],
    ends: Vec<(End<'m>, End<'m>)>,
    eves: Vec<(Encoder, Incoming)>,
    now_ns: u64,
}

impl<'m> Net<'m> {
    fn new(replicas: &'m [Replica], edges: &[(usize, usize)]) -> Net<'m> {
        for (at, replica) in replicas.iter().enumerate() {
            for (other, other_replica) in replicas.iter().enumerate().filter(|(other, _)| *other != at) {
                let agreed = Agreed { version: 2, has_tree: false };
                let _ =
                    replica.agree(link(other), &other_replica.me().server, agreed, &mut Encoder::default());
            }
        }
        let join = |&(a, b): &(usize, usize)| join(NOW_NS, (&replicas[a], link(b)), (&replicas[b], link(a)));
        let eve = |replica: &Replica| {
            let mut incoming = Incoming::new(link(EVES));
            incoming.receive(replica, NOW_NS, empty_vectors().bytes(), &mut Wake::default()).unwrap();
            (Encoder::default(), incoming)
        };
        let ends = edges.iter().map(join).collect();
        Net { replicas, ends, eves: replicas.iter().map(eve).collect(), now_ns: NOW_NS }
    }

    fn tell(&mut self, at: usize, lie: &Lie) {
        let (encoder, incoming) = &mut self.eves[at];
        let origin = Origin { incarnation: lie.incarnation, ..self.replicas[lie.name].origin() };
        let index = encoder.index_of(&origin).unwrap();
        lie.record(|record| encoder.record(index, lie.seq, record));
        incoming.receive(&self.replicas[at], self.now_ns, encoder.bytes(), &mut Wake::default()).unwrap();
        encoder.clear();
    }

    /// Moves one batch on one link, in one direction.
    fn move_one(&mut self, which: usize) {
        let which = which % (2 * self.ends.len());
        let (a, b) = &mut self.ends[which / 2];
        let (from, to) = if which.is_multiple_of(2) { (a, b) } else { (b, a) };
        move_batch(from, to);
    }

    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "answers have no end");
            let mut is_quiet = true;
            for (a, b) in &mut self.ends {
                is_quiet &= move_batch(a, b) & move_batch(b, a);
            }
            if is_quiet {
                return;
            }
        }
    }

    /// A second passes: heartbeats, and a look.
    fn second(&mut self) {
        self.now_ns += SECOND_NS;
        for (a, b) in &mut self.ends {
            for end in [a, b] {
                end.now_ns = self.now_ns;
                end.replica.write_heartbeat(end.link, self.now_ns, &mut end.encoder);
            }
        }
        self.settle();
        for replica in self.replicas {
            let _ = replica.mend(self.now_ns);
        }
        self.settle();
    }

    /// Eve has left, and neighbors compare what they hold.
    fn pass(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.second());
    }

    fn nonsense(&self) -> u64 {
        let links = (0..10).filter_map(LinkId::new);
        links.flat_map(|link| self.replicas.iter().flat_map(move |replica| replica.nonsense(link))).sum()
    }
}

/// Returns whether there was nothing to move.
fn move_batch(from: &mut End<'_>, to: &mut End<'_>) -> bool {
    let is_all = from.flush() && from.encoder.is_empty();
    let _ = to.take_from(from);
    is_all
}

/// What Eve sends: a position of the client, or a tombstone.
#[derive(Clone, Debug)]
struct Lie {
    /// In whose name.
    name: usize,
    incarnation: u64,
    seq: u64,
    /// How much later than the time of the test.
    later_ns: u64,
    /// Lies with the same number have the same position; `None`: a tombstone.
    place: Option<usize>,
}

impl Lie {
    fn record(&self, with: impl FnOnce(&Record<'_>)) {
        let timestamp = Timestamp::from_nanos(NOW_NS + self.later_ns).unwrap();
        let coordinates = |place| Coordinates::parse(format!("-66.{place}-66.6").as_bytes()).unwrap();
        let location =
            |place| Body::Location { coordinates: coordinates(place), attributes: Attributes::NONE };
        let body = self.place.map_or(Body::Gone, location);
        let difference = Difference::at_receipt(NOW_NS + self.later_ns, timestamp);
        with(&Record { kind: Kind::CLIENT, key: CLIENT, body, timestamp, difference });
    }
}

fn replicas() -> Vec<Replica> {
    NAMES.into_iter().map(replica).collect()
}

/// All servers hold the same, and nothing that Eve sent; a client that reported is where it reported, or gone.
fn check_end(net: &mut Net<'_>, is_honest: bool) -> bool {
    net.pass(SOON_S);
    let held = content(&net.replicas[0]);
    for replica in net.replicas {
        assert_eq!(content(replica), held);
        assert_eq!(replica.contradiction(), None);
    }
    assert!(!held.iter().any(|seen| seen.place.contains("66.")), "{held:?}");
    let is_there = held.iter().any(|seen| seen.key == CLIENT && !seen.place.is_empty());
    assert!(is_honest || !is_there, "{held:?}");
    // When it reports again, everybody knows that.
    let now_ns = net.now_ns;
    let _ = net.replicas[2].report(now_ns, &report(CLIENT, now_ns));
    net.settle();
    for replica in net.replicas {
        assert!(
            content(replica).iter().any(|seen| seen.timestamp.nanos() == now_ns),
            "{:?}",
            content(replica)
        );
    }
    is_there
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let with_last = |shorter: Vec<usize>| {
        (0..count).map(move |at| {
            let mut longer = shorter.clone();
            longer.insert(at, last);
            longer
        })
    };
    permutations(last).into_iter().flat_map(with_last).collect()
}

/// In each name, with versions that rise by this much; all at one place, or each at its own.
fn four_lies(step_ns: u64, is_one_place: bool) -> Vec<Lie> {
    let lie = |name: usize| Lie {
        name,
        incarnation: 1,
        seq: 1,
        later_ns: 1000 + step_ns * name as u64,
        place: Some(if is_one_place { 0 } else { name }),
    };
    (0..NAMES.len()).map(lie).collect()
}

#[test]
fn a_client_told_in_four_names_over_all_links_is_in_nobodys_name_when_the_liar_has_left() {
    for edges in NETS {
        for order in permutations(NAMES.len()) {
            for case in 0..48 {
                let lies = four_lies([0, 1, 1000][case % 3], case / 3 % 2 == 0);
                // The client has reported to no server, or to one of two.
                let home = [None, Some(0), Some(2), Some(3)][case / 6 % 4];
                let is_settled_between = case / 24 == 0;
                let replicas = replicas();
                let mut net = Net::new(&replicas, edges);
                if let Some(home) = home {
                    let _ = replicas[home].report(NOW_NS, &report(CLIENT, NOW_NS));
                    net.settle();
                }
                for &which in &order {
                    (0..NAMES.len()).for_each(|at| net.tell(at, &lies[which]));
                    if is_settled_between {
                        net.settle();
                    }
                }
                assert!(net.nonsense() > 0);
                let is_kept = check_end(&mut net, home.is_some());
                // Lies that come all at once may leave no server that still holds the client's report.
                assert!(is_kept || !is_settled_between || home.is_none(), "{edges:?} {order:?} {case}");
            }
        }
    }
}

#[test]
fn what_a_server_never_heard_in_another_name_does_not_become_its_own_word() {
    // Jaquez receives the lie about Riley, and one about itself before it passes on the first, which never reaches
    // Riley.
    let replicas = replicas();
    let mut net = Net::new(&replicas, FULL);
    let lies = four_lies(1000, false);
    net.tell(2, &Lie { later_ns: 1, ..lies[3].clone() });
    net.tell(2, &Lie { later_ns: 9, ..lies[2].clone() });
    let held = content(&replicas[2]);
    assert_eq!(held[0].server, replicas[3].me().server, "{held:?}");
    net.settle();
    assert!(content(&replicas[3])[0].place.is_empty());
    check_end(&mut net, false);
}

#[test]
fn the_own_word_of_a_server_that_a_lie_in_a_third_name_displaced_is_its_word_again() {
    let replicas = replicas();
    let mut net = Net::new(&replicas, LINE);
    let _ = replicas[0].report(NOW_NS, &report(CLIENT, NOW_NS));
    net.settle();
    let before = content(&replicas[0]);
    net.tell(0, &four_lies(1000, false)[3]);
    assert_ne!(content(&replicas[0])[0].place, before[0].place);
    net.settle();
    let after = content(&replicas[0]);
    assert_eq!((&after[0].place, &after[0].server), (&before[0].place, &before[0].server));
    assert!(replicas.iter().all(|replica| content(replica) == after));
    assert!(check_end(&mut net, true));
}

#[test]
fn what_is_told_as_retold_is_believed_only_if_it_was_said() {
    let replicas = replicas();
    let mut net = Net::new(&replicas, STAR);
    let lie = |name: usize, later_ns| Lie { seq: u64::MAX, later_ns, ..four_lies(1, false)[name].clone() };
    net.tell(1, &lie(0, 5));
    net.settle();
    assert!(content(&replicas[0])[0].place.is_empty());
    net.tell(1, &lie(1, 9));
    net.tell(1, &lie(2, 9));
    check_end(&mut net, false);
}

#[test]
fn answers_count_against_the_bound_and_two_servers_do_not_go_on_answering_each_other() {
    let replicas = replicas();
    let mut net = Net::new(&replicas, FULL);
    let lies = four_lies(0, false);
    // Each holds a lie in the other's name.
    net.tell(0, &lies[1]);
    net.tell(1, &lies[0]);
    net.tell(0, &Lie { later_ns: 2000, ..lies[0].clone() });
    net.tell(1, &Lie { later_ns: 2000, ..lies[1].clone() });
    net.settle();
    let seqs: u64 = replicas
        .iter()
        .map(|replica| {
            let mut last = 0;
            (0..proxyherd_core::limits::SHARDS).for_each(|shard| {
                replica.for_each_covered(shard, |origin, covered| {
                    if origin == replica.me() {
                        last += covered;
                    }
                });
            });
            last
        })
        .sum();
    assert!((1..=6).contains(&seqs), "{seqs} own words");
    check_end(&mut net, false);
}

#[derive(Clone, Debug)]
enum Step {
    Tell(usize, Lie),
    Report(usize),
    Move(usize),
    Settle,
    Second,
}

fn step() -> impl Strategy<Value = Step> {
    let seq = prop_oneof![4 => 1u64..9, 1 => Just(u64::MAX)];
    let lie = (0usize..4, seq, 1u64..3_000_000_000, prop::option::weighted(0.9, 0usize..3))
        .prop_map(|(name, seq, later_ns, place)| Lie { name, incarnation: 1, seq, later_ns, place });
    prop_oneof![
        6 => (0usize..4, lie).prop_map(|(at, lie)| Step::Tell(at, lie)),
        1 => (0usize..4).prop_map(Step::Report),
        8 => (0usize..12).prop_map(Step::Move),
        1 => Just(Step::Settle),
        1 => Just(Step::Second),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_told_in_the_names_of_several_servers_none_of_it_stands_in_their_names_in_the_end(
        net in 0usize..NETS.len(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let replicas = replicas();
        let mut net = Net::new(&replicas, NETS[net]);
        let mut is_honest = false;
        for step in steps {
            match step {
                // About present lives: what is sent of earlier ones is believed.
                Step::Tell(at, lie) => {
                    let incarnation = replicas[lie.name].origin().incarnation;
                    net.tell(at, &Lie { incarnation, ..lie });
                }
                Step::Report(at) => {
                    is_honest = true;
                    let _ = replicas[at].report(net.now_ns, &report(CLIENT, net.now_ns));
                }
                Step::Move(which) => net.move_one(which),
                Step::Settle => net.settle(),
                Step::Second => net.second(),
            }
        }
        check_end(&mut net, is_honest);
    }
}
