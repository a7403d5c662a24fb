//! The figures of the report: what each of them shows, in which unit, and how it is measured, in plain words.
//!
//! A section measures the samples of its figures, and the report makes a table and a chart of each figure. So a new
//! figure is a row of [`FIGURES`] and the code that measures it. This file does not know how anything is measured.

use clap::ValueEnum;

/// A part of the race that can be run alone (`--only`). The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Rates of one server by pipeline depth and by connections.
    Throughput,
    /// Waits of reports at 10, 50 and 80 % of the capacity of one server.
    Latency,
    /// A herd of five at given rates: cores, processor time of a report, time to the farthest server.
    Paced,
    /// The highest rate of herds of 1, 3, 5 and 9 servers.
    Herd,
    /// What an update costs as the herd grows.
    Cost,
    /// Memory of a client.
    Memory,
    /// Questions about places near a client, from the cache and not.
    Whatsat,
    /// Searches for the nearest clients, beside Redis.
    Near,
    /// Live streams.
    Streams,
    /// The doors beside each other.
    Doors,
    /// Peak memory and the longest wait in a minute of load.
    Minute,
    /// One core and two.
    Cores,
    /// The time from the start of a program until it serves.
    Startup,
}

impl Section {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The heading in the report.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Throughput => "Throughput of one server",
            Latency => "Waits at a part of the capacity",
            Paced => "A herd of five at given rates",
            Herd => "The highest rate of a herd",
            Cost => "What an update costs as the herd grows",
            Memory => "Memory of a client",
            Whatsat => "Questions about places",
            Near => "Searches for the nearest clients",
            Streams => "Live streams",
            Doors => "The doors beside each other",
            Minute => "A minute of load",
            Cores => "One core and two",
            Startup => "Start-up",
        }
    }
}

/// A figure.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) id: &'static str,
    pub(crate) section: Section,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) axis: Axis,
    /// Whether the chart has a logarithmic y-axis.
    pub(crate) is_log: bool,
    pub(crate) better: Better,
    /// How it is measured, in plain words.
    pub(crate) method: &'static str,
}

/// The unit of a figure's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// So many in a second.
    PerSecond,
    /// Processor time, microseconds.
    ProcessorMicros,
    /// A wait, microseconds.
    Micros,
    /// A wait, milliseconds.
    Millis,
    Seconds,
    /// Processor cores that are busy.
    Cores,
    Bytes,
    /// Millions of bytes.
    Megabytes,
    /// A number without a unit.
    Number,
}

/// The x-axis of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// There is one value for each contestant.
    None,
    Numbers {
        label: &'static str,
        is_log: bool,
    },
    /// The places 0, 1, 2 … have these names.
    Names(&'static [&'static str]),
}

/// Which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

impl Unit {
    /// The unit's name behind a figure's title.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::PerSecond => "per second",
            Unit::ProcessorMicros => "microseconds of processor time",
            Unit::Micros => "microseconds",
            Unit::Millis => "milliseconds",
            Unit::Seconds => "seconds",
            Unit::Cores => "cores",
            Unit::Bytes => "bytes",
            Unit::Megabytes => "MB",
            Unit::Number => "number",
        }
    }
}

const DEPTH: Axis = Axis::Numbers { label: "reports under way on each connection (depth)", is_log: true };
const CONNECTIONS: Axis = Axis::Numbers { label: "connections, 16 reports under way on each", is_log: true };
const LOAD: Axis = Axis::Numbers { label: "load, % of the contestant's own capacity", is_log: false };
const RATE: Axis = Axis::Numbers { label: "reports a second, in the whole herd", is_log: false };
const SERVERS: Axis = Axis::Numbers { label: "servers", is_log: false };
const CLIENTS: Axis = Axis::Numbers { label: "clients", is_log: true };

/// A row of [`FIGURES`].
const fn figure(
    id: &'static str,
    section: Section,
    title: &'static str,
    unit: Unit,
    axis: Axis,
    better: Better,
    method: &'static str,
) -> Figure {
    let is_log = matches!(axis, Axis::Numbers { .. });
    Figure { id, section, title, unit, axis, is_log, better, method }
}

/// The same figure with a linear y-axis.
const fn linear(figure: Figure) -> Figure {
    Figure { is_log: false, ..figure }
}

/// The same figure with a logarithmic y-axis.
const fn log(figure: Figure) -> Figure {
    Figure { is_log: true, ..figure }
}

use Better::{Higher, Lower};
use Section::{
    Cores, Cost, Doors, Herd, Latency, Memory, Minute, Near, Paced, Startup, Streams, Throughput, Whatsat,
};

/// All figures, in the order of the report.
pub(crate) const FIGURES: &[Figure] = &[
    figure(
        "depth-rate",
        Throughput,
        "Reports by pipeline depth",
        Unit::PerSecond,
        DEPTH,
        Higher,
        "50 connections to one server. Each connection always has so many reports (IAMAT) under way, sends them in one \
         write, and sends the next ones when all answers have arrived. The generator checks the beginning of each answer, \
         and all of it in one burst of 64.",
    ),
    figure(
        "depth-p99",
        Throughput,
        "Longest waits for a whole burst",
        Unit::Micros,
        DEPTH,
        Lower,
        "In the same rounds: the time from the write of a burst to the end of its last answer, which 99 of 100 bursts do \
         not exceed. The server is fully loaded, so this is mostly the time for which a burst waits for its turn.",
    ),
    figure(
        "depth-cpu",
        Throughput,
        "Processor time of a report at full load",
        Unit::ProcessorMicros,
        DEPTH,
        Lower,
        "In the same rounds: user and system time of the server's process, divided by the number of reports. The \
         generator's own time is not part of it.",
    ),
    figure(
        "connections-rate",
        Throughput,
        "Reports by the number of connections",
        Unit::PerSecond,
        CONNECTIONS,
        Higher,
        "The same with 16 reports under way on each connection, for several numbers of connections.",
    ),
    figure(
        "latency-p50",
        Latency,
        "Median wait of a report",
        Unit::Micros,
        LOAD,
        Lower,
        "First the capacity of each contestant is measured (50 connections, one report under way on each). Then 50 \
         connections send at a fixed rate, which is a part of that capacity. Each report has an intended time. The wait \
         counts from the intended time until its answer has arrived, whether or not the generator or the server is late \
         (so there is no coordinated omission).",
    ),
    figure(
        "latency-p99",
        Latency,
        "Wait that 99 of 100 reports do not exceed",
        Unit::Micros,
        LOAD,
        Lower,
        "In the same rounds.",
    ),
    figure(
        "latency-p999",
        Latency,
        "Wait that 999 of 1,000 reports do not exceed",
        Unit::Micros,
        LOAD,
        Lower,
        "In the same rounds.",
    ),
    linear(figure(
        "paced-cores",
        Paced,
        "Cores that five servers use together",
        Unit::Cores,
        RATE,
        Lower,
        "Five servers, and one connection to each. Each connection writes what is due, every millisecond. This is user \
         and system time of all five processes, divided by the time of the round. The client that measures the \
         time to the farthest server (below) causes a small part of it. A contestant that answers less than \
         95 % of what is due is not measured at higher rates.",
    )),
    figure(
        "paced-cpu",
        Paced,
        "Processor time of a report in a herd of five",
        Unit::ProcessorMicros,
        RATE,
        Lower,
        "The same time, divided by the number of reports. All five servers work for each report, so this is the cost of \
         the report in the whole herd.",
    ),
    figure(
        "visible-p50",
        Paced,
        "Median time to the farthest server",
        Unit::Millis,
        RATE,
        Lower,
        "In the same rounds, another client reports at the first server, waits for its AT line, and asks the farthest \
         server for itself (WHATSAT) again and again until that server shows the report. The time counts from the AT line. \
         Before the rounds, the farthest server is found as the one with the longest median. Such a report is due every \
         20 ms. If one takes longer, those that it has delayed count with the times that they would have taken.",
    ),
    figure(
        "visible-p99",
        Paced,
        "Time to the farthest server in 99 of 100 cases",
        Unit::Millis,
        RATE,
        Lower,
        "In the same rounds.",
    ),
    figure(
        "half-rate",
        Paced,
        "Rate that is half of the full one",
        Unit::PerSecond,
        Axis::None,
        Higher,
        "The highest rate of the same herd and connections is measured, and then half of that rate is sent. This is what \
         was answered in a second at that half.",
    ),
    figure(
        "half-kept",
        Paced,
        "Share of the reports that were answered in time at half of the full rate",
        Unit::Number,
        Axis::None,
        Higher,
        "In the same rounds: reports that were answered before the round's end, divided by those that were due. 1 means \
         that the herd keeps up.",
    ),
    figure(
        "half-visible-p99",
        Paced,
        "Time to the farthest server in 99 of 100 cases, at half of the full rate",
        Unit::Millis,
        Axis::None,
        Lower,
        "In the same rounds.",
    ),
    figure(
        "herd-rate",
        Herd,
        "Reports that a whole herd takes",
        Unit::PerSecond,
        SERVERS,
        Higher,
        "50 connections, divided evenly among the servers, 128 reports under way on each. Every server must then show \
         the last report of every client that is asked for. The rate is the number of reports, divided by the time from \
         the first report until every server shows them, less one second: a herd that needs longer than a second after \
         the last report loses.",
    ),
    figure(
        "herd-one-rate",
        Herd,
        "Reports that a whole herd takes, one under way on each connection",
        Unit::PerSecond,
        SERVERS,
        Higher,
        "The same with one report under way on each connection.",
    ),
    figure(
        "herd-settled",
        Herd,
        "Time until every server shows the last reports",
        Unit::Seconds,
        SERVERS,
        Lower,
        "In the rounds with 128 reports under way: the time from the last answer until every server shows the last report \
         of every client that is asked for.",
    ),
    linear(figure(
        "cost-cpu",
        Cost,
        "Processor time of an update in the whole herd",
        Unit::ProcessorMicros,
        SERVERS,
        Lower,
        "Herds of so many servers get the same fixed rate, divided evenly among the servers. User and system time of all \
         servers, divided by the number of reports.",
    )),
    linear(figure(
        "cost-payloads",
        Cost,
        "Times that an update is sent on links",
        Unit::Number,
        SERVERS,
        Lower,
        "In the same rounds, from the servers' own metrics (only proxyherd has them): records that all servers have sent \
         on their links, divided by the number of reports. In a herd of N servers an update must travel N - 1 times. \
         A client that reports again before its record is sent can make the number lower.",
    )),
    linear(figure(
        "cost-bytes",
        Cost,
        "Bytes on links for an update",
        Unit::Bytes,
        SERVERS,
        Lower,
        "In the same rounds, from the counters of the kernel: bytes that this machine has sent over IPv4, with all headers \
         and acknowledgements of TCP, divided by the number of reports, less the same number of a single server, which \
         has no links. Links of proxyherd are encrypted (TLS), and those of the others are not.",
    )),
    linear(figure(
        "memory-client",
        Memory,
        "Memory of a client beyond its ID, whole process",
        Unit::Bytes,
        CLIENTS,
        Lower,
        "One server is filled with so many clients, each of which reports once. This is by how much its process grew \
         (resident memory), less the bytes of the IDs, divided by the number of clients.",
    )),
    linear(figure(
        "memory-replica",
        Memory,
        "Memory of a client beyond its ID, the data alone",
        Unit::Bytes,
        CLIENTS,
        Lower,
        "The same for the data of a server alone, in a process without doors, without the index of positions.",
    )),
    linear(figure(
        "memory-replica-index",
        Memory,
        "Memory of a client beyond its ID, the data with the index",
        Unit::Bytes,
        CLIENTS,
        Lower,
        "The same with the index of positions, by which the nearest clients are found.",
    )),
    figure(
        "whatsat-rate",
        Whatsat,
        "Answers to questions about places",
        Unit::PerSecond,
        Axis::Names(&["from the cache", "without a cache"]),
        Higher,
        "50 connections, each of which asks one question at a time (WHATSAT, five places within 10 km). The provider is \
         the embedded one. The second number is from a server whose cache has no room, so that each question is searched \
         anew.",
    ),
    log(figure(
        "near-rate",
        Near,
        "Searches for the ten nearest clients",
        Unit::PerSecond,
        Axis::Names(&["within 1 km", "within 1,000 km", "any distance"]),
        Higher,
        "Clients are spread evenly over the Earth, and 20,000 of them move in a second. proxyherd's replica is searched \
         in this program by two threads. Redis (GEOSEARCH) is searched over a socket with 16 searches under way, so \
         compare how the rates change with the radius, and not the rates of one radius.",
    )),
    figure(
        "streams-share",
        Streams,
        "Rate of reports while a thousand streams are open",
        Unit::Number,
        Axis::Names(&[
            "empty boxes, depth 1",
            "occupied, depth 1",
            "empty boxes, depth 128",
            "occupied, depth 128",
        ]),
        Higher,
        "The rate of reports of a server with a thousand open streams, divided by the rate of a server without streams. \
         Each stream has a box: either nobody is in it, or a thousandth of all clients.",
    ),
    figure(
        "doors-rate",
        Doors,
        "Reports through each door",
        Unit::PerSecond,
        DOORS,
        Higher,
        "50 connections to one server, in turn through the line door (one report and 128 reports under way on each \
         connection) and through the HTTP door (one PUT, and one batch of 100 reports as NDJSON under way on each).",
    ),
    figure(
        "doors-cpu",
        Doors,
        "Processor time of a report through each door",
        Unit::ProcessorMicros,
        DOORS,
        Lower,
        "In the same rounds: user and system time of the server, divided by the number of reports.",
    ),
    figure(
        "minute-memory",
        Minute,
        "Peak memory in a minute of load",
        Unit::Megabytes,
        Axis::None,
        Lower,
        "One server gets the same fixed rate for a minute, from 50 connections and 10,000 clients. This is the highest \
         resident memory of its process.",
    ),
    log(figure(
        "minute-pause",
        Minute,
        "Longest wait in a minute of load",
        Unit::Millis,
        Axis::None,
        Lower,
        "In the same minute: the longest time from the intended time of a report until its answer.",
    )),
    log(figure(
        "minute-p99",
        Minute,
        "Wait that 99 of 100 reports do not exceed, in the same minute",
        Unit::Millis,
        Axis::None,
        Lower,
        "In the same minute.",
    )),
    figure(
        "cores-rate",
        Cores,
        "Reports of one server with one core and with two",
        Unit::PerSecond,
        Axis::Names(&["one core", "two cores"]),
        Higher,
        "50 connections, 128 reports under way on each. The server's process may use one core or two (its CPU affinity is \
         set before it starts). The generator may use every core, so on a machine with two cores it takes a part of the \
         second one.",
    ),
    log(figure(
        "startup-time",
        Startup,
        "Time until a program serves",
        Unit::Millis,
        Axis::None,
        Lower,
        "The time from the start of one server's process until its port takes connections and its first report is \
         answered.",
    )),
];

const DOORS: Axis = Axis::Names(&["line, one", "line, 128", "HTTP, one", "HTTP, batch of 100"]);

/// The figure with this ID.
#[cfg(test)]
pub(crate) fn of(id: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_figure_has_an_id_of_its_own_and_explains_itself() {
        let ids: HashSet<_> = FIGURES.iter().map(|figure| figure.id).collect();
        assert_eq!(ids.len(), FIGURES.len());
        for figure in FIGURES {
            assert!(figure.method.ends_with('.') && !figure.title.ends_with('.'), "{}", figure.id);
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(figure.id.bytes().all(is_plain), "{} is a file name", figure.id);
        }
    }

    #[test]
    fn each_section_has_figures_and_they_are_in_the_order_of_the_report() {
        let sections: Vec<usize> = FIGURES.iter().map(|figure| figure.section as usize).collect();
        assert!(sections.is_sorted());
        for section in Section::value_variants() {
            assert!(sections.contains(&(*section as usize)), "{section:?}");
            assert!(!section.name().is_empty());
        }
    }
}
