//! The spanning tree of the herd, which every server computes alike.
//!
//! Each server tells all others which of its links are up: its *state*, versioned by a stamp that only grows. States are
//! few and small; they are flooded on every link, and kept by server, the newest only. A link is part of the graph when
//! both its ends say that it is up. From equal states every server computes equal trees; until the states have reached
//! everyone, trees differ for a moment, which costs copies or time and loses nothing: whoever is to be told less has
//! a vector, and asks.
//!
//! Any member can send a state in any server's name, so a wrong state must not last:
//! - A stamp begins at the clock of its server's start. A state that is further ahead than clocks may differ is not kept
//!   and not passed on.
//! - A server that hears a newer state in its own name says its state anew, above that stamp.
//! - Every server says its state anew every [`TREE_SAY_LOOKS`] looks, with a stamp of at least its clock. So whatever is
//!   kept in its name is overtaken once its clock has passed that stamp, even where the server never heard it.
//! - States of servers that are no members have a bound of their own ([`TREE_STRANGERS_MAX`]).
//! - A tree that changes all the time is none: each change makes neighbors look through their records, and what is on its
//!   way when it changes is late. So a server that sees too many changes ([`TREE_COMPUTES`]) wants to be told on all its
//!   links until it is calm. That costs copies, and whoever lies then can delay nothing.
//!
//! What it means for a link to be in the tree is not known here.

mod graph;
mod namesake;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    graph::{Graph, reach, tree_of},
    namesake::Namesake,
};

use crate::{
    flood::{Broken, LinkId, Rules},
    limits::{LINKS_MAX, TREE_COMPUTES, TREE_LOST_LOOKS, TREE_SAY_LOOKS, TREE_STRANGERS_MAX},
    types::{LinkState, Origin, ServerName},
};

/// All states, and this server's links.
#[derive(Debug)]
pub(crate) struct SpanningTree {
    states: BTreeMap<ServerName, LinkState>,
    /// The servers of the herd, as of the last look.
    members: BTreeSet<ServerName>,
    /// Servers whose states are about to be forgotten, and for how many consecutive looks there has been a reason.
    lost: BTreeMap<ServerName, u8>,
    namesake: Namesake,
    /// Looks since this server last said its state anew.
    looks: u8,
    /// How often the states of others may still change the tree before the next look ...
    computes_left: u8,
    /// ... and whether they have changed more often than that.
    is_restless: bool,
    /// All links are wanted, because there were too many changes.
    wants_all: bool,
    me: ServerName,
    links: Box<[Option<Link>]>,
    rules: Rules,
}

/// What became of a state that a neighbor told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is news, also for the other links.
    News,
    /// What is held is at least as new.
    Old,
    /// Its stamp or its incarnation is further ahead than clocks may differ: it was not kept.
    AheadOfClocks,
    /// It is about a server that is no member, and too many of those are known: it was not kept.
    NoRoom,
}

/// A link that is up and whose other end knows of trees.
#[derive(Debug)]
struct Link {
    neighbor: ServerName,
    /// Whose states the neighbor is to be told.
    untold: BTreeSet<ServerName>,
    is_in_tree: bool,
    /// What the neighbor was told last: whether it is to tell of changes.
    is_fed: bool,
}

impl SpanningTree {
    /// The tree of a server that has just started and is alone.
    pub(crate) fn new(me: Origin, rules: Rules) -> SpanningTree {
        let name = me.server.clone();
        // A later life begins where the one before can hardly have come to; if it has, the herd will say so.
        let state = LinkState { stamp: me.incarnation, origin: me, up: Vec::new() };
        SpanningTree {
            states: BTreeMap::from([(name.clone(), state)]),
            members: BTreeSet::new(),
            lost: BTreeMap::new(),
            namesake: Namesake::default(),
            looks: 0,
            computes_left: TREE_COMPUTES,
            is_restless: false,
            wants_all: false,
            me: name,
            links: (0..LINKS_MAX).map(|_| None).collect(),
            rules,
        }
    }

    /// A link is up: the neighbor is to be told all states, and everybody that there is one link more.
    pub(crate) fn link_up(&mut self, link: LinkId, neighbor: ServerName) {
        let untold = self.states.keys().cloned().collect();
        self.links[link.index()] = Some(Link { neighbor, untold, is_in_tree: false, is_fed: false });
        self.say(0);
    }

    /// A link is down; says whether it was known to be up.
    pub(crate) fn link_down(&mut self, link: LinkId) -> bool {
        let was_up = self.links[link.index()].take().is_some();
        if was_up {
            self.say(0);
        }
        was_up
    }

    /// A state came over a link; `latest_ns` is the latest that a right clock may show now.
    pub(crate) fn hear(&mut self, latest_ns: u64, from: LinkId, state: LinkState) -> Heard {
        if self.is_ahead(latest_ns, &state) {
            return Heard::AheadOfClocks;
        }
        let server = state.origin.server.clone();
        if server == self.me {
            return self.hear_of_myself(&state);
        }
        let rank = |state: &LinkState| (state.stamp, state.origin.incarnation);
        match self.states.get(&server) {
            // What is held can be ahead only where this server's own clock has been put back.
            Some(held) if rank(&state) <= rank(held) && !self.is_ahead(latest_ns, held) => return Heard::Old,
            None if !self.has_room_for(&server) => return Heard::NoRoom,
            _ => {}
        }
        let up = state.up.clone();
        let before = self.states.insert(server.clone(), state);
        self.untold(&server, Some(from));
        if before.is_none_or(|before| before.up != up) {
            self.compute_in_turn();
        }
        Heard::News
    }

    /// Whether a right clock can not have come so far.
    fn is_ahead(&self, latest_ns: u64, state: &LinkState) -> bool {
        state.stamp.max(state.origin.incarnation) > latest_ns && !self.rules.breaks(Broken::BelieveStates)
    }

    /// Members always have room: the configuration bounds them.
    fn has_room_for(&self, server: &ServerName) -> bool {
        let strangers = || self.states.keys().filter(|server| !self.members.contains(*server)).count();
        self.members.contains(server) || strangers() < TREE_STRANGERS_MAX
    }

    /// What an earlier life has said must not be taken for newer than what this one says. Two lives at once would
    /// contradict each other as fast as the links carry it: only a few times between two looks is it done at once.
    fn hear_of_myself(&mut self, state: &LinkState) -> Heard {
        let mine = &self.states[&self.me];
        if state.stamp < mine.stamp || (state.stamp == mine.stamp && state.origin == mine.origin) {
            return Heard::Old;
        }
        if !self.namesake.hear(state.stamp) {
            return Heard::Old;
        }
        self.say(0);
        Heard::News
    }

    /// One look, to be taken about once a second; `members` are the servers of the herd. Forgets what is to be
    /// forgotten, contradicts whoever speaks in this server's name, and now and then says this server's state anew.
    pub(crate) fn look(&mut self, now_ns: u64, clock_offset_max_ns: u64, members: &[ServerName]) {
        if self.members.len() != members.len() || !members.iter().all(|one| self.members.contains(one)) {
            self.members = members.iter().cloned().collect();
        }
        let latest_ns = now_ns.saturating_add(clock_offset_max_ns);
        self.forget(latest_ns);
        self.contradict();
        self.refresh(now_ns, latest_ns);
        self.wants_all = std::mem::take(&mut self.is_restless);
        self.computes_left = TREE_COMPUTES;
        self.compute();
    }

    /// Says this server's state anew if it is time. After the clock was put back the stamp follows it: nobody whose
    /// clock is right would keep what this server says otherwise.
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
        self.say(now_ns);
    }

    /// One heartbeat of any link: contradicts whoever has spoken in this server's name more often than is contradicted at
    /// once, a few times between two looks. Says whether there is something to tell.
    pub(crate) fn beat(&mut self) -> bool {
        let is_due = self.namesake.beat();
        if is_due {
            self.say(0);
        }
        is_due
    }

    /// Contradicts whoever has spoken in this server's name and was not contradicted yet; says whether anybody was.
    fn contradict(&mut self) -> bool {
        let is_due = self.namesake.look();
        if is_due {
            self.say(0);
        }
        is_due
    }

    /// A neighbor says that another process runs under this server's name. [`SpanningTree::has_namesake`] is true from now on, until
    /// [`TREE_NAMESAKE_LOOKS`] looks pass without another such message.
    pub(crate) fn hear_of_namesake(&mut self, incarnation: u64) {
        if incarnation != self.states[&self.me].origin.incarnation {
            self.namesake.report();
        }
    }

    /// Whether another process goes on speaking in this server's name.
    pub(crate) fn has_namesake(&self) -> bool {
        self.namesake.is_alive()
    }

    /// Forgets the states that have had no place here for some looks: those of servers that are no members and that no
    /// way leads to, and those that are further ahead than clocks may differ. One look would not do: states come in
    /// any order, and a clock may be wrong for a moment.
    fn forget(&mut self, latest_ns: u64) {
        let is_stranger = |server: &ServerName| !self.members.contains(server);
        let reached: BTreeSet<_> = match self.states.keys().any(is_stranger) {
            true => reach(&self.graph(), &self.me).into_keys().collect(),
            false => BTreeSet::new(),
        };
        let is_lost = |(server, state): &(&ServerName, &LinkState)| {
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

    /// The servers that a way leads to, this one among them, as far as they know of trees.
    pub(crate) fn reached(&self) -> Vec<ServerName> {
        reach(&self.graph(), &self.me).into_keys().cloned().collect()
    }

    /// Says anew which links are up, with a stamp of at least `stamp`.
    fn say(&mut self, stamp: u64) {
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

    fn mine(&mut self) -> &mut LinkState {
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

    /// The states that the neighbor at `link` has not been told, from now on taken for told.
    pub(crate) fn take_untold(&mut self, link: LinkId) -> Vec<LinkState> {
        let Some(link) = &mut self.links[link.index()] else { return Vec::new() };
        let untold = std::mem::take(&mut link.untold);
        untold.iter().filter_map(|server| self.states.get(server)).cloned().collect()
    }

    /// Whether the neighbor at `link` is to tell of changes, if it does not know; from now on it does.
    pub(crate) fn take_wish(&mut self, link: LinkId) -> Option<bool> {
        let link = self.links[link.index()].as_mut()?;
        let is_news = link.is_fed != link.is_in_tree;
        link.is_fed = link.is_in_tree;
        is_news.then_some(link.is_fed)
    }

    /// The links over which there is something to tell.
    pub(crate) fn links_untold(&self) -> impl Iterator<Item = LinkId> {
        let has_news = |link: &Link| !link.untold.is_empty() || link.is_fed != link.is_in_tree;
        self.up().filter(move |(_, link)| has_news(link)).map(|(id, _)| id)
    }

    fn up(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        let numbered = self.links.iter().enumerate();
        numbered.filter_map(|(at, link)| Some((LinkId::new(at)?, link.as_ref()?)))
    }

    /// Computes the tree after a state of another server has changed it, unless that happens all the time.
    fn compute_in_turn(&mut self) {
        match self.computes_left.checked_sub(1) {
            Some(left) => self.computes_left = left,
            None => (self.is_restless, self.wants_all) = (true, true),
        }
        self.compute();
    }

    /// Breadth first from the server with the most links, ties going to the first name: every server that holds the
    /// same states finds the same tree, and a flat one.
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

    /// Each server's neighbors, as far as both ends say so.
    fn graph(&self) -> Graph<'_> {
        let says = |one: &ServerName, other: &ServerName| {
            self.states.get(one).is_some_and(|state| state.up.contains(other))
        };
        // In the order of their names, whatever order and however often a server names them.
        let each = self.states.iter();
        each.map(|(server, state)| (server, state.up.iter().filter(|other| says(other, server)).collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
