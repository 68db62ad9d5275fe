//! A build without proxies: no URL is understood.

use super::Proxy;

impl Proxy {
    /// See `proxy.rs`.
    pub fn parse(_: &str) -> Result<Proxy, String> {
        Err("cannot be used: feature `proxy` is not in this build".to_owned())
    }
}
