//! The core as its callers meet it: maps, joined by links whose bytes a test moves by hand.

mod herd;
mod links;
