//! `address/bits`, or an address alone: a set of addresses.

use std::net::IpAddr;

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Parses `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`. The error completes a sentence that starts with `text`.
    pub fn parse(text: &str) -> Result<Network, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| WRONG.to_owned())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits.map(str::parse) {
            None => most,
            Some(Ok(bits)) if bits <= most => bits,
            Some(_) => return Err(format!("has a wrong number behind the `/`; expected 0 to {most}")),
        };
        Ok(Network { address, bits })
    }

    /// Whether `address` is one of them. An IPv4 address that a socket of both families reports as IPv6 is IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => self.begins(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => self.begins(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }

    fn begins(&self, own: u128, other: u128, width: u8) -> bool {
        let rest = u32::from(width.saturating_sub(self.bits));
        (own ^ other).checked_shr(rest).unwrap_or(0) == 0
    }
}

const WRONG: &str = "is not an address or network; expected one like \"10.0.0.0/8\" or \"2001:db8::1\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let address = address.parse().expect("an address");
        Network::parse(network).expect(network).contains(address)
    }

    #[test]
    fn an_address_is_in_its_networks() {
        for (network, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.1.2.3/8", "10.255.0.1"),
            ("0.0.0.0/0", "203.0.113.9"),
            ("::/0", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::1"),
        ] {
            assert!(contains(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::1"),
            ("10.0.0.0/8", "11.0.0.0"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "::ffff:10.0.0.1"),
            ("2001:db8::/33", "2001:db8:8000::1"),
        ] {
            assert!(!contains(network, address), "{network} {address}");
        }
    }

    #[test]
    fn the_error_says_what_would_be_right() {
        for (text, hint) in [
            ("", "\"10.0.0.0/8\""),
            ("10.0.0/8", "\"10.0.0.0/8\""),
            ("example.com", "address or network"),
            ("10.0.0.0/33", "0 to 32"),
            ("::/129", "0 to 128"),
            ("10.0.0.0/", "0 to 32"),
            ("10.0.0.0/-1", "0 to 32"),
        ] {
            let error = Network::parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
