//! The queue between the threads that serve clients and the thread that writes the log. It has rate limits, and a
//! bounded buffer behind a mutex.
//!
//! A caller holds the mutex while it copies its bytes into the buffer, and waits for nothing else. If there is no room,
//! the caller counts the lines that it leaves out and continues. The caller wakes the writer only if the writer sleeps
//! because there was nothing to write, or if the buffer is half full. Under load this happens a few times a second.

use std::{borrow::Cow, time::Instant};

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use proxyherd_core::rate::FixedWindow;

use super::{
    Direction, LogLevel,
    buffer::{Buffer, Draining, LineMark, LineSource, LineTag},
    left_out::{LeftOutLines, LeftOutReason, LeftOutTotals, LineKind},
    limits::{CRATE_LINES_PER_S, MODULE_LEN_MAX},
    pieces,
};
use crate::escape::cut;

/// The mask of lines that hold no secrets.
pub(super) fn unmasked(lines: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(lines)
}

/// Puts a value on a cache line of its own (on two, because processors fetch them in pairs). Without this, threads that
/// read the value would slow down whenever another thread changes a counter next to the value.
#[repr(align(128))]
struct Apart<T>(T);

pub(super) struct Queue {
    /// Limits the rate of lines that clients and links cause.
    traffic_limit: Apart<FixedWindow>,
    /// Limits the rate of reports from crates.
    crate_limit: Apart<FixedWindow>,
    left_out: LeftOutLines,
    state: Mutex<QueueState>,
    to_writer: Condvar,
    from_writer: Condvar,
}

struct QueueState {
    filling: Buffer,
    /// Whether the writer sleeps until there is something to write.
    rests: bool,
    /// Whether the writer was woken because the buffer is half full.
    hurried: bool,
    /// The number of requested flushes. The next field is the number of completed flushes.
    flushes_wanted: u64,
    flushes_done: u64,
    /// Whether the writer is to reopen the file.
    reopens: bool,
    closing: bool,
    /// Whether a flush has timed out, which means that the writer hangs.
    is_late: bool,
    /// Whether the writer's thread has ended. Then nobody may wait for it.
    ended: bool,
}

/// The conditions that wake the writer.
pub(super) struct WriterPlan {
    /// Whether there is something to write besides the lines in the buffer.
    pub(super) has_backlog: bool,
    /// The earliest time of the next write. A flush, a reopening and the end of the log do not wait for this time.
    pub(super) write_at: Instant,
    /// Whether a half-full buffer causes an earlier write.
    pub(super) can_hurry: bool,
    /// The end of the current second. `None` if seconds need not be counted.
    pub(super) second_at: Option<Instant>,
}

/// Why the writer was woken.
pub(super) struct WriterCall {
    /// The number of the last flush that the next write completes.
    pub(super) flush: u64,
    /// Whether the writer must reopen the file before the write.
    pub(super) reopens: bool,
    /// Whether the last handle was dropped. Then the writer writes the remaining lines and ends.
    pub(super) closing: bool,
    /// Whether it is time to write, or a caller waits for the write.
    pub(super) writes: bool,
}

impl Queue {
    pub(super) fn new(lines_per_s: u32) -> Queue {
        let state = QueueState {
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
            traffic_limit: Apart(FixedWindow::new(lines_per_s)),
            crate_limit: Apart(FixedWindow::new(CRATE_LINES_PER_S)),
            left_out: LeftOutLines::default(),
            state: Mutex::new(state),
            to_writer: Condvar::new(),
            from_writer: Condvar::new(),
        }
    }

    pub(super) fn left_out_total(&self) -> u64 {
        self.left_out.total()
    }

    /// Takes as many of the `offered` pieces of a run of a client's lines as the rate limit and the buffer allow.
    /// `mask` sees only these pieces.
    pub(super) fn offer_run(
        &self,
        direction: Direction,
        source: LineSource,
        run: &[u8],
        offered: u64,
        mask: impl FnOnce(&[u8]) -> Cow<'_, [u8]>,
    ) {
        let mark = LineMark::Traffic(direction);
        let kind = if direction == Direction::In { LineKind::In } else { LineKind::Out };
        let granted = self.traffic_limit.0.take(offered);
        if granted > 0 {
            let run =
                if granted < offered { pieces::head(direction, run, granted, usize::MAX).0 } else { run };
            let run = mask(run);
            self.hand_over(kind, granted, source, mark, |filling, tag| {
                filling.push_run(tag, direction, &run, granted)
            });
        }
        // The accepted lines are handed over before the left-out lines are counted. `swap` relies on this order.
        if granted < offered {
            self.left_out.add(LeftOutReason::RateLimit, kind, offered - granted);
        }
    }

    /// Takes one line if there is room. For lines that clients and links cause, the rate limit must also allow it.
    pub(super) fn offer_line(&self, source: LineSource, mark: LineMark, line: &[u8]) {
        let kind = if matches!(mark, LineMark::Event(_)) { LineKind::Event } else { LineKind::Link };
        let is_of_herd = kind == LineKind::Event && !matches!(source, LineSource::Client(_));
        if is_of_herd || self.traffic_limit.0.take(1) == 1 {
            self.hand_over(kind, 1, source, mark, |filling, tag| filling.push_line(tag, line));
        } else {
            self.left_out.add(LeftOutReason::RateLimit, kind, 1);
        }
    }

    /// Returns whether the caller should hand over a crate's report with [`Queue::offer_crate_line`]. A refused report
    /// is counted.
    pub(super) fn admits_crate_line(&self) -> bool {
        let is_admitted = self.crate_limit.0.take(1) == 1;
        if !is_admitted {
            self.left_out.add(LeftOutReason::CrateRateLimit, LineKind::Event, 1);
        }
        is_admitted
    }

    /// Takes a report that [`Queue::admits_crate_line`] has admitted, if there is room.
    pub(super) fn offer_crate_line(&self, level: LogLevel, module: &str, line: &[u8]) {
        let (module, _) = cut(module.as_bytes(), MODULE_LEN_MAX);
        let source = LineSource::Crate(String::from_utf8_lossy(module).into());
        self.hand_over(LineKind::Event, 1, source, LineMark::Event(level), |filling, tag| {
            filling.push_line(tag, line)
        });
    }

    fn hand_over(
        &self,
        kind: LineKind,
        granted: u64,
        source: LineSource,
        mark: LineMark,
        push: impl FnOnce(&mut Buffer, LineTag) -> u64,
    ) {
        let mut state = self.state.lock();
        // The clock is read under the mutex, so that the times in the file are in order.
        let kept = push(&mut state.filling, LineTag { time: Timestamp::now(), source, mark });
        let wakes = state.rests || (!state.hurried && state.filling.is_half_full());
        if wakes {
            state.hurried = state.filling.is_half_full();
            state.rests = false;
        }
        drop(state);
        if kept < granted {
            self.left_out.add(LeftOutReason::FullBuffer, kind, granted - kept);
        }
        if wakes {
            self.to_writer.notify_one();
        }
    }

    /// Waits until all lines that were handed over before are written, or until their write has failed. Returns at
    /// `end` at the latest.
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

    /// Whether a flush has timed out. After that, no caller waits for the writer.
    pub(super) fn is_late(&self) -> bool {
        self.state.lock().is_late
    }

    /// Tells the writer to write the remaining lines and to end.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.to_writer.notify_one();
    }
}

/// The writer's side.
impl Queue {
    pub(super) fn traffic_limit(&self) -> &FixedWindow {
        &self.traffic_limit.0
    }

    /// Begins a new second, in which callers can again use the full rate limits.
    pub(super) fn renew_limits(&self) {
        self.traffic_limit.0.renew();
        self.crate_limit.0.renew();
    }

    /// Whether no line was taken in this second, and no line was left out in addition to the `noted` lines. If so, the
    /// writer need not count seconds. If a rate limit is zero lines, the writer must always count seconds, because
    /// lines may be left out at any time.
    pub(super) fn is_quiet(&self, noted: &LeftOutTotals) -> bool {
        self.traffic_limit.0.most() > 0
            && self.traffic_limit.0.is_whole()
            && self.crate_limit.0.is_whole()
            && *noted == self.left_out()
    }

    pub(super) fn left_out(&self) -> LeftOutTotals {
        LeftOutReason::ALL.map(|reason| self.left_out.counts(reason))
    }

    /// Sleeps until there is something to do.
    pub(super) fn wait(&self, plan: &WriterPlan) -> WriterCall {
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
                return WriterCall { flush: state.flushes_wanted, reopens, closing: state.closing, writes };
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

    /// Exchanges the buffer that was written for the one that callers have filled since. Returns the counts of lines
    /// left out so far. Where only a part of a batch was left out, the kept part is in this buffer or was written
    /// before.
    pub(super) fn swap(&self, draining: &mut Draining) -> LeftOutTotals {
        // Callers hand over the kept lines of a batch before they count the left-out lines. So the counts are read
        // before the buffer is taken.
        let left_out = self.left_out();
        let mut state = self.state.lock();
        draining.swap(&mut state.filling);
        state.hurried = false;
        left_out
    }

    /// Wakes the callers that wait for flushes up to `flush`.
    pub(super) fn flushed(&self, flush: u64) {
        let mut state = self.state.lock();
        if state.flushes_done < flush {
            state.flushes_done = flush;
            self.from_writer.notify_all();
        }
    }

    /// Notes that the writer's thread has ended.
    pub(super) fn ended(&self) {
        self.state.lock().ended = true;
        self.from_writer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;
    use crate::{limits::BUFFER_LEN_MAX, wait::eventually};

    const HALF: usize = BUFFER_LEN_MAX / 2;
    const EVENT: LineMark = LineMark::Event(LogLevel::Info);

    fn plan() -> WriterPlan {
        WriterPlan { has_backlog: false, write_at: Instant::now(), can_hurry: true, second_at: None }
    }

    /// A time that no test reaches.
    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    fn client() -> LineSource {
        LineSource::Client(([127, 0, 0, 1], 51234).into())
    }

    #[test]
    fn a_writer_at_rest_is_woken_for_the_first_line() {
        let queue = Queue::new(10);
        thread::scope(|scope| {
            let writer = scope.spawn(|| queue.wait(&plan()));
            eventually("the writer rests", || queue.state.lock().rests);
            queue.offer_line(LineSource::Server, EVENT, b"line");
            assert!(writer.join().unwrap().writes);
        });
    }

    #[test]
    fn a_gathering_writer_is_called_by_a_half_full_buffer_a_flush_or_the_end_alone() {
        let gathering = || WriterPlan { write_at: later(), ..plan() };
        let calls = |queue: &Queue, act: &(dyn Fn() + Sync)| {
            thread::scope(|scope| {
                scope.spawn(act);
                queue.wait(&gathering())
            })
        };
        let queue = Queue::new(u32::MAX);
        queue.offer_line(LineSource::Server, EVENT, b"one line does not hurry the writer");
        assert!(!queue.state.lock().hurried);

        assert!(
            calls(&queue, &|| queue.offer_run(
                Direction::In,
                client(),
                &[b'\n'; HALF],
                HALF as u64,
                unmasked
            ))
            .writes
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
        queue.offer_run(Direction::In, client(), &[b'\n'; HALF], HALF as u64, unmasked);
        let failing =
            WriterPlan { write_at: later(), can_hurry: false, second_at: Some(Instant::now()), ..plan() };
        assert!(!queue.wait(&failing).writes, "only the end of the second wakes the failing writer");
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
    fn a_full_buffer_is_counted_apart_from_the_rate_limit() {
        let queue = Queue::new(u32::MAX);
        queue.offer_run(Direction::Out, client(), &[b'\n'; 2 * HALF], 2 * HALF as u64, unmasked);
        queue.offer_line(client(), EVENT, b"event");
        let [rate_limit, crates, buffer] = queue.left_out();
        assert_eq!((rate_limit.total(), crates.total()), (0, 0));
        assert!(buffer.of(LineKind::Out) > 0);
        assert_eq!(buffer.of(LineKind::Event), 1);
    }

    #[test]
    fn lines_are_handed_over_before_the_rest_of_their_batch_is_counted() {
        let queue = Queue::new(3);
        thread::scope(|scope| {
            let state = queue.state.lock();
            scope.spawn(|| queue.offer_run(Direction::In, client(), b"a\nb\nc\nd\n", 4, unmasked));
            while queue.traffic_limit().is_whole() {
                thread::yield_now();
            }
            // If the writer ran now, it would find no line, so it must not note any line as left out.
            for _ in 0..1_000 {
                assert_eq!(queue.left_out_total(), 0);
                thread::yield_now();
            }
            drop(state);
        });
        assert_eq!(queue.left_out_total(), 1);
    }
}
