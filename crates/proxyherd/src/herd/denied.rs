//! Rights: what a caller asks for needs one, and the herd sees to it for all doors.

use crate::caller::{Caller, Rights};

/// A caller asked for something that it has no right to. Nothing was changed, and nothing told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// To say where a client is, or that it is to be forgotten.
    #[error("this caller may not report")]
    Report,
    /// To learn where clients are.
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
    /// Whether this is the right that a caller has; otherwise the error that says so.
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
