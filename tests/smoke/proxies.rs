//! What proxies on the way to the server and load balancers before it say: any bytes, in any pieces.

use pinhole::limits;
use pinhole::net::proxy::{Kind, Negotiation, Proxy};
use pinhole::net::proxy_protocol::parse;

use crate::pair::Bytes;

/// `data` to each of the parsers.
pub fn run(data: &[u8]) {
    header(data);
    for kind in [Kind::Http, Kind::Socks5] {
        negotiate(kind, data);
    }
}

/// Once a header is complete or wrong, more bytes change nothing.
fn header(data: &[u8]) {
    let whole = parse(data);
    if let Ok(Some(header)) = whole {
        assert!(header.length <= data.len() && header.length <= limits::PROXY_HEADER);
    }
    let decided = (0..data.len())
        .map(|end| parse(&data[..end]))
        .find(|read| *read != Ok(None));
    assert!(decided.is_none_or(|decided| decided == whole));
}

fn negotiate(kind: Kind, data: &[u8]) {
    let credentials = Some((&b"user"[..], &b"password"[..]));
    let mut negotiation = Negotiation::new(Proxy { kind, credentials }, "example.com", 2333);
    let mut data = Bytes(data);
    while !data.is_empty() {
        assert!(negotiation.poll_transmit().len() < 256);
        let length = usize::from(data.byte());
        if negotiation.handle_bytes(data.take(length)) != Ok(false) {
            return;
        }
    }
}
