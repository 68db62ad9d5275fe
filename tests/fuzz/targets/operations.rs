//! See tests/smoke/operations.rs, the body that the ordinary tests share.
#![no_main]

#[path = "../../smoke/operations.rs"]
mod operations;
#[path = "../../smoke/pair.rs"]
mod pair;

libfuzzer_sys::fuzz_target!(|data: &[u8]| operations::run(data));
