//! Whole herds that share a quota, with everything that can happen to them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proxyherd_core::{
    places::quota::{KnownAccounts, Period, QuotaAccount, QuotaBook, ReserveNews, Span, Terms, Turn},
    types::ServerName,
};

use crate::herd::SECOND_NS;

const NAMES: [&str; 3] = ["Riley", "Jaquez", "Juzang"];
const MIDNIGHT_NS: u64 = 1_791_158_400 * SECOND_NS;
const DAY_NS: u64 = 24 * 3600 * SECOND_NS;

/// How a turn ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    /// The process ends before the book is kept.
    Early,
    /// The process ends when the book is kept, and nothing else is done.
    Late,
    /// The book can't be kept; what was reserved is given back the next time.
    Unkept,
}

#[derive(Clone, Debug)]
enum Step {
    Ask(usize, u64),
    Turn(usize, End),
    /// One server receives an account that another announced this many announcements ago; it may be its own.
    Hear(usize, usize, usize),
    Crash(usize),
    Stop(usize),
    /// A memory of this many turns ago is restored, and neighbors know better.
    Restore(usize, usize),
    /// A server's clock is off by this much.
    Clock(usize, i64),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let server = || 0..NAMES.len();
    let end = prop_oneof![
        9 => Just(End::Well), 1 => Just(End::Early), 1 => Just(End::Late), 1 => Just(End::Unkept),
    ];
    let step = prop_oneof![
        8 => (server(), 1u64..12).prop_map(|(at, times)| Step::Ask(at, times)),
        8 => (server(), end).prop_map(|(at, end)| Step::Turn(at, end)),
        8 => (server(), server(), prop_oneof![4 => Just(0usize), 1 => 1usize..9])
            .prop_map(|(at, from, ago)| Step::Hear(at, from, ago)),
        1 => server().prop_map(Step::Crash),
        1 => server().prop_map(Step::Stop),
        1 => (server(), 0usize..40).prop_map(|(at, ago)| Step::Restore(at, ago)),
        1 => (server(), -60_000..60_000i64).prop_map(|(at, by)| Step::Clock(at, by)),
        2 => (0..20u64).prop_map(|seconds| Step::Wait(seconds * SECOND_NS)),
        1 => (0..DAY_NS).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..400)
}

struct Server {
    book: QuotaBook,
    kept: Option<Vec<u8>>,
    reserve: u64,
    /// The day for which the reserve was filled.
    day: Option<Period>,
    news: ReserveNews,
    heard: BTreeMap<(Period, usize), QuotaAccount>,
    told: Vec<(Period, QuotaAccount)>,
    clock: i64,
    /// No neighbor has sent it anything since its start.
    is_alone: bool,
    /// An older memory was restored once. From then on neighbors send it, at every start, what it announced last.
    is_reminded: bool,
    /// All memories that were ever kept.
    memories: Vec<Vec<u8>>,
}

struct Herd {
    wholes: [u64; 2],
    now_ns: u64,
    servers: Vec<Server>,
    spent: BTreeMap<Period, u64>,
}

fn name(index: usize) -> ServerName {
    ServerName::new(NAMES[index]).unwrap()
}

impl Server {
    fn keep(&mut self) {
        let memory = self.book.to_bytes();
        self.memories.push(memory.clone());
        self.kept = Some(memory);
    }
}

impl Herd {
    fn new(wholes: [u64; 2]) -> Herd {
        let mut herd = Herd { wholes, now_ns: MIDNIGHT_NS, servers: Vec::new(), spent: BTreeMap::new() };
        for index in 0..NAMES.len() {
            herd.servers.push(Server {
                book: herd.open(index, None),
                kept: None,
                reserve: 0,
                day: None,
                news: ReserveNews::default(),
                heard: BTreeMap::new(),
                told: Vec::new(),
                clock: 0,
                is_alone: false,
                is_reminded: false,
                memories: Vec::new(),
            });
        }
        herd
    }

    /// A whole of 0: there is no quota of that span.
    fn open(&self, index: usize, kept: Option<&[u8]>) -> QuotaBook {
        let mut book = match kept {
            Some(bytes) => QuotaBook::from_bytes(&name(index), bytes).unwrap(),
            None => QuotaBook::new(name(index)),
        };
        for (span, &whole) in Span::ALL.into_iter().zip(&self.wholes).filter(|(_, whole)| **whole > 0) {
            book.set_terms(span, Terms::new(whole, (0..NAMES.len()).map(name)));
        }
        book
    }

    fn clock(&self, at: usize) -> u64 {
        self.now_ns.saturating_add_signed(self.servers[at].clock * SECOND_NS.cast_signed())
    }

    fn ask(&mut self, at: usize) -> bool {
        let now_ns = self.clock(at);
        let server = &mut self.servers[at];
        server.news.asked += 1;
        if server.reserve == 0 || server.day != Some(Span::Day.at(now_ns)) {
            return false;
        }
        server.reserve -= 1;
        server.news.taken += 1;
        for span in Span::ALL {
            *self.spent.entry(span.at(now_ns)).or_default() += 1;
        }
        true
    }

    fn known(&self, at: usize) -> BTreeMap<Period, KnownAccounts> {
        let mut known = BTreeMap::<Period, KnownAccounts>::new();
        for period in self.servers[at].book.periods(self.clock(at)) {
            let about = known.entry(period).or_default();
            for (&(_, from), account) in self.servers[at].heard.iter().filter(|((of, _), _)| *of == period) {
                if from == at {
                    about.mine = Some(account.clone());
                } else {
                    about.others.insert(name(from), account.clone());
                }
            }
        }
        known
    }

    fn turn(&mut self, at: usize, end: End) -> Turn {
        let (now_ns, known) = (self.clock(at), self.known(at));
        let server = &mut self.servers[at];
        if !server.is_alone {
            server.book.note_heard();
        }
        if server.book.wants_reserve_back(now_ns, &known) {
            server.news.returned += std::mem::take(&mut server.reserve);
        }
        server.news.left = server.reserve;
        let turn = server.book.turn(now_ns, &known, &std::mem::take(&mut server.news));
        if let End::Early = end {
            self.crash(at);
            return turn;
        }
        if let End::Unkept = end {
            server.news.returned = turn.reserved;
            return turn;
        }
        if turn.must_keep {
            server.keep();
            server.book.note_kept();
        }
        if let End::Late = end {
            self.crash(at);
            return turn;
        }
        server.reserve += turn.reserved;
        server.day = Some(Span::Day.at(now_ns));
        for (period, account) in &turn.told {
            server.heard.insert((*period, at), account.clone());
            server.told.push((*period, account.clone()));
        }
        turn
    }

    fn crash(&mut self, at: usize) {
        let book = self.open(at, self.servers[at].kept.as_deref());
        let server = &mut self.servers[at];
        (server.book, server.reserve, server.day, server.news) = (book, 0, None, ReserveNews::default());
        server.heard.clear();
        if server.is_reminded {
            self.remind(at);
        }
    }

    fn stop(&mut self, at: usize) {
        let server = &mut self.servers[at];
        server.news.returned += std::mem::take(&mut server.reserve);
        server.book.settle(&server.news);
        if server.kept.is_some() {
            server.keep();
        }
        self.crash(at);
    }

    /// The process ends, and is started with a memory of this many turns ago. A neighbor has received what it
    /// announced last before that, and sends it back before the next turn.
    fn restore(&mut self, at: usize, ago: usize) {
        let server = &mut self.servers[at];
        if let Some(memory) = server.memories.iter().rev().nth(ago) {
            server.kept = Some(memory.clone());
            server.is_reminded = true;
        }
        self.crash(at);
    }

    /// A server receives what it announced last of each period.
    fn remind(&mut self, at: usize) {
        let server = &mut self.servers[at];
        server.heard.extend(server.told.iter().map(|(period, account)| ((*period, at), account.clone())));
    }

    /// A replica keeps the newest account of each server. A server is sent its own newest account, so an older one
    /// that comes later changes nothing. Others' accounts come in any order here, because the bound needs none.
    fn hear(&mut self, at: usize, from: usize, ago: usize) {
        if from == at && self.servers[at].is_reminded {
            return;
        }
        let told = &self.servers[from].told;
        if let Some((period, account)) = told.iter().rev().nth(ago).cloned() {
            self.servers[at].heard.insert((period, from), account);
        }
    }

    /// Everybody receives what everybody has announced last, and has a turn.
    fn round(&mut self) {
        for at in 0..NAMES.len() {
            for from in 0..NAMES.len() {
                for ago in [1, 0] {
                    self.hear(at, from, ago);
                }
            }
        }
        for at in 0..NAMES.len() {
            self.turn(at, End::Well);
        }
        self.now_ns += SECOND_NS;
    }

    /// Asks one server as often as it has something to give, until it has nothing for a while.
    fn exhaust(&mut self, at: usize) -> u64 {
        let (mut taken, mut refused) = (0, 0);
        while refused < 60 {
            if self.ask(at) {
                (taken, refused) = (taken + 1, 0);
            } else {
                refused += 1;
                self.round();
            }
        }
        taken
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (period, &spent) in &self.spent {
            let whole = self.wholes[period.span as usize];
            prop_assert!(whole == 0 || spent <= whole, "{spent} of {whole} in {period}");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_more_than_the_whole_is_ever_spent(
        day in 0u64..90,
        month in prop_oneof![Just(0), 1u64..200],
        steps in steps(),
    ) {
        let mut herd = Herd::new([day, if day == 0 { month.max(1) } else { month }]);
        for step in steps {
            match step {
                Step::Ask(at, times) => (0..times).for_each(|_| { herd.ask(at); }),
                Step::Turn(at, end) => {
                    let turn = herd.turn(at, end);
                    prop_assert_eq!(turn.closed, [], "no memory was lost");
                }
                Step::Hear(at, from, ago) => herd.hear(at, from, ago),
                Step::Crash(at) => herd.crash(at),
                Step::Stop(at) => herd.stop(at),
                Step::Restore(at, ago) => herd.restore(at, ago),
                Step::Clock(at, by) => herd.servers[at].clock = by,
                Step::Wait(ns) => herd.now_ns += ns,
            }
            herd.check()?;
        }
    }

    #[test]
    fn one_server_that_is_asked_can_spend_the_whole(day in 1u64..3000, month in 1u64..3000, at in 0..NAMES.len()) {
        let mut herd = Herd::new([day, month]);
        herd.round();
        prop_assert_eq!(herd.exhaust(at), day.min(month));
    }
}

#[test]
fn a_herd_cut_in_two_spends_the_shares_that_each_part_has() {
    let mut herd = Herd::new([99, 0]);
    herd.round();
    // Riley is alone, and the others have only each other.
    let mut taken = [0; 3];
    for _ in 0..200 {
        for (at, taken) in taken.iter_mut().enumerate().take(2) {
            *taken += u64::from(herd.ask(at));
        }
        for at in 0..3 {
            herd.turn(at, End::Well);
        }
        herd.hear(1, 2, 0);
        herd.hear(2, 1, 0);
        herd.now_ns += SECOND_NS;
    }
    assert_eq!(taken, [33, 66, 0]);
    assert_eq!(herd.exhaust(0), 0, "when they meet again nothing is left");
}

#[test]
fn a_server_that_was_asked_by_nobody_gives_up_its_reserve_where_it_is_wanted() {
    let mut herd = Herd::new([30, 0]);
    herd.round();
    assert!(herd.servers.iter().all(|server| server.reserve > 0));
    assert_eq!(herd.exhaust(2), 30);
    assert!(herd.servers.iter().all(|server| server.reserve == 0));
}

#[test]
fn a_restart_does_not_bring_back_what_was_spent() {
    let mut herd = Herd::new([30, 0]);
    let mut taken = 0;
    for _ in 0..20 {
        herd.turn(0, End::Well);
        taken += u64::from(herd.ask(0));
        herd.crash(0);
    }
    assert!((1..=10).contains(&taken), "{taken}");
    assert_eq!(herd.exhaust(0), 20, "the others' shares; a crash costs what was in the reserve");
}

#[test]
fn a_clean_stop_keeps_what_was_not_spent() {
    let mut herd = Herd::new([30, 0]);
    let mut taken = 0;
    for _ in 0..20 {
        herd.turn(0, End::Well);
        taken += u64::from(herd.ask(0));
        herd.stop(0);
    }
    assert_eq!(taken, 10);
}

#[test]
fn a_server_that_has_lost_its_memory_spends_nothing_more_in_that_period() {
    for ago in [0, 1] {
        let mut herd = Herd::new([30, 0]);
        herd.round();
        assert!(herd.ask(0));
        herd.round();
        herd.servers[0].kept = None;
        herd.crash(0);
        // The herd still knows an account of its name.
        herd.hear(0, 0, ago);
        let turn = herd.turn(0, End::Well);
        assert_eq!(turn.closed, [Span::Day.at(herd.now_ns)], "{ago}");
        assert_eq!(herd.exhaust(0), 0);
        assert_eq!(herd.exhaust(1), 20, "the others spend what is theirs");
        herd.now_ns += DAY_NS;
        herd.round();
        assert_eq!(herd.exhaust(0), 30, "the next day is a new one");
    }
}

/// Riley spends this many, and gets its memory from before that again.
fn with_an_older_memory(spent: u64) -> Herd {
    let mut herd = Herd::new([300, 0]);
    herd.round();
    let old = herd.servers[0].kept.clone();
    for _ in 0..spent {
        assert!(herd.ask(0));
        herd.round();
    }
    herd.servers[0].kept = old;
    herd.crash(0);
    herd
}

#[test]
fn a_memory_older_than_what_neighbors_know_is_made_good_before_anything_is_spent() {
    let mut herd = with_an_older_memory(50);
    herd.remind(0);
    let turn = herd.turn(0, End::Well);
    assert_eq!((turn.caught_up, turn.closed), (vec![Span::Day.at(herd.now_ns)], vec![]));
    assert!(turn.standings[0].spent >= 50, "{:?}", turn.standings);
    let left = herd.exhaust(0) + herd.exhaust(1);
    assert!((240..=250).contains(&left), "{left}: what was at hand counts as spent");
}

#[test]
fn a_server_that_nobody_has_reminded_spends_its_own_share_and_neither_grants_nor_tells() {
    let mut herd = with_an_older_memory(50);
    herd.servers[0].is_alone = true;
    let mut taken = 0;
    for second in 0..200 {
        let turn = herd.turn(0, End::Well);
        assert_eq!(turn.told, [], "what it remembers is older than what others know");
        taken += u64::from(herd.ask(0));
        if second == 30 {
            break;
        }
        herd.now_ns += SECOND_NS;
    }
    assert_eq!(taken, 31);
    // Neighbors that are reachable again make up for what it has forgotten; what it has spent since stays on top.
    herd.servers[0].is_alone = false;
    herd.remind(0);
    let turn = herd.turn(0, End::Well);
    assert_eq!(turn.caught_up.len(), 1);
    let account = &turn.told[0].1;
    assert!(account.reserved >= 50 + 31 && account.taken >= 50 + 31, "{account:?}");
    let left = herd.exhaust(0) + herd.exhaust(1);
    assert!(left + 50 + 31 <= 300, "{left}");
}

#[test]
fn forty_older_memories_do_not_make_more_of_the_whole() {
    let mut herd = Herd::new([300, 0]);
    herd.round();
    let old = herd.servers[0].kept.clone();
    let mut taken = 0;
    for _ in 0..40 {
        for _ in 0..20 {
            taken += u64::from(herd.ask(0));
            herd.round();
        }
        herd.servers[0].kept = old.clone();
        herd.crash(0);
        herd.remind(0);
    }
    assert!(taken > 100, "{taken}");
    let all = taken + herd.exhaust(0) + herd.exhaust(1) + herd.exhaust(2);
    assert!(all <= 300, "{all}");
}

#[test]
fn an_older_account_that_comes_after_the_reminder_does_not_hide_what_the_memory_lacks() {
    let mut herd = Herd::new([300, 0]);
    for _ in 0..30 {
        herd.round();
        assert!(herd.ask(0));
    }
    herd.restore(0, herd.servers[0].memories.len() - 1);
    let oldest = herd.servers[0].told.len() - 1;
    herd.hear(0, 0, oldest);
    let turn = herd.turn(0, End::Well);
    assert_eq!((turn.caught_up, turn.closed), (vec![Span::Day.at(herd.now_ns)], vec![]));
    herd.hear(0, 0, 0);
    assert_eq!(herd.turn(0, End::Well).closed, []);
}

#[test]
fn what_the_herd_learns_later_of_a_server_closes_its_account() {
    let mut herd = Herd::new([300, 0]);
    herd.round();
    let day = Span::Day.at(herd.now_ns);
    // Somebody else issues accounts in its name.
    let other = QuotaAccount { share: 100, reserved: 90, taken: 90, ..QuotaAccount::default() };
    herd.servers[0].heard.insert((day, 0), other);
    assert_eq!(herd.turn(0, End::Well).closed, [day]);
    herd.turn(0, End::Well);
    assert_eq!(herd.servers[0].reserve, 0);
}

#[test]
fn an_account_that_was_closed_is_not_opened_by_an_older_memory() {
    let mut herd = Herd::new([300, 0]);
    herd.round();
    let old = herd.servers[0].kept.clone();
    herd.servers[0].kept = None;
    herd.crash(0);
    herd.remind(0);
    assert_eq!(herd.turn(0, End::Well).closed.len(), 1);
    herd.servers[0].kept = old;
    herd.crash(0);
    herd.remind(0);
    assert_eq!(herd.exhaust(0), 0);
}

#[test]
fn a_grant_that_nobody_can_give_makes_nobody_spend_more_than_the_whole() {
    let mut herd = Herd::new([30, 0]);
    herd.round();
    let granted = BTreeMap::from([(name(0), u64::MAX)]);
    let lie = QuotaAccount { granted, ..herd.servers[1].told.last().unwrap().1.clone() };
    herd.servers[1].told.push((Span::Day.at(herd.now_ns), lie.clone()));
    let mut taken = 0;
    for _ in 0..200 {
        herd.hear(0, 1, 0);
        taken += u64::from(herd.ask(0));
        herd.turn(0, End::Well);
        herd.now_ns += SECOND_NS;
    }
    assert_eq!(taken, 30);
}

#[test]
fn an_account_that_others_made_up_for_a_server_gives_it_no_more_than_its_share() {
    for grants in [0, u64::MAX] {
        let mut herd = Herd::new([30, 0]);
        herd.round();
        herd.now_ns += DAY_NS;
        let day = Span::Day.at(herd.now_ns);
        // Before the day begins, in the name of an earlier life; and another announces a grant that it has not made.
        let lie = QuotaAccount { terms: 1, share: u64::MAX, ..QuotaAccount::default() };
        let granted = BTreeMap::from([(name(0), grants)]);
        herd.servers[0].heard.insert((day, 0), lie.clone());
        herd.servers[0].heard.insert((day, 1), QuotaAccount { granted, ..lie });
        let mut taken = 0;
        for _ in 0..200 {
            taken += u64::from(herd.ask(0));
            herd.turn(0, End::Well);
            herd.now_ns += SECOND_NS;
        }
        assert_eq!(taken, if grants == 0 { 10 } else { 30 });
    }
}

#[test]
fn a_new_server_that_meets_other_terms_lives_on_grants_until_the_next_period() {
    let mut herd = Herd::new([30, 0]);
    herd.round();
    // A herd of two so far; the third is new, and by its configuration ten are its own.
    let day = Span::Day.at(herd.now_ns);
    for at in [0, 1] {
        let other = QuotaAccount { terms: 1, share: 15, ..QuotaAccount::default() };
        herd.servers[at].told.push((day, other));
    }
    herd.servers[2].kept = None;
    herd.servers[2].told.clear();
    herd.crash(2);
    herd.hear(2, 0, 0);
    let turn = herd.turn(2, End::Well);
    assert_eq!((turn.reserved, turn.told[0].1.share), (0, 0));
    herd.now_ns += DAY_NS;
    herd.round();
    assert!(herd.ask(2));
}
