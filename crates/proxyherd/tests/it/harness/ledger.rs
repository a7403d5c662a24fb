//! The records that a herd must know, as the test remembers them: the newest AT line of each client.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{Client, Herd};

/// The newest AT line of each client, by the client's name. The ledger also has a clock for reports, so that each
/// report is newer than the previous report. Clones share the clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    newest: BTreeMap<String, (u64, String)>,
    reports: Arc<AtomicU64>,
}

/// A time in the past, so that no server thinks that a client's clock is fast.
const BEGIN_S: u64 = 1_600_000_000;

impl Ledger {
    /// Reports a client at a server. The report is newer than all reports before.
    pub(crate) fn report(&mut self, herd: &Herd, server: &str, client: &str) {
        self.report_over(&mut herd.client(server), client);
    }

    /// [`Ledger::report`] over a connection that is open already.
    pub(crate) fn report_over(&mut self, connection: &mut Client, client: &str) {
        assert!(self.try_report_over(connection, client), "no reply");
    }

    /// [`Ledger::report_over`] to a server that may have ended. Returns whether the server has answered. A report
    /// without an answer is not remembered, although the server may have taken it.
    pub(crate) fn try_report_over(&mut self, connection: &mut Client, client: &str) -> bool {
        let time_s = BEGIN_S + self.reports.fetch_add(1, Relaxed);
        let report = format!("{client} +34.0689-118.4451 {time_s}.25");
        let Some(at) = connection.try_ask(&format!("IAMAT {report}")) else { return false };
        assert!(at.starts_with("AT ") && at.ends_with(&report), "{at}");
        self.newest.insert(client.to_owned(), (time_s, at));
        true
    }

    /// The number of reports that were made through all clones together.
    pub(crate) fn reports(&self) -> u64 {
        self.reports.load(Relaxed)
    }

    /// The AT line of each client.
    pub(crate) fn lines(&self) -> BTreeMap<String, String> {
        self.newest.iter().map(|(client, (_, at))| (client.clone(), at.clone())).collect()
    }

    /// Takes over all newer entries of the other ledger.
    pub(crate) fn merge(&mut self, other: &Ledger) {
        for (client, reported) in &other.newest {
            let held = self.newest.entry(client.clone()).or_insert_with(|| reported.clone());
            if reported.0 > held.0 {
                held.clone_from(reported);
            }
        }
    }
}
