//! Reads a running server's certificates again when their files change, and warns before they expire.
//!
//! There are two sets of certificates: the certificates of links (`Credentials`) and the certificate of the doors. Both
//! implement [`Reread`].

use std::{sync::Arc, time::Duration};

use proxyherd_log::{LogLevel, ServerLog, Subject};
use tokio::{task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Credentials, CredentialsError, DAYS_LEFT_MIN,
    certificate::{date, days_left},
    files::LinkTls,
    in_use::{Dated, InUse},
};
use crate::{
    clock,
    settled::{FileWatch, Look},
};

/// Time between two warnings in the log that a certificate expires soon.
const TELL_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Certificates that are read again when their files have changed.
pub trait Reread: Send + Sync + 'static {
    /// The type that is made from the files.
    type Made: Dated + Send + Sync;
    /// The log's words for these certificates.
    const WORDS: Words;

    /// The value that was made from the files and is in use.
    fn in_use(&self) -> &InUse<Self::Made>;

    /// Reads the files again, for later connections. An error changes nothing. Blocks.
    fn reload(&self) -> Result<(), CredentialsError>;

    /// How an operator makes a new certificate.
    fn advice(&self) -> String;
}

/// The log's words for one set of certificates.
#[derive(Debug)]
pub struct Words {
    /// The words after `certificates` that name the set.
    pub of: &'static str,
    /// The words for the certificate whose expiry is logged.
    pub whose: &'static str,
    /// The words for the certificate in use.
    pub which: &'static str,
    /// The consequence after the certificate has expired.
    pub consequence: &'static str,
}

impl Reread for Credentials {
    type Made = LinkTls;
    const WORDS: Words = Words {
        of: "",
        whose: "this server's",
        which: "this server's certificate",
        consequence: "new links are refused",
    };

    fn in_use(&self) -> &InUse<LinkTls> {
        &self.in_use
    }

    fn reload(&self) -> Result<(), CredentialsError> {
        Credentials::reload(self)
    }

    fn advice(&self) -> String {
        format!("renew it with `proxyherd init --server {}`", self.paths.server)
    }
}

/// Watches the files of `kept` until `stop`.
pub async fn watch<R: Reread>(kept: Arc<R>, log: ServerLog, stop: CancellationToken) {
    let in_use = kept.in_use();
    let mut files = FileWatch::new(in_use.paths().to_vec(), Some(in_use.read_at()));
    let mut tell_at = Instant::now();
    while stop.run_until_cancelled(files.tick()).await.is_some() {
        if files.look(Some(&in_use.read_at())).await == Look::Settled {
            reload(&kept, &log).await;
            tell_at = Instant::now();
        }
        if Instant::now() >= tell_at {
            tell_expiry(&*kept, &log);
            tell_at = Instant::now() + TELL_EVERY;
        }
    }
}

/// Reads the files at once, even if they have not changed, and logs the result.
pub async fn reload<R: Reread>(kept: &Arc<R>, log: &ServerLog) {
    let reloaded = Arc::clone(kept);
    // The task fails only if the runtime is about to end.
    if let Ok(read) = spawn_blocking(move || reloaded.reload()).await {
        tell_read(&**kept, log, read);
    }
}

/// The day on which the certificate expires, and how many days are left.
fn expiry<R: Reread>(kept: &R) -> (String, i64) {
    let not_after_s = kept.in_use().not_after_s();
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
