//! Prints the results of `steady`: a table for people, and JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Sample, ServerHistory, SteadyResult};
use crate::format::{BOLD, DIM, MET, NOT_MET, duration, grouped, sparkline};
use crate::target;

/// The results as a table: each server's memory and descriptors over time.
pub(crate) fn table(found: &SteadyResult) -> String {
    let plan = &found.plan;
    let mut text = format!(
        "\n{BOLD}Five servers, {:.0} % of {} lines/s for {} s, {} connections{BOLD:#}\n\
         {} lines answered, p50 {}, p99 {}; {} cores\n\n\
         {BOLD}{:<9}  {:>9}  {:>9}  {:>9}  {:>9}  {:>11}  {:<24}  verdict{BOLD:#}\n",
        100.0 * plan.share,
        grouped(found.rate_max),
        plan.duration.as_secs(),
        plan.connections,
        grouped(found.lines as f64),
        duration(found.latency.percentile(0.5)),
        duration(found.latency.percentile(0.99)),
        target::cores(),
        "server",
        "10 %, MB",
        "end, MB",
        "most, MB",
        "grew, MB",
        "descriptors",
        "memory",
    );
    for server in &found.servers {
        let at = |sample: Option<&Sample>| {
            sample.map_or((0.0, 0), |sample| (sample.memory / 1e6, sample.descriptors))
        };
        let ((settled, settled_fds), (end, end_fds)) =
            (at(server.settled().first()), at(server.samples.last()));
        let (style, verdict) = if server.is_flat() { (MET, "flat") } else { (NOT_MET, "not flat") };
        let memory: Vec<f64> = server.samples.iter().map(|sample| sample.memory).collect();
        let _ = writeln!(
            text,
            "{:<9}  {settled:>9.2}  {end:>9.2}  {:>9.2}  {:>9.2}  {:>11}  {:<24}  {style}{verdict}{style:#}",
            server.name,
            server.memory_max() / 1e6,
            server.growth() / 1e6,
            format!("{settled_fds} {end_fds} {}", server.descriptors_max()),
            sparkline(&memory, 24),
        );
    }
    let _ = writeln!(
        text,
        "\n{DIM}Descriptors at 10 % of the time, at the end, and most; without clients {}. The sparkline begins at 0.\n\
         `grew` is by how much the highest memory in the last third of the time exceeds that in the first third, from 10 % on.{DIM:#}",
        found
            .servers
            .iter()
            .map(|server| format!("{} and {}", server.idle_descriptors[0], server.idle_descriptors[1]))
            .collect::<Vec<_>>()
            .join(", ")
    );
    text
}

/// The results for programs.
pub(crate) fn json(found: &SteadyResult) -> Value {
    let server = |server: &ServerHistory| {
        let samples =
            server.samples.iter().map(|sample| json!([sample.at_s, sample.memory, sample.descriptors]));
        json!({
            "name": server.name,
            "flat": server.is_flat(),
            "growth_bytes": server.growth(),
            "memory_max_bytes": server.memory_max(),
            "idle_descriptors": server.idle_descriptors,
            "looks_s_bytes_descriptors": samples.collect::<Vec<_>>(),
        })
    };
    json!({
        "duration_s": found.plan.duration.as_secs_f64(),
        "share": found.plan.share,
        "connections": found.plan.connections,
        "rate_max_lines_per_s": found.rate_max,
        "lines": found.lines,
        "burst_p50_us": found.latency.percentile(0.5).as_secs_f64() * 1e6,
        "burst_p99_us": found.latency.percentile(0.99).as_secs_f64() * 1e6,
        "flat": found.is_flat(),
        "servers": found.servers.iter().map(server).collect::<Vec<_>>(),
    })
}
