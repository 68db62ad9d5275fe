//! Frames to bytes and back.

use std::hint::black_box;
use std::time::Duration;

use pinhole::limits;
use pinhole::proto::frame::Header;
use pinhole::proto::{Hello, StreamId, Transmit};

use super::Operation;

const STREAM: StreamId = StreamId { slot: 7, generation: 1 };

pub fn operations() -> Vec<Operation> {
    vec![
        data("codec: data frame of 64 bytes out", 64),
        data("codec: data frame of 16 KiB out", 16 * 1024),
        Operation::new("codec: header of a data frame in", 0, || {
            let raw = black_box([0x40, 0x00, 0x13, 0x00, 0x00, 0x01, 0x00, 0x07]);
            black_box(Header::parse(raw).expect("a header"));
        }),
        Operation::new("codec: Hello out and in", 0, hello_out_and_in()),
    ]
}

/// Into a transmit buffer that is emptied when it is full, around payload that stands there.
fn data(name: &'static str, size: usize) -> Operation {
    let mut out = Transmit::new(limits::TRANSMIT_BUFFER);
    Operation::new(name, size, move || {
        if out.room() < size {
            black_box(out.as_bytes());
            out.clear();
        }
        black_box(out.reserve(size));
        out.commit(STREAM, size, false);
    })
}

fn hello_out_and_in() -> impl FnMut() {
    let hello = hello(1);
    let mut out = Transmit::new(limits::FRAME_HEADER + limits::MAX_CONTROL);
    move || {
        assert!(black_box(&hello).put(&mut out));
        let (raw, payload) = out.as_bytes().split_first_chunk().expect("a header");
        black_box(Header::parse(*raw).expect("a header"));
        black_box(Hello::parse(payload).expect("a Hello"));
        out.clear();
    }
}

/// What `who` says of itself.
pub fn hello(who: u8) -> Hello {
    Hello {
        nonce: [who; 32],
        instance: [who; 16],
        session: [who; 16],
        link: 0,
        max_streams: 128,
        window: limits::INITIAL_WINDOW,
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(40),
        agent: String::from("bench"),
    }
}
