//! Tests with several trees: each test carries link states from one tree to the other by hand.

use super::*;
use crate::limits::{TREE_ANSWERS, TREE_NAMESAKE_LOOKS};

fn name(server: usize) -> ServerName {
    ServerName::new(&format!("s{server}")).unwrap()
}

fn link(at: usize) -> LinkId {
    LinkId::new(at).unwrap()
}

/// The time on a right clock. Clocks may be [`OFFSET`] apart.
const NOW: u64 = 1_000_000;
const OFFSET: u64 = 1_000;

fn born(server: usize, incarnation: u64) -> SpanningTree {
    SpanningTree::new(Origin { server: name(server), incarnation }, Rules::default())
}

fn members(servers: usize) -> Vec<ServerName> {
    (0..servers).map(name).collect()
}

fn state(server: ServerName, stamp: u64, up: &[usize]) -> Advertisement {
    let origin = Origin { server, incarnation: 1 };
    Advertisement { origin, stamp, up: up.iter().copied().map(name).collect() }
}

/// Servers with these links, after everything has been sent to everyone.
fn herd(servers: usize, edges: &[(usize, usize)]) -> Vec<SpanningTree> {
    let mut trees: Vec<_> = (0..servers).map(|server| born(server, 1)).collect();
    for &(a, b) in edges {
        trees[a].link_up(link(b), name(b));
        trees[b].link_up(link(a), name(a));
    }
    settle(&mut trees);
    trees
}

/// The number of a link is the number of its neighbor.
fn settle(trees: &mut [SpanningTree]) {
    while let Some((from, to)) =
        (0..trees.len()).find_map(|at| Some((at, trees[at].links_with_states().next()?)))
    {
        for state in trees[from].take_untold(to) {
            trees[to.index()].hear(NOW + OFFSET, link(from), state);
        }
    }
    trees.iter_mut().for_each(SpanningTree::calm_down);
}

impl SpanningTree {
    /// Some looks later.
    fn calm_down(&mut self) {
        (self.is_restless, self.wants_all) = (false, false);
        self.computes.renew();
        self.compute();
    }

    fn links_with_states(&self) -> impl Iterator<Item = LinkId> {
        self.up().filter(|(_, link)| !link.untold.is_empty()).map(|(id, _)| id)
    }

    fn edges(&self) -> Vec<usize> {
        self.up().filter(|(_, link)| link.is_in_tree).map(|(id, _)| id.index()).collect()
    }
}

/// Checks that both ends of each link agree, and that the tree has this many edges.
fn check(trees: &[SpanningTree], expected: usize) {
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
    assert_eq!(
        trees[2].edges(),
        [0, 3, 4],
        "the root has the most links, and the first name of those that do"
    );
    trees[2].link_down(link(4));
    trees[4].link_down(link(2));
    settle(&mut trees);
    check(&trees, 4);
    assert!(!trees[4].edges().contains(&2));
}

#[test]
fn a_link_counts_when_both_ends_say_that_it_is_up() {
    let mut trees = herd(3, &[(0, 1), (1, 2), (2, 0)]);
    assert_eq!(trees[0].edges(), [1, 2], "all have two links, and server 0 has the first name");
    // The other end has not noticed that the link is down.
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
    // One of the two processes is stopped.
    trees.truncate(2);
    trees[1].link_down(link(2));
    for _ in 0..2 {
        settle(&mut trees);
        trees[0].contradict();
    }
    assert!(trees[0].has_namesake(), "the other process may be back in a moment");
    (0..TREE_NAMESAKE_LOOKS).for_each(|_| assert!(!trees[0].contradict()));
    assert!(!trees[0].has_namesake());
    check(&trees, 1);
}

#[test]
fn states_that_are_forged_faster_than_they_are_contradicted_are_contradicted_with_a_heartbeat() {
    let mut trees = herd(3, &[(0, 1), (1, 2), (2, 0)]);
    let forge = |trees: &mut [SpanningTree], stamp| {
        let lie = state(name(1), stamp, &[]);
        trees[0].hear(NOW + OFFSET, link(2), lie);
        settle(trees);
    };
    for burst in 0..2 {
        // These forged states are contradicted at once.
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
    assert!(!tree.has_namesake(), "the message is about this process itself");
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
    let look = |tree: &mut SpanningTree| tree.look(NOW, OFFSET, &members(2));
    (0..TREE_LOST_LOOKS).for_each(|_| look(&mut trees[0]));
    assert_eq!(trees[0].states.len(), 4, "other servers have links with the server");
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
    let early = |server| Advertisement {
        origin: Origin { server: name(server), incarnation: NOW + OFFSET + 1 },
        ..lie(server, NOW)
    };
    // States about a server elsewhere, about the server that hears the state, and about an unknown server.
    for server in [2, 1, 7] {
        for lie in [lie(server, u64::MAX), lie(server, NOW + OFFSET + 1), early(server)] {
            assert_eq!(trees[1].hear(NOW + OFFSET, link(0), lie), StateVerdict::AheadOfClocks);
        }
    }
    assert!(trees[1].links_with_states().next().is_none());
    check(&trees, 2);
}

#[test]
fn a_broken_rule_lets_a_lie_stay() {
    let mut tree = SpanningTree::new(
        Origin { server: name(0), incarnation: 1 },
        Rules { broken: Some(Broken::BelieveStates) },
    );
    tree.link_up(link(1), name(1));
    assert_eq!(tree.hear(NOW, link(1), state(name(1), u64::MAX, &[])), StateVerdict::News);
    (0..=TREE_LOST_LOOKS).for_each(|_| tree.look(NOW, OFFSET, &members(2)));
    assert_eq!(tree.hear(NOW, link(1), state(name(1), 2, &[0])), StateVerdict::Old);
}

#[test]
fn a_lie_within_bounds_is_contradicted_and_the_tree_is_as_before() {
    let mut trees = herd(5, &CLASSIC);
    let before: Vec<_> = trees.iter().map(SpanningTree::edges).collect();
    // A wrong state says that the middle of the tree has no links.
    assert_eq!(trees[1].hear(NOW + OFFSET, link(0), state(name(2), NOW + OFFSET, &[])), StateVerdict::News);
    assert_ne!(trees[1].states[&name(2)].up, trees[2].states[&name(2)].up);
    // A moment later the answer is within bounds for servers whose clocks are a moment behind, too.
    while let Some((from, to)) =
        (0..trees.len()).find_map(|at| Some((at, trees[at].links_with_states().next()?)))
    {
        for state in trees[from].take_untold(to) {
            trees[to.index()].hear(NOW + OFFSET + 1, link(from), state);
        }
    }
    assert_eq!(trees.iter().map(SpanningTree::edges).collect::<Vec<_>>(), before);
}

#[test]
fn a_lie_that_its_server_never_hears_is_overtaken_by_the_clock() {
    let mut trees = herd(3, &[(0, 1), (1, 2)]);
    // Server 2 is away. A wrong state in its name has the latest stamp that servers keep.
    trees[1].link_down(link(2));
    let lie = state(name(2), NOW + OFFSET, &[]);
    assert_eq!(trees[0].hear(NOW + OFFSET, link(1), lie.clone()), StateVerdict::News);
    // Server 2 is back, and its clock is behind. Server 2 does not believe the state in its name.
    trees[2] = born(2, NOW - OFFSET);
    trees[2].link_up(link(1), name(1));
    trees[1].link_up(link(2), name(2));
    assert_eq!(trees[2].hear(NOW, link(1), lie), StateVerdict::AheadOfClocks);
    let pass_on = |trees: &mut [SpanningTree]| {
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
    let settle_later = |trees: &mut [SpanningTree]| {
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
        assert_eq!(trees[0].hear(NOW, link(1), state(stranger(at), 1, &[])), StateVerdict::News);
    }
    let one_more = state(stranger(TREE_STRANGERS_MAX), 1, &[]);
    assert_eq!(trees[0].hear(NOW, link(1), one_more.clone()), StateVerdict::NoRoom);
    assert_eq!(trees[0].hear(NOW, link(1), state(name(2), 1, &[])), StateVerdict::News);
    (0..TREE_LOST_LOOKS).for_each(|_| trees[0].look(NOW, OFFSET, &members(3)));
    assert_eq!(trees[0].states.len(), 3);
    assert_eq!(trees[0].hear(NOW, link(1), one_more), StateVerdict::News);
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
    assert!((2..=TREE_COMPUTES as usize).contains(&changes), "{changes}");
    assert_eq!(edges, [1, 2]);
    // The first look finds that the tree was not calm since the last look.
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

#[test]
fn a_view_shows_each_link_that_is_up_and_the_same_tree_at_every_server() {
    let mut trees = herd(5, &CLASSIC);
    let in_tree = |view: &TreeView| {
        CLASSIC.iter().filter(|(one, other)| view.is_in_tree(&name(*one), &name(*other))).count()
    };
    for tree in &trees {
        let view = tree.view();
        assert!(CLASSIC.iter().all(|(one, other)| view.is_up(&name(*other), &name(*one)) == Some(true)));
        assert_eq!((in_tree(&view), view == trees[0].view()), (4, true));
        assert_eq!(view.is_up(&name(0), &name(3)), Some(false), "there is no such link");
    }
    // One end notices first that the link has ended.
    trees[2].link_down(link(4));
    settle(&mut trees);
    let view = trees[0].view();
    assert_eq!(view.is_up(&name(4), &name(2)), Some(false));
    assert!(!view.is_in_tree(&name(2), &name(4)) && in_tree(&view) == 4);
}

#[test]
fn a_view_does_not_believe_the_old_state_of_a_server_that_is_out_of_reach() {
    let mut trees = herd(5, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
    trees[1].link_down(link(2));
    settle(&mut trees);
    let view = trees[0].view();
    let reached: Vec<_> = (0..5).filter(|server| view.reaches(&name(*server))).collect();
    assert_eq!(reached, [0, 1]);
    assert_eq!(view.is_up(&name(1), &name(2)), Some(false), "the end within reach says so");
    assert_eq!(view.is_up(&name(3), &name(4)), None);
    assert!(view.is_in_tree(&name(1), &name(0)) && !view.is_in_tree(&name(3), &name(4)));
}
