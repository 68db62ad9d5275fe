//! One handshake: whose turn it is, and what is wrong with what the peer said.

use std::rc::Rc;

use snow::HandshakeState;
use snow::params::CipherChoice;
use zeroize::Zeroizing;

use crate::limits::{NOISE_HEADER, NOISE_MESSAGE};
use crate::proto::{End, Fault, Guess};

use super::direction::Direction;
use super::frames::Frames;
use super::key::{Key, encode_key};
use super::pattern::Keys;
use super::{Setup, Torn};

/// A handshake under way.
pub struct Handshake {
    pub(super) setup: Rc<Setup>,
    pub(super) end: End,
    /// Made for the first message: before, a stranger has cost nothing.
    pub(super) state: Option<Box<HandshakeState>>,
    /// Messages so far, of both ends.
    pub(super) turn: usize,
    /// What the peer's last message offered.
    pub(super) offer: u8,
}

impl Handshake {
    /// Begins as `end`.
    pub fn new(setup: &Rc<Setup>, end: End) -> Result<Handshake, Torn> {
        let state = if end == End::Client {
            Some(begin(setup, end)?)
        } else {
            None
        };
        Ok(Handshake {
            setup: setup.clone(),
            end,
            state,
            turn: 0,
            offer: 0,
        })
    }

    /// Whether the next piece can be the next message by its length.
    pub fn check_length(&self, frames: &Frames, input: &[u8]) -> Result<(), Torn> {
        let expected = self.setup.pattern.lengths.get(self.turn).copied();
        match frames.length(input) {
            Some(length) if Some(length) != expected => Err(self.stranger(length, input)),
            _ => Ok(()),
        }
    }

    /// Takes the peer's next message.
    pub fn handle(&mut self, message: &[u8]) -> Result<(), Torn> {
        let mut payload = [0; NOISE_MESSAGE];
        let state = match &mut self.state {
            Some(state) => state,
            None => self.state.insert(begin(&self.setup, self.end)?),
        };
        state
            .read_message(message, &mut payload)
            .map_err(|_| Torn(WRONG_KEYS.into()))?;
        self.offer = payload[0];
        self.turn += 1;
        match self.peer() {
            Some(key) if !self.setup.is_authorized(&key) => Err(unauthorized(self.end, &key)),
            _ => Ok(()),
        }
    }

    /// Adds this end's next message to `out` if it is its turn.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) -> Result<(), Torn> {
        let Some(state) = &mut self.state else { return Ok(()) };
        if state.is_my_turn() && !state.is_handshake_finished() {
            let mut message = [0; NOISE_MESSAGE];
            let length = state
                .write_message(&[self.setup.offer], &mut message)
                .map_err(|_| broken())?;
            out.extend_from_slice(&u16::try_from(length).unwrap_or_default().to_be_bytes());
            out.extend_from_slice(&message[..length]);
            self.turn += 1;
        }
        Ok(())
    }

    /// Whether both ends have said everything.
    pub fn is_over(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.is_handshake_finished())
    }

    /// What stands for all that was said.
    pub fn hash(&self) -> Vec<u8> {
        self.state
            .as_ref()
            .map(|state| state.get_handshake_hash().to_vec())
            .unwrap_or_default()
    }

    /// The peer's static key, if it is known yet.
    pub fn peer(&self) -> Option<Key> {
        self.state.as_ref()?.get_remote_static()?.try_into().ok()
    }

    /// This end's direction and the peer's.
    pub fn into_directions(self) -> Option<[Direction; 2]> {
        let keys = Zeroizing::new(self.state?.dangerously_get_raw_split());
        let cipher = match self.setup.offer & self.offer {
            AES => CipherChoice::AESGCM,
            _ => self.setup.pattern.params.cipher,
        };
        log::debug!("Noise records: {cipher:?}");
        let (client, server) = (Direction::new(cipher, &keys.0)?, Direction::new(cipher, &keys.1)?);
        Some(match self.end {
            End::Client => [client, server],
            End::Server => [server, client],
        })
    }

    /// What can be said of one whose message has another length.
    fn stranger(&self, length: usize, input: &[u8]) -> Torn {
        // The first bytes of all, unless they came one by one.
        let guess = if self.turn < 2 {
            Guess::of(input)
        } else {
            Guess::Unknown
        };
        let pattern = &self.setup.pattern;
        Torn(match guess {
            Guess::Unknown | Guess::Noise => format!(
                "a Noise handshake that is not {}, or no Noise at all ({length} bytes): both ends need the same \
                 transport and pattern",
                pattern.handshake()
            ),
            guess => Fault::Stranger(guess).to_string(),
        })
    }
}

fn begin(setup: &Setup, end: End) -> Result<Box<HandshakeState>, Torn> {
    let keys = Keys {
        local: setup.local.as_deref(),
        remote: setup.remote.as_ref(),
        psk: setup.psk.as_deref(),
    };
    let built = setup.pattern.builder(end, &keys).and_then(|builder| match end {
        End::Client => builder.build_initiator(),
        End::Server => builder.build_responder(),
    });
    built.map(Box::new).map_err(|_| broken())
}

/// An offer: this end may seal records with AES-256-GCM and is quick at it.
pub const AES: u8 = 1;

/// What the configuration's check rules out.
pub(super) fn broken() -> Torn {
    Torn("a Noise handshake cannot be made: keys or random numbers are missing".into())
}

fn unauthorized(end: End, key: &Key) -> Torn {
    let key = encode_key(key);
    Torn(match end {
        End::Client => format!("the server's key is not remote_public_key but {key}"),
        End::Server => format!("the client's key is not authorized: {key}"),
    })
}

const WRONG_KEYS: &str = "the Noise handshake does not fit: both ends need the same pattern, keys that belong together, \
                          and the same psk if there is one";

const _: () = assert!(NOISE_MESSAGE > NOISE_HEADER);
