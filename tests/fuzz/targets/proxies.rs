//! See tests/smoke/proxies.rs, the body that the ordinary tests share.
#![no_main]

#[path = "../../smoke/pair.rs"]
mod pair;
#[path = "../../smoke/proxies.rs"]
mod proxies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| proxies::run(data));
