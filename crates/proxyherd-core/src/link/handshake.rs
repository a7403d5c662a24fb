//! Who may have a link, and what both ends agree on.

use crate::{
    codec::link::Hello,
    limits::SHARDS,
    types::{Origin, ServerName},
};

/// Versions of the link protocol that this program speaks.
const LOWEST: u16 = 1;
const HIGHEST: u16 = 1;

/// Who this server is to its neighbours.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which herd it belongs to.
    pub herd: String,
    /// This life of it.
    pub me: Origin,
}

/// Why a link is not made. Each says whose side to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The ends belong to different herds.
    #[error(
        "it belongs to the herd \"{theirs}\" and this server to \"{ours}\": compare `id` in [herd] on both"
    )]
    OtherHerd {
        /// The other end's.
        theirs: String,
        /// This end's.
        ours: String,
    },
    /// The other end is not in this server's list of neighbours.
    #[error("{0} is no neighbor of {1} in the configuration that {1} reads")]
    Stranger(ServerName, ServerName),
    /// The other end dials where this end is to.
    #[error("{1} dials {0}, and not the other way round: both have to read the same configuration")]
    WrongEnd(ServerName, ServerName),
    /// Another server answers at a neighbour's address.
    #[error("{0} answers where {1} should be: look at the addresses in the configuration")]
    OtherServer(ServerName, ServerName),
    /// No version is spoken by both.
    #[error(
        "it speaks link versions {0} to {1} and this server {LOWEST} to {HIGHEST}: upgrade the older one"
    )]
    Version(u16, u16),
    /// The ends cut their maps differently.
    #[error("it cuts its map into {0} shards and this server into {SHARDS}: they can't be in one herd")]
    Shards(u8),
}

impl Identity {
    /// What the dialling end says first.
    pub fn hello(&self) -> Hello {
        self.hello_of(LOWEST, HIGHEST)
    }

    fn hello_of(&self, lowest: u16, highest: u16) -> Hello {
        let (herd, origin) = (self.herd.clone(), self.me.clone());
        Hello { lowest, highest, features: 0, herd, origin, shards: SHARDS as u8 }
    }

    /// What the accepting end answers, having looked for the other in `neighbors`, of whom some are dialled by this
    /// end (`true`): the place there, and a HELLO with the chosen version.
    pub fn answer(
        &self,
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
        Ok((place, self.hello_of(version, version)))
    }

    /// Whether the dialling end, which meant to reach `expected`, is content with the answer.
    pub fn confirm(&self, theirs: &Hello, expected: &ServerName) -> Result<(), Refused> {
        self.agree(theirs)?;
        if theirs.origin.server != *expected {
            return Err(Refused::OtherServer(theirs.origin.server.clone(), expected.clone()));
        }
        Ok(())
    }

    /// The highest version that both speak, where nothing else parts them.
    fn agree(&self, theirs: &Hello) -> Result<u16, Refused> {
        if theirs.herd != self.herd {
            return Err(Refused::OtherHerd { theirs: theirs.herd.clone(), ours: self.herd.clone() });
        }
        if usize::from(theirs.shards) != SHARDS {
            return Err(Refused::Shards(theirs.shards));
        }
        let highest = theirs.highest.min(HIGHEST);
        if highest < theirs.lowest.max(LOWEST) {
            return Err(Refused::Version(theirs.lowest, theirs.highest));
        }
        Ok(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(server: &str) -> Identity {
        let me = Origin { server: ServerName::new(server).unwrap(), incarnation: 1 };
        Identity { herd: "herd".into(), me }
    }

    fn name(server: &str) -> ServerName {
        ServerName::new(server).unwrap()
    }

    #[test]
    fn neighbours_of_one_herd_agree() {
        let (riley, jaquez) = (identity("Riley"), identity("Jaquez"));
        let (place, answer) =
            riley.answer(&jaquez.hello(), &[(name("Juzang"), true), (name("Jaquez"), false)]).unwrap();
        assert_eq!((place, answer.lowest, answer.highest), (1, 1, 1));
        assert_eq!(jaquez.confirm(&answer, &name("Riley")), Ok(()));
    }

    #[test]
    fn whoever_does_not_belong_is_told_why() {
        let (riley, jaquez) = (identity("Riley"), identity("Jaquez"));
        let neighbors = [(name("Jaquez"), false), (name("Juzang"), true)];
        let refusal = |hello: Hello| riley.answer(&hello, &neighbors).unwrap_err();
        let hello = jaquez.hello();
        assert!(matches!(
            refusal(Hello { herd: "other".into(), ..hello.clone() }),
            Refused::OtherHerd { .. }
        ));
        assert_eq!(refusal(Hello { lowest: 2, highest: 9, ..hello.clone() }), Refused::Version(2, 9));
        assert_eq!(refusal(Hello { shards: 8, ..hello.clone() }), Refused::Shards(8));
        assert_eq!(refusal(identity("Eve").hello()), Refused::Stranger(name("Eve"), name("Riley")));
        assert_eq!(refusal(identity("Juzang").hello()), Refused::WrongEnd(name("Juzang"), name("Riley")));
        let answer = riley.hello();
        assert_eq!(
            jaquez.confirm(&answer, &name("Juzang")),
            Err(Refused::OtherServer(name("Riley"), name("Juzang")))
        );
    }

    #[test]
    fn a_newer_neighbour_is_answered_in_the_highest_common_version() {
        let (riley, jaquez) = (identity("Riley"), identity("Jaquez"));
        let newer = Hello { highest: 7, features: u64::MAX, ..jaquez.hello() };
        let (_, answer) = riley.answer(&newer, &[(name("Jaquez"), false)]).unwrap();
        assert_eq!((answer.lowest, answer.highest), (1, 1));
    }
}
