//! The text of `/metrics`. Each call reads the herd's counts. This module counts nothing itself.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use proxyherd_config::server_status::{BudgetStatus, LinkStatus, ReportStatus};
use proxyherd_core::flood::Nonsense;
use proxyherd_streams::{ResetReason, StreamKind};

use super::exposition::{ExpositionFormat, text_004};
use crate::{
    admission::DoorCounts,
    herd::{Figures, JournalFigures, JournalState, SYNC_BUCKETS_S, SyncTimes},
};

/// All metrics in one of the text formats.
pub(super) fn text(figures: Figures, format: ExpositionFormat) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(FiguresCollector(figures)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a String does not fail");
    match format {
        ExpositionFormat::OpenMetrics => text,
        ExpositionFormat::Text004 => text_004(&text),
    }
}

#[derive(Debug)]
struct FiguresCollector(Figures);

impl Collector for FiguresCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let FiguresCollector(figures) = self;
        let status = &figures.status;
        let mut families = Families { encoder: &mut encoder };
        families.reports(figures)?;
        let help = "Reports that could be read and were refused, by reason";
        families.counters("proxyherd_reports_refused", help, "reason", figures.refused.by_reason())?;
        let version = [(status.version.as_str(), 1_u64)];
        families.gauges("proxyherd_build_info", "The program's version", None, "version", version)?;
        families.gauge("proxyherd_uptime_seconds", "Time since the server's start", status.uptime_s)?;
        let help = "Threads, shards, links and tasks that are stuck or have failed, and links that flap";
        let unsteady = status.links.iter().filter(|link| link.unsteady).count();
        families.gauge("proxyherd_stuck", help, (status.stuck.len() + unsteady) as u64)?;
        let help = "Whether another process runs under this server's name in the herd";
        families.gauge("proxyherd_namesake", help, u64::from(status.namesake))?;
        let help = "Whether this server's configuration no longer names this server";
        families.gauge("proxyherd_removed", help, u64::from(status.removed))?;
        families.gauge("proxyherd_records", "Records that the server holds", status.records)?;
        families.room(figures)?;
        let connections = status.connections as u64;
        families.gauge("proxyherd_connections", "Client connections that are open", connections)?;
        families.counter(
            "proxyherd_connections_turned_away",
            "Client connections that were refused",
            figures.connections_turned_away,
        )?;
        families.doors(figures)?;
        let buffered = figures.buffered as u64;
        let help =
            "Bytes of replies that clients have not read yet, and of lines that wait behind these replies";
        families.gauge("proxyherd_replies_buffered_bytes", help, buffered)?;
        let invalid = figures.lines_invalid;
        families.counter("proxyherd_lines_invalid", "Lines answered with a question mark", invalid)?;
        let help = "How often this server's records differed from a neighbor's records";
        families.counter("proxyherd_root_mismatches", help, status.root_mismatches)?;
        let left_out = status.log_left_out;
        families.counter("proxyherd_log_lines_left_out", "Log lines omitted because of load", left_out)?;
        families.counter(
            "proxyherd_peers_refused",
            "Connections to the peer port that got no link",
            status.peers_refused,
        )?;
        if let Some(left_s) = figures.certificate_left_s {
            let help =
                "Time until the certificate for links expires; negative after the certificate has expired";
            families.gauge("proxyherd_certificate_left_seconds", help, left_s)?;
        }
        families.streams(figures)?;
        if let Some(waiting) = figures.acks_waiting {
            let help = "Connections and requests that wait until their reports are durable";
            families.gauge("proxyherd_acks_waiting", help, waiting as u64)?;
        }
        if let Some(journal) = &figures.journal {
            families.journal(journal)?;
        }
        families.places(figures)?;
        families.budgets(&status.places_budgets)?;
        families.links(&status.links)
    }
}

/// Encodes metric families of each part of the server.
struct Families<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
}

impl Families<'_, '_> {
    fn reports(&mut self, figures: &Figures) -> fmt::Result {
        let each = |value: fn(&ReportStatus) -> u64| {
            figures.reports.each_ref().map(|(door, counts)| (door.label(), value(counts)))
        };
        let by_result = [
            ("accepted", each(|reports| reports.accepted)),
            ("stale", each(|reports| reports.stale)),
            ("rejected", each(|reports| reports.rejected)),
        ];
        let by_result = by_result.iter().map(|(result, by_door)| (*result, &by_door[..]));
        let help = "Reports of clients, by result and door";
        self.counters_by("proxyherd_reports", help, ["result", "door"], by_result)
    }

    fn doors(&mut self, figures: &Figures) -> fmt::Result {
        let each =
            |value: fn(DoorCounts) -> u64| figures.doors.map(|(door, counts)| (door.label(), value(counts)));
        let (open, taken) = (each(|door| door.open), each(|door| door.taken));
        let help = "Client connections that are open, by door";
        self.gauges("proxyherd_door_connections", help, None, "door", open)?;
        self.counters("proxyherd_door_connections_taken", "Client connections accepted", "door", taken)?;
        let turned_away = each(|door| door.turned_away);
        let help = "Client connections that were refused";
        self.counters("proxyherd_door_connections_turned_away", help, "door", turned_away)?;
        let failed = each(|door| door.handshakes_failed);
        let help = "TLS handshakes of clients that failed";
        self.counters("proxyherd_door_handshakes_failed", help, "door", failed)?;
        let failures = figures.auth_failures.map(|(door, count)| (door.label(), count));
        self.counters("proxyherd_auth_failures", "Wrong tokens that clients have shown", "door", failures)
    }

    fn room(&mut self, figures: &Figures) -> fmt::Result {
        let usage = figures.rooms;
        let bytes = usage.map(|(label, usage)| (label, usage.bytes as u64));
        let help = "Memory of records that are not about clients; each kind has its own limit";
        self.gauges("proxyherd_room_used", help, Some(&Unit::Bytes), "kind", bytes)?;
        let dropped = usage.map(|(label, usage)| (label, usage.dropped));
        let help =
            "Records that are not about clients and were dropped because newer records need the memory";
        self.counters("proxyherd_room_dropped", help, "kind", dropped)
    }

    fn streams(&mut self, figures: &Figures) -> fmt::Result {
        let counts = &figures.streams;
        let states = [("open", counts.open as u64), ("kept", counts.kept as u64)];
        let help = "Live streams that are open, or kept for a reader that may resume them";
        self.gauges("proxyherd_streams", help, None, "state", states)?;
        let help = "Pairs of a live stream and a client that the stream holds or has lately held";
        self.gauge("proxyherd_stream_members", help, counts.entries as u64)?;
        let told = StreamKind::ALL.map(StreamKind::label).into_iter().zip(counts.told);
        self.counters("proxyherd_stream_events", "Events of live streams, by kind", "kind", told)?;
        let help = "Changes that a newer change of the same client replaced before the reader took them";
        self.counter("proxyherd_stream_conflated", help, counts.conflated)?;
        let resets = ResetReason::ALL.map(ResetReason::label).into_iter().zip(counts.resets);
        let help = "How often a reader of a live stream had to begin anew, by reason";
        self.counters("proxyherd_stream_resets", help, "reason", resets)?;
        let help = "How often a reader has resumed its live stream without a reset";
        self.counter("proxyherd_stream_resumes", help, counts.resumed)?;
        let help = "Live streams that ended because too many clients matched";
        self.counter("proxyherd_streams_too_large", help, counts.too_large)?;
        let help = "Live streams that ended because all streams together held too many clients";
        self.counter("proxyherd_streams_server_full", help, counts.server_full)?;
        let help = "Live streams whose connections were closed because their readers took nothing";
        self.counter("proxyherd_streams_cut", help, figures.streams_cut)?;
        let help = "Clients whose presence the server follows for live streams";
        self.gauge("proxyherd_presence_clients", help, figures.presence_clients as u64)?;
        let help = "Events of presence that were dropped because a reader was too slow";
        self.counter("proxyherd_stream_presence_dropped", help, counts.presence_dropped)
    }

    fn journal(&mut self, journal: &JournalFigures) -> fmt::Result {
        let state = journal.state.label();
        let states = JournalState::LABELS.map(|label| (label, u64::from(label == state)));
        let help = "The state of the journal: 1 for the present state, and 0 for the others";
        self.gauges("proxyherd_journal_state", help, None, "state", states)?;
        let help = "Records that the journal has written";
        self.counter("proxyherd_journal_records", help, journal.records)?;
        let help = "Bytes that were written to the store, with compaction";
        self.counter("proxyherd_journal_written_bytes", help, journal.bytes)?;
        self.sync_times(&journal.syncs)?;
        self.gauge("proxyherd_journal_disk_bytes", "Bytes of the files of the store", journal.disk_bytes)?;
        let help = "Bytes that the present records would take in a new snapshot, about";
        self.gauge("proxyherd_journal_live_bytes", help, journal.live_bytes)?;
        let help = "Cycles of compaction that have ended";
        self.counter("proxyherd_journal_compactions", help, journal.compactions)?;
        let recovered = journal.recovered;
        let help = "Places in the files of the store that were damaged at the last start";
        self.gauge("proxyherd_journal_damage", help, recovered.damage)?;
        let help = "Records that the last start has read from the store";
        self.gauge("proxyherd_journal_recovered_records", help, recovered.records)?;
        let help = "Time that the last start has taken to read the store";
        self.gauge("proxyherd_journal_recovery_seconds", help, recovered.time.as_secs_f64())
    }

    fn sync_times(&mut self, syncs: &SyncTimes) -> fmt::Result {
        let help = "Times of the journal's syncs of the disk (fsync)";
        let name = "proxyherd_journal_fsync";
        let mut metric =
            self.encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let bounds = SYNC_BUCKETS_S.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(syncs.buckets).collect();
        metric.encode_histogram::<NoLabelSet>(syncs.sum.as_secs_f64(), syncs.count, &buckets, None)
    }

    fn places(&mut self, figures: &Figures) -> fmt::Result {
        let outcomes = figures.places.map(|(outcome, count)| (outcome.label(), count));
        let help = "Queries about places, by result";
        self.counters("proxyherd_places", help, "result", outcomes)?;
        let (answers, bytes) = figures.kept;
        self.gauge("proxyherd_places_kept", "Answers about places in the cache", answers)?;
        self.gauge("proxyherd_places_kept_bytes", "Memory of the answers in the cache", bytes)?;
        let remotes = &figures.remotes;
        let requests = remotes.iter().map(|remote| (remote.provider, &remote.requests[..]));
        let help = "Requests to providers over the network, by result";
        self.counters_by("proxyherd_places_requests", help, ["provider", "result"], requests)?;
        let refused = remotes.iter().map(|remote| (remote.provider, &remote.refused[..]));
        let help = "Requests to providers over the network that were not made, by reason";
        self.counters_by("proxyherd_places_requests_refused", help, ["provider", "reason"], refused)?;
        let left_alone = remotes.iter().map(|remote| (remote.provider, u64::from(remote.is_left_alone)));
        let help = "Whether the circuit breaker of a provider over the network is open";
        self.gauges("proxyherd_places_left_alone", help, None, "provider", left_alone)?;
        let flying = remotes.iter().map(|remote| (remote.provider, remote.flying as u64));
        let help = "Requests to a provider over the network that are in progress";
        self.gauges("proxyherd_places_flying", help, None, "provider", flying)
    }

    fn budgets(&mut self, budgets: &[BudgetStatus]) -> fmt::Result {
        if budgets.is_empty() {
            return Ok(());
        }
        let each = |value: fn(&BudgetStatus) -> u64| {
            budgets.iter().map(move |budget| (budget.period.as_str(), value(budget)))
        };
        let (left, spent) = (each(|budget| budget.left), each(|budget| budget.spent));
        let help =
            "Requests to providers of places that the whole herd may still make, as far as this server knows";
        self.gauges("proxyherd_places_budget_left", help, None, "period", left)?;
        let help =
            "Requests to providers of places that the whole herd has made, as far as this server knows";
        self.gauges("proxyherd_places_budget_spent", help, None, "period", spent)
    }

    fn links(&mut self, links: &[LinkStatus]) -> fmt::Result {
        let each = |value: fn(&LinkStatus) -> u64| {
            links.iter().map(move |link| (link.neighbor.as_str(), value(link)))
        };
        let (sent, received) = (each(|link| link.payloads_sent), each(|link| link.payloads_received));
        self.counters("proxyherd_link_payloads_sent", "Records sent to a neighbor", "neighbor", sent)?;
        let help = "Records received from a neighbor";
        self.counters("proxyherd_link_payloads_received", help, "neighbor", received)?;
        let times_up = each(|link| link.times_up);
        self.counters("proxyherd_link_ups", "How often a link came up", "neighbor", times_up)?;
        let up = each(|link| u64::from(link.up));
        self.gauges("proxyherd_link_up", "Whether a link is up", None, "neighbor", up)?;
        let version = each(|link| link.version.map_or(0, u64::from));
        let help = "The version of the link protocol on the link with a neighbor; 0 while the link is down";
        self.gauges("proxyherd_link_version", help, None, "neighbor", version)?;
        let eager = each(|link| u64::from(link.eager));
        let help =
            "Whether the link is in the spanning tree, so that changes are sent to the neighbor at once";
        self.gauges("proxyherd_link_eager", help, None, "neighbor", eager)?;
        let nonsense: Vec<_> = links.iter().map(|link| (link.neighbor.as_str(), nonsense(link))).collect();
        let help = "Invalid records that a neighbor sent or relayed and this server does not keep, by kind";
        let by_neighbor = nonsense.iter().map(|(neighbor, counts)| (*neighbor, &counts[..]));
        self.counters_by("proxyherd_link_nonsense", help, ["neighbor", "what"], by_neighbor)?;
        let seconds = |value: fn(&LinkStatus) -> f64| {
            links.iter().map(move |link| (link.neighbor.as_str(), value(link)))
        };
        let lag = seconds(|link| link.lag_s);
        let help = "How long data has been waiting to be sent to a neighbor";
        self.gauges("proxyherd_link_lag", help, Some(&Unit::Seconds), "neighbor", lag)?;
        let offsets = seconds(|link| link.clock_offset_s);
        let help =
            "Minimum offset of a neighbor's clock from this server's clock; positive if the clock is ahead";
        self.gauges("proxyherd_link_clock_offset", help, Some(&Unit::Seconds), "neighbor", offsets)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    fn gauge<V>(&mut self, name: &str, help: &str, value: V) -> fmt::Result
    where
        ConstGauge<V>: EncodeMetric,
    {
        let metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    fn counters<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value_of_label, value) in values {
            let labels = [(label, value_of_label.as_ref())];
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Like [`Families::counters`], with two labels.
    fn counters_by<'v>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; 2],
        values: impl IntoIterator<Item = (&'v str, &'v [(&'v str, u64)])>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (outer, values) in values {
            for &(inner, value) in values {
                let labels = [(labels[0], outer), (labels[1], inner)];
                ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn gauges<L: AsRef<str>, V>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result
    where
        ConstGauge<V>: EncodeMetric,
    {
        let mut metric = self.encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (value_of_label, value) in values {
            let labels = [(label, value_of_label.as_ref())];
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// How often a neighbor has sent each kind of nonsense. Kinds that the status omits have the value zero.
fn nonsense(link: &LinkStatus) -> [(&'static str, u64); Nonsense::ALL.len()] {
    Nonsense::ALL.map(Nonsense::label).map(|label| (label, link.nonsense.get(label).copied().unwrap_or(0)))
}
