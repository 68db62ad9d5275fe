//! See tests/smoke/covers.rs, the body that the ordinary tests share.
#![no_main]

#[path = "../../smoke/covers.rs"]
mod covers;
#[allow(dead_code, reason = "of two ends only the bytes are needed")]
#[path = "../../smoke/pair.rs"]
mod pair;

libfuzzer_sys::fuzz_target!(|data: &[u8]| covers::run(data));
