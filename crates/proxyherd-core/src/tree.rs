//! The spanning tree of the herd, which every server computes alike.
//!
//! Each server tells all others which of its links are up: its *state*, versioned by a stamp that only grows. States are
//! few and small; they are flooded on every link, and kept by server, the newest only. A link is part of the graph when
//! both its ends say that it is up. From equal states every server computes equal trees; until the states have reached
//! everyone, trees differ for a moment, which costs copies or time and loses nothing: whoever is to be told less has
//! a vector, and asks.
//!
//! What it means for a link to be in the tree is not known here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    flood::LinkId,
    limits::{LINKS_MAX, TREE_LOST_LOOKS, TREE_NAMESAKE_LOOKS, TREE_SERVERS_MAX},
    types::{LinkState, Origin, ServerName},
};

/// All states, and this server's links.
#[derive(Debug)]
pub(crate) struct Tree {
    states: BTreeMap<ServerName, LinkState>,
    /// Servers that have left the herd and that no way leads to, and at how many looks in a row that was so.
    lost: BTreeMap<ServerName, u8>,
    namesake: Namesake,
    me: ServerName,
    links: Box<[Option<Link>]>,
}

/// Who else speaks in this server's name: an earlier life, once, or a process that should not be there, for as long as
/// it is.
#[derive(Debug, Default)]
struct Namesake {
    /// Whether it was contradicted since the last look.
    is_answered: bool,
    /// The newest stamp of its that has not been contradicted.
    stamp: Option<u64>,
    /// One more for each look before which it had spoken, one less for each other: two that have the same neighbour
    /// take its link from each other, and are not heard all the time.
    looks: u8,
    is_alive: bool,
}

/// A link that is up and whose other end knows of trees.
#[derive(Debug)]
struct Link {
    neighbour: ServerName,
    /// Whose states the neighbour is to be told.
    untold: BTreeSet<ServerName>,
    is_in_tree: bool,
    /// What the neighbour was told last: whether it is to tell of changes.
    is_fed: bool,
}

impl Tree {
    /// The tree of a server that has just started and is alone.
    pub(crate) fn new(me: Origin) -> Tree {
        let name = me.server.clone();
        // A later life begins where the one before can hardly have come to; if it has, the herd will say so.
        let state = LinkState { stamp: me.incarnation, origin: me, up: Vec::new() };
        let states = BTreeMap::from([(name.clone(), state)]);
        let links = (0..LINKS_MAX).map(|_| None).collect();
        Tree { states, lost: BTreeMap::new(), namesake: Namesake::default(), me: name, links }
    }

    /// A link is up: the neighbour is to be told all states, and everybody that there is one link more.
    pub(crate) fn link_up(&mut self, link: LinkId, neighbour: ServerName) {
        let untold = self.states.keys().cloned().collect();
        self.links[link.index()] = Some(Link { neighbour, untold, is_in_tree: false, is_fed: false });
        self.say();
    }

    /// A link is down; says whether it was known to be up.
    pub(crate) fn link_down(&mut self, link: LinkId) -> bool {
        let was_up = self.links[link.index()].take().is_some();
        if was_up {
            self.say();
        }
        was_up
    }

    /// A state came over a link. Says whether it is news; then it is for all others too.
    pub(crate) fn hear(&mut self, from: LinkId, state: LinkState) -> bool {
        let server = state.origin.server.clone();
        if server == self.me {
            return self.hear_of_myself(&state);
        }
        let rank = |state: &LinkState| (state.stamp, state.origin.incarnation);
        let is_news = match self.states.get(&server) {
            Some(held) => rank(&state) > rank(held),
            None => self.states.len() < TREE_SERVERS_MAX,
        };
        if is_news {
            self.states.insert(server.clone(), state);
            self.untold(&server, Some(from));
            self.compute();
        }
        is_news
    }

    /// What an earlier life has said must not be taken for newer than what this one says. Two lives at once would
    /// contradict each other as fast as the links carry it: only the first time since the last look is it done at once.
    fn hear_of_myself(&mut self, state: &LinkState) -> bool {
        let mine = &self.states[&self.me];
        if state.stamp < mine.stamp || (state.stamp == mine.stamp && state.origin == mine.origin) {
            return false;
        }
        self.namesake.stamp = self.namesake.stamp.max(Some(state.stamp));
        if self.namesake.is_answered {
            return false;
        }
        self.namesake.is_answered = true;
        self.say();
        true
    }

    /// One look at who else speaks in this server's name: contradicts what has not been. Says whether that is news for
    /// the links.
    pub(crate) fn contradict(&mut self) -> bool {
        let Namesake { is_answered, stamp, looks, is_alive } = &mut self.namesake;
        *looks = if *is_answered { TREE_NAMESAKE_LOOKS.min(*looks + 1) } else { looks.saturating_sub(1) };
        *is_alive = *looks > 0 && (*is_alive || *looks == TREE_NAMESAKE_LOOKS);
        *is_answered = stamp.is_some();
        if *is_answered {
            self.say();
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

    /// One look at who has left the herd: what a server has said is forgotten once it is no member any more and no way
    /// has led to it for some looks. One look would not do: states come in any order, and the way may be about to be
    /// told of.
    pub(crate) fn forget_lost(&mut self, is_member: impl Fn(&ServerName) -> bool) {
        let strangers: Vec<_> = self.states.keys().filter(|server| !is_member(server)).cloned().collect();
        if strangers.is_empty() {
            self.lost.clear();
            return;
        }
        let reached: BTreeSet<_> = reach(&self.graph(), &self.me).into_keys().cloned().collect();
        let lost: BTreeSet<_> = strangers.into_iter().filter(|server| !reached.contains(server)).collect();
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

    /// Says anew which links are up.
    fn say(&mut self) {
        let up = self.links.iter().flatten().map(|link| link.neighbour.clone()).collect();
        let mine = self.states.get_mut(&self.me).expect("this server's own state is always there");
        mine.stamp = mine.stamp.max(self.namesake.stamp.take().unwrap_or(0)).saturating_add(1);
        mine.up = up;
        let me = self.me.clone();
        self.untold(&me, None);
        self.compute();
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

    /// The states that the neighbour at `link` has not been told, from now on taken for told.
    pub(crate) fn take_untold(&mut self, link: LinkId) -> Vec<LinkState> {
        let Some(link) = &mut self.links[link.index()] else { return Vec::new() };
        let untold = std::mem::take(&mut link.untold);
        untold.iter().filter_map(|server| self.states.get(server)).cloned().collect()
    }

    /// Whether the neighbour at `link` is to tell of changes, if it does not know; from now on it does.
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

    /// Breadth first from the server with the most links, ties going to the first name: every server that holds the
    /// same states finds the same tree, and a flat one.
    fn compute(&mut self) {
        let graph = self.graph();
        let in_tree = tree_of(&graph, &self.me);
        for link in self.links.iter_mut().flatten() {
            link.is_in_tree = in_tree.contains(&link.neighbour);
        }
    }

    /// Each server's neighbours, as far as both ends say so.
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

/// Servers, and the neighbours of each.
type Graph<'a> = BTreeMap<&'a ServerName, BTreeSet<&'a ServerName>>;

/// Whom of its neighbours `me` shares an edge of the tree with.
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

    fn born(server: usize, incarnation: u64) -> Tree {
        Tree::new(Origin { server: name(server), incarnation })
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

    /// A link's number is its neighbour's.
    fn settle(trees: &mut [Tree]) {
        while let Some((from, to)) =
            (0..trees.len()).find_map(|at| Some((at, trees[at].links_with_states().next()?)))
        {
            for state in trees[from].take_untold(to) {
                trees[to.index()].hear(link(from), state);
            }
        }
    }

    impl Tree {
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
    fn two_processes_of_one_name_contradict_each_other_once_a_look_and_are_told_of_it() {
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
            assert!((1..=4).contains(&said), "{said} times in one look");
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
        let is_member = |server: &ServerName| *server != name(2) && *server != name(3);
        let look = |tree: &mut Tree| (0..TREE_LOST_LOOKS).for_each(|_| tree.forget_lost(is_member));
        look(&mut trees[0]);
        assert_eq!(trees[0].states.len(), 4, "others have links with it");
        trees[1].link_down(link(2));
        settle(&mut trees);
        assert_eq!(trees[0].reached(), [name(0), name(1)]);
        (1..TREE_LOST_LOOKS).for_each(|_| trees[0].forget_lost(is_member));
        assert_eq!(trees[0].states.len(), 4);
        trees[0].forget_lost(is_member);
        assert_eq!(trees[0].states.keys().cloned().collect::<Vec<_>>(), [name(0), name(1)]);
    }

    #[test]
    fn a_member_that_is_away_is_remembered_and_one_that_comes_back_counts_again() {
        let mut trees = herd(3, &[(0, 1), (1, 2)]);
        trees[1].link_down(link(2));
        settle(&mut trees);
        (0..=TREE_LOST_LOOKS).for_each(|_| trees[0].forget_lost(|_| true));
        assert_eq!(trees[0].states.len(), 3);
        (0..TREE_LOST_LOOKS).for_each(|_| trees[0].forget_lost(|server| *server != name(2)));
        assert_eq!(trees[0].states.len(), 2);
        trees[1].link_up(link(2), name(2));
        trees[2] = born(2, 2);
        trees[2].link_up(link(1), name(1));
        settle(&mut trees);
        check(&trees, 2);
        assert_eq!(trees[0].reached().len(), 3);
    }

    #[test]
    fn a_wish_is_told_once() {
        let mut trees = herd(2, &[(0, 1)]);
        assert_eq!(trees[0].take_wish(link(1)), Some(true));
        assert_eq!(trees[0].take_wish(link(1)), None);
        assert_eq!(trees[0].links_untold().next(), None);
    }
}
