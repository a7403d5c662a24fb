//! The rights that `Herd`'s methods need: each method names one, and checks it for all doors.
//!
//! A method that is denied changes nothing and tells nothing. Which caller has which right is decided at the entrance.

use crate::caller::{Caller, Rights};

/// The right that a caller lacks. Nothing was changed, and nothing told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// To report or to forget a client.
    #[error("this caller may not report")]
    Report,
    /// To learn where clients are, or to watch them.
    #[error("this caller may not ask where clients are")]
    Read,
    /// To ask about places.
    #[error("this caller may not ask about places")]
    Places,
    /// To see how the server is.
    #[error("this caller may not see how this server is")]
    Operate,
}

impl Denied {
    /// An error, unless the caller has this right.
    pub(super) fn unless(self, caller: &Caller) -> Result<(), Denied> {
        let Rights { report, read, places, operate } = caller.rights;
        let is_allowed = match self {
            Denied::Report => report,
            Denied::Read => read,
            Denied::Places => places,
            Denied::Operate => operate,
        };
        if is_allowed { Ok(()) } else { Err(self) }
    }
}
