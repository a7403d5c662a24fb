//! The bytes of the files of a store.
