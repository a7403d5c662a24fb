//! Presence at one server, and what it has told.
//!
//! When nothing goes wrong, clocks agree and links are fast, all servers tell the same events with the same IDs. Only
//! the event that a client came may have another ID at a server that does not know what ended the client's earlier
//! life.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use proxyherd_core::{
    flood::{Begin, FollowerEvent, FollowerId, Following},
    replica::Replica,
    types::Kind,
};
use proxyherd_streams::presence::{Presence, PresenceEvent, PresenceKind, PresenceSettings, Seen};

use crate::timeline::{Nanos, SECOND};

/// The time after its last report at which a client is silent. Clients report more often than that at busy times only.
const SILENT_NS: u64 = 4 * SECOND;
/// The number of changes and of timers that are handled at once.
const MOST: usize = 1000;

/// The presence of one life of a server.
#[derive(Debug)]
pub(crate) struct PresenceReader {
    presence: Presence,
    follower: Option<FollowerId>,
    is_woken: Arc<AtomicBool>,
    client_ttl_ns: Option<u64>,
    told: Vec<Told>,
    /// Changes were lost, so events may be missing.
    pub(crate) has_lost: bool,
}

/// An event that was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// When.
    pub(crate) at: Nanos,
    /// What is the same at every server: the event in words, and its ID, except if the client came.
    pub(crate) event: (String, Option<u128>),
}

impl PresenceReader {
    /// The presence at a replica that has just started.
    pub(crate) fn new(
        replica: &Replica,
        began_ns: u64,
        seed: u64,
        client_ttl_ns: Option<u64>,
    ) -> PresenceReader {
        let is_woken = Arc::new(AtomicBool::new(false));
        let waker = Arc::clone(&is_woken);
        // A replica that was read from a store holds clients already.
        let begins = if replica.is_empty() { Begin::Now } else { Begin::WithAllHeld };
        let following = Following { begins, wants_removed: true };
        let follower = replica.follow(following, move || waker.store(true, Relaxed));
        let presence = Presence::new(PresenceSettings { silent_ns: Some(SILENT_NS), began_ns, seed });
        PresenceReader { presence, follower, is_woken, client_ttl_ns, told: Vec::new(), has_lost: false }
    }

    /// Takes all changes, and lets time pass.
    pub(crate) fn turn(&mut self, replica: &Replica, now: Nanos, clock_ns: u64) {
        let Some(follower) = &self.follower else { return };
        let (mut seen, ttl_ns, has_lost) = (Vec::new(), self.client_ttl_ns, &mut self.has_lost);
        let mut is_all = !self.is_woken.swap(false, Relaxed);
        while !is_all {
            is_all = replica.drain(follower, MOST, |told| match told {
                FollowerEvent::Record(held) if held.record.kind == Kind::CLIENT => {
                    let of_record = Seen::of(&held.record, ttl_ns);
                    seen.extend(of_record.map(|it| (held.record.key.to_vec(), it)));
                }
                FollowerEvent::Removed { kind, key } if kind == Kind::CLIENT => {
                    seen.push((key.to_vec(), Seen::Removed));
                }
                FollowerEvent::Hidden(held) if held.record.kind == Kind::CLIENT => {
                    seen.push((held.record.key.to_vec(), Seen::Removed));
                }
                FollowerEvent::Anew { .. } => *has_lost = true,
                FollowerEvent::Record(_)
                | FollowerEvent::Hidden(_)
                | FollowerEvent::Removed { .. }
                | FollowerEvent::Covered { .. } => {}
            });
        }
        let PresenceReader { presence, told, .. } = self;
        let mut tell = |event: PresenceEvent<'_>| {
            let text = format!("{} {}", event.kind.label(), String::from_utf8_lossy(event.client));
            let event_id = (event.kind != PresenceKind::Came).then_some(event.event_id);
            told.push(Told { at: now, event: (text, event_id) });
        };
        for (client, seen) in seen {
            presence.see(clock_ns, &client, seen, &mut tell);
        }
        while !presence.pass(clock_ns, MOST, &mut tell) {}
    }

    /// Forgets what was told.
    pub(crate) fn forget_told(&mut self) {
        self.told.clear();
        self.has_lost = false;
    }

    /// What was told since then.
    pub(crate) fn told(&self) -> &[Told] {
        &self.told
    }
}
