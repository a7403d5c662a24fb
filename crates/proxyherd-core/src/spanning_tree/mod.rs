//! The spanning tree of the herd, along which changes are sent. Every server computes the same tree.
//!
//! Each server announces to all others which of its links are up. This *link state* has a stamp as its version, and the
//! stamp only grows. States are few and small. They are flooded on every link, and each server keeps the newest state
//! of each server. A link is part of the graph if both its ends announce that it is up. From equal states every server
//! computes equal trees. Until the states have reached all servers, the trees differ for a moment. That costs
//! duplicates or time but loses nothing, because a server that is sent less than it needs has a vector and asks.
//!
//! Any member can send a state in any server's name, so a wrong state must not last:
//! - A stamp begins at the server's clock when the server starts. If a state's stamp is further ahead than clocks may
//!   differ, the state is not kept and not passed on.
//! - A server that receives a newer state in its own name announces its own state again, with a higher stamp.
//! - Every server announces its state again every [`TREE_SAY_LOOKS`] looks, with a stamp of at least its clock. So a
//!   wrong state in its name is replaced once its clock has passed the wrong stamp, even if the server never receives
//!   that state.
//! - States of servers that are not members have a bound of their own ([`TREE_STRANGERS_MAX`]).
//! - A tree that changes all the time is useless: each change makes neighbors scan their records, and delays records in
//!   transit. So a server that sees too many changes ([`TREE_COMPUTES`]) wants changes on all its links until the tree
//!   is calm. That costs duplicates, but then no lie can delay anything.
//!
//! This module does not know what it means for a link to be in the tree.

mod graph;
mod namesake;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    graph::{Graph, reach, tree_of},
    namesake::Namesake,
};

pub use self::view::TreeView;
use crate::{
    flood::{Broken, LinkId, Rules},
    limits::{LINKS_MAX, TREE_COMPUTES, TREE_LOST_LOOKS, TREE_SAY_LOOKS, TREE_STRANGERS_MAX},
    rate::FixedWindow,
    types::{Advertisement, Origin, ServerName},
};

/// All link states, and this server's links.
#[derive(Debug)]
pub(crate) struct SpanningTree {
    states: BTreeMap<ServerName, Advertisement>,
    /// The servers of the herd, as of the last look.
    members: BTreeSet<ServerName>,
    /// Servers whose states are about to be forgotten, each with the number of consecutive looks that found a reason to
    /// do so.
    lost: BTreeMap<ServerName, u8>,
    namesake: Namesake,
    /// The number of looks since this server last announced its state.
    looks: u8,
    /// How many times the states of other servers may change the tree from one look to the next ...
    computes: FixedWindow,
    /// ... and whether those states have changed the tree more often than that.
    is_restless: bool,
    /// Whether changes are wanted on all links, because the tree changed too often.
    wants_all: bool,
    me: ServerName,
    links: Box<[Option<TreeLink>]>,
    rules: Rules,
}

/// What a server did with a state that a neighbor sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateVerdict {
    /// The state is news, and is passed on to the other links.
    News,
    /// The held state is at least as new.
    Old,
    /// The state's stamp or its incarnation is further ahead than clocks may differ, so the state was not kept.
    AheadOfClocks,
    /// The state is about a server that is not a member, and there are too many such servers, so the state was not
    /// kept.
    NoRoom,
}

/// A link that is up and whose other end supports spanning trees.
#[derive(Debug)]
struct TreeLink {
    neighbor: ServerName,
    /// The servers whose states the neighbor still has to be sent.
    untold: BTreeSet<ServerName>,
    is_in_tree: bool,
    /// The last frame that the neighbor was sent: GRAFT (`true`) or PRUNE.
    is_fed: bool,
}

impl SpanningTree {
    /// The tree of a server that has just started and is alone.
    pub(crate) fn new(me: Origin, rules: Rules) -> SpanningTree {
        let name = me.server.clone();
        // An earlier life's stamp can hardly have grown past this clock. If it has, a neighbor sends that state back.
        let state = Advertisement { stamp: me.incarnation, origin: me, up: Vec::new() };
        SpanningTree {
            states: BTreeMap::from([(name.clone(), state)]),
            members: BTreeSet::new(),
            lost: BTreeMap::new(),
            namesake: Namesake::default(),
            looks: 0,
            computes: FixedWindow::new(TREE_COMPUTES),
            is_restless: false,
            wants_all: false,
            me: name,
            links: (0..LINKS_MAX).map(|_| None).collect(),
            rules,
        }
    }

    /// Notes that a link is up. The neighbor has to be sent all states, and all servers have to be sent this server's
    /// new state.
    pub(crate) fn link_up(&mut self, link: LinkId, neighbor: ServerName) {
        let untold = self.states.keys().cloned().collect();
        self.links[link.index()] = Some(TreeLink { neighbor, untold, is_in_tree: false, is_fed: false });
        self.announce(0);
    }

    /// Notes that a link is down. Returns whether the link was known to be up.
    pub(crate) fn link_down(&mut self, link: LinkId) -> bool {
        let was_up = self.links[link.index()].take().is_some();
        if was_up {
            self.announce(0);
        }
        was_up
    }

    /// Handles a state that came over a link. `latest_ns` is the latest time that a right clock may show now.
    pub(crate) fn hear(&mut self, latest_ns: u64, from: LinkId, state: Advertisement) -> StateVerdict {
        if self.is_ahead(latest_ns, &state) {
            return StateVerdict::AheadOfClocks;
        }
        let server = state.origin.server.clone();
        if server == self.me {
            return self.hear_of_myself(&state);
        }
        let rank = |state: &Advertisement| (state.stamp, state.origin.incarnation);
        match self.states.get(&server) {
            // The held state can be ahead only if this server's own clock has been put back.
            Some(held) if rank(&state) <= rank(held) && !self.is_ahead(latest_ns, held) => {
                return StateVerdict::Old;
            }
            None if !self.has_room_for(&server) => return StateVerdict::NoRoom,
            _ => {}
        }
        let up = state.up.clone();
        let before = self.states.insert(server.clone(), state);
        self.untold(&server, Some(from));
        if before.is_none_or(|before| before.up != up) {
            self.compute_in_turn();
        }
        StateVerdict::News
    }

    /// Whether a state's stamp is later than any right clock can show.
    fn is_ahead(&self, latest_ns: u64, state: &Advertisement) -> bool {
        state.stamp.max(state.origin.incarnation) > latest_ns && !self.rules.breaks(Broken::BelieveStates)
    }

    /// There is always room for members: the configuration bounds them.
    fn has_room_for(&self, server: &ServerName) -> bool {
        let strangers = || self.states.keys().filter(|server| !self.members.contains(*server)).count();
        self.members.contains(server) || strangers() < TREE_STRANGERS_MAX
    }

    /// Handles a state in this server's own name. If the state is newer, this server announces its own state again with
    /// a higher stamp, so that an earlier life's state does not count as newer. Two lives at once would answer each
    /// other as fast as their links can carry the states, so only a few states between two looks are answered at once.
    fn hear_of_myself(&mut self, state: &Advertisement) -> StateVerdict {
        let mine = &self.states[&self.me];
        if state.stamp < mine.stamp || (state.stamp == mine.stamp && state.origin == mine.origin) {
            return StateVerdict::Old;
        }
        if !self.namesake.hear(state.stamp) {
            return StateVerdict::Old;
        }
        self.announce(0);
        StateVerdict::News
    }

    /// To be called about once a second; `members` are the servers of the herd. Forgets states that this server has no
    /// reason to keep, contradicts any server that speaks in this server's name, and announces this server's state
    /// again when it is time.
    pub(crate) fn look(&mut self, now_ns: u64, clock_offset_max_ns: u64, members: &[ServerName]) {
        if self.members.len() != members.len() || !members.iter().all(|one| self.members.contains(one)) {
            self.members = members.iter().cloned().collect();
        }
        let latest_ns = now_ns.saturating_add(clock_offset_max_ns);
        self.forget(latest_ns);
        self.contradict();
        self.refresh(now_ns, latest_ns);
        self.wants_all = std::mem::take(&mut self.is_restless);
        self.computes.renew();
        self.compute();
    }

    /// Announces this server's state again if it is time. If the clock was put back, the stamp follows the clock: a
    /// server whose clock is right would not keep a state with the old stamp.
    fn refresh(&mut self, now_ns: u64, latest_ns: u64) {
        let is_ahead = self.is_ahead(latest_ns, &self.states[&self.me]);
        self.looks += 1;
        if self.looks < TREE_SAY_LOOKS && !is_ahead {
            return;
        }
        self.looks = 0;
        if is_ahead {
            let mine = self.mine();
            mine.stamp = 0;
            mine.origin.incarnation = mine.origin.incarnation.min(now_ns);
        }
        self.announce(now_ns);
    }

    /// Handles one heartbeat of any link. Contradicts a state in this server's name that was not contradicted at once;
    /// this happens a few times between two looks. Returns whether there is something to send.
    pub(crate) fn beat(&mut self) -> bool {
        let is_due = self.namesake.beat();
        if is_due {
            self.announce(0);
        }
        is_due
    }

    /// Contradicts a state in this server's name that was not contradicted yet. Returns whether there was such a state.
    fn contradict(&mut self) -> bool {
        let is_due = self.namesake.look();
        if is_due {
            self.announce(0);
        }
        is_due
    }

    /// Handles a neighbor's message that another process runs under this server's name. [`SpanningTree::has_namesake`]
    /// is true from now on, until [`TREE_NAMESAKE_LOOKS`] looks pass without another such message.
    pub(crate) fn hear_of_namesake(&mut self, incarnation: u64) {
        if incarnation != self.states[&self.me].origin.incarnation {
            self.namesake.report();
        }
    }

    /// Whether another process keeps speaking in this server's name.
    pub(crate) fn has_namesake(&self) -> bool {
        self.namesake.is_alive()
    }

    /// Forgets states that this server has had no reason to keep for some looks: states of servers that are not members
    /// and that no path leads to, and states that are further ahead than clocks may differ. One look is not enough,
    /// because states come in any order, and a clock may be wrong for a moment.
    fn forget(&mut self, latest_ns: u64) {
        let is_stranger = |server: &ServerName| !self.members.contains(server);
        let reached: BTreeSet<_> = match self.states.keys().any(is_stranger) {
            true => reach(&self.graph(), &self.me).into_keys().collect(),
            false => BTreeSet::new(),
        };
        let is_lost = |(server, state): &(&ServerName, &Advertisement)| {
            **server != self.me
                && (is_stranger(server) && !reached.contains(server) || self.is_ahead(latest_ns, state))
        };
        let lost: BTreeSet<_> =
            self.states.iter().filter(is_lost).map(|(server, _)| server.clone()).collect();
        self.lost.retain(|server, _| lost.contains(server));
        for server in lost {
            let looks = self.lost.entry(server.clone()).or_default();
            *looks += 1;
            if *looks >= TREE_LOST_LOOKS {
                self.lost.remove(&server);
                self.states.remove(&server);
            }
        }
    }

    /// The servers that support trees and that a path leads to, including this server.
    pub(crate) fn reached(&self) -> Vec<ServerName> {
        reach(&self.graph(), &self.me).into_keys().cloned().collect()
    }

    /// Announces which links are up, with a stamp of at least `stamp`.
    fn announce(&mut self, stamp: u64) {
        let up: Vec<_> = self.links.iter().flatten().map(|link| link.neighbor.clone()).collect();
        let contradicted = self.namesake.take_stamp();
        let mine = self.mine();
        mine.stamp = mine.stamp.max(contradicted).saturating_add(1).max(stamp);
        let is_other = mine.up != up;
        mine.up = up;
        let me = self.me.clone();
        self.untold(&me, None);
        if is_other {
            self.compute();
        }
    }

    fn mine(&mut self) -> &mut Advertisement {
        self.states.get_mut(&self.me).expect("this server's own state is always there")
    }

    fn untold(&mut self, server: &ServerName, but: Option<LinkId>) {
        for (at, link) in self.links.iter_mut().enumerate() {
            if let Some(link) = link
                && Some(at) != but.map(LinkId::index)
            {
                link.untold.insert(server.clone());
            }
        }
    }

    /// The states that the neighbor at `link` has not been sent. From now on these states count as sent.
    pub(crate) fn take_untold(&mut self, link: LinkId) -> Vec<Advertisement> {
        let Some(link) = &mut self.links[link.index()] else { return Vec::new() };
        let untold = std::mem::take(&mut link.untold);
        untold.iter().filter_map(|server| self.states.get(server)).cloned().collect()
    }

    /// Whether the neighbor at `link` should send its changes, if the neighbor does not know that yet. From now on the
    /// neighbor counts as knowing.
    pub(crate) fn take_wish(&mut self, link: LinkId) -> Option<bool> {
        let link = self.links[link.index()].as_mut()?;
        let is_news = link.is_fed != link.is_in_tree;
        link.is_fed = link.is_in_tree;
        is_news.then_some(link.is_fed)
    }

    /// The links on which there is something to send.
    pub(crate) fn links_untold(&self) -> impl Iterator<Item = LinkId> {
        let has_news = |link: &TreeLink| !link.untold.is_empty() || link.is_fed != link.is_in_tree;
        self.up().filter(move |(_, link)| has_news(link)).map(|(id, _)| id)
    }

    fn up(&self) -> impl Iterator<Item = (LinkId, &TreeLink)> {
        let numbered = self.links.iter().enumerate();
        numbered.filter_map(|(at, link)| Some((LinkId::new(at)?, link.as_ref()?)))
    }

    /// Computes the tree after another server's state has changed it. If that happens too often, this server wants
    /// changes on all links instead.
    fn compute_in_turn(&mut self) {
        if self.computes.take(1) == 0 {
            (self.is_restless, self.wants_all) = (true, true);
        }
        self.compute();
    }

    /// Computes the tree by a breadth-first search. The root is the server with the most links; among several such
    /// servers, the root is the one whose name comes first. Every server that holds the same states finds the same
    /// tree, and the tree is flat.
    fn compute(&mut self) {
        if self.wants_all {
            self.links.iter_mut().flatten().for_each(|link| link.is_in_tree = true);
            return;
        }
        let graph = self.graph();
        let in_tree = tree_of(&graph, &self.me);
        for link in self.links.iter_mut().flatten() {
            link.is_in_tree = in_tree.contains(&link.neighbor);
        }
    }

    /// Each server's neighbors, by the links that both ends announce as up.
    fn graph(&self) -> Graph<'_> {
        let says = |one: &ServerName, other: &ServerName| {
            self.states.get(one).is_some_and(|state| state.up.contains(other))
        };
        // A set orders the names, so the order and the number of repetitions in a server's list do not matter.
        let each = self.states.iter();
        each.map(|(server, state)| (server, state.up.iter().filter(|other| says(other, server)).collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
