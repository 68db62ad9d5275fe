//! Hello: who is there, and what it can take. Both ends send it first, behind the preamble; the server only after it
//! has read the client's.

use alloc::string::String;
use core::time::Duration;

use embedded_io::Write;

use super::fault::Fault;
use super::frame::{Kind, Reader, Transmit};
use super::registration::cut;
use crate::limits::INITIAL_WINDOW;

/// Tag of the text field that names the program and its version.
const AGENT: u8 = 0x01;

/// What one end says of itself and of this link.
///
/// ```text
/// | nonce: 32 bytes                                                           |
/// | instance: 16 bytes                    | session: 16 bytes                 |
/// | link: 16  | streams: 16 | window: 32  | interval, ms: 32 | timeout, ms: 32 | fields …
/// ```
/// Fields: 1 = agent (text). A later version puts the offset at which a session resumes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Random, new for each link.
    pub nonce: [u8; 32],
    /// Random, the same as long as the process lives: a client that comes back is known by it.
    pub instance: [u8; 16],
    /// Which session of this instance the link belongs to. Random; today each link is a session of its own.
    pub session: [u8; 16],
    /// Which link of the session.
    pub link: u16,
    /// Streams that may be open at once; the slots of stream ids are below it.
    pub max_streams: u16,
    /// Bytes that this end takes on each new stream before it gives credit.
    pub window: u32,
    /// How often this end sends heartbeats by itself; zero: never.
    pub interval: Duration,
    /// How long this end waits for bytes until it takes the peer for dead; zero: for ever.
    pub timeout: Duration,
    /// Program and version, for the log.
    pub agent: String,
}

impl Hello {
    /// Writes the frame. False if there is no room.
    pub fn put(&self, out: &mut Transmit) -> bool {
        out.control(Kind::Hello, 0, &|out| {
            out.write_all(&self.nonce)?;
            out.write_all(&self.instance)?;
            out.write_all(&self.session)?;
            out.write_all(&self.link.to_be_bytes())?;
            out.write_all(&self.max_streams.to_be_bytes())?;
            out.write_all(&self.window.to_be_bytes())?;
            out.write_all(&millis(self.interval).to_be_bytes())?;
            out.write_all(&millis(self.timeout).to_be_bytes())?;
            put_text(out, AGENT, &self.agent)
        })
    }

    /// Reads the payload.
    pub fn parse(payload: &[u8]) -> Result<Hello, Fault> {
        let mut reader = Reader::new(payload);
        let mut hello = Hello {
            nonce: reader.array()?,
            instance: reader.array()?,
            session: reader.array()?,
            link: reader.u16()?,
            max_streams: reader.u16()?,
            window: reader.u32()?,
            interval: Duration::from_millis(reader.u32()?.into()),
            timeout: Duration::from_millis(reader.u32()?.into()),
            agent: String::new(),
        };
        // A window below ours would only make this end slower, a larger one would be a promise of memory.
        if hello.max_streams == 0 || hello.window == 0 || hello.window > 128 * INITIAL_WINDOW {
            return Err(Fault::Invalid(Kind::Hello));
        }
        while let Some(field) = reader.field()? {
            match field.tag {
                AGENT => hello.agent = String::from_utf8_lossy(field.value).into_owned(),
                _ => field.unknown(Kind::Hello)?,
            }
        }
        Ok(hello)
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// Writes a text, cut to what may be sent, as a field that may be skipped.
pub(super) fn put_text(out: &mut Transmit, tag: u8, text: &str) -> super::frame::Written {
    let text = cut(text);
    out.write_all(&[tag])?;
    out.write_all(&(text.len() as u16).to_be_bytes())?;
    out.write_all(text.as_bytes())
}
