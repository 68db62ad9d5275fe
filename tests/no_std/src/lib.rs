//! The protocol as `core` and `alloc` see it. That it compiles here for a target without std is the proof that it
//! knows no clock, no socket and no runtime.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

#[path = "../../../src/limits.rs"]
pub mod limits;
#[path = "../../../src/proto/mod.rs"]
pub mod proto;
