//! The handshake: who may have a link, and what both ends agree on.

use super::told;
use crate::{
    codec::link::Hello,
    limits::{HANDSHAKE_MAX, SHARDS},
    replica::Agreed,
    types::{Origin, ServerName},
};

/// The lowest version of the link protocol that this program speaks.
const LOWEST: u16 = 1;
/// The newest version. Version 2 added checks of clocks and records with heartbeats. Version 3 added new
/// [numberings](crate::codec::link::numbering) of origins when a link has named many, and answers to
/// [fences](crate::codec::link::spanning_tree::FENCE_VERSION).
pub const HIGHEST: u16 = 3;
/// A feature bit of HELLO: the server supports spanning trees.
const TREE: u64 = 1;

/// What this server tells its neighbors about itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The ID of the server's herd.
    pub herd: String,
    /// This life of the server.
    pub me: Origin,
    /// The highest version of the link protocol that the server speaks, at most [`HIGHEST`].
    pub link_version: u16,
    /// Whether changes are sent along a spanning tree, if the other end supports spanning trees, too.
    pub has_tree: bool,
    /// Maximum offset between two clocks, nanoseconds.
    pub clock_offset_max_ns: u64,
}

/// Why a link is refused. Each message says which server to check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The ends belong to different herds.
    #[error(
        "the two servers belong to different herds, \"{theirs}\" and \"{ours}\": compare `id` in [herd] on both"
    )]
    OtherHerd {
        /// The other end's herd.
        theirs: String,
        /// This end's herd.
        ours: String,
    },
    /// The other end is not in this server's list of neighbors.
    #[error("{0} is no neighbor of {1} in the configuration that {1} reads")]
    Stranger(ServerName, ServerName),
    /// The other end dials a link that this end should dial.
    #[error("{1} must dial {0}, but {0} dialed {1}: both must read the same configuration")]
    WrongEnd(ServerName, ServerName),
    /// Two processes run under one server's name. The process with this incarnation has the link and keeps it.
    #[error("two processes run as {0}, and the other one has this link: stop one of them")]
    Namesake(ServerName, u64),
    /// Another server answers at the address of a neighbor.
    #[error("{0} answers where {1} should be: check the addresses in the configuration")]
    OtherServer(ServerName, ServerName),
    /// There is no version that both ends speak.
    #[error(
        "one server speaks link versions {0} to {1} and the other {LOWEST} to {2}: upgrade the older server"
    )]
    Version(u16, u16, u16),
    /// The two ends have different numbers of shards.
    #[error("one server has {0} shards and the other {SHARDS}: they cannot be in one herd")]
    Shards(u8),
    /// The two ends' clocks are too far apart.
    #[error(
        "the clock of {0} is {offset} that of {1}, by more than max_clock_offset_s: check both clocks",
        offset = told(*.2)
    )]
    Clock(ServerName, ServerName, i64),
}

impl Identity {
    /// The HELLO of the dialing end.
    pub fn hello(&self, now_ns: u64) -> Hello {
        self.hello_of(now_ns, LOWEST, self.link_version)
    }

    fn hello_of(&self, now_ns: u64, lowest: u16, highest: u16) -> Hello {
        let (herd, origin) = (self.herd.clone(), self.me.clone());
        let clock_ns = (self.link_version > 1).then_some(now_ns);
        let features = if self.can_tree() { TREE } else { 0 };
        Hello { lowest, highest, features, herd, origin, shards: SHARDS as u8, clock_ns }
    }

    /// Decides about the HELLO of a dialing end. `neighbors` are this server's neighbors, each with whether this end
    /// dials the neighbor. Returns the index of the dialing server in `neighbors`, and the HELLO to answer with. That
    /// HELLO contains the chosen version.
    pub fn answer(
        &self,
        now_ns: u64,
        theirs: &Hello,
        neighbors: &[(ServerName, bool)],
    ) -> Result<(usize, Hello), Refused> {
        let version = self.agree(theirs)?;
        let server = &theirs.origin.server;
        let names = || (server.clone(), self.me.server.clone());
        let place = neighbors.iter().position(|(neighbor, _)| neighbor == server);
        let place = place.ok_or_else(|| Refused::Stranger(names().0, names().1))?;
        if neighbors[place].1 {
            return Err(Refused::WrongEnd(names().0, names().1));
        }
        // HELLO may have been in transit for as long as a handshake may take.
        self.compare_clocks(theirs, now_ns.saturating_sub(HANDSHAKE_MAX.as_nanos() as u64), now_ns)?;
        Ok((place, self.hello_of(now_ns, version, version)))
    }

    /// Decides whether the dialing end accepts the answer. The dialing end dialed `expected` at `dialed_ns`.
    pub fn confirm(
        &self,
        now_ns: u64,
        dialed_ns: u64,
        theirs: &Hello,
        expected: &ServerName,
    ) -> Result<(), Refused> {
        self.agree(theirs)?;
        if theirs.origin.server != *expected {
            return Err(Refused::OtherServer(theirs.origin.server.clone(), expected.clone()));
        }
        self.compare_clocks(theirs, dialed_ns.min(now_ns), now_ns)
    }

    /// What both ends support, once they have agreed.
    pub fn agreed(&self, theirs: &Hello) -> Agreed {
        let version = theirs.highest.min(self.link_version);
        Agreed { version, has_tree: version > 1 && self.can_tree() && theirs.features & TREE != 0 }
    }

    fn can_tree(&self) -> bool {
        self.has_tree && self.link_version > 1
    }

    /// Checks whether the clock in `theirs` is certainly too far off. That clock was read at some time from
    /// `earliest_ns` to `latest_ns` by this server's clock.
    fn compare_clocks(&self, theirs: &Hello, earliest_ns: u64, latest_ns: u64) -> Result<(), Refused> {
        let Some(clock_ns) = theirs.clock_ns else { return Ok(()) };
        let difference = |one: u64, other: u64| one.saturating_sub(other).min(i64::MAX as u64);
        let (ahead, behind) = (difference(clock_ns, latest_ns), difference(earliest_ns, clock_ns));
        if ahead.max(behind) <= self.clock_offset_max_ns {
            return Ok(());
        }
        let offset_ns = if ahead > 0 { ahead.cast_signed() } else { -behind.cast_signed() };
        Err(Refused::Clock(theirs.origin.server.clone(), self.me.server.clone(), offset_ns))
    }

    /// Returns the highest version that both ends speak, if both ends can be in one herd.
    fn agree(&self, theirs: &Hello) -> Result<u16, Refused> {
        if theirs.herd != self.herd {
            return Err(Refused::OtherHerd { theirs: theirs.herd.clone(), ours: self.herd.clone() });
        }
        if usize::from(theirs.shards) != SHARDS {
            return Err(Refused::Shards(theirs.shards));
        }
        let highest = theirs.highest.min(self.link_version);
        if highest < theirs.lowest.max(LOWEST) {
            return Err(Refused::Version(theirs.lowest, theirs.highest, self.link_version));
        }
        Ok(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const NOW_NS: u64 = 1_700_000_000 * SECOND_NS;

    fn identity(server: &str) -> Identity {
        let me = Origin { server: ServerName::new(server).unwrap(), incarnation: 1 };
        Identity {
            herd: "herd".into(),
            me,
            link_version: HIGHEST,
            has_tree: true,
            clock_offset_max_ns: 60 * SECOND_NS,
        }
    }

    fn name(server: &str) -> ServerName {
        ServerName::new(server).unwrap()
    }

    #[test]
    fn neighbors_of_one_herd_agree() {
        let (riley, jaquez) = (identity("Riley"), identity("Jaquez"));
        let (place, answer) = riley
            .answer(NOW_NS, &jaquez.hello(NOW_NS), &[(name("Juzang"), true), (name("Jaquez"), false)])
            .unwrap();
        assert_eq!((place, answer.lowest, answer.highest), (1, HIGHEST, HIGHEST));
        assert_eq!(jaquez.confirm(NOW_NS, NOW_NS, &answer, &name("Riley")), Ok(()));
        assert_eq!(jaquez.agreed(&answer), riley.agreed(&jaquez.hello(NOW_NS)));
    }

    #[test]
    fn whoever_does_not_belong_is_told_why() {
        let (riley, jaquez) = (identity("Riley"), identity("Jaquez"));
        let neighbors = [(name("Jaquez"), false), (name("Juzang"), true)];
        let refusal = |hello: Hello| riley.answer(NOW_NS, &hello, &neighbors).unwrap_err();
        let hello = jaquez.hello(NOW_NS);
        assert!(matches!(
            refusal(Hello { herd: "other".into(), ..hello.clone() }),
            Refused::OtherHerd { .. }
        ));
        assert_eq!(
            refusal(Hello { lowest: 4, highest: 9, ..hello.clone() }),
            Refused::Version(4, 9, HIGHEST)
        );
        assert_eq!(refusal(Hello { shards: 8, ..hello.clone() }), Refused::Shards(8));
        assert_eq!(refusal(identity("Eve").hello(NOW_NS)), Refused::Stranger(name("Eve"), name("Riley")));
        assert_eq!(
            refusal(identity("Juzang").hello(NOW_NS)),
            Refused::WrongEnd(name("Juzang"), name("Riley"))
        );
        let answer = riley.hello(NOW_NS);
        assert_eq!(
            jaquez.confirm(NOW_NS, NOW_NS, &answer, &name("Juzang")),
            Err(Refused::OtherServer(name("Riley"), name("Juzang")))
        );
    }

    #[test]
    fn a_newer_neighbor_is_answered_in_the_highest_common_version() {
        let (riley, jaquez) = (identity("Riley"), identity("Jaquez"));
        let newer = Hello { highest: 7, features: u64::MAX, ..jaquez.hello(NOW_NS) };
        let (_, answer) = riley.answer(NOW_NS, &newer, &[(name("Jaquez"), false)]).unwrap();
        assert_eq!((answer.lowest, answer.highest), (HIGHEST, HIGHEST));
    }

    #[test]
    fn a_server_that_is_held_back_speaks_as_the_versions_before_did_whichever_end_dials() {
        for version in 1..HIGHEST {
            let (riley, jaquez) =
                (identity("Riley"), Identity { link_version: version, ..identity("Jaquez") });
            let agreed = Agreed { version, has_tree: version > 1 };
            for (dials, accepts) in [(&jaquez, &riley), (&riley, &jaquez)] {
                let hello = dials.hello(NOW_NS);
                let neighbors = [(dials.me.server.clone(), false)];
                let (_, answer) = accepts.answer(NOW_NS, &hello, &neighbors).unwrap();
                assert_eq!(answer.highest, version);
                assert_eq!(dials.confirm(NOW_NS, NOW_NS, &answer, &accepts.me.server), Ok(()));
                assert_eq!((accepts.agreed(&hello), dials.agreed(&answer)), (agreed, agreed));
            }
        }
        let hello = Identity { link_version: 1, ..identity("Jaquez") }.hello(NOW_NS);
        assert_eq!((hello.highest, hello.clock_ns), (1, None));
    }

    #[test]
    fn a_tree_takes_two_that_know_of_it() {
        let (riley, jaquez) = (identity("Riley"), Identity { has_tree: false, ..identity("Jaquez") });
        let agreed = Agreed { version: HIGHEST, has_tree: false };
        assert_eq!(riley.agreed(&jaquez.hello(NOW_NS)), agreed);
        assert_eq!(jaquez.agreed(&riley.hello(NOW_NS)), agreed);
        assert!(riley.agreed(&riley.hello(NOW_NS)).has_tree);
    }

    #[test]
    fn a_clock_that_is_surely_too_far_off_keeps_a_link_down_and_says_whose_to_look_at() {
        let (riley, jaquez) = (identity("Riley"), identity("Jaquez"));
        let neighbors = [(name("Jaquez"), false)];
        for (offset_s, is_fine) in [(0, true), (59, true), (61, false), (-64, true), (-66, false)] {
            let hello = jaquez.hello(NOW_NS.saturating_add_signed(offset_s * SECOND_NS.cast_signed()));
            assert_eq!(riley.answer(NOW_NS, &hello, &neighbors).is_ok(), is_fine, "{offset_s} s");
        }
        let slow = riley.hello(NOW_NS - 70 * SECOND_NS);
        // The answer came at once, or took so long that it may have been right.
        let refused = jaquez.confirm(NOW_NS, NOW_NS, &slow, &name("Riley")).unwrap_err();
        assert!(
            refused.to_string().starts_with("the clock of Riley is 70.0 s behind that of Jaquez"),
            "{refused}"
        );
        assert_eq!(jaquez.confirm(NOW_NS, NOW_NS - 11 * SECOND_NS, &slow, &name("Riley")), Ok(()));
    }
}
