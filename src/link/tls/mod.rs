//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446), by rustls with ring, driven through its buffers: bytes in, bytes out.
//!
//! ```text
//! mod           a link's cover
//! certificates  what the configuration's files contain, and what is trusted
//! words         what went wrong, for the one who reads the log
//! ```
//!
//! No ALPN of our own: it would name the program in clear, and what it guards against, bytes of another protocol under
//! the same certificate, ends at our preamble. No session is resumed: a link is rare, and a full handshake checks the
//! certificates that hold now.

mod certificates;
mod words;

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection, SignatureScheme};

use super::Torn;
use crate::proto::{Channel, End};

/// How the links of this process speak TLS.
pub enum Setup {
    /// As the server, with its certificate and key.
    Server(Arc<ServerConfig>, Arc<CertifiedKey>),
    /// As the client, to a server of this name, or of the name that it is reached by.
    Client(Arc<ClientConfig>, Option<ServerName<'static>>),
}

/// One link's TLS.
pub struct Cover {
    connection: Connection,
    sealed: Vec<u8>,
    opened: Vec<u8>,
    is_over: bool,
}

impl Setup {
    /// Another protocol will run on it, which clients name.
    pub fn carry(&mut self, protocol: &[u8]) {
        if let Setup::Client(config, _) = self {
            Arc::make_mut(config).alpn_protocols = vec![protocol.to_vec()];
        }
    }

    /// The costly part of a server's handshake: an exchange of keys and a signature.
    pub fn rehearse(&self) {
        let Setup::Server(config, key) = self else { return };
        let group = config.crypto_provider().kx_groups.first();
        if let Some(Ok(exchange)) = group.map(|group| group.start()) {
            let own = exchange.pub_key().to_vec();
            let _ = exchange.complete(&own);
        }
        if let Some(signer) = key.key.choose_scheme(&SCHEMES) {
            let _ = signer.sign(&[0; BINDING]);
        }
    }

    pub fn cover(&self, _: End, host: &str, _: u16) -> Result<Cover, Torn> {
        let connection = match self {
            Setup::Server(config, _) => ServerConnection::new(config.clone()).map(Connection::from),
            Setup::Client(config, name) => {
                let name = match name {
                    Some(name) => name.clone(),
                    None => certificates::server_name(host).map_err(Torn)?,
                };
                ClientConnection::new(config.clone(), name).map(Connection::from)
            }
        };
        let mut connection = connection.map_err(|error| Torn(words::of(&error)))?;
        // What goes in is bounded by who calls, and taken out at once.
        connection.set_buffer_limit(None);
        Ok(Cover {
            connection,
            sealed: Vec::new(),
            opened: Vec::new(),
            is_over: false,
        })
    }
}

impl Cover {
    pub fn is_ready(&self) -> bool {
        !self.connection.is_handshaking()
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Bound by the exporter of RFC 9266, `tls-exporter`.
    pub fn channel(&self) -> Channel {
        let binding = vec![0; BINDING];
        let binding = self
            .connection
            .export_keying_material(binding, b"EXPORTER-Channel-Binding", Some(&[]));
        Channel {
            label: "tls",
            binding: binding.unwrap_or_default(),
        }
    }

    pub fn seal<'a>(&'a mut self, plain: &'a [u8]) -> Result<&'a [u8], Torn> {
        self.sealed.clear();
        self.connection.writer().write_all(plain).map_err(broken)?;
        drain(&mut self.connection, &mut self.sealed);
        Ok(&self.sealed)
    }

    pub fn open<'a>(&'a mut self, mut wire: &'a [u8]) -> Result<&'a [u8], Torn> {
        self.opened.clear();
        let is_first = self.connection.protocol_version().is_none();
        let first = wire;
        while !wire.is_empty() {
            // Nothing is taken any more once the peer has said that it is done.
            if self.connection.read_tls(&mut wire).map_err(broken)? == 0 {
                break;
            }
            let state = self.connection.process_new_packets();
            let state = state.map_err(|error| Torn(words::at(&error, is_first.then_some(first))))?;
            self.is_over = state.peer_has_closed();
            let ready = state.plaintext_bytes_to_read() as u64;
            self.connection
                .reader()
                .take(ready)
                .read_to_end(&mut self.opened)
                .map_err(broken)?;
        }
        Ok(&self.opened)
    }

    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        drain(&mut self.connection, out);
    }

    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    pub fn relax(&mut self) {
        self.sealed = Vec::new();
        self.opened = Vec::new();
    }
}

const BINDING: usize = 32;

/// One for each kind of key.
const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
];

fn drain(connection: &mut Connection, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    while connection.wants_write() && connection.write_tls(out).is_ok() {}
}

fn broken(error: std::io::Error) -> Torn {
    Torn(error.to_string())
}
