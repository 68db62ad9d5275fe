//! pinhole: a reverse tunnel for NAT traversal that fits in a router.
#![deny(unsafe_code)]

pub mod config;
pub mod limits;
pub mod proto;
