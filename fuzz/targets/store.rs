#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| proxyherd_fuzz::store::check(input));
