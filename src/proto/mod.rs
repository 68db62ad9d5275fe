//! The wire protocol, sans-IO: bytes in, bytes out, events out. `core` and `alloc` alone; no clock, no socket.
//!
//! # On the wire
//!
//! A client connects to a server over some byte stream (plain TCP, or Noise, TLS, WebSocket on it: the *channel*).
//! Both ends send a preamble and a Hello ([`handshake`], [`hello`]), the server only after the client. From then on
//! both send frames ([`frame`]) for as long as the link lives:
//!
//! | kind | name | from | payload | meaning |
//! |---|---|---|---|---|
//! | 0x01 | Hello | both, first | [`hello`] | who is there, what it can take |
//! | 0x02 | Register | client | [`registration`] | claims a service, proves its token |
//! | 0x03 | Registered | server | [`registration`] | the service is public; proves the token back |
//! | 0x04 | Declined | server | [`registration`] | it is not, or no longer |
//! | 0x05 | Unregister | client | [`registration`] | withdraws a registration |
//! | 0x10 | Open | server | [`messages`] | a visitor came; data may follow at once |
//! | 0x11 | Opened | client | [`messages`] | the local service took the connection |
//! | 0x12 | Refused | client | [`messages`] | it did not, and has seen nothing |
//! | 0x13 | Data | both | bytes | flag 0x01: the direction's last bytes. Empty only with that flag |
//! | 0x14 | Datagram | both | bytes | one datagram of a flow, up to 65,507 bytes |
//! | 0x15 | Credit | both | [`messages`] | how far the receiver takes bytes |
//! | 0x16 | Reset | both | [`messages`] | both directions are cut |
//! | 0x17 | Closed | client | [`messages`] | the client has let go of a finished stream |
//! | 0x20 | Ping | both | [`messages`] | is somebody there? |
//! | 0x21 | Pong | both | [`messages`] | yes |
//! | 0x22 | Goodbye | both | [`messages`] | the session ends |
//! | 0x23 | Renew | server | [`registration`] | the client is to come again over a new link |
//! | 0x80 | Health | client | [`registration`] | how the local service of a registration is |
//! | 0x81–0xBF | | both | any, up to 1,024 bytes | skipped by who does not know it |
//!
//! Any other kind, an unknown flag, a length that a kind cannot have, or a breach of what follows ends the link: the
//! one that notices says Goodbye with code 2 and the fault's name, and closes.
//!
//! # Registrations
//!
//! Until one registration on a link is proven, the server declines with "unknown service or wrong token" and nothing
//! more. The client numbers its registrations below 4,096 as it likes; a number is in use from Register until
//! Declined. Declined may also come after Registered: the service was withdrawn. Registered may come again, with the
//! same proof: the service has another public address. The server answers Unregister by Declined with code 6, unless it
//! has just declined the registration by itself. The streams of a registration that is over stay.
//!
//! A client may have two links for a while, and claim over the newer one what it holds over the older one: the server
//! moves the registration, and declines it on the older link. A server whose keys have changed asks for that by Renew.
//!
//! # Groups
//!
//! A Register can say more ([`terms`]): that only the client names this tunnel and wants a port for it, that several
//! clients share one service, that the client looks after its local service's health. It says by Health when that
//! changes, first when it is known at all; the last word before a link's end counts until then. A server forgets it
//! with the registration.
//!
//! # Streams
//!
//! The server opens streams, in slots below the client's `max_streams`. The upper half of a stream's id counts how
//! often its slot was used before, from 0 and wrapping. A frame for an earlier use of a slot (by up to 32,767) is late
//! and ignored; for a later one it is a fault. A slot is free again for the server when it has sent Reset, or received
//! Reset, Refused or Closed; the client sends Closed when both directions have ended with the flag, and all that it
//! received was taken. A stream that was reset ignores what still comes.
//!
//! Either side may send on a stream from Open on, up to the receiver's window in Hello; then up to the offset that the
//! last Credit for that direction states (offsets count payload bytes from the stream's start). An offset never goes
//! back, and is never more than 2^32 beyond the bytes sent. There is no credit for a link as a whole: a receiver never
//! stops reading it. Refused says that nothing was consumed, so it stands before any Opened and any Data of its sender.
//!
//! # Flows
//!
//! A stream of a UDP registration is a *flow*: it carries Datagram frames in order, whole, and needs no credit; either
//! side may drop what it cannot pass on at once. Opened, Data, Credit and Closed do not occur on it. Reset ends it, with
//! cause 6 when nothing came for a while.
//!
//! # Heartbeats
//!
//! Each side pings at a third of the other's timeout at most (Hello), and answers a Ping with the same time. Any byte
//! counts as a sign of life; a side that hears none for its own timeout drops the link. 0 turns either off. Several
//! Pings before an answer may be answered once.

pub mod credit;
pub mod fault;
mod flow;
pub mod frame;
pub mod handshake;
mod heartbeat;
pub mod hello;
mod inbox;
pub mod messages;
pub mod proof;
pub mod registration;
pub mod schedule;
pub mod session;
#[cfg(test)]
mod sim;
pub mod sorted;
mod stream;
pub mod terms;
#[cfg(test)]
mod tests;
mod time;

pub use credit::Budget;
pub use fault::{Fault, Guess};
pub use frame::{StreamId, Transmit};
pub use handshake::{Channel, Handshake, Introduction};
pub use hello::Hello;
pub use messages::{Farewell, Leave, Visit};
pub use proof::End;
pub use registration::{Decline, Protocol, Registration};
pub use session::{Event, Session, Turn};
pub use stream::Cause;
pub use terms::{Check, KeyHash, Membership, Terms, Wish};
pub use time::Time;

/// Version of the protocol, the preamble's last byte.
pub const VERSION: u8 = 1;
