//! Process tests: they run the program as its users do, with real processes and real sockets on this machine.
//!
//! The tests use only the program's executable, with three exceptions. `google_asked` calls the providers. `packaging`
//! reads the files of packages with the program's own reader of herd.toml. Tests that
//! speak to a peer port as a neighbor use the link's codec from the core. There is one file per topic. `harness` starts
//! herds and asks them. `google` is a stand-in for Google, and lies beside the providers that ask it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic, in its helpers too")]

#[path = "../../../proxyherd-places/tests/google/mod.rs"]
mod google;
mod harness;

mod access;
mod bad_input;
mod bad_members;
mod book;
mod bounds;
mod budget;
mod catching_up;
mod chunks;
mod client_status;
mod clocks;
mod command_line;
mod commands;
mod data_commands;
mod demo;
mod doors;
mod encryption;
mod floors;
mod forged;
mod google_asked;
mod google_clients;
mod google_served;
mod greedy;
mod health;
mod http_api;
mod http_crowd;
mod http_door;
mod http_two;
mod journal_crash;
mod journal_restarts;
mod links;
mod live;
mod logs;
mod map_page;
mod moving;
mod networks;
mod outside;
mod packaging;
mod peer_port;
mod phones;
mod places_kept;
mod places_osm;

mod replicas;
mod shares;
mod slow_clients;
mod stopping;
mod tokens_cli;
#[cfg(feature = "top")]
mod top;
mod topology;
mod tree;
mod upgrading;
mod widths;
