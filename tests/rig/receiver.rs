//! Somebody whose webhook is told things.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::Local;

/// The usual answer.
pub const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Somebody who is told things, and keeps the requests.
pub struct Receiver {
    local: Local,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Gives `answer` to each; empty: none.
    pub fn new(answer: &'static str) -> Receiver {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let local = Local::serve(move |mut stream| {
            let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
            while !all.ends_with(b"}") {
                match stream.read(&mut bytes) {
                    Ok(n @ 1..) => all.extend_from_slice(&bytes[..n]),
                    _ => return,
                }
            }
            kept.lock()
                .expect("whole requests")
                .push(String::from_utf8(all).expect("text"));
            if answer.is_empty() {
                // Says nothing until the other side has enough.
                while let Ok(1..) = stream.read(&mut bytes) {}
            }
            let _ = stream.write_all(answer.as_bytes());
        });
        Receiver { local, requests }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.local.address()
    }

    /// Of a path there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// What came, whole, the oldest first.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("whole requests").clone()
    }
}
