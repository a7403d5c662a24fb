//! The rights that `Herd`'s methods need. Each method names one right and checks this right for all doors.
//!
//! A denied method changes nothing and reveals nothing. The entrance decides which rights a caller has.

use crate::caller::{Caller, Rights};

/// A call was refused because the caller lacks this right. The call changed nothing and revealed nothing.
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
    /// To see the state of the server.
    #[error("this caller may not see the state of this server")]
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
