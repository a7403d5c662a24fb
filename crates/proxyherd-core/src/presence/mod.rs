//! Presence: which clients came, fell silent, are back, or are gone.

mod event;

pub use self::event::{PresenceEvent, PresenceId, PresenceKind};
