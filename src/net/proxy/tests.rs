//! Whole conversations with proxies, byte by byte.

use super::*;

const USER: Option<(&[u8], &[u8])> = Some((b"me", b"p:w"));

fn http(credentials: Option<(&'static [u8], &'static [u8])>) -> Negotiation {
    Negotiation::new(
        Proxy {
            kind: Kind::Http,
            credentials,
        },
        "example.com",
        2333,
    )
}

fn socks(credentials: Option<(&'static [u8], &'static [u8])>, host: &str) -> Negotiation {
    Negotiation::new(
        Proxy {
            kind: Kind::Socks5,
            credentials,
        },
        host,
        2333,
    )
}

/// Answers with `answer` in pieces of `size` bytes.
fn answered(negotiation: &mut Negotiation, answer: &[u8], size: usize) -> Result<bool, Refusal> {
    let mut done = false;
    for piece in answer.chunks(size) {
        assert!(!done, "done before the end of its answer");
        done = negotiation.handle_bytes(piece)?;
    }
    Ok(done)
}

#[test]
fn http_asks_by_name() {
    let mut plain = http(None);
    assert_eq!(
        plain.poll_transmit()[..],
        *b"CONNECT example.com:2333 HTTP/1.1\r\nHost: example.com:2333\r\n\r\n"
    );
    assert!(plain.poll_transmit().is_empty());
    let proxy = Proxy {
        kind: Kind::Http,
        credentials: USER,
    };
    assert_eq!(
        Negotiation::new(proxy, "::1", 80).poll_transmit()[..],
        *b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\nProxy-Authorization: Basic bWU6cDp3\r\n\r\n"
    );
}

#[test]
fn http_answers_in_any_pieces() {
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\nProxy-agent: a\r\nB: c\r\n\r\n",
        "HTTP/1.1 204\r\nX: y\n\n",
        "HTTP/1.1 299 \n\r\n",
    ] {
        for size in 1..=answer.len() {
            assert_eq!(
                answered(&mut http(None), answer.as_bytes(), size),
                Ok(true),
                "{answer:?} by {size}"
            );
        }
    }
}

#[test]
fn http_refuses_in_words() {
    let refusal = |answer: &str| answered(&mut http(None), answer.as_bytes(), 7).expect_err(answer);
    let words = |answer| refusal(answer).to_string();
    assert_eq!(
        words("HTTP/1.1 407 Auth\r\n"),
        "the proxy wants another user and password: 407 Auth"
    );
    assert_eq!(
        words("HTTP/1.1 403 No way\r\nA"),
        "the proxy does not connect to the server: 403 No way"
    );
    assert_eq!(
        words("HTTP/1.0 502\r\n"),
        "the proxy does not connect to the server: 502 "
    );
    assert_eq!(
        words("HTTP/1.1 100 Continue\r\n\r\n"),
        "the proxy does not connect to the server: 100 Continue"
    );
    for garbage in [
        "SSH-2.0",
        "HTTP/2 200\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 +20 OK\r\n",
        "HTTP/1.1\r\n",
        "\0",
    ] {
        assert_eq!(refusal(garbage), Refusal::Language("HTTP"), "{garbage:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(limits::PROXY_ANSWER));
    assert_eq!(refusal(&long), Refusal::TooLong);
    let whole = "HTTP/1.1 200 OK\r\n\r\n+";
    assert_eq!(http(None).handle_bytes(whole.as_bytes()), Err(Refusal::Chatter));
}

#[test]
fn socks_asks_without_a_password() {
    let mut dialogue = socks(None, "example.com");
    assert_eq!(dialogue.poll_transmit()[..], [5, 1, 0]);
    assert_eq!(dialogue.handle_bytes(&[5, 0]), Ok(false));
    assert_eq!(
        dialogue.poll_transmit()[..],
        *b"\x05\x01\x00\x03\x0bexample.com\x09\x1d"
    );
    assert_eq!(dialogue.handle_bytes(&[5, 0, 0, 1, 0, 0, 0, 0, 0]), Ok(false));
    assert_eq!(dialogue.handle_bytes(&[0]), Ok(true));
}

#[test]
fn socks_asks_with_a_password() {
    let mut dialogue = socks(USER, "192.0.2.1");
    assert_eq!(dialogue.poll_transmit()[..], [5, 2, 0, 2]);
    assert_eq!(dialogue.handle_bytes(&[5, 2]), Ok(false));
    assert_eq!(dialogue.poll_transmit()[..], *b"\x01\x02me\x03p:w");
    assert_eq!(dialogue.handle_bytes(&[1, 0]), Ok(false));
    assert_eq!(dialogue.poll_transmit()[..], [5, 1, 0, 1, 192, 0, 2, 1, 9, 29]);
    assert_eq!(dialogue.handle_bytes(b"\x05\x00\x00\x03\x01x\x00\x00"), Ok(true));

    let mut trusting = socks(USER, "2001:db8::1");
    trusting.poll_transmit();
    assert_eq!(trusting.handle_bytes(&[5, 0]), Ok(false));
    assert_eq!(trusting.poll_transmit()[..6], [5, 1, 0, 4, 0x20, 1]);
}

#[test]
fn socks_answers_in_any_pieces() {
    let answers = [
        &b"\x05\x00\x00\x01aaaapp"[..],
        b"\x05\x00\x00\x03\x00pp",
        b"\x05\x00\x00\x04aaaaaaaaaaaaaaaapp",
    ];
    for answer in answers {
        for size in 1..=answer.len() {
            let mut dialogue = socks(USER, "h");
            assert_eq!(answered(&mut dialogue, b"\x05\x02", size), Ok(false));
            assert_eq!(answered(&mut dialogue, b"\x01\x00", size), Ok(false));
            assert_eq!(answered(&mut dialogue, answer, size), Ok(true), "{answer:?} by {size}");
        }
    }
}

#[test]
fn socks_refuses_in_words() {
    let refusal = |answer: &[u8]| answered(&mut socks(USER, "h"), answer, 1).expect_err("a refusal");
    for (code, words) in [
        (1, "general failure"),
        (2, "not allowed"),
        (5, "refused"),
        (8, "type"),
        (99, "unknown"),
    ] {
        let refusal = refusal(&[5, 0, 5, code]);
        assert_eq!(refusal, Refusal::Code(code));
        assert!(refusal.to_string().contains(words), "{refusal}");
    }
    assert_eq!(refusal(&[5, 0xFF]), Refusal::Method);
    assert_eq!(refusal(&[5, 1]), Refusal::Method);
    assert_eq!(socks(None, "h").handle_bytes(&[5, 2]), Err(Refusal::Method));
    assert_eq!(refusal(&[5, 2, 1, 1]), Refusal::Credentials);
    for garbage in [&b"H"[..], &[4], &[5, 2, 5], &[5, 0, 5, 0, 0, 9]] {
        assert_eq!(refusal(garbage), Refusal::Language("SOCKS 5"), "{garbage:?}");
    }
    assert_eq!(socks(None, "h").handle_bytes(&[5, 0, 5]), Err(Refusal::Chatter));
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 27)
}

#[test]
fn nothing_that_a_proxy_says_breaks_us() {
    let answers = [
        &b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"[..],
        b"\x05\x02\x01\x00\x05\x00\x00\x03\x04namepp",
    ];
    for seed in 0..20_000 {
        let mut state = seed;
        let kind = if seed % 2 == 0 { Kind::Http } else { Kind::Socks5 };
        let mut answer = answers[usize::from(kind == Kind::Socks5)].repeat(1 + (seed % 3) as usize);
        for _ in 0..random(&mut state) % 4 {
            let at = random(&mut state) as usize % answer.len();
            answer[at] = random(&mut state) as u8;
        }
        let mut negotiation = Negotiation::new(
            Proxy {
                kind,
                credentials: USER,
            },
            "example.com",
            1,
        );
        for piece in answer.chunks(1 + random(&mut state) as usize % 9) {
            if negotiation.handle_bytes(piece) != Ok(false) {
                break;
            }
            assert!(negotiation.received.len() <= limits::PROXY_ANSWER && negotiation.to_send.len() < 256);
        }
    }
}
