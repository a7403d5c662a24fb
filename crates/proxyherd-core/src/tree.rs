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

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    flood::{Broken, LinkId, Rules},
    limits::{
        LINKS_MAX, TREE_ANSWERS, TREE_COMPUTES, TREE_LOST_LOOKS, TREE_NAMESAKE_LOOKS, TREE_SAY_LOOKS,
        TREE_STRANGERS_MAX,
    },
    types::{LinkState, Origin, ServerName},
};

/// All states, and this server's links.
#[derive(Debug)]
pub(crate) struct Tree {
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

/// Who else speaks in this server's name: an earlier life, once, or a process that should not be there, for as long as
/// it is.
#[derive(Debug, Default)]
struct Namesake {
    /// Whether it was contradicted since the last look.
    is_answered: bool,
    /// How often it was contradicted at once since then, and how often with a heartbeat.
    answers: u8,
    late_answers: u8,
    /// The newest stamp of its that has not been contradicted.
    stamp: Option<u64>,
    /// One more for each look before which it had spoken, one less for each other: two that have the same neighbor
    /// take its link from each other, and are not heard all the time.
    looks: u8,
    is_alive: bool,
}

/// A link that is up and whose other end knows of trees.
#[derive(Debug)]
struct Link {
    neighbour: ServerName,
    /// Whose states the neighbor is to be told.
    untold: BTreeSet<ServerName>,
    is_in_tree: bool,
    /// What the neighbor was told last: whether it is to tell of changes.
    is_fed: bool,
}

impl Tree {
    /// The tree of a server that has just started and is alone.
    pub(crate) fn new(me: Origin, rules: Rules) -> Tree {
        let name = me.server.clone();
        // A later life begins where the one before can hardly have come to; if it has, the herd will say so.
        let state = LinkState { stamp: me.incarnation, origin: me, up: Vec::new() };
        Tree {
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
    pub(crate) fn link_up(&mut self, link: LinkId, neighbour: ServerName) {
        let untold = self.states.keys().cloned().collect();
        self.links[link.index()] = Some(Link { neighbour, untold, is_in_tree: false, is_fed: false });
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
        self.namesake.stamp = self.namesake.stamp.max(Some(state.stamp));
        if self.namesake.answers >= TREE_ANSWERS {
            return Heard::Old;
        }
        self.namesake.answers += 1;
        self.namesake.is_answered = true;
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
        let Namesake { is_answered, late_answers, stamp, .. } = &mut self.namesake;
        if stamp.is_none() || *late_answers >= TREE_ANSWERS {
            return false;
        }
        *late_answers += 1;
        *is_answered = true;
        self.say(0);
        true
    }

    /// Contradicts whoever has spoken in this server's name and was not contradicted yet; says whether anybody was.
    fn contradict(&mut self) -> bool {
        let Namesake { is_answered, answers, late_answers, stamp, looks, is_alive } = &mut self.namesake;
        (*answers, *late_answers) = (0, 0);
        *looks = if *is_answered { TREE_NAMESAKE_LOOKS.min(*looks + 1) } else { looks.saturating_sub(1) };
        *is_alive = *looks > 0 && (*is_alive || *looks == TREE_NAMESAKE_LOOKS);
        *is_answered = stamp.is_some();
        if *is_answered {
            self.say(0);
        }
        self.namesake.is_answered
    }

    /// A neighbor says that another process runs under this server's name. [`Tree::has_namesake`] is true from now on, until
    /// [`TREE_NAMESAKE_LOOKS`] looks pass without another such message.
    pub(crate) fn hear_of_namesake(&mut self, incarnation: u64) {
        if incarnation != self.states[&self.me].origin.incarnation {
            self.namesake.looks = TREE_NAMESAKE_LOOKS;
            self.namesake.is_alive = true;
        }
    }

    /// Whether another process goes on speaking in this server's name.
    pub(crate) fn has_namesake(&self) -> bool {
        self.namesake.is_alive
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
        let up: Vec<_> = self.links.iter().flatten().map(|link| link.neighbour.clone()).collect();
        let contradicted = self.namesake.stamp.take().unwrap_or(0);
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
            link.is_in_tree = in_tree.contains(&link.neighbour);
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

/// Servers, and the neighbors of each.
type Graph<'a> = BTreeMap<&'a ServerName, BTreeSet<&'a ServerName>>;

/// Whom of its neighbors `me` shares an edge of the tree with.
fn tree_of(graph: &Graph<'_>, me: &ServerName) -> BTreeSet<ServerName> {
    // The root is chosen among all that `me` reaches, so that all of them choose the same.
    let reached = reach(graph, me);
    let degree = |server: &ServerName| graph.get(server).map_or(0, BTreeSet::len);
    let first = reached
        .keys()
        .copied()
        .max_by(|one, other| degree(one).cmp(&degree(other)).then_with(|| other.cmp(one)));
    let parents = reach(graph, first.unwrap_or(me));
    let edges = parents.iter().filter_map(|(child, parent)| Some((*child, (*parent)?)));
    edges
        .filter_map(|(child, parent)| match (child == me, parent == me) {
            (true, _) => Some(parent.clone()),
            (_, true) => Some(child.clone()),
            _ => None,
        })
        .collect()
}

/// All servers that `root` reaches, each with the one from which it is reached first.
fn reach<'a>(graph: &Graph<'a>, root: &'a ServerName) -> BTreeMap<&'a ServerName, Option<&'a ServerName>> {
    let (mut parents, mut next) = (BTreeMap::from([(root, None)]), VecDeque::from([root]));
    while let Some(server) = next.pop_front() {
        for &near in graph.get(server).into_iter().flatten() {
            if !parents.contains_key(near) {
                parents.insert(near, Some(server));
                next.push_back(near);
            }
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(server: usize) -> ServerName {
        ServerName::new(&format!("s{server}")).unwrap()
    }

    fn link(at: usize) -> LinkId {
        LinkId::new(at).unwrap()
    }

    /// A clock that shows this is right; clocks may be [`OFFSET`] apart.
    const NOW: u64 = 1_000_000;
    const OFFSET: u64 = 1_000;

    fn born(server: usize, incarnation: u64) -> Tree {
        Tree::new(Origin { server: name(server), incarnation }, Rules::default())
    }

    fn members(servers: usize) -> Vec<ServerName> {
        (0..servers).map(name).collect()
    }

    fn state(server: ServerName, stamp: u64, up: &[usize]) -> LinkState {
        let origin = Origin { server, incarnation: 1 };
        LinkState { origin, stamp, up: up.iter().copied().map(name).collect() }
    }

    /// Servers with these links, and everything told to everyone.
    fn herd(servers: usize, edges: &[(usize, usize)]) -> Vec<Tree> {
        let mut trees: Vec<_> = (0..servers).map(|server| born(server, 1)).collect();
        for &(a, b) in edges {
            trees[a].link_up(link(b), name(b));
            trees[b].link_up(link(a), name(a));
        }
        settle(&mut trees);
        trees
    }

    /// A link's number is its neighbor's.
    fn settle(trees: &mut [Tree]) {
        while let Some((from, to)) =
            (0..trees.len()).find_map(|at| Some((at, trees[at].links_with_states().next()?)))
        {
            for state in trees[from].take_untold(to) {
                trees[to.index()].hear(NOW + OFFSET, link(from), state);
            }
        }
        trees.iter_mut().for_each(Tree::calm_down);
    }

    impl Tree {
        /// Some looks later.
        fn calm_down(&mut self) {
            (self.is_restless, self.wants_all) = (false, false);
            self.computes_left = TREE_COMPUTES;
            self.compute();
        }

        fn links_with_states(&self) -> impl Iterator<Item = LinkId> {
            self.up().filter(|(_, link)| !link.untold.is_empty()).map(|(id, _)| id)
        }

        fn edges(&self) -> Vec<usize> {
            self.up().filter(|(_, link)| link.is_in_tree).map(|(id, _)| id.index()).collect()
        }
    }

    /// Both ends of each link agree, and there are so many edges.
    fn check(trees: &[Tree], expected: usize) {
        let mut count = 0;
        for (at, tree) in trees.iter().enumerate() {
            for other in tree.edges() {
                assert!(trees[other].edges().contains(&at), "{at} and {other}");
                count += 1;
            }
        }
        assert_eq!(count, 2 * expected);
    }

    const CLASSIC: [(usize, usize); 6] = [(0, 1), (0, 2), (4, 1), (4, 2), (4, 3), (2, 3)];

    #[test]
    fn all_servers_find_the_same_tree_and_find_another_when_a_link_ends() {
        let mut trees = herd(5, &CLASSIC);
        check(&trees, 4);
        assert_eq!(trees[2].edges(), [0, 3, 4], "the root has the most links, and of those the first name");
        trees[2].link_down(link(4));
        trees[4].link_down(link(2));
        settle(&mut trees);
        check(&trees, 4);
        assert!(!trees[4].edges().contains(&2));
    }

    #[test]
    fn a_link_counts_when_both_ends_say_that_it_is_up() {
        let mut trees = herd(3, &[(0, 1), (1, 2), (2, 0)]);
        assert_eq!(trees[0].edges(), [1, 2], "all have two links, and it has the first name");
        // The other end has not noticed.
        trees[1].link_down(link(0));
        settle(&mut trees);
        assert_eq!(trees[0].edges(), [2]);
    }

    #[test]
    fn a_server_that_starts_again_with_its_clock_put_back_is_believed() {
        let mut trees = herd(3, &[(0, 1), (1, 2)]);
        let _ = trees[1].link_down(link(2));
        for incarnation in [0, 100] {
            trees[2] = born(2, incarnation);
            let _ = trees[1].link_down(link(2));
            trees[1].link_up(link(2), name(2));
            trees[2].link_up(link(1), name(1));
            settle(&mut trees);
            check(&trees, 2);
        }
    }

    #[test]
    fn two_processes_of_one_name_contradict_each_other_a_few_times_a_look_and_are_told_of_it() {
        // Servers 0 and 2 have one name.
        let mut trees = vec![born(0, 1), born(1, 1), born(0, 2)];
        for end in [0, 2] {
            trees[1].link_up(link(end), name(0));
            trees[end].link_up(link(1), name(1));
        }
        settle(&mut trees);
        for look in 0..TREE_NAMESAKE_LOOKS {
            assert!(!trees[0].has_namesake() && !trees[2].has_namesake(), "at look {look}");
            let stamps: Vec<_> = trees.iter().map(|tree| tree.states[&name(0)].stamp).collect();
            for end in [0, 2] {
                trees[end].contradict();
                settle(&mut trees);
            }
            let said = trees[1].states[&name(0)].stamp - stamps[1];
            let most = 2 + 2 * u64::from(TREE_ANSWERS);
            assert!((1..=most).contains(&said), "{said} times in one look");
        }
        assert!(trees[0].has_namesake() && trees[2].has_namesake());
        // One of them is stopped.
        trees.truncate(2);
        trees[1].link_down(link(2));
        for _ in 0..2 {
            settle(&mut trees);
            trees[0].contradict();
        }
        assert!(trees[0].has_namesake(), "it may be back in a moment");
        (0..TREE_NAMESAKE_LOOKS).for_each(|_| assert!(!trees[0].contradict()));
        assert!(!trees[0].has_namesake());
        check(&trees, 1);
    }

    #[test]
    fn states_that_are_forged_faster_than_they_are_contradicted_are_contradicted_with_a_heartbeat() {
        let mut trees = herd(3, &[(0, 1), (1, 2), (2, 0)]);
        let forge = |trees: &mut [Tree], stamp| {
            let lie = state(name(1), stamp, &[]);
            trees[0].hear(NOW + OFFSET, link(2), lie);
            settle(trees);
        };
        for burst in 0..2 {
            // What is contradicted at once is.
            (1..=u64::from(TREE_ANSWERS)).for_each(|at| forge(&mut trees, burst * 100 + 10 * at));
            check(&trees, 2);
            for beat in 1..=u64::from(TREE_ANSWERS) + 1 {
                forge(&mut trees, burst * 100 + 50 + 5 * beat);
                assert!(trees[0].states[&name(1)].up.is_empty());
                let is_answered = trees[1].beat();
                settle(&mut trees);
                assert_eq!(is_answered, beat <= u64::from(TREE_ANSWERS));
                assert_eq!(trees[0].states[&name(1)].up.is_empty(), !is_answered);
            }
            trees[1].contradict();
            settle(&mut trees);
            assert!(!trees[1].beat());
            check(&trees, 2);
        }
    }

    #[test]
    fn a_namesake_that_a_neighbor_tells_of_is_alive_for_some_looks_and_nobody_is_its_own() {
        let mut tree = born(0, 1);
        tree.hear_of_namesake(1);
        assert!(!tree.has_namesake(), "that is this process itself");
        tree.hear_of_namesake(2);
        for look in 0..TREE_NAMESAKE_LOOKS {
            assert!(tree.has_namesake(), "at look {look}");
            assert!(!tree.contradict(), "there is nothing to contradict");
        }
        assert!(!tree.has_namesake());
        (0..3 * TREE_NAMESAKE_LOOKS).for_each(|look| {
            if look % 3 == 0 {
                tree.hear_of_namesake(2);
            }
            tree.contradict();
            assert!(tree.has_namesake(), "at look {look}");
        });
    }

    #[test]
    fn who_has_left_the_herd_is_forgotten_once_no_way_leads_there() {
        let mut trees = herd(4, &[(0, 1), (1, 2), (2, 3)]);
        let look = |tree: &mut Tree| tree.look(NOW, OFFSET, &members(2));
        (0..TREE_LOST_LOOKS).for_each(|_| look(&mut trees[0]));
        assert_eq!(trees[0].states.len(), 4, "others have links with it");
        trees[1].link_down(link(2));
        settle(&mut trees);
        assert_eq!(trees[0].reached(), [name(0), name(1)]);
        (1..TREE_LOST_LOOKS).for_each(|_| look(&mut trees[0]));
        assert_eq!(trees[0].states.len(), 4);
        look(&mut trees[0]);
        assert_eq!(trees[0].states.keys().cloned().collect::<Vec<_>>(), [name(0), name(1)]);
    }

    #[test]
    fn a_member_that_is_away_is_remembered_and_one_that_comes_back_counts_again() {
        let mut trees = herd(3, &[(0, 1), (1, 2)]);
        trees[1].link_down(link(2));
        settle(&mut trees);
        (0..=TREE_LOST_LOOKS).for_each(|_| trees[0].look(NOW, OFFSET, &members(3)));
        assert_eq!(trees[0].states.len(), 3);
        (0..TREE_LOST_LOOKS).for_each(|_| trees[0].look(NOW, OFFSET, &members(2)));
        assert_eq!(trees[0].states.len(), 2);
        trees[1].link_up(link(2), name(2));
        trees[2] = born(2, 2);
        trees[2].link_up(link(1), name(1));
        settle(&mut trees);
        check(&trees, 2);
        assert_eq!(trees[0].reached().len(), 3);
    }

    #[test]
    fn a_state_further_ahead_than_clocks_may_differ_is_neither_kept_nor_passed_on() {
        let mut trees = herd(3, &[(0, 1), (1, 2), (2, 0)]);
        let lie = |server, stamp| state(name(server), stamp, &[]);
        let early = |server| LinkState {
            origin: Origin { server: name(server), incarnation: NOW + OFFSET + 1 },
            ..lie(server, NOW)
        };
        // About a server elsewhere, about the one that hears it, and about one that nobody has heard of.
        for server in [2, 1, 7] {
            for lie in [lie(server, u64::MAX), lie(server, NOW + OFFSET + 1), early(server)] {
                assert_eq!(trees[1].hear(NOW + OFFSET, link(0), lie), Heard::AheadOfClocks);
            }
        }
        assert!(trees[1].links_with_states().next().is_none());
        check(&trees, 2);
    }

    #[test]
    fn a_broken_rule_lets_a_lie_stay() {
        let mut tree = Tree::new(
            Origin { server: name(0), incarnation: 1 },
            Rules { broken: Some(Broken::BelieveStates) },
        );
        tree.link_up(link(1), name(1));
        assert_eq!(tree.hear(NOW, link(1), state(name(1), u64::MAX, &[])), Heard::News);
        (0..=TREE_LOST_LOOKS).for_each(|_| tree.look(NOW, OFFSET, &members(2)));
        assert_eq!(tree.hear(NOW, link(1), state(name(1), 2, &[0])), Heard::Old);
    }

    #[test]
    fn a_lie_within_bounds_is_contradicted_and_the_tree_is_as_before() {
        let mut trees = herd(5, &CLASSIC);
        let before: Vec<_> = trees.iter().map(Tree::edges).collect();
        // The middle of the tree has no links, says somebody.
        assert_eq!(trees[1].hear(NOW + OFFSET, link(0), state(name(2), NOW + OFFSET, &[])), Heard::News);
        assert_ne!(trees[1].states[&name(2)].up, trees[2].states[&name(2)].up);
        // Later the answer is within bounds for those whose clocks are a moment behind, too.
        while let Some((from, to)) =
            (0..trees.len()).find_map(|at| Some((at, trees[at].links_with_states().next()?)))
        {
            for state in trees[from].take_untold(to) {
                trees[to.index()].hear(NOW + OFFSET + 1, link(from), state);
            }
        }
        assert_eq!(trees.iter().map(Tree::edges).collect::<Vec<_>>(), before);
    }

    #[test]
    fn a_lie_that_its_server_never_hears_is_overtaken_by_the_clock() {
        let mut trees = herd(3, &[(0, 1), (1, 2)]);
        // Server 2 is away; what is said of it has the latest stamp that is kept.
        trees[1].link_down(link(2));
        let lie = state(name(2), NOW + OFFSET, &[]);
        assert_eq!(trees[0].hear(NOW + OFFSET, link(1), lie.clone()), Heard::News);
        // It is back, and its clock is behind: it does not believe what is said in its name.
        trees[2] = born(2, NOW - OFFSET);
        trees[2].link_up(link(1), name(1));
        trees[1].link_up(link(2), name(2));
        assert_eq!(trees[2].hear(NOW, link(1), lie), Heard::AheadOfClocks);
        let pass_on = |trees: &mut [Tree]| {
            for (from, to) in [(2, 1), (1, 0)] {
                for state in trees[from].take_untold(link(to)) {
                    trees[to].hear(NOW + 3 * OFFSET, link(from), state);
                }
            }
        };
        pass_on(&mut trees);
        assert!(trees[0].states[&name(2)].up.is_empty());
        for _ in 0..TREE_SAY_LOOKS {
            trees[2].look(NOW + 2 * OFFSET, OFFSET, &members(3));
        }
        pass_on(&mut trees);
        assert_eq!(trees[0].states[&name(2)].up, [name(1)]);
        assert_eq!(trees[0].reached().len(), 3);
    }

    #[test]
    fn when_all_clocks_were_wrong_what_was_said_then_does_not_outlive_it() {
        const LATER: u64 = NOW - 100 * OFFSET;
        let mut trees = herd(3, &[(0, 1), (1, 2)]);
        for tree in &mut trees {
            (0..TREE_SAY_LOOKS).for_each(|_| tree.look(NOW, OFFSET, &members(3)));
        }
        settle(&mut trees);
        assert!(trees[0].states.values().all(|state| state.stamp == NOW));
        // All clocks are put back, and one server is gone.
        trees[1].link_down(link(2));
        let settle_later = |trees: &mut [Tree]| {
            for (from, to) in [(0, 1), (1, 0), (0, 1)] {
                for state in trees[from].take_untold(link(to)) {
                    trees[to].hear(LATER + OFFSET, link(from), state);
                }
            }
        };
        for _ in 0..TREE_LOST_LOOKS {
            trees[..2].iter_mut().for_each(|tree| tree.look(LATER, OFFSET, &members(3)));
            settle_later(&mut trees);
        }
        for tree in &trees[..2] {
            assert_eq!(tree.states.keys().cloned().collect::<Vec<_>>(), [name(0), name(1)]);
            assert!(tree.states.values().all(|state| state.stamp <= LATER + OFFSET));
            assert_eq!(tree.reached().len(), 2);
        }
        assert_eq!((trees[0].edges(), trees[1].edges()), (vec![1], vec![0]));
    }

    #[test]
    fn strangers_have_a_bound_and_members_have_room_beside_them() {
        let mut trees = herd(2, &[(0, 1)]);
        trees[0].look(NOW, OFFSET, &members(3));
        let stranger = |at: usize| ServerName::new(&format!("nobody{at}")).unwrap();
        for at in 0..TREE_STRANGERS_MAX {
            assert_eq!(trees[0].hear(NOW, link(1), state(stranger(at), 1, &[])), Heard::News);
        }
        let one_more = state(stranger(TREE_STRANGERS_MAX), 1, &[]);
        assert_eq!(trees[0].hear(NOW, link(1), one_more.clone()), Heard::NoRoom);
        assert_eq!(trees[0].hear(NOW, link(1), state(name(2), 1, &[])), Heard::News);
        (0..TREE_LOST_LOOKS).for_each(|_| trees[0].look(NOW, OFFSET, &members(3)));
        assert_eq!(trees[0].states.len(), 3);
        assert_eq!(trees[0].hear(NOW, link(1), one_more), Heard::News);
    }

    #[test]
    fn where_states_change_all_the_time_all_links_are_wanted_until_it_is_calm() {
        let mut trees = herd(3, &[(0, 1), (1, 2), (2, 0)]);
        trees[0].look(NOW, OFFSET, &members(3));
        let mut changes = 0;
        let mut edges = trees[0].edges();
        for stamp in 10..1000 {
            let up: &[usize] = if stamp % 2 == 0 { &[0] } else { &[] };
            trees[0].hear(NOW, link(1), state(name(2), stamp, up));
            changes += usize::from(edges != trees[0].edges());
            edges = trees[0].edges();
        }
        assert!((2..=usize::from(TREE_COMPUTES)).contains(&changes), "{changes}");
        assert_eq!(edges, [1, 2]);
        // The first look finds that it was not calm since the last one.
        for edges in [&[1, 2][..], &[1]] {
            trees[0].look(NOW, OFFSET, &members(3));
            assert_eq!(trees[0].edges(), edges);
        }
    }

    #[test]
    fn a_wish_is_told_once() {
        let mut trees = herd(2, &[(0, 1)]);
        assert_eq!(trees[0].take_wish(link(1)), Some(true));
        assert_eq!(trees[0].take_wish(link(1)), None);
        assert_eq!(trees[0].links_untold().next(), None);
    }
}
