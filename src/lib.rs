//! pinhole: a reverse tunnel for NAT traversal that fits in a router.
#![deny(unsafe_code)]

pub mod cli;
pub mod config;
extern crate alloc;

pub mod limits;
pub mod log;
pub mod proto;
