//! Forged link states, which a member sends over links as bytes.

use proxyherd_core::{
    codec::link::Encoder,
    flood::{Nonsense, Wake},
    link::Incoming,
    replica::{Agreed, Replica},
    types::{Advertisement, ServerName},
};

use crate::herd::{NOW_NS, SECOND_NS, link, origin, replica};

const NAMES: [&str; 3] = ["Bernard", "Jaquez", "Riley"];
/// At each server, the number of Eve's link.
const EVES: usize = 9;

/// Three servers, each linked with the others, and Eve, who is linked with the first.
struct Ring {
    replicas: Vec<Replica>,
    /// By server and neighbor.
    incoming: Vec<Vec<Incoming>>,
    eve: Incoming,
}

impl Ring {
    fn new() -> Ring {
        let replicas: Vec<_> = NAMES.iter().map(|name| replica(name)).collect();
        let incoming = |_| (0..NAMES.len()).map(|other| Incoming::new(link(other))).collect();
        let mut ring = Ring {
            replicas,
            incoming: (0..NAMES.len()).map(incoming).collect(),
            eve: Incoming::new(link(EVES)),
        };
        let agreed = Agreed { version: 2, has_tree: true };
        for (at, replica) in ring.replicas.iter().enumerate() {
            for (other, name) in NAMES.iter().enumerate().filter(|(other, _)| *other != at) {
                let _ = replica.agree(
                    link(other),
                    &ServerName::new(name).unwrap(),
                    agreed,
                    &mut Encoder::default(),
                );
            }
        }
        let _ = ring.replicas[0].agree(
            link(EVES),
            &ServerName::new("Eve").unwrap(),
            agreed,
            &mut Encoder::default(),
        );
        ring.settle();
        ring
    }

    /// Moves what the three have to send each other, until they have nothing. What they send Eve is dropped.
    fn settle(&mut self) {
        let mut is_quiet = false;
        while !is_quiet {
            is_quiet = true;
            for from in 0..NAMES.len() {
                for to in (0..NAMES.len()).filter(|to| *to != from) {
                    // Each batch by itself: it names its origins again.
                    let mut encoder = Encoder::default();
                    while self.replicas[from].is_ready(link(to)) {
                        self.replicas[from].flush(link(to), &mut encoder);
                    }
                    is_quiet &= encoder.is_empty();
                    self.incoming[to][from] = Incoming::new(link(from));
                    let bytes = encoder.bytes();
                    self.incoming[to][from]
                        .receive(&self.replicas[to], NOW_NS, bytes, &mut Wake::default())
                        .unwrap();
                }
            }
        }
    }

    /// Eve sends a server's link state. Nothing that she sends may end her link.
    fn lie(&mut self, about: &str, incarnation: u64, stamp: u64, up: &[&str]) {
        let up = up.iter().map(|name| ServerName::new(name).unwrap()).collect();
        let mut encoder = Encoder::default();
        encoder.state(&Advertisement { origin: origin(about, incarnation), stamp, up });
        self.eve.receive(&self.replicas[0], NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
        self.settle();
    }

    fn look(&mut self) {
        let members: Vec<_> =
            NAMES.iter().chain(&["Eve"]).map(|name| ServerName::new(name).unwrap()).collect();
        for replica in &self.replicas {
            let _ = replica.look_at_tree(NOW_NS, &members);
        }
        self.settle();
    }

    /// The eager links.
    fn edges(&self) -> Vec<(usize, usize)> {
        let pairs = (0..NAMES.len()).flat_map(|at| (0..NAMES.len()).map(move |other| (at, other)));
        pairs.filter(|&(at, other)| self.replicas[at].is_eager(link(other))).collect()
    }
}

#[test]
fn forged_states_do_not_lead_the_tree_around_servers_that_are_there() {
    let mut ring = Ring::new();
    let before = ring.edges();
    assert_eq!(before.len(), 4, "both ends of two links: {before:?}");
    for about in NAMES {
        ring.lie(about, 1, u64::MAX, &[]);
        ring.lie(about, u64::MAX, NOW_NS, &[]);
        assert_eq!(ring.edges(), before);
    }
    assert_eq!(ring.replicas[0].nonsense(link(EVES))[Nonsense::State.index()], 6);
    // Within the allowed offset of clocks she is contradicted.
    for (about, stamp) in NAMES.iter().zip(NOW_NS..) {
        ring.lie(about, 1, stamp, &[]);
        ring.lie(about, 1, stamp + 59 * SECOND_NS, &["Eve"]);
        ring.look();
        assert_eq!(ring.edges(), before, "{about}");
    }
    assert_eq!(ring.replicas[0].nonsense(link(EVES))[Nonsense::State.index()], 6);
    for replica in &ring.replicas {
        assert!(replica.nonsense(link(0)).iter().chain(&replica.nonsense(link(1))).all(|count| *count == 0));
    }
}
