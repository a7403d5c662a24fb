//! Starts herds of real processes and talks to them.
//!
//! Nothing here waits for time to pass: [`wait::eventually`] asks again and again until something is so, and fails
//! with what it saw last. Every process is killed when its [`Process`] is dropped, and a test that fails shows what
//! its servers wrote.

pub(crate) mod certificates;
mod client;
mod data;
mod herd;
mod http;
pub(crate) mod http2;
mod ledger;
pub(crate) mod neighbor;
mod network;
mod plan;
mod ports;
mod process;
mod wait;

pub(crate) use self::{
    client::{Client, Nearby, at_of, ats_of, talk},
    data::data,
    herd::Herd,
    http::{drip_until_closed, eventually_metric, fetch, get, metric, request, status, try_request},
    ledger::Ledger,
    network::{Loss, Network},
    plan::{Addresses, Plan},
    ports::free_ports,
    process::{Finished, Process},
    wait::{PATIENCE, eventually, within},
};

/// The classic herd.
pub(crate) const NAMES: [&str; 5] = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];

/// Who talks with whom in the classic herd.
pub(crate) const LINKS: [(&str, &str); 6] = [
    ("Riley", "Jaquez"),
    ("Riley", "Juzang"),
    ("Bernard", "Jaquez"),
    ("Bernard", "Juzang"),
    ("Bernard", "Campbell"),
    ("Juzang", "Campbell"),
];

/// A place with cities around it, and a time that has been.
pub(crate) const WHERE_AND_WHEN: &str = "+34.068930-118.445127 1621464827.959498503";
