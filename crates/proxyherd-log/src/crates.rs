//! Warnings and errors of the crates that the program is built from, such as h2, rustls and reqwest.
//!
//! Crates report by `tracing` or by `log`. [`hear_crates`] subscribes to both for the whole process. The program calls
//! it once, before it starts a server. Each report becomes one line with its level, the reporting module and the
//! message. A report does not say which server it is about, so the line appears in the log of every server of the
//! process. `proxyherd serve` runs one server. Only `proxyherd demo` and tests run several servers, and have such a
//! line in several logs. If a program has already set a subscriber, that subscriber stays.
//!
//! - Only warnings and errors of crates are logged, whatever `level` in `[log]` says. At lower levels h2, hyper and
//!   reqwest write headers and URLs, and these contain keys. [`without_secrets`] removes queries and secret headers
//!   even from warnings.
//! - Clients can cause reports. So each log has a limit of `CRATE_LINES_PER_S`, and reports cannot fill the part of the
//!   buffer that is kept for events of the herd.
//! - A report that is refused is counted and not formatted. The reporting thread waits for nothing.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt as _},
};

use super::{LogLevel, limits::LINE_SHOWN_LEN_MAX, queue::Queue};
use crate::escape::cut;

/// Parts of the names of headers whose values are secrets, in lower case. A header is secret if its name contains one
/// of these parts.
const SECRET_HEADERS: [&str; 3] = ["authorization", "api-key", "cookie"];
/// What stands before a secret elsewhere, in lower case: before the query of a URL that is shown field by field, and
/// before a key in a query that a bracket or quote in it seems to end.
const SECRET_MARKS: [&str; 2] = ["query: some(", "key="];
/// The text that replaces a secret.
const MASK: &str = "***";

/// The logs of this process.
pub(super) static OPEN_LOGS: OpenLogs = OpenLogs::new();

/// Starts to write the warnings and errors of the crates that the program is built from into all open logs.
pub fn hear_crates() {
    // Both calls fail only if the process already has a subscriber. Then that subscriber gets the reports.
    let _ = subscriber::set_global_default(subscriber_for(&OPEN_LOGS));
    if ::log::set_boxed_logger(Box::new(reports_to(&OPEN_LOGS))).is_ok() {
        ::log::set_max_level(::log::LevelFilter::Warn);
    }
}

fn subscriber_for(logs: &'static OpenLogs) -> impl Subscriber + Send + Sync {
    Registry::default().with(heard()).with(reports_to(logs))
}

fn reports_to(logs: &'static OpenLogs) -> CrateReports {
    CrateReports { logs, heard: heard() }
}

/// Selects reports by their level and by the reporting module.
fn heard() -> Targets {
    Targets::new().with_default(LevelFilter::WARN)
}

/// The logs that take reports of crates.
pub(super) struct OpenLogs(Mutex<Vec<(LogLevel, Weak<Queue>)>>);

impl OpenLogs {
    const fn new() -> OpenLogs {
        OpenLogs(Mutex::new(Vec::new()))
    }

    /// Adds a log, which stays until its queue is dropped.
    pub(super) fn add(&self, level: LogLevel, queue: &Arc<Queue>) {
        let mut logs = self.0.lock();
        logs.retain(|(_, queue)| queue.strong_count() > 0);
        logs.push((level, Arc::downgrade(queue)));
    }

    /// Hands a report to every log that writes lines of its level. `message` is called only if at least one log takes
    /// the report.
    fn report(&self, level: LogLevel, module: &str, message: impl FnOnce(&mut Message)) {
        let logs = self.0.lock();
        let willing = logs.iter().filter(|(log_level, _)| level <= *log_level);
        let takers: Vec<_> = willing
            .filter_map(|(_, queue)| queue.upgrade())
            .filter(|queue| queue.admits_crate_line())
            .collect();
        drop(logs);
        if takers.is_empty() {
            return;
        }
        let mut text = Message::default();
        message(&mut text);
        let text = without_secrets(&text.0);
        for queue in takers {
            queue.offer_crate_line(level, module, text.as_bytes());
        }
    }
}

/// Takes the reports that come by `tracing`, already filtered by [`subscriber_for`], and the reports that come by
/// `log`.
struct CrateReports {
    logs: &'static OpenLogs,
    heard: Targets,
}

impl<S: Subscriber> Layer<S> for CrateReports {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = if *metadata.level() == Level::ERROR { LogLevel::Error } else { LogLevel::Warn };
        self.logs.report(level, metadata.target(), |message| event.record(message));
    }
}

impl CrateReports {
    /// The level of a report that comes by `log`. `None` if the report is not wanted.
    fn level_of(&self, metadata: &::log::Metadata<'_>) -> Option<LogLevel> {
        let (level, by_tracing) = match metadata.level() {
            ::log::Level::Error => (LogLevel::Error, Level::ERROR),
            ::log::Level::Warn => (LogLevel::Warn, Level::WARN),
            ::log::Level::Info | ::log::Level::Debug | ::log::Level::Trace => return None,
        };
        self.heard.would_enable(metadata.target(), &by_tracing).then_some(level)
    }
}

impl ::log::Log for CrateReports {
    fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
        self.level_of(metadata).is_some()
    }

    fn log(&self, record: &::log::Record<'_>) {
        if let Some(level) = self.level_of(record.metadata()) {
            self.logs.report(level, record.target(), |message| message.append(record.args()));
        }
    }

    fn flush(&self) {}
}

/// The text of a report: its message, then its other fields as `name=value`. The rest after [`LINE_SHOWN_LEN_MAX`]
/// bytes is dropped.
#[derive(Default)]
struct Message(String);

impl Message {
    fn append(&mut self, text: &fmt::Arguments<'_>) {
        // An error means that a value failed to format itself. That must not cause a panic in the reporting thread.
        let _ = self.write_fmt(*text);
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (head, _) = cut(text.as_bytes(), LINE_SHOWN_LEN_MAX - self.0.len());
        self.0.push_str(&String::from_utf8_lossy(head));
        Ok(())
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        match field.name() {
            "message" => self.append(&format_args!("{space}{value:?}")),
            name => self.append(&format_args!("{space}{name}={value:?}")),
        }
    }
}

/// The text without the queries of its URLs, and without all that follows the name of a secret header or another mark
/// of a secret.
fn without_secrets(text: &str) -> String {
    let text = without_queries(text);
    let lower = text.to_ascii_lowercase();
    let marks = SECRET_HEADERS.iter().chain(&SECRET_MARKS);
    let mark_ends = marks.filter_map(|mark| lower.find(mark).map(|at| at + mark.len()));
    match mark_ends.min() {
        Some(end) if end < text.len() => text[..end].to_owned() + MASK,
        _ => text,
    }
}

fn without_queries(text: &str) -> String {
    let mut parts = text.split('?');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let ends_query = |character: char| character.is_whitespace() || "\"')>]}".contains(character);
        let query_len = part.find(ends_query).unwrap_or(part.len());
        out.push('?');
        if query_len > 0 {
            out.push_str(MASK);
        }
        out.push_str(&part[query_len..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use ::log::Log as _;

    use super::*;
    use crate::{
        buffer::{Draining, LineSource},
        limits::{CRATE_LINES_PER_S, MODULE_LEN_MAX},
        pieces::Piece,
    };

    const SECRET: &str = "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY";

    /// Logs for one test alone. They live as long as the process.
    fn open_logs<const N: usize>(levels: [LogLevel; N]) -> (&'static OpenLogs, [Arc<Queue>; N]) {
        let logs: &'static OpenLogs = Box::leak(Box::new(OpenLogs::new()));
        let queues = levels.map(|level| {
            let queue = Arc::new(Queue::new(10_000));
            logs.add(level, &queue);
            queue
        });
        (logs, queues)
    }

    fn while_heard(logs: &'static OpenLogs, report: impl FnOnce()) {
        subscriber::with_default(subscriber_for(logs), report);
    }

    /// The lines that wait for the writer, each as `module: message`.
    fn waiting(queue: &Queue) -> Vec<String> {
        let mut draining = Draining::default();
        queue.swap(&mut draining);
        let mut lines = Vec::new();
        while let Some((tag, piece)) = draining.peek() {
            let (LineSource::Crate(module), Piece::Line(text)) = (&tag.source, piece) else {
                panic!("{tag:?}")
            };
            lines.push(format!("{module}: {}", String::from_utf8_lossy(text)));
            draining.advance();
        }
        lines
    }

    #[test]
    fn warnings_and_errors_of_crates_are_heard_and_nothing_below() {
        let (logs, [queue]) = open_logs([LogLevel::Debug]);
        while_heard(logs, || {
            tracing::error!(target: "h2::proto", "broken");
            tracing::warn!(target: "h2::proto", code = 7, "strange");
            tracing::info!(target: "hyper::proto", "new connection");
            tracing::debug!(target: "h2::hpack", "header {SECRET}");
            tracing::trace!(target: "h2::hpack", "header {SECRET}");
            assert!(
                !tracing::enabled!(target: "hyper::proto", Level::INFO),
                "an unwanted report is not formatted"
            );
        });
        assert_eq!(waiting(&queue), ["h2::proto: broken", "h2::proto: strange code=7"]);
    }

    #[test]
    fn crates_that_report_by_log_are_heard_alike() {
        let (logs, [queue]) = open_logs([LogLevel::Info]);
        for level in [::log::Level::Error, ::log::Level::Warn, ::log::Level::Info, ::log::Level::Trace] {
            let mut record = ::log::Record::builder();
            record.target("rustls::check").level(level);
            reports_to(logs).log(&record.args(format_args!("at {level}")).build());
        }
        assert_eq!(waiting(&queue), ["rustls::check: at ERROR", "rustls::check: at WARN"]);
    }

    #[test]
    fn every_log_of_the_process_hears_what_its_level_allows() {
        let (logs, [all, errors]) = open_logs([LogLevel::Info, LogLevel::Error]);
        while_heard(logs, || {
            tracing::warn!(target: "h2", "strange");
            tracing::error!(target: "h2", "broken");
        });
        assert_eq!(waiting(&all), ["h2: strange", "h2: broken"]);
        assert_eq!(waiting(&errors), ["h2: broken"]);
    }

    #[test]
    fn a_log_that_is_closed_hears_nothing_and_is_forgotten() {
        let (logs, [closed]) = open_logs([LogLevel::Info]);
        drop(closed);
        while_heard(logs, || tracing::warn!(target: "h2", "strange"));
        let queue = Arc::new(Queue::new(1));
        logs.add(LogLevel::Info, &queue);
        assert_eq!(logs.0.lock().len(), 1);
    }

    #[test]
    fn a_flood_of_reports_is_bounded_and_counted_and_leaves_traffic_its_lines() {
        let (logs, [queue]) = open_logs([LogLevel::Info]);
        while_heard(logs, || (0..10_000).for_each(|number| tracing::warn!(target: "h2", number, "ping")));
        assert_eq!(waiting(&queue).len(), CRATE_LINES_PER_S as usize);
        assert_eq!(queue.left_out_total(), 10_000 - u64::from(CRATE_LINES_PER_S));
        assert_eq!(queue.traffic_limit().most(), 10_000);
        assert!(queue.traffic_limit().is_whole());
        assert!(!queue.is_quiet(&queue.left_out()), "the writer counts the second");
        queue.renew_limits();
        assert!(queue.is_quiet(&queue.left_out()));
        while_heard(logs, || tracing::warn!(target: "h2", "ping"));
        assert_eq!(waiting(&queue), ["h2: ping"]);
    }

    #[test]
    fn a_report_that_is_refused_is_not_even_formatted() {
        struct Never;
        impl fmt::Display for Never {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("formatted")
            }
        }
        let (logs, [queue]) = open_logs([LogLevel::Info]);
        while queue.admits_crate_line() {}
        while_heard(logs, || tracing::warn!(target: "h2", "{Never}"));
    }

    #[test]
    fn keys_in_urls_and_headers_are_not_in_the_log() {
        for (text, expected) in [
            (
                format!("cannot reach https://maps.example/nearby?location=1,2&key={SECRET}: refused"),
                "cannot reach https://maps.example/nearby?*** refused",
            ),
            (format!("redirect to \"/nearby?{SECRET}\" (302)"), "redirect to \"/nearby?***\" (302)"),
            (format!("sent Authorization: Bearer {SECRET}"), "sent Authorization***"),
            (format!("{{\"x-goog-api-key\": \"{SECRET}\"}}"), "{\"x-goog-api-key***"),
            (format!("a?{SECRET}) set-cookie: {SECRET}"), "a?***) set-cookie***"),
            (
                format!("Url {{ path: \"/\", query: Some(\"key={SECRET}\") }}"),
                "Url { path: \"/\", query: Some(***",
            ),
            (format!("GET /nearby?keyword=(a)&key={SECRET}"), "GET /nearby?***)&key=***"),
            ("why? nobody knows".to_owned(), "why? nobody knows"),
        ] {
            let (logs, [queue]) = open_logs([LogLevel::Debug]);
            while_heard(logs, || tracing::warn!(target: "reqwest", "{text}"));
            assert_eq!(waiting(&queue), [format!("reqwest: {expected}")]);
        }
    }

    #[test]
    fn long_reports_and_long_names_are_cut() {
        let (logs, [queue]) = open_logs([LogLevel::Info]);
        while_heard(logs, || tracing::warn!(target: "h2", "{}", "é".repeat(10_000)));
        let module = "m".repeat(10_000);
        let mut record = ::log::Record::builder();
        record.target(&module).level(::log::Level::Warn);
        reports_to(logs).log(&record.args(format_args!("x")).build());
        let lines = waiting(&queue);
        assert_eq!(lines[0], format!("h2: {}", "é".repeat(LINE_SHOWN_LEN_MAX / 2)));
        assert_eq!(lines[1], format!("{}: x", "m".repeat(MODULE_LEN_MAX)));
    }

    #[test]
    fn a_value_that_cannot_be_formatted_does_no_harm() {
        struct Unshown;
        impl fmt::Display for Unshown {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let (logs, [queue]) = open_logs([LogLevel::Info]);
        while_heard(logs, || tracing::warn!(target: "h2", code = 7, "before {Unshown}"));
        assert_eq!(waiting(&queue), ["h2: before  code=7"]);
    }
}
