//! Between the threads that serve clients and the one that writes: the budget, and a bounded buffer behind a
//! short mutex.
//!
//! A caller holds the mutex for one copy of its bytes and never waits for anything else; when there is no room it
//! counts what it leaves out and goes on. It wakes the writer only if the writer rests because there was nothing
//! to write, or when the buffer is half full, so waking costs at load what it costs a few times a second.

use std::time::Instant;

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};

use super::{
    Direction,
    budget::{Budget, Counts, Kind, Reason},
    buffer::{Buffer, Draining, Mark, Source, Tag},
    pieces,
};

pub(super) struct Queue {
    budget: Budget,
    state: Mutex<State>,
    to_writer: Condvar,
    from_writer: Condvar,
}

struct State {
    filling: Buffer,
    /// The writer rests until there is something to write.
    rests: bool,
    /// The writer was told that the buffer is half full.
    hurried: bool,
    /// How many flushes were asked for, and how many of these are done.
    flushes_wanted: u64,
    flushes_done: u64,
    /// Whether the writer is to reopen the file.
    reopens: bool,
    closing: bool,
    /// A flush was not done in its time.
    is_late: bool,
    /// The writer is gone; whoever waits for it waits for nothing.
    ended: bool,
}

/// When the writer wants to be back, work or no work.
pub(super) struct Plan {
    /// There is something to write besides what callers hand over.
    pub(super) has_backlog: bool,
    /// The earliest time of the next write, unless somebody waits for it.
    pub(super) write_at: Instant,
    /// Whether a half-full buffer may hurry it.
    pub(super) can_hurry: bool,
    /// When this second ends. `None` if the writer need not know.
    pub(super) second_at: Option<Instant>,
}

/// Why the writer was called back.
pub(super) struct Call {
    /// Flushes up to this one wait for the pass that follows.
    pub(super) flush: u64,
    /// The file is to be reopened before that.
    pub(super) reopens: bool,
    /// The last handle was dropped: write what there is and end.
    pub(super) closing: bool,
    /// It is time to write, or somebody waits for it.
    pub(super) writes: bool,
}

impl Queue {
    pub(super) fn new(lines_per_s: u32) -> Queue {
        let state = State {
            filling: Buffer::with_room(),
            rests: false,
            hurried: false,
            flushes_wanted: 0,
            flushes_done: 0,
            reopens: false,
            closing: false,
            is_late: false,
            ended: false,
        };
        Queue {
            budget: Budget::new(lines_per_s),
            state: Mutex::new(state),
            to_writer: Condvar::new(),
            from_writer: Condvar::new(),
        }
    }

    pub(super) fn left_out_total(&self) -> u64 {
        self.budget.left_out_total()
    }

    /// Takes as many of the `offered` pieces of a run of client's lines as the second and the buffer allow.
    pub(super) fn offer_run(&self, direction: Direction, source: Source, run: &[u8], offered: u64) {
        let mark = Mark::Traffic(direction);
        let kind = if direction == Direction::In { Kind::In } else { Kind::Out };
        let granted = self.budget.take(kind, offered);
        if granted == 0 {
            return;
        }
        let run = if granted < offered { pieces::head(direction, run, granted, usize::MAX).0 } else { run };
        self.hand_over(kind, granted, source, mark, |filling, tag| {
            filling.push_run(tag, direction, run, granted)
        });
    }

    /// Takes one line if there is room, and, where many such lines are to be expected, if the second allows.
    pub(super) fn offer_line(&self, source: Source, mark: Mark, line: &[u8]) {
        let kind = if matches!(mark, Mark::Event(_)) { Kind::Event } else { Kind::Link };
        let is_of_herd = kind == Kind::Event && !matches!(source, Source::Client(_));
        if is_of_herd || self.budget.take(kind, 1) == 1 {
            self.hand_over(kind, 1, source, mark, |filling, tag| filling.push_line(tag, line));
        }
    }

    fn hand_over(
        &self,
        kind: Kind,
        granted: u64,
        source: Source,
        mark: Mark,
        push: impl FnOnce(&mut Buffer, Tag) -> u64,
    ) {
        let mut state = self.state.lock();
        // The clock is read under the mutex, so that times in the file never go back.
        let kept = push(&mut state.filling, Tag { time: Timestamp::now(), source, mark });
        let wakes = state.rests || (!state.hurried && state.filling.is_half_full());
        if wakes {
            state.hurried = state.filling.is_half_full();
            state.rests = false;
        }
        drop(state);
        if kept < granted {
            self.budget.leave_out(Reason::Buffer, kind, granted - kept);
        }
        if wakes {
            self.to_writer.notify_one();
        }
    }

    /// Returns when all that was handed over before was written, or when writing it was tried and failed; at `end` in
    /// any case.
    pub(super) fn flush(&self, end: Instant) {
        let mut state = self.state.lock();
        state.flushes_wanted += 1;
        let flush = state.flushes_wanted;
        self.to_writer.notify_one();
        while state.flushes_done < flush && !state.ended && !state.is_late {
            state.is_late = self.from_writer.wait_until(&mut state, end).timed_out();
        }
    }

    /// Tells the writer to reopen the file.
    pub(super) fn reopen(&self) {
        self.state.lock().reopens = true;
        self.to_writer.notify_one();
    }

    /// Whether the writer hangs, as far as is known: there is no point in waiting for it once more.
    pub(super) fn is_late(&self) -> bool {
        self.state.lock().is_late
    }

    /// Tells the writer to write what there is and end.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.to_writer.notify_one();
    }
}

/// The writer's side.
impl Queue {
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn left_out(&self) -> [Counts; Reason::ALL.len()] {
        Reason::ALL.map(|reason| self.budget.left_out(reason))
    }

    /// Rests until there is something to do.
    pub(super) fn wait(&self, plan: &Plan) -> Call {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            let is_urgent = state.closing
                || state.reopens
                || state.flushes_wanted > state.flushes_done
                || (state.hurried && plan.can_hurry);
            let has_work = plan.has_backlog || !state.filling.is_empty();
            let writes = is_urgent || (has_work && plan.write_at <= now);
            if writes || plan.second_at.is_some_and(|at| at <= now) {
                let reopens = std::mem::take(&mut state.reopens);
                return Call { flush: state.flushes_wanted, reopens, closing: state.closing, writes };
            }
            let is_gathering = plan.write_at > now;
            let gathered_at = is_gathering.then_some(plan.write_at);
            state.rests = !is_gathering;
            match gathered_at.into_iter().chain(plan.second_at).min() {
                Some(until) => _ = self.to_writer.wait_until(&mut state, until),
                None => self.to_writer.wait(&mut state),
            }
            state.rests = false;
        }
    }

    /// Exchanges a buffer that was written for what callers have handed over since.
    pub(super) fn swap(&self, draining: &mut Draining) {
        let mut state = self.state.lock();
        draining.swap(&mut state.filling);
        state.hurried = false;
    }

    /// Tells those who wait for a flush up to `flush` that it was done.
    pub(super) fn flushed(&self, flush: u64) {
        let mut state = self.state.lock();
        if state.flushes_done < flush {
            state.flushes_done = flush;
            self.from_writer.notify_all();
        }
    }

    /// The writer is gone.
    pub(super) fn ended(&self) {
        self.state.lock().ended = true;
        self.from_writer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;
    use crate::{
        log::{LogLevel, limits::BUFFER_LEN_MAX},
        wait::eventually,
    };

    const HALF: usize = BUFFER_LEN_MAX / 2;
    const EVENT: Mark = Mark::Event(LogLevel::Info);

    fn plan() -> Plan {
        Plan { has_backlog: false, write_at: Instant::now(), can_hurry: true, second_at: None }
    }

    /// Long enough that a writer which waits for it is not called by it.
    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    fn client() -> Source {
        Source::Client(([127, 0, 0, 1], 51234).into())
    }

    #[test]
    fn a_writer_at_rest_is_called_for_the_first_line() {
        let queue = Queue::new(10);
        thread::scope(|scope| {
            let writer = scope.spawn(|| queue.wait(&plan()));
            eventually("the writer rests", || queue.state.lock().rests);
            queue.offer_line(Source::Server, EVENT, b"line");
            assert!(writer.join().unwrap().writes);
        });
    }

    #[test]
    fn a_gathering_writer_is_called_by_a_half_full_buffer_a_flush_or_the_end_alone() {
        let gathering = || Plan { write_at: later(), ..plan() };
        let calls = |queue: &Queue, act: &(dyn Fn() + Sync)| {
            thread::scope(|scope| {
                scope.spawn(act);
                queue.wait(&gathering())
            })
        };
        let queue = Queue::new(u32::MAX);
        queue.offer_line(Source::Server, EVENT, b"one line does not hurry it");
        assert!(!queue.state.lock().hurried);

        assert!(
            calls(&queue, &|| queue.offer_run(Direction::In, client(), &[b'\n'; HALF], HALF as u64)).writes
        );
        queue.swap(&mut Draining::default());
        let flush = thread::scope(|scope| {
            scope.spawn(|| queue.flush(later()));
            let call = queue.wait(&gathering());
            queue.flushed(call.flush);
            call
        });
        assert!(flush.writes && !flush.closing);
        assert!(calls(&queue, &|| queue.close()).closing);
    }

    #[test]
    fn a_failing_file_is_not_hurried() {
        let queue = Queue::new(u32::MAX);
        queue.offer_run(Direction::In, client(), &[b'\n'; HALF], HALF as u64);
        let failing = Plan { write_at: later(), can_hurry: false, second_at: Some(Instant::now()), ..plan() };
        assert!(!queue.wait(&failing).writes, "only the second brought it back");
    }

    #[test]
    fn a_writer_that_is_gone_holds_up_no_flush() {
        let queue = Queue::new(10);
        queue.ended();
        queue.flush(later());
        assert!(!queue.is_late());
    }

    #[test]
    fn a_writer_that_hangs_is_waited_for_once_and_no_longer_than_that() {
        let queue = Queue::new(10);
        queue.flush(Instant::now() + Duration::from_millis(1));
        assert!(queue.is_late());
        queue.flush(later());
    }

    #[test]
    fn a_full_buffer_is_counted_apart_from_the_budget() {
        let queue = Queue::new(u32::MAX);
        queue.offer_run(Direction::Out, client(), &[b'\n'; 2 * HALF], 2 * HALF as u64);
        queue.offer_line(client(), EVENT, b"event");
        let [budget, buffer] = queue.left_out();
        assert_eq!(budget.total(), 0);
        assert!(buffer.of(Kind::Out) > 0);
        assert_eq!(buffer.of(Kind::Event), 1);
    }
}
