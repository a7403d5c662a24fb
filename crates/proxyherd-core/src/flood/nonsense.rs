//! Nonsense: what a neighbor sends that this server does not merge, and why.
//!
//! A neighbor that sends nonsense may only have relayed it, so the neighbor's link stays up. The counts show an
//! operator where to look first: at that neighbor, and at the servers behind the neighbor.

/// Why this server did not merge something that came over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nonsense {
    /// A record under this server's name and one of its present incarnations that this server never issued.
    OwnRecord,
    /// A sequence of this server beyond the last one that it issued.
    OwnSequence,
    /// A record that was received further in the future than clocks may differ.
    Receipt,
    /// An incarnation that began further in the future than clocks may differ.
    Incarnation,
    /// A record of an incarnation or a server for which there is no room.
    Origins,
    /// A record for which there is no room.
    Records,
    /// An account of one server's places quota that another server issued.
    Account,
    /// A link state with a stamp or an incarnation further in the future than clocks may differ.
    State,
    /// A link state of a server that is not a member, when there is no room for another such server.
    Strangers,
}

impl Nonsense {
    /// All kinds of nonsense, in the order of their [numbers](Nonsense::index).
    pub const ALL: [Nonsense; 9] = [
        Nonsense::OwnRecord,
        Nonsense::OwnSequence,
        Nonsense::Receipt,
        Nonsense::Incarnation,
        Nonsense::Origins,
        Nonsense::Records,
        Nonsense::Account,
        Nonsense::State,
        Nonsense::Strangers,
    ];

    /// The kind's position in [`Nonsense::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The kind's name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Nonsense::OwnRecord => "own_record",
            Nonsense::OwnSequence => "own_sequence",
            Nonsense::Receipt => "receipt",
            Nonsense::Incarnation => "incarnation",
            Nonsense::Origins => "origins",
            Nonsense::Records => "records",
            Nonsense::Account => "account",
            Nonsense::State => "state",
            Nonsense::Strangers => "strangers",
        }
    }

    /// The kind of nonsense with this name.
    pub fn of_label(label: &str) -> Option<Nonsense> {
        Nonsense::ALL.into_iter().find(|what| what.label() == label)
    }

    /// A description of what the neighbor sent, as the object of a sentence.
    pub fn told(self) -> &'static str {
        match self {
            Nonsense::OwnRecord => "a record under this server's name that this server never issued",
            Nonsense::OwnSequence => "an update of this server beyond the last one that it issued",
            Nonsense::Receipt => "a record received further in the future than max_clock_offset_s",
            Nonsense::Incarnation => {
                "an incarnation of a server that began further in the future than max_clock_offset_s"
            }
            Nonsense::Origins => "a record of one incarnation of a server too many",
            Nonsense::Records => "a record for which there is no room",
            Nonsense::Account => "a server's account of a places budget in another server's name",
            Nonsense::State => {
                "a state of a server's links from further in the future than max_clock_offset_s"
            }
            Nonsense::Strangers => {
                "a state of the links of one server too many that is not in the configuration"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_a_number_of_its_own() {
        for (index, what) in Nonsense::ALL.into_iter().enumerate() {
            assert_eq!((what.index(), Nonsense::of_label(what.label())), (index, Some(what)));
        }
    }
}
