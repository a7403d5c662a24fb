//! The tasks of doors. A stop waits until they have ended, and a kill ends them where they are.

use tokio::task::JoinHandle;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The tasks and threads of a server's doors.
#[derive(Clone, Debug, Default)]
pub(crate) struct DoorTasks {
    tracker: TaskTracker,
    /// Canceled when the server is killed.
    killed: CancellationToken,
}

impl DoorTasks {
    /// No tasks yet. They end at once when `killed` is canceled.
    pub(crate) fn new(killed: CancellationToken) -> DoorTasks {
        DoorTasks { tracker: TaskTracker::new(), killed }
    }

    /// Starts a task that serves a client. A kill drops it with its connection.
    pub(crate) fn spawn<F: Future<Output: Send> + Send + 'static>(&self, task: F) {
        self.tracker.spawn(self.killed.clone().run_until_cancelled_owned(task));
    }

    /// Starts a task that ends by itself soon after a stop, and that a kill must not drop.
    pub(super) fn spawn_to_its_end(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.tracker.spawn(task)
    }

    /// A stop waits until the token is dropped. A thread holds it.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.tracker.token()
    }

    /// Canceled when the server is killed.
    pub(crate) fn killed(&self) -> &CancellationToken {
        &self.killed
    }

    /// No further task follows, so [`DoorTasks::wait`] can return.
    pub(crate) fn close(&self) {
        self.tracker.close();
    }

    /// Waits until all tasks have ended.
    pub(crate) async fn wait(&self) {
        self.tracker.wait().await;
    }

    /// Whether no task runs.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_kill_drops_a_task_that_serves_a_client_and_no_other() {
        let (killed, release) = (CancellationToken::new(), CancellationToken::new());
        let tasks = DoorTasks::new(killed.clone());
        tasks.spawn(pending::<()>());
        let until = release.clone();
        tasks.spawn_to_its_end(async move { until.cancelled().await });
        tasks.close();
        killed.cancel();
        assert!(timeout(Duration::from_millis(50), tasks.wait()).await.is_err(), "one must not be dropped");
        release.cancel();
        tasks.wait().await;
        assert!(tasks.is_empty());
    }
}
