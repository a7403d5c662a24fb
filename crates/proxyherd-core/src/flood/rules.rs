//! The flood's rules, and the ways in which the simulator breaks them to show that its checkers notice. Nothing else
//! ever does: a server runs with [`Rules::default`].

/// The flood's rules: as they should be, but for one at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The one that is broken.
    pub broken: Option<Broken>,
}

/// A rule that looks right, or is easily got wrong, and is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The vector advances for each record as it arrives, and not by markers alone. The trap: a server can overtake a
    /// record before it has passed it on, take its sequence for covered, and die.
    AdvanceByRecord,
    /// A marker goes out at once, before the records that it covers and that are still queued.
    MarkerOvertakes,
    /// A slot that changes while it is queued goes out as it was when it was queued.
    OldVersion,
    /// What a neighbor was once sent counts as received when its link comes up again, whatever its vector says.
    TrustWhatWasSent,
    /// What comes over a link is kept and not passed on.
    KeepToMyself,
    /// Whatever comes last over a link is kept, and not what is newest.
    MergeByArrival,
    /// Now and then a record that has come is not kept.
    LoseSome,
    /// When a link is told of changes no more and its FIFO is cleared, a marker is sent all the same.
    MarkWhatWasCleared,
    /// When a link is told of changes again, what the neighbor has missed is not sent.
    SkipTheResend,
    /// A server does not contradict what others tell as its own.
    CloseOnLies,
    /// A record is merged however far in the future it was received.
    TrustReceipts,
    /// What has expired by the clock of the server that carries it is not passed on.
    CarryByOwnRule,
    /// One server's name may have any number of incarnations.
    OriginsUnbounded,
    /// A follower is told that all is covered while some of it still waits for it.
    CoverWhatWaits,
    /// A record is removed without a word to the followers that want to know.
    RemoveSilently,
    /// What a neighbor says of any server's links is believed, however far its stamp is ahead of all clocks.
    BelieveStates,
}

impl Rules {
    /// Whether just this rule is broken.
    pub(crate) fn breaks(self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }
}
