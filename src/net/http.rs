//! As much of HTTP/1 as it takes to ask whether somebody is well, and to tell somebody something: one request, and the
//! status of its answer. Whoever asks says how long it may take.

use std::future::poll_fn;
use std::io;

use crate::limits::{MAX_STATUS_LINE, TLS_PLACE};

use super::wire::{Received, Wire};

/// Sends `request` and gives the status of the answer.
pub async fn ask(wire: &mut Wire, request: &[u8]) -> io::Result<u16> {
    let (mut line, mut place) = (Vec::new(), vec![0; TLS_PLACE]);
    poll_fn(|cx| wire.poll_cover(cx, &mut place, &mut line)).await?;
    poll_fn(|cx| std::task::Poll::Ready(wire.send(cx, request))).await?;
    poll_fn(|cx| wire.poll_flush(cx)).await?;
    while line.len() < MAX_STATUS_LINE && !line.contains(&b'\n') {
        let is_end = poll_fn(|cx| {
            wire.poll_recv(cx, &mut place).map_ok(|received| match received {
                Received::Bytes(bytes) => {
                    line.extend_from_slice(bytes);
                    false
                }
                Received::End => true,
            })
        });
        if is_end.await? {
            break;
        }
    }
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1"))
}

/// `HTTP/1.1 200 …`
fn status(line: &[u8]) -> Option<u16> {
    let [
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        b'0'..=b'9',
        b' ',
        a,
        b,
        c,
        rest @ ..,
    ] = line
    else {
        return None;
    };
    let is_over = matches!(rest, [b' ' | b'\r' | b'\n', ..]);
    let digit = |byte: &u8| char::from(*byte).to_digit(10);
    let status = digit(a)? * 100 + digit(b)? * 10 + digit(c)?;
    is_over.then_some(status as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 404\r\n", Some(404)),
            ("HTTP/1.0 299 \n", Some(299)),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 20", None),
            ("HTTP/2 200 OK\r\n", None),
            ("HTTP/1.1 2x0 OK\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()), expected, "{line}");
        }
    }
}
