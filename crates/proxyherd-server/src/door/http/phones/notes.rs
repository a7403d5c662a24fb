//! What the log says about phones whose reports are not taken, at level `info`: most apps show nobody what they are
//! answered.
//!
//! The handler of phones' requests keeps in [`Notes`] what the response does not say: the app, the client, and reports
//! that are not taken although the answer is 200. The notes travel with the response. [`PhoneLog::write`] then writes
//! one line, also about a request that was refused before it came to the handler.
//!
//! The invariants: a line has no token, even if somebody has typed one as an ID. A phone tries again and again, and
//! strangers may do the same, so a server writes at most [`PHONE_LINES_PER_S`] of these lines in a second; the next
//! line says how many were left out. At level `debug`, which has a line for each request anyway, none is left out.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{
    http::{HeaderValue, Method, Request, StatusCode, Uri, header},
    response::Response,
};
use proxyherd_config::clock;
use proxyherd_core::{
    codec::line::without_tokens,
    rate::{LeakyBucket, Pace},
    types::ClientId,
};
use proxyherd_log::{LogLevel, ServerLog, Subject};

use crate::{
    access::Grant,
    door::http::{limits::PHONE_LINES_PER_S, problem::Problem, request_log},
};

/// What the log should say about a request of a phone, in addition to the response.
#[derive(Clone, Debug, Default)]
pub(in crate::door::http) struct Notes {
    /// The name of the app or of its format.
    pub(super) app: Option<&'static str>,
    /// The client of the only report.
    pub(super) client: Option<String>,
    /// Reports that are not taken, in an answer that does not say so.
    pub(super) not_taken: Option<(LogLevel, String)>,
}

impl Notes {
    pub(super) fn note_client(&mut self, client: ClientId<'_>) {
        self.client = Some(format!("{client:?}"));
    }
}

/// A phone's request whose response may have to be explained in the log.
pub(in crate::door::http) struct PhoneRequest {
    method: Method,
    uri: Uri,
    /// The host in the app's URL, which the server may not know.
    host: Option<HeaderValue>,
}

impl PhoneRequest {
    pub(in crate::door::http) fn of<B>(request: &Request<B>) -> PhoneRequest {
        let host = request.headers().get(header::HOST).cloned();
        PhoneRequest { method: request.method().clone(), uri: request.uri().clone(), host }
    }
}

/// Writes the lines about phones of one server, and limits their rate.
#[derive(Debug, Default)]
pub(in crate::door::http) struct PhoneLog {
    lines: LeakyBucket,
    left_out: AtomicU64,
}

impl PhoneLog {
    /// Writes the line about a response, which still has its [`Problem`]. Says nothing if all reports were taken.
    pub(in crate::door::http) fn write(
        &self,
        log: &ServerLog,
        address: SocketAddr,
        request: &PhoneRequest,
        response: &Response,
    ) {
        let Some((level, text)) = what_happened(response) else { return };
        if !log.enabled(level) {
            return;
        }
        let Some(left_out) = self.admit(log, clock::monotonic_ns()) else { return };
        let mut line = text + &circumstances(log, request, response);
        if left_out > 0 {
            let _ = write!(line, "; {left_out} earlier lines about phones are left out");
        }
        let line = without_tokens(line.as_bytes());
        log.event(level, Subject::Client(address), format_args!("{}", String::from_utf8_lossy(&line)));
    }

    /// The number of lines that were left out before this one. `None`: this line is left out, too.
    fn admit(&self, log: &ServerLog, now_ns: u64) -> Option<u64> {
        if !log.enabled(LogLevel::Debug)
            && let Some(pace) = Pace::per_second(PHONE_LINES_PER_S)
        {
            if self.lines.allowed(pace, now_ns).is_err() {
                self.left_out.fetch_add(1, Relaxed);
                return None;
            }
            self.lines.take(pace, 1, now_ns);
        }
        Some(self.left_out.swap(0, Relaxed))
    }
}

/// What became of the request. `None`: nothing that an operator looks for.
fn what_happened(response: &Response) -> Option<(LogLevel, String)> {
    let notes = response.extensions().get::<Notes>();
    let not_taken = notes.and_then(|notes| notes.not_taken.as_ref());
    let Some(problem) = response.extensions().get::<Problem>() else { return not_taken.cloned() };
    let mut text = format!("a phone's request is refused: {}", problem.detail().trim_end());
    if let Some((_, not_taken)) = not_taken {
        let _ = write!(text, "; {not_taken}");
    }
    Some((LogLevel::Info, text))
}

/// The code of the response, the request, the app, the client and the token, in parentheses.
fn circumstances(log: &ServerLog, request: &PhoneRequest, response: &Response) -> String {
    let target = request_log::shown_target(&request.uri, log.shows_positions());
    let status = response.status();
    let mut text = format!(" ({} {} {target}", status.as_u16(), request.method);
    if let Some(host) = request.host.as_ref().filter(|_| status == StatusCode::FORBIDDEN) {
        let _ = write!(text, ", host {host:?}");
    }
    let notes = response.extensions().get::<Notes>();
    if let Some(app) = notes.and_then(|notes| notes.app) {
        let _ = write!(text, ", {app}");
    }
    if let Some(client) = notes.and_then(|notes| notes.client.as_ref()) {
        let _ = write!(text, ", client {client}");
    }
    if let Some(by) = response.extensions().get::<Arc<Grant>>() {
        let _ = write!(text, ", {}", by.label());
    }
    text + ")"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_the_rate_lines_are_left_out_and_the_next_line_says_how_many() {
        let (phones, log) = (PhoneLog::default(), ServerLog::discard());
        let second_ns = 1_000_000_000;
        let mut admitted = 0;
        while phones.admit(&log, second_ns).is_some() {
            admitted += 1;
        }
        assert_eq!(admitted, u64::from(PHONE_LINES_PER_S));
        assert_eq!(phones.admit(&log, second_ns), None);
        assert_eq!(phones.admit(&log, 3 * second_ns), Some(2));
        assert_eq!(phones.admit(&log, 3 * second_ns), Some(0));
    }
}
