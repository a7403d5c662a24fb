//! Notices, while a connection waits for input, that its time is up or the server is stopping.
//!
//! Both are rare and input is not, so they are looked at as seldom as is safe: once they have been polled they
//! stay registered with the connection's task, and a wait that input ends does not touch them again.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::connection::{Closed, Connection};
use crate::config::Limits;

/// The deadline and the stop of one connection.
pub(super) struct Watch<'a> {
    limits: &'a Limits,
    deadline: Pin<Box<Sleep>>,
    stopped: Pin<Box<WaitForCancellationFuture<'a>>>,
    is_registered: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(limits: &'a Limits, stop: &'a CancellationToken) -> Watch<'a> {
        let deadline = Box::pin(sleep_until(Instant::now() + limits.idle));
        Watch { limits, deadline, stopped: Box::pin(stop.cancelled()), is_registered: false }
    }

    /// Ready when the connection has to be closed. To be called when there is no input.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, connection: &Connection<'_>) -> Poll<Closed> {
        let due = connection.deadline(self.limits);
        if due < self.deadline.deadline() {
            self.deadline.as_mut().reset(due);
            self.is_registered = false;
        }
        // Either may have woken the task together with input, and the input's turn has taken that wake; then
        // it shows here.
        if self.is_registered && !self.deadline.is_elapsed() && !connection.is_draining() {
            return Poll::Pending;
        }
        self.is_registered = true;
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Closed::Stopping);
        }
        while self.deadline.as_mut().poll(cx).is_ready() {
            // The deadline was set before the last input came, and may have moved since.
            if due <= Instant::now() {
                return Poll::Ready(connection.overdue(self.limits));
            }
            self.deadline.as_mut().reset(due);
        }
        Poll::Pending
    }
}
