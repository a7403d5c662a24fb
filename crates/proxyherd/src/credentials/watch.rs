//! Keeps a running server's certificates up to date, and says in time that they are about to expire.
//!
//! There are two sets: those of links (`Credentials`) and that of the doors. What both have in common is [`Reread`].

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Credentials, CredentialsError, DAYS_LEFT_MIN, certificate::date, certificate::days_left};
use crate::{
    clock,
    log::{LogLevel, ServerLog, Subject},
    stamp::Stamp,
};

/// How often the files are looked at. They are read once they have stayed the same from one look to the next:
/// whoever copies three files has then copied the last.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often an expiry that is near is told.
const TELL_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Certificates that are read again when their files have changed.
pub(crate) trait Reread: Send + Sync + 'static {
    /// What shows that the files have changed.
    type Stamps: Copy + PartialEq + Send;
    /// How the log speaks of them.
    const WORDS: Words;

    /// The files' stamps as they are now. Blocks while it looks.
    fn seen(&self) -> Self::Stamps;

    /// The files' stamps when they were last read, whatever came of it.
    fn read_at(&self) -> Self::Stamps;

    /// Reads the files again, for the connections that are made from here on. An error leaves all as it was. Blocks.
    fn reload(&self) -> Result<(), CredentialsError>;

    /// When the certificate in use expires, POSIX seconds.
    fn not_after_s(&self) -> i64;

    /// How a new one is made.
    fn advice(&self) -> String;
}

/// How the log speaks of one set of certificates.
#[derive(Debug)]
pub(crate) struct Words {
    /// The files, behind `certificates`.
    pub(crate) of: &'static str,
    /// Whose certificate it is that expires.
    pub(crate) whose: &'static str,
    /// The certificate in use.
    pub(crate) which: &'static str,
    /// What follows once it has expired.
    pub(crate) consequence: &'static str,
}

impl Reread for Credentials {
    type Stamps = [Option<Stamp>; 3];
    const WORDS: Words = Words {
        of: "",
        whose: "this server's",
        which: "this server's certificate",
        consequence: "new links are refused",
    };

    fn seen(&self) -> Self::Stamps {
        self.paths.stamps()
    }

    fn read_at(&self) -> Self::Stamps {
        self.current.read().stamps
    }

    fn reload(&self) -> Result<(), CredentialsError> {
        Credentials::reload(self)
    }

    fn not_after_s(&self) -> i64 {
        self.held().not_after_s
    }

    fn advice(&self) -> String {
        format!("renew it with `proxyherd init --server {}`", self.paths.server)
    }
}

/// Looks after `kept` until `stop`.
pub(crate) async fn watch<R: Reread>(kept: Arc<R>, log: ServerLog, stop: CancellationToken) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen_before = kept.read_at();
    let mut tell_at = Instant::now();
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let looked = look(&kept, seen_before).await;
        seen_before = looked.seen;
        if let Some(read) = looked.read {
            tell_read(&*kept, &log, read);
            tell_at = Instant::now();
        }
        if Instant::now() >= tell_at {
            tell_expiry(&*kept, &log);
            tell_at = Instant::now() + TELL_EVERY;
        }
    }
}

/// Reads the files at once, whether they have changed or not, because somebody asks for it.
pub(crate) async fn reload<R: Reread>(kept: &Arc<R>, log: &ServerLog) {
    let reloaded = Arc::clone(kept);
    // The task fails only where the runtime is about to end.
    if let Ok(read) = spawn_blocking(move || reloaded.reload()).await {
        tell_read(&**kept, log, read);
    }
}

struct Looked<S> {
    seen: S,
    read: Option<Result<(), CredentialsError>>,
}

/// One look at the files; where they differ from those in use and have settled, they are read.
async fn look<R: Reread>(kept: &Arc<R>, seen_before: R::Stamps) -> Looked<R::Stamps> {
    let kept = Arc::clone(kept);
    let looked = spawn_blocking(move || {
        let seen = kept.seen();
        let is_settled = seen == seen_before && seen != kept.read_at();
        Looked { seen, read: is_settled.then(|| kept.reload()) }
    });
    // The task fails only where the runtime is about to end.
    looked.await.unwrap_or(Looked { seen: seen_before, read: None })
}

/// The day on which the certificate expires, and how many days are left.
fn expiry<R: Reread>(kept: &R) -> (String, i64) {
    let not_after_s = kept.not_after_s();
    (date(not_after_s), days_left(not_after_s, clock::now_s()))
}

fn tell_read<R: Reread>(kept: &R, log: &ServerLog, read: Result<(), CredentialsError>) {
    let Words { of, whose, .. } = R::WORDS;
    match read {
        Ok(()) => {
            let (expires, days) = expiry(kept);
            let message =
                format_args!("certificates{of} read anew: {whose} expires on {expires} ({days} days left)");
            log.event(LogLevel::Info, Subject::Server, message);
        }
        Err(error) => {
            let message =
                format_args!("the new certificates{of} are not taken, the old ones stay in use: {error}");
            log.event(LogLevel::Error, Subject::Server, message);
        }
    }
}

fn tell_expiry<R: Reread>(kept: &R, log: &ServerLog) {
    let Words { which, consequence, .. } = R::WORDS;
    let ((expires, days), advice) = (expiry(kept), kept.advice());
    if days < 0 {
        let message = format_args!("{which} expired on {expires}, and {consequence}: {advice}");
        log.event(LogLevel::Error, Subject::Server, message);
    } else if days < DAYS_LEFT_MIN {
        let message = format_args!("{which} expires on {expires} ({days} days left): {advice}");
        log.event(LogLevel::Warn, Subject::Server, message);
    }
}
