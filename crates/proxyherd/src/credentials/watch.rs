//! Keeps a running server's credentials up to date, and says in time that they are about to expire.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Credentials, DAYS_LEFT_MIN};
use crate::{
    log::{LogLevel, ServerLog, Subject},
    stamp::Stamp,
};

/// How often the files are looked at. They are read once they have stayed the same from one look to the next:
/// whoever copies three files has then copied the last.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often an expiry that is near is told.
const TELL_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Looks after `credentials` until `stop`.
pub(crate) async fn watch(credentials: Arc<Credentials>, log: ServerLog, stop: CancellationToken) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen_before = credentials.current.read().stamps;
    let mut tell_at = Instant::now();
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let looked = look(&credentials, seen_before).await;
        seen_before = looked.seen;
        if let Some(read) = looked.read {
            tell_read(&credentials, &log, read);
            tell_at = Instant::now();
        }
        if Instant::now() >= tell_at {
            tell_expiry(&credentials, &log);
            tell_at = Instant::now() + TELL_EVERY;
        }
    }
}

/// Reads the files at once, whether they have changed or not, because somebody asks for it.
pub(crate) async fn reload(credentials: &Arc<Credentials>, log: &ServerLog) {
    let reloaded = Arc::clone(credentials);
    // The task fails only where the runtime is about to end.
    if let Ok(read) = spawn_blocking(move || reloaded.reload()).await {
        tell_read(credentials, log, read);
    }
}

struct Looked {
    seen: [Option<Stamp>; 3],
    read: Option<Result<(), super::CredentialsError>>,
}

/// One look at the files; where they differ from those in use and have settled, they are read.
async fn look(credentials: &Arc<Credentials>, seen_before: [Option<Stamp>; 3]) -> Looked {
    let credentials = Arc::clone(credentials);
    let looked = spawn_blocking(move || {
        let seen = credentials.paths.stamps();
        let is_settled = seen == seen_before && seen != credentials.current.read().stamps;
        Looked { seen, read: is_settled.then(|| credentials.reload()) }
    });
    // The task fails only where the runtime is about to end.
    looked.await.unwrap_or(Looked { seen: seen_before, read: None })
}

fn tell_read(credentials: &Credentials, log: &ServerLog, read: Result<(), super::CredentialsError>) {
    match read {
        Ok(()) => {
            let (expires, days) = (credentials.expires(), credentials.days_left());
            let message =
                format_args!("certificates read anew: this server's expires on {expires} ({days} days left)");
            log.event(LogLevel::Info, Subject::Server, message);
        }
        Err(error) => {
            let message =
                format_args!("the new certificates are not taken, the old ones stay in use: {error}");
            log.event(LogLevel::Error, Subject::Server, message);
        }
    }
}

fn tell_expiry(credentials: &Credentials, log: &ServerLog) {
    let (name, expires) = (&credentials.paths.server, credentials.expires());
    let days = credentials.days_left();
    let advice = format_args!("renew it with `proxyherd init --server {name}`");
    if days < 0 {
        let message = format_args!(
            "this server's certificate expired on {expires}, and new links are refused: {advice}"
        );
        log.event(LogLevel::Error, Subject::Server, message);
    } else if days < DAYS_LEFT_MIN {
        let message =
            format_args!("this server's certificate expires on {expires} ({days} days left): {advice}");
        log.event(LogLevel::Warn, Subject::Server, message);
    }
}
