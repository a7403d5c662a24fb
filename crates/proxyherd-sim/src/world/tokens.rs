//! Access tokens, as records that are not about clients: now and then somebody makes or revokes one, at any server. The
//! answer waits like the acknowledgement of a report. So the checks of promises hold for tokens, too: a token that was
//! made is not lost, and a token that was revoked does not come back, whatever disk a server starts from.

use proxyherd_core::{flood::Offered, replica::shard_index, types::Kind};

use super::{Server, World};
use crate::scenario::Durability;

/// The first bytes of the records of a valid and of a revoked token. Servers understand no more of a record that they
/// only pass on.
const LIVE: &[u8] = &[1, 0];
const REVOKED: &[u8] = &[1, 1];

/// The number of tokens that can be made in a run.
const TOKENS: usize = 60;
/// How often somebody makes or revokes a token when clients ask for something, in thousandths.
const TOKENS_PER_MILLE: u64 = 100;

impl World {
    /// Somebody may make a token, or revoke one. Herds whose acknowledgements wait for nothing have no tokens. Neither
    /// have herds with bad members, because every member may revoke a token.
    pub(super) fn ask_about_tokens(&mut self) {
        let has_tokens = self.scenario.durability != Durability::default() && self.scenario.bad.is_none();
        if !has_tokens || !self.tokens_rng.chance(TOKENS_PER_MILLE) {
            return;
        }
        let server = self.tokens_rng.index(self.servers.len());
        let key = format!("token-{}", self.tokens_rng.index(TOKENS)).into_bytes();
        let (now, clock_ns) = (self.now, self.clock_ns(server));
        let Server { life: Some(life), paused_until, .. } = &self.servers[server] else { return };
        if *paused_until > now {
            return;
        }
        let is_revoked = life.replica.find(0, Kind::TOKEN, &key, |held| held.record.is_revocation());
        // A token that was revoked already is answered as revoked, when that is durable.
        let wake = (is_revoked != Some(true)).then(|| {
            let bytes = if is_revoked.is_none() { LIVE } else { REVOKED };
            life.replica.tell(clock_ns, Kind::TOKEN, &key, 0, bytes)
        });
        if wake.as_ref().is_some_and(|(offered, _)| !matches!(offered, Offered::Inserted | Offered::Updated))
        {
            return;
        }
        let needed = life.replica.positions_of(&key);
        self.checker.said_by_itself(now, server, &life.replica, 1 << shard_index(&key));
        self.tally.tokens += u64::from(is_revoked.is_none());
        self.tally.revoked += u64::from(is_revoked == Some(false));
        self.trace.note_bytes(&key);
        self.story.tell(now, || {
            let does = if is_revoked.is_none() { "makes" } else { "revokes" };
            format!("server {server} {does} {}", String::from_utf8_lossy(&key))
        });
        let Some(record) = self.held_by(server, Kind::TOKEN, &key) else { return };
        if let Some((_, wake)) = wake {
            self.checker.note_taken(&record.0);
            self.with(server, |life, out| life.wake(wake, out));
        }
        self.hold_back(server, needed, record);
    }
}
