//! Starts herds of real processes and talks to them.
//!
//! Nothing in this module waits for time to pass. [`wait::eventually`] checks a condition again and again until it
//! holds, or fails with the last observation. Every process is killed when its [`Process`] is dropped. A test that
//! fails prints the output of its servers.

pub(crate) mod certificates;
mod client;
mod data;
mod dice;
mod events;
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
mod web_socket;

pub(crate) use self::{
    client::{Client, Nearby, at_of, ats_of, talk},
    data::data,
    dice::{Dice, number_from},
    events::{Event, Events},
    herd::Herd,
    http::{
        Reply, bearer, drip_until_closed, eventually_metric, fetch, get, metric, request, status, try_request,
    },
    ledger::Ledger,
    network::{Loss, Network},
    plan::{Addresses, Plan},
    ports::free_ports,
    process::{Finished, Process},
    wait::{PATIENCE, eventually, within},
    web_socket::{Closed, Ws},
};

/// The classic herd.
pub(crate) const NAMES: [&str; 5] = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];

/// The links of the classic herd.
pub(crate) const LINKS: [(&str, &str); 6] = [
    ("Riley", "Jaquez"),
    ("Riley", "Juzang"),
    ("Bernard", "Jaquez"),
    ("Bernard", "Juzang"),
    ("Bernard", "Campbell"),
    ("Juzang", "Campbell"),
];

/// The operator's token of a herd with tokens.
pub(crate) const OPERATOR_TOKEN: &str =
    "phd_operator_a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";
/// The hash of [`OPERATOR_TOKEN`].
pub(crate) const OPERATOR_TOKEN_SHA256: &str =
    "2d5d21b90bf8cef02453c02de382852d1b955939a711c20433ca7c35d738bd8c";

/// A position with cities around it, and a time in the past.
pub(crate) const WHERE_AND_WHEN: &str = "+34.068930-118.445127 1621464827.959498503";
