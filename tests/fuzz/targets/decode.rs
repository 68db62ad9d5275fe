//! See tests/smoke/decode.rs, the body that the ordinary tests share.
#![no_main]

#[path = "../../smoke/decode.rs"]
mod decode;
#[path = "../../smoke/pair.rs"]
mod pair;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decode::run(data));
