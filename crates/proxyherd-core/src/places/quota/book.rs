//! One server's book of its accounts, and the actions on them about once a second.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Period, QuotaAccount, QuotaAccounts, Span, Terms,
    lease::{self, received},
};
use crate::types::ServerName;

/// Minimum number of requests that are put into the reserve at once, if this many are left.
const CHUNK_MIN: u64 = 8;
/// Maximum number of requests that are put into the reserve at once. A crash may cost this many.
const CHUNK_MAX: u64 = 256;
/// The fraction of the remaining requests that is put into the reserve at once.
const CHUNK_PART: u64 = 8;
/// Number of periods of each span that are kept. With one more period, the earliest is over for good.
const PERIODS_MAX: usize = 4;
/// The length of a window, nanoseconds. The pace of requests is measured in the last window and the one before it.
const WINDOW_NS: u64 = 10_000_000_000;
/// The number of windows in a minute. A server wants to have the requests of one minute available.
const WINDOWS_PER_MINUTE: u64 = 6;

/// The accounts of one period that the replica holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAccounts {
    /// This server's account.
    pub mine: Option<QuotaAccount>,
    /// The accounts of the other servers.
    pub others: QuotaAccounts,
}

/// What happened to the reserve since the last turn. The reserve holds reserved requests that have not been made yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReserveNews {
    /// The number of times that a request was asked for.
    pub asked: u64,
    /// The number of times that there was a request in the reserve, so that the request was made.
    pub taken: u64,
    /// The number of requests that were taken out of the reserve to be returned: all of them or none.
    pub returned: u64,
    /// The number of requests that are left in the reserve.
    pub left: u64,
}

/// The actions that must follow a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The book has to be written, and [noted as kept](QuotaBook::note_kept), before anything else is done. Until then
    /// no request may be put into the reserve, and nothing may be announced.
    pub must_keep: bool,
    /// The number of requests to put into the reserve.
    pub reserved: u64,
    /// Accounts to announce through the replica.
    pub told: Vec<(Period, QuotaAccount)>,
    /// Periods for which this server has just found that its memory was lost. It makes no more requests in them.
    pub closed: Vec<Period>,
    /// Periods for which neighbors knew more than this server remembered. The neighbors' knowledge counts from now on.
    pub caught_up: Vec<Period>,
    /// The state of each quota.
    pub standings: Vec<Standing>,
}

/// The state of a quota in its present period, as far as this server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The period.
    pub period: Period,
    /// The number of requests that the whole herd may make.
    pub whole: u64,
    /// The number of requests that the whole herd has made.
    pub spent: u64,
    /// The number of requests that this server may make without further grants.
    pub own: u64,
}

/// One server's memory of its quotas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaBook {
    pub(super) me: ServerName,
    /// Whether there was no memory, and no period has begun since.
    is_new: bool,
    /// Whether neighbors have, in this life, sent what they know of this server's accounts.
    has_heard: bool,
    /// Whether the book has changed since it was written.
    must_keep: bool,
    pace: RequestPace,
    pub(super) pages: [Pages; Span::ALL.len()],
}

/// The periods of one span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    span: Span,
    /// `None` if this span has no quota now. The span may have had one, and may get one again.
    terms: Option<Terms>,
    pub(super) accounts: BTreeMap<u32, QuotaAccount>,
    /// The number of requests that each account had reserved when this life began.
    remembered: BTreeMap<u32, u64>,
    /// The periods in which this life has compared its account with the herd's knowledge of it.
    compared: BTreeSet<u32>,
    /// Periods up to this one are over.
    pub(super) over: Option<u32>,
    /// The period from which the reserve was filled.
    current: Option<u32>,
}

impl QuotaBook {
    /// The book of a server without memory of any period.
    pub fn new(me: ServerName) -> QuotaBook {
        let pages = Span::ALL.map(|span| Pages {
            span,
            terms: None,
            accounts: BTreeMap::new(),
            remembered: BTreeMap::new(),
            compared: BTreeSet::new(),
            over: None,
            current: None,
        });
        QuotaBook {
            me,
            is_new: true,
            has_heard: false,
            must_keep: false,
            pace: RequestPace::default(),
            pages,
        }
    }

    /// A new book, filled with what the server remembers.
    pub(super) fn remembering(me: ServerName, fill: impl FnOnce(&mut [Pages; Span::ALL.len()])) -> QuotaBook {
        let mut book = QuotaBook { is_new: false, ..QuotaBook::new(me) };
        fill(&mut book.pages);
        for pages in &mut book.pages {
            let reserved = pages.accounts.iter().map(|(&number, account)| (number, account.reserved));
            pages.remembered = reserved.collect();
        }
        book
    }

    /// Sets the terms for periods that begin from now on. If a span has no terms, it has no quota.
    pub fn set_terms(&mut self, span: Span, terms: Terms) {
        self.pages_mut(span).terms = Some(terms);
    }

    /// Whether the server has no memory of any period. Such a server must not begin a period before it has had the
    /// chance to hear from a neighbor what it may have forgotten.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Notes that, from the next turn on, `known` holds everything that the reachable neighbors know. Until then this
    /// server spends the requests that its memory shows as its own. It neither grants nor announces anything, because
    /// its account would replace a newer account of its own that a neighbor may hold.
    pub fn note_heard(&mut self) {
        self.has_heard = true;
    }

    /// The present periods of the spans that have a quota.
    pub fn periods(&self, now_ns: u64) -> Vec<Period> {
        self.pages.iter().filter(|pages| pages.terms.is_some()).map(|pages| pages.span.at(now_ns)).collect()
    }

    /// Whether the reserve should be emptied and its contents returned. There are two reasons: the period for which the
    /// reserve was filled is over, or nobody asks here while other servers are short of requests.
    pub fn wants_reserve_back(&self, now_ns: u64, known: &BTreeMap<Period, KnownAccounts>) -> bool {
        self.pages.iter().any(|pages| pages.is_over(now_ns))
            || self.pace.per_minute(now_ns) == 0
                && self.pages.iter().any(|pages| pages.is_anyone_short(now_ns, &self.me, known))
    }

    /// Notes what happened to the reserve when no further turn will follow.
    pub fn settle(&mut self, news: &ReserveNews) {
        self.pages.iter_mut().for_each(|pages| pages.settle(news));
    }

    /// Brings the book up to date: notes what happened to the reserve, begins periods, grants and reserves requests.
    /// `known` holds the replica's accounts of the [present periods](QuotaBook::periods).
    pub fn turn(&mut self, now_ns: u64, known: &BTreeMap<Period, KnownAccounts>, news: &ReserveNews) -> Turn {
        self.pace.note(now_ns, news.asked);
        let wants = self.pace.per_minute(now_ns).next_power_of_two();
        let wants = if self.pace.per_minute(now_ns) == 0 { 0 } else { wants.max(CHUNK_MIN) };
        let is_lost = self.is_new && known.values().any(|known| known.mine.is_some());
        self.must_keep |= news.returned > 0;
        let mut turn = Turn { must_keep: self.must_keep, ..Turn::default() };
        self.settle(news);
        for pages in &mut self.pages {
            if pages.terms.is_some() {
                pages.begin(now_ns, &self.me, self.is_new, known, &mut turn);
                if self.has_heard {
                    pages.compare(now_ns, is_lost, known, &mut turn);
                    pages.grant(now_ns, &self.me, wants, known, &mut turn);
                }
            }
        }
        self.is_new = false;
        self.reserve(now_ns, known, news, &mut turn);
        turn.told = self.untold(now_ns, known);
        self.stand(now_ns, known, news, &mut turn);
        self.must_keep = turn.must_keep;
        turn
    }

    /// Notes that the book has been written and survives a crash.
    pub fn note_kept(&mut self) {
        self.must_keep = false;
    }

    fn reserve(
        &mut self,
        now_ns: u64,
        known: &BTreeMap<Period, KnownAccounts>,
        news: &ReserveNews,
        turn: &mut Turn,
    ) {
        let with_budget = || self.pages.iter().filter(|pages| pages.terms.is_some());
        let rights = with_budget().map(|pages| pages.rights(now_ns, &self.me, known)).min().unwrap_or(0);
        let chunk = (rights / CHUNK_PART).clamp(CHUNK_MIN, CHUNK_MAX);
        let is_low = news.left < chunk.div_ceil(2);
        if rights == 0 || !is_low || self.wants_reserve_back(now_ns, known) {
            return;
        }
        turn.reserved = chunk.saturating_sub(news.left).min(rights);
        turn.must_keep = true;
        for pages in self.pages.iter_mut().filter(|pages| pages.terms.is_some()) {
            let account =
                pages.account_mut(now_ns).expect("the account has at least this many requests left");
            account.reserved += turn.reserved;
        }
    }

    /// The accounts of the present periods that the replica lacks or holds in another version.
    pub fn untold(
        &self,
        now_ns: u64,
        known: &BTreeMap<Period, KnownAccounts>,
    ) -> Vec<(Period, QuotaAccount)> {
        if !self.has_heard {
            return Vec::new();
        }
        let present = self.pages.iter().filter_map(|pages| pages.present(now_ns));
        let is_news = |(period, account): &(Period, &QuotaAccount)| {
            known.get(period).and_then(|known| known.mine.as_ref()) != Some(*account)
        };
        present.filter(is_news).map(|(period, account)| (period, account.clone())).collect()
    }

    fn stand(
        &self,
        now_ns: u64,
        known: &BTreeMap<Period, KnownAccounts>,
        news: &ReserveNews,
        turn: &mut Turn,
    ) {
        let nothing = KnownAccounts::default();
        for pages in &self.pages {
            let (Some(terms), Some((period, account))) = (&pages.terms, pages.present(now_ns)) else {
                continue;
            };
            let known = known.get(&period).unwrap_or(&nothing);
            let rights = account.rights(received(&known.others, &self.me));
            let others = known.others.values().map(|other| other.taken);
            turn.standings.push(Standing {
                period,
                whole: terms.whole(),
                spent: others.fold(account.taken, u64::saturating_add),
                own: rights + news.left + turn.reserved,
            });
        }
    }

    fn pages_mut(&mut self, span: Span) -> &mut Pages {
        let pages = self.pages.iter_mut().find(|pages| pages.span == span);
        pages.expect("there are pages for every span")
    }
}

impl Pages {
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The present period and its account, if the span has a quota and the period has begun.
    fn present(&self, now_ns: u64) -> Option<(Period, &QuotaAccount)> {
        let period = self.span.at(now_ns);
        self.terms.as_ref()?;
        Some((period, self.accounts.get(&period.number)?))
    }

    fn account_mut(&mut self, now_ns: u64) -> Option<&mut QuotaAccount> {
        self.accounts.get_mut(&self.span.at(now_ns).number)
    }

    /// Whether no more reserved requests may be made.
    fn is_over(&self, now_ns: u64) -> bool {
        self.current.is_some_and(|number| {
            number != self.span.at(now_ns).number || self.accounts.get(&number).is_none_or(|it| it.is_closed)
        })
    }

    /// Notes what happened to the reserve in the period from which it was filled, even if that period is over.
    fn settle(&mut self, news: &ReserveNews) {
        let Some(account) = self.current.and_then(|number| self.accounts.get_mut(&number)) else { return };
        account.taken = account.taken.saturating_add(news.taken);
        account.reserved = account.reserved.saturating_sub(news.returned);
        debug_assert!(
            account.is_closed || account.reserved >= account.taken,
            "every request that is made was reserved"
        );
    }

    /// Takes this server's share of a period that has just begun.
    fn begin(
        &mut self,
        now_ns: u64,
        me: &ServerName,
        is_new: bool,
        known: &BTreeMap<Period, KnownAccounts>,
        turn: &mut Turn,
    ) {
        let period = self.span.at(now_ns);
        self.current = Some(period.number);
        if !self.accounts.contains_key(&period.number) && self.over.is_none_or(|over| period.number > over) {
            let account = self.fresh(me, is_new, known.get(&period));
            self.accounts.insert(period.number, account);
            self.forget();
            turn.must_keep = true;
        }
    }

    /// Compares this server's memory with the herd's knowledge of its account. The first time in each period, the
    /// herd's knowledge makes up for an older memory. If the herd knows more later, the account is closed.
    fn compare(
        &mut self,
        now_ns: u64,
        is_lost: bool,
        known: &BTreeMap<Period, KnownAccounts>,
        turn: &mut Turn,
    ) {
        let period = self.span.at(now_ns);
        let mine = known.get(&period).and_then(|known| known.mine.as_ref());
        let remembered = self.remembered.get(&period.number).copied();
        let Some(account) = self.accounts.get_mut(&period.number) else { return };
        let is_first = self.compared.insert(period.number);
        if account.is_closed {
            return;
        }
        match mine {
            _ if is_lost => {
                account.close(mine);
                turn.closed.push(period);
            }
            Some(mine) if is_first && account.is_behind(mine, remembered) => {
                account.catch_up(mine, remembered);
                turn.caught_up.push(period);
            }
            Some(mine) if !is_first && account.lacks(mine) => {
                account.close(Some(mine));
                turn.closed.push(period);
            }
            _ => return,
        }
        turn.must_keep = true;
    }

    fn fresh(&self, me: &ServerName, is_new: bool, known: Option<&KnownAccounts>) -> QuotaAccount {
        let Some(terms) = &self.terms else { return QuotaAccount::default() };
        let mark = terms.mark();
        let mut others = known.into_iter().flat_map(|known| known.others.values());
        // Under other terms, other servers may already hold this server's share.
        let is_late = is_new && others.any(|other| other.terms != mark);
        let share = if is_late { 0 } else { terms.share_of(me) };
        QuotaAccount { terms: mark, share, ..QuotaAccount::default() }
    }

    fn forget(&mut self) {
        while self.accounts.len() > PERIODS_MAX
            && let Some((number, _)) = self.accounts.pop_first()
        {
            self.over = self.over.max(Some(number));
            self.remembered.remove(&number);
            self.compared.remove(&number);
        }
    }

    fn grant(
        &mut self,
        now_ns: u64,
        me: &ServerName,
        wants: u64,
        known: &BTreeMap<Period, KnownAccounts>,
        turn: &mut Turn,
    ) {
        let all = self.all(now_ns, me, known);
        let Some(account) = self.account_mut(now_ns) else { return };
        account.wants = if account.is_closed { 0 } else { wants };
        for (receiver, requests) in all.map(|all| lease::grants(me, &all)).unwrap_or_default() {
            turn.must_keep |= account.grant(&receiver, requests);
        }
    }

    fn rights(&self, now_ns: u64, me: &ServerName, known: &BTreeMap<Period, KnownAccounts>) -> u64 {
        let period = self.span.at(now_ns);
        let received = known.get(&period).map_or(0, |known| received(&known.others, me));
        let Some(account) = self.accounts.get(&period.number) else { return 0 };
        // Whatever grants other servers announce, no server spends more than the whole. A share of earlier terms may be
        // more than the whole.
        let whole = self.terms.as_ref().map_or(0, Terms::whole).max(account.share);
        account.rights(received).min(whole.saturating_sub(account.reserved))
    }

    fn is_anyone_short(&self, now_ns: u64, me: &ServerName, known: &BTreeMap<Period, KnownAccounts>) -> bool {
        self.terms.is_some()
            && self.all(now_ns, me, known).is_some_and(|all| lease::is_anyone_short(me, &all))
    }

    /// The accounts of all servers in the present period. `None` if the period has not begun.
    fn all(
        &self,
        now_ns: u64,
        me: &ServerName,
        known: &BTreeMap<Period, KnownAccounts>,
    ) -> Option<QuotaAccounts> {
        let period = self.span.at(now_ns);
        let mine = self.accounts.get(&period.number)?;
        let mut all = known.get(&period)?.others.clone();
        all.insert(me.clone(), mine.clone());
        Some(all)
    }
}

/// The recent rate at which requests were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RequestPace {
    window: u64,
    asked: u64,
    before: u64,
}

impl RequestPace {
    fn note(&mut self, now_ns: u64, asked: u64) {
        let window = now_ns / WINDOW_NS;
        if window != self.window {
            self.before = if window == self.window + 1 { self.asked } else { 0 };
            (self.window, self.asked) = (window, 0);
        }
        self.asked += asked;
    }

    fn per_minute(&self, now_ns: u64) -> u64 {
        let most = match (now_ns / WINDOW_NS).abs_diff(self.window) {
            0 => self.asked.max(self.before),
            1 => self.asked,
            _ => 0,
        };
        most.saturating_mul(WINDOWS_PER_MINUTE)
    }
}
