//! The core as its callers use it: replicas, joined by links whose bytes a test moves by hand.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test too")]

mod accounts;
mod acks;
mod backlog;
mod check;
mod data;
mod expiry;
mod followers;
mod gap;
mod herd;
mod horizon;
mod lazy;
mod lies;
mod links;
mod merge;
mod names;
mod near;
mod numbering;
mod phones;
mod plausible;
mod quota;
#[path = "../phones/requests.rs"]
mod requests;
mod restore;
mod shards;
mod stamps;
mod states;
mod threads;
