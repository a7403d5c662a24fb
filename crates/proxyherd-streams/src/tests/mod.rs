//! Tests of streams: examples, and a model with random events.

mod examples;
mod model;
mod world;
