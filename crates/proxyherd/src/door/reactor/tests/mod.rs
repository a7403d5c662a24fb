//! Tests of the threads, with a protocol of their own.
