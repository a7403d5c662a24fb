//! Connects the crate `proxyherd_places` with this program. This module opens the providers, passes the clock to the
//! crate, and logs the crate's events. If the system refuses a path, this module adds the path's owner to the crate's
//! error.
//!
//! A server calls [`open`]. Doors and the herd import the types of the crate from here. This module does not know how a
//! query is answered.

use std::{io, path::Path, sync::Arc};

use proxyherd_config::clock;
use proxyherd_core::places::ShutCause;
use proxyherd_log::{LogLevel, ServerLog, Subject, refusal::refused};
pub use proxyherd_places::{
    Answered, Environment, Looked, LookupOutcome, Observer, Places, PlacesEvent, Question, Quota,
    RemoteStatus, ReservedQuota, Rest, Settings, Unlimited,
    provider::{Embedded, Failure, OpenError, Osm, Pending, Provider},
};
use proxyherd_places::{
    ProviderName, provider,
    provider::osm::{self, ImportError, ImportSummary, IndexError, Progress},
};

/// Opens the providers that `settings` name. Must be called within the runtime whose tasks will make requests over the
/// network. Every such request is taken from `quota`. Events for operators go to `log`.
pub fn open(settings: &Settings, quota: Arc<dyn Quota>, log: ServerLog) -> Result<Arc<Places>, OpenError> {
    Places::open(settings, quota, environment(log)).map_err(with_owner)
}

/// Whether a server could open this provider.
pub fn check(name: ProviderName, settings: &Settings) -> Result<(), OpenError> {
    provider::open(name, settings, &environment(ServerLog::discard())).map(drop).map_err(with_owner)
}

/// Opens an index of OpenStreetMap's places, for use without a server.
pub fn open_osm(path: &Path) -> Result<Osm, OpenError> {
    provider::open_osm(path, environment(ServerLog::discard())).map_err(with_owner)
}

/// Makes an index of OpenStreetMap's places; see [`osm::import`].
pub fn import(source: &Path, out: &Path, progress: &mut dyn Progress) -> Result<ImportSummary, ImportError> {
    osm::import(source, out, progress).map_err(import_with_owner)
}

/// This program's clock and random numbers, with `log` for events.
pub fn environment(log: ServerLog) -> Environment {
    Environment { now_ns: clock::now_ns, random: clock::random, observer: Arc::new(EventLog(log)) }
}

fn with_owner(error: OpenError) -> OpenError {
    match error {
        OpenError::Osm { path, reason: IndexError::Unreadable(error) } => {
            let reason = IndexError::Unreadable(owned(&path, &error));
            OpenError::Osm { path, reason }
        }
        other => other,
    }
}

fn import_with_owner(error: ImportError) -> ImportError {
    match error {
        ImportError::Unreadable(path, error) => {
            let error = owned(&path, &error);
            ImportError::Unreadable(path, error)
        }
        ImportError::Unwritable(path, error) => {
            let error = owned(&path, &error);
            ImportError::Unwritable(path, error)
        }
        other => other,
    }
}

/// Adds the owner of the path to an error, if the system refuses the path because of permissions.
fn owned(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), refused(path, error))
}

/// Writes events into a server's log.
struct EventLog(ServerLog);

impl Observer for EventLog {
    fn notice(&self, event: &PlacesEvent<'_>) {
        let log = |level, message| self.0.event(level, Subject::Places, message);
        match event {
            PlacesEvent::BreakerOpened { provider, remaining, cause, failure } => {
                let (seconds, advice) = (remaining.as_secs_f64(), advice(*cause));
                log(
                    LogLevel::Warn,
                    format_args!(
                        "{provider} gets no requests for {seconds:.1} s, then one to try it: {failure}{advice}"
                    ),
                );
            }
            PlacesEvent::BreakerClosed { provider } => {
                log(LogLevel::Info, format_args!("{provider} answers again"));
            }
            PlacesEvent::HoursFailed { place_id, hours } => log(
                LogLevel::Warn,
                format_args!(
                    "the opening hours of {place_id} make the evaluator fail; answers show this place without open_now: \
                     {hours}"
                ),
            ),
            PlacesEvent::SearchPanicked { message } => log(
                LogLevel::Error,
                format_args!(
                    "a search in the index of places panicked ({message}): this is a fault of the program, please report \
                     it; the question was answered with an error, and others are answered as before"
                ),
            ),
            PlacesEvent::BlockUnreadable { block, why } => log(
                LogLevel::Error,
                format_args!(
                    "the index of places is faulty at its block {block} ({why}): questions that need this block get an \
                     error, and the map lacks its labels; check the disk, and import the places again"
                ),
            ),
        }
    }
}

/// What an operator can do about a provider whose circuit breaker is open.
fn advice(cause: ShutCause) -> &'static str {
    match cause {
        ShutCause::Denied => "; check its key and account",
        ShutCause::OverLimit => "; `per_second` and the cache's ages limit the number of requests",
        ShutCause::Failing => "",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        time::{Duration, Instant},
    };

    use proxyherd_core::types::ServerName;
    use proxyherd_log::LogSettings;

    use super::*;

    #[test]
    fn an_index_that_may_not_be_read_is_told_with_whose_it_is() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = OpenError::Osm { path: "/etc/passwd".into(), reason: denied.into() };
        let said = with_owner(error).to_string();
        let expected = "the index of places /etc/passwd cannot be used: permission denied; /etc/passwd belongs to root (mode 0644)";
        assert!(said.starts_with(expected), "{said}");
    }

    #[test]
    fn what_may_not_be_read_or_written_is_told_with_whose_it_is() {
        let denied = || io::ErrorKind::PermissionDenied.into();
        for (error, doing) in [
            (ImportError::Unreadable("/etc/passwd".into(), denied()), "read"),
            (ImportError::Unwritable("/etc/passwd".into(), denied()), "write"),
        ] {
            let said = import_with_owner(error).to_string();
            let expected =
                format!("cannot {doing} /etc/passwd: permission denied; /etc/passwd belongs to root");
            assert!(said.starts_with(&expected), "{said}");
        }
    }

    #[test]
    fn each_event_is_a_line_of_the_log_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let settings = LogSettings { dir: dir.path().to_owned(), ..LogSettings::default() };
        let log = ServerLog::open(&settings, &ServerName::new("Riley").unwrap()).unwrap();
        let observer = environment(log.clone()).observer;
        let opened = |seconds, cause, failure: Failure| {
            let remaining = Duration::from_secs(seconds);
            observer.notice(&PlacesEvent::BreakerOpened {
                provider: "remote",
                remaining,
                cause,
                failure: &failure,
            });
        };
        opened(1, ShutCause::Failing, Failure::Unavailable("gone".into()));
        observer.notice(&PlacesEvent::BreakerClosed { provider: "remote" });
        opened(60, ShutCause::Denied, Failure::Denied("the key has expired".into()));
        opened(30, ShutCause::OverLimit, Failure::OverLimit { retry_after: None });
        observer.notice(&PlacesEvent::HoursFailed { place_id: "osmn1", hours: "(dusk+05:00)-25:00" });
        observer.notice(&PlacesEvent::SearchPanicked { message: "on purpose" });
        observer.notice(&PlacesEvent::BlockUnreadable { block: 7, why: "a block is damaged" });
        log.flush(Instant::now() + Duration::from_secs(60));
        let text = fs::read_to_string(dir.path().join("Riley.log")).unwrap();
        let events = text.lines().filter_map(|line| Some(line.split_once("places  ")?.1.trim_start()));
        let expected = [
            "!  warning: remote gets no requests for 1.0 s, then one to try it: the places provider is out of reach: gone",
            "=  remote answers again",
            "!  warning: remote gets no requests for 60.0 s, then one to try it: the places provider refused this server: \
             the key has expired; check its key and account",
            "!  warning: remote gets no requests for 30.0 s, then one to try it: the places provider has been asked too often; \
             `per_second` and the cache's ages limit the number of requests",
            "!  warning: the opening hours of osmn1 make the evaluator fail; answers show this place without open_now: \
             (dusk+05:00)-25:00",
            "!  error: a search in the index of places panicked (on purpose): this is a fault of the program, please report \
             it; the question was answered with an error, and others are answered as before",
            "!  error: the index of places is faulty at its block 7 (a block is damaged): questions that need this block get \
             an error, and the map lacks its labels; check the disk, and import the places again",
        ];
        assert_eq!(events.collect::<Vec<_>>(), expected);
    }
}
